"""Opening what a Mailman keeps as a source; which kind of record it is, its table says."""

from __future__ import annotations

import httpx

from connectors.hosted import HostedSource
from connectors.http import Service, address_of
from connectors.mailman.checks import LEFTOVERS, MEMBERS, declared, kind_of
from connectors.mailman.leftovers import Leftovers
from connectors.mailman.members import Members
from connectors.mailman.server import Server
from connectors.mailman.waiting import Requests
from connectors.patience import known_options, limits_of
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection

_API = "/3.1"
_PAGE = 500


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open members, left-over addresses or requests; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of Mailman yet. Connection's options: `page` (how many entries are asked for at once) and those of `patience`.
    """
    problems = declared(source)
    if problems:
        raise ConfigurationError("\n".join(str(each) for each in problems))
    address = address_of(source.name, connection.url)
    if not address.user or not address.password:
        raise ConfigurationError(
            f"{source.name}: the address has no user name and password: http://user:password@host:8001. They stand in Mailman's settings "
            "as admin_user and admin_pass of [webservice]."
        )
    if address.base.endswith("/3.0"):
        raise ConfigurationError(f"{source.name}: this needs version 3.1 of Mailman's REST API; leave the version out of the address.")
    base = address.base if address.base.endswith(_API) else address.base + _API
    page = _page(source, known_options(source.name, connection.options, ("page",)).get("page"))
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    service = Service(source.name, base, auth=httpx.BasicAuth(address.user, address.password), limits=limits)
    kinds = {MEMBERS: Members, LEFTOVERS: Leftovers}
    records = kinds.get(kind_of(source), Requests)(source, Server(source.name, service, page=page), encrypted=address.encrypted)
    return HostedSource(source, records, batch_seconds=connection.batch_seconds)


def _page(source: Source, said: str | None) -> int:
    """Return how many entries are asked for at once."""
    if said is None:
        return _PAGE
    if not said.isdigit() or not int(said):
        raise ConfigurationError(f"{source.name}: the option page is a number of at least 1.")
    return int(said)
