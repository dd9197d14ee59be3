"""Contacts of an account at Brevo, or those in one of its lists, over its API."""

from __future__ import annotations

from connectors.brevo.account import Account
from connectors.brevo.checks import declared, list_of
from connectors.brevo.contacts import Contacts
from connectors.hosted import HostedSource
from connectors.http import Service, address_of
from connectors.patience import known_options, limits_of
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection

__all__ = ["open_source"]


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the contacts that the source's table names; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of Brevo yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    problems = declared(source)
    if problems:
        raise ConfigurationError("\n".join(str(each) for each in problems))
    address = address_of(source.name, connection.url)
    key = address.user or address.password
    if not key:
        raise ConfigurationError(f"{source.name}: the address has no API key: https://KEY@api.brevo.com/v3.")
    known_options(source.name, connection.options, ())
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    service = Service(source.name, address.base, limits=limits, headers={"api-key": key}, waits="x-sib-ratelimit-reset")
    contacts = Contacts(source, Account(source.name, service), list_of(source), encrypted=address.encrypted)
    return HostedSource(source, contacts, batch_seconds=connection.batch_seconds)
