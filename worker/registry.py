"""Finds connectors: plug-ins under the entry-point group `retention.connectors`, ours and others' alike."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from worker.errors import ConfigurationError
from worker.ports import Connector

GROUP = "retention.connectors"


def names() -> tuple[str, ...]:
    """Return the names of the installed connectors, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def installed() -> list[tuple[str, str]]:
    """Return (name, package and version) of every connector that is registered, sorted; a name that two packages claim comes twice."""
    found = {(each.name, f"{each.dist.name} {each.dist.version}" if each.dist is not None else "?") for each in entry_points(group=GROUP)}
    return sorted(found)


def connector(name: str) -> Connector:
    """Return a connector by its name; ConfigurationError when it is not installed, can't be loaded, or two plug-ins claim the name."""
    found: list[EntryPoint] = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise ConfigurationError(f"There is no connector {name!r}. Installed are: {', '.join(names()) or 'none'}.")
    if len({entry.value for entry in found}) > 1:
        raise ConfigurationError(f"Two plug-ins claim the connector {name!r}: {', '.join(entry.value for entry in found)}. Uninstall one.")
    try:
        return cast("Connector", found[0].load())
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"The connector {name!r} ({found[0].value}) can't be loaded: {type(error).__name__}: {error}.") from None
