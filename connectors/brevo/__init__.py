"""Contacts of an account at Brevo, or those in one of its lists, over its API."""

from __future__ import annotations

from connectors.brevo.account import Account
from connectors.brevo.checks import declared, list_of
from connectors.brevo.contacts import Contacts
from connectors.hosted import HostedSource
from connectors.hosted.opening import address_with_key, refuse
from connectors.http import Service
from connectors.patience import known_options, limits_of
from worker.core.sources import Source
from worker.ports import Connection

__all__ = ["open_source"]


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the contacts that the source's table names; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of Brevo yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    refuse(declared(source))
    address, key = address_with_key(source, connection, "https://KEY@api.brevo.com/v3")
    known_options(source.name, connection.options, ())
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    service = Service(source.name, address.base, limits=limits, headers={"api-key": key}, waits="x-sib-ratelimit-reset")
    contacts = Contacts(source, Account(source.name, service), list_of(source), encrypted=address.encrypted)
    return HostedSource(source, contacts, batch_seconds=connection.batch_seconds)
