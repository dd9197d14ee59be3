"""The driver is reached into only where it is laid out as it was when that was written."""

from __future__ import annotations

from typing import Any

import pytest
from pymysql.connections import Connection, MySQLResult
from pymysql.cursors import SSCursor

from connectors.sql.packets import KNOWN, RELIED_ON, FastConnection, PageCursor, is_known


def _classes(**without: str) -> dict[str, type]:
    """Return the driver's classes, each without a method."""
    found: dict[str, type] = {"Connection": Connection, "MySQLResult": MySQLResult, "SSCursor": SSCursor}
    return {name: type(name, (), {**_all_of(each), without.get(name, ""): None}) for name, each in found.items()}


def _all_of(kind: type) -> dict[str, object]:
    everything = {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}
    return {name: value for name, value in everything.items() if name not in ("__dict__", "__weakref__")}


def _other(self: Any) -> None:
    """Do something else than the driver's method of that name."""
    self.nothing()


class TestLayout:
    """Only a driver that is laid out as it was when this was written is reached into."""

    def test_the_installed_release_is_known(self) -> None:
        """Else every installation would read row by row, and nobody would know why."""
        assert (True, True) == (KNOWN, is_known(_classes()))
        assert (Connection, SSCursor) != (FastConnection, PageCursor)

    @pytest.mark.parametrize("name", ["Connection", "MySQLResult", "SSCursor"])
    def test_a_class_that_is_not_there(self, name: str) -> None:
        """A release without one of the classes is not known."""
        assert not is_known({key: each for key, each in _classes().items() if key != name})

    @pytest.mark.parametrize(("name", "method"), [(name, method) for name, methods in RELIED_ON.items() for method in methods])
    def test_a_method_that_is_not_there_or_does_something_else(self, name: str, method: str) -> None:
        """Nor is one without one of the methods, or in which it is written in C, or no longer uses what is used here."""
        assert not is_known(_classes(**{name: method}))
        for instead in (len, _other) if RELIED_ON[name][method] else (len,):
            classes = _classes()
            setattr(classes[name], method, instead)
            assert not is_known(classes)
