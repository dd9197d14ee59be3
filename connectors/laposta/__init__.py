"""Members of a list at Laposta, over its API."""

from __future__ import annotations

import httpx

from connectors.hosted import HostedSource
from connectors.hosted.opening import address_with_key, refuse
from connectors.http import Service
from connectors.laposta.account import Account
from connectors.laposta.checks import declared
from connectors.laposta.members import Members
from connectors.patience import known_options, limits_of
from worker.core.sources import Source
from worker.ports import Connection

__all__ = ["open_source"]

GENTLE = "1"
"""Requests a second unless the settings say otherwise. The limit is the account's, 30 or 120 a minute, and the website's sign-up form needs
some of it."""


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the list that is the source's table; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of Laposta yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    refuse(declared(source))
    address, key = address_with_key(source, connection, "https://KEY@api.laposta.nl/v2")
    known_options(source.name, connection.options, ())
    limits = limits_of(source.name, {"per_second": GENTLE, **connection.options}, connection.batch_seconds)
    service = Service(source.name, address.base, auth=httpx.BasicAuth(key, ""), limits=limits)
    account = Account(source.name, service, source.table)
    members = Members(source, account, encrypted=address.encrypted, pace=limits.per_second * connection.batch_seconds)
    return HostedSource(source, members, batch_seconds=connection.batch_seconds)
