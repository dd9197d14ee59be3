"""Tryton's values, domains and errors in words, without a Tryton."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from connectors.contract import CANARY, FIELDS
from connectors.tryton.checks import declared
from connectors.tryton.domains import domain
from connectors.tryton.opening import open_source
from connectors.tryton.rpc import in_words
from connectors.tryton.values import is_same, read, written
from worker.core.conditions import Compare, Op
from worker.core.facts import UNREADABLE
from worker.core.select import EVERYTHING, Absent, Compares, Intersection, OnOrBefore, Selection, Union
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection

SOURCE = Source("people", "tryton", "retention.person", ("id",), FIELDS)
KINDS = {"seen_on": "date", "left_on": "date", "changed_at": "datetime", "name": "char"}
DAY = dt.date(2024, 2, 28)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "char"),
        ("text", "char"),
        (7, "integer"),
        (1.5, "float"),
        (True, "boolean"),
        (Decimal("1.10"), "numeric"),
        (dt.date(2024, 2, 29), "date"),
        (dt.datetime(2024, 2, 29, 23, 59, 58, 7), "datetime"),
    ],
)
def test_what_is_written_is_read_back(value: object, kind: str) -> None:
    """Every value goes through Tryton's JSON and comes back as it was, and counts as the same."""
    there = json.loads(json.dumps(written(value, kind)))
    assert value == read(there, kind)
    assert is_same(read(there, kind), value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, 2], "one2many"),
        ({"__class__": "bytes", "base64": "aGk="}, "binary"),
        ({"__class__": "date", "year": 0, "month": 0, "day": 0}, "date"),
        ({"__class__": "Decimal", "decimal": "no"}, "numeric"),
        ({"key": "value"}, "dict"),
    ],
)
def test_what_is_no_single_value_is_unreadable(value: Any, kind: str) -> None:
    """A list, a file, a dictionary and a broken value are there and can't be read: they are not empty."""
    assert UNREADABLE == read(value, kind)


def test_moments_are_written_in_utc() -> None:
    """A moment with a zone, a day for a moment, and a text for a day become what the field holds."""
    amsterdam = dt.datetime(2024, 7, 1, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert dt.datetime(2024, 6, 30, 23, 30) == read(written(amsterdam, "datetime"), "datetime")
    assert dt.datetime(2024, 7, 1) == read(written(dt.date(2024, 7, 1), "timestamp"), "timestamp")
    assert dt.date(2024, 7, 1) == read(written("2024-07-01", "date"), "date")
    assert written("", "date") is None


@pytest.mark.parametrize(("there", "asked"), [(None, ""), ("", None), ("name", " name "), ("", "  ")])
def test_texts_may_be_stripped(there: str | None, asked: str | None) -> None:
    """Tryton strips texts and may keep none for an empty one: that is what was asked for all the same."""
    assert is_same(there, asked, "char")
    assert not is_same(there, "another", "char")


def test_domains_are_never_narrower() -> None:
    """A day is asked for with two days to spare, whatever zone it is of; what can't be said makes a union everything."""
    day = [["seen_on", "<", written(dt.date(2024, 3, 1), "date")]]
    moment = [["changed_at", "<", written(dt.datetime(2024, 3, 1), "datetime")]]
    unsaid: tuple[Selection, ...] = (Absent("name"), Compares(Compare("score", Op.GE, (1,))), OnOrBefore("name", DAY))
    cases: list[tuple[Selection, object]] = [
        (OnOrBefore("seen_on", DAY), day),
        (OnOrBefore("changed_at", DAY), moment),
        (OnOrBefore("nothing", DAY), None),
        (OnOrBefore("seen_on", dt.date.max), None),
        (EVERYTHING, None),
        (Union((OnOrBefore("seen_on", DAY), OnOrBefore("changed_at", DAY))), ["OR", day, moment]),
        (Intersection((OnOrBefore("seen_on", DAY), *unsaid)), ["AND", day]),
        *((each, None) for each in unsaid),
        *((Union((OnOrBefore("seen_on", DAY), each)), None) for each in unsaid),
    ]
    for selection, expected in cases:
        assert expected == domain(SOURCE, selection, KINDS.get), selection


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ["UserError", ['The records could not be deleted because they are used by field "Party" of "Sale".', "", None]],
            "UserError: used by Party of Sale",
        ),
        (["UserError", [f'You are not allowed to delete "{CANARY}".', "", None]], "UserError: not allowed"),
        (
            ["UserError", [f'Party "{CANARY}" cannot be erased because they have pending sales', "", None]],
            "UserError: may not be erased yet",
        ),
        (["UserError", [f'The value "{CANARY}" is not valid according to its domain.', "", None]], "UserError: not valid"),
        (["UserError", [CANARY, CANARY, None]], "UserError"),
        (["UserWarning", [CANARY, f"Are you sure about {CANARY}?", ""]], "UserWarning"),
        (["UserError"], "UserError"),
        (["UserError", f'used by field "{CANARY}" of "Sale"'], "UserError"),
    ],
)
def test_errors_in_words(error: list[Any], said: str) -> None:
    """An error says its kind and what is known of its beginning, and nothing out of a record."""
    assert said == in_words(error)


def test_a_declaration_that_can_not_be_right() -> None:
    """Another key, options that don't exist, and erasing what is no party are refused before anything is asked."""
    wrong = Source("people", "tryton", "res.user", ("login",), (), options={"delete": "erase", "colour": "blue"})
    places = [str(each).partition(":")[0] for each in declared(wrong)]
    assert ["people.options.colour", "people.options.delete", "people.key"] == places
    assert ["people.options.delete"] == [
        str(each).partition(":")[0] for each in declared(Source("people", "tryton", "a.b", ("id",), (), options={"delete": "maybe"}))
    ]
    with pytest.raises(ConfigurationError, match=r"people\.key"):
        open_source(wrong, Connection("https://a:b@c/d"))
    with pytest.raises(ConfigurationError, match="colour"):
        open_source(SOURCE, Connection("https://a:b@c/d", options={"colour": "blue"}))
