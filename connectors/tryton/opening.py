"""Opening a source of Tryton: what its declaration and its address have to be before anything is asked."""

from __future__ import annotations

from connectors.hosted import HostedSource
from connectors.http import address_of
from connectors.patience import known_options, limits_of
from connectors.tryton.checks import declared
from connectors.tryton.erasing import ErasedParties
from connectors.tryton.records import TrytonRecords
from connectors.tryton.rpc import Rpc
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the records of a model at the connection's address; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of Tryton yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    problems = declared(source)
    if problems:
        raise ConfigurationError("\n".join(str(each) for each in problems))
    address = address_of(source.name, connection.url)
    if not address.user or not address.password or address.base.count("/") < _WITH_DATABASE:
        raise ConfigurationError(
            f"{source.name}: the address has to have a user name, a password and the database: https://user:password@host/database."
        )
    known_options(source.name, connection.options, ())
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    kind = ErasedParties if source.options.get("delete") == "erase" else TrytonRecords
    records = kind(Rpc(source.name, address, limits), source, connection.siblings, encrypted=address.encrypted)
    return HostedSource(source, records, batch_seconds=connection.batch_seconds, siblings=connection.siblings)


_WITH_DATABASE = 3
"""So many slashes has an address with a path."""
