"""What opening the records of a service begins with, whatever the service is; nothing is asked of it yet."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.http import Address, address_of
from worker.core.sources import Source
from worker.errors import ConfigurationError, Problem
from worker.ports import Connection


def refuse(problems: Sequence[Problem]) -> None:
    """Raise ConfigurationError that says all that can't be right about a declaration, if anything."""
    if problems:
        raise ConfigurationError("\n".join(str(each) for each in problems))


def address_with_key(source: Source, connection: Connection, example: str) -> tuple[Address, str]:
    """Return the address of a service and the API key that stands in it as a user name; ConfigurationError when either is missing."""
    address = address_of(source.name, connection.url)
    key = address.user or address.password
    if not key:
        raise ConfigurationError(f"{source.name}: the address has no API key: {example}.")
    return address, key
