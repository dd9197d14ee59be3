"""Opening a module of Zoho CRM out of a declaration and the settings."""

from __future__ import annotations

from connectors.hosted import HostedSource
from connectors.hosted.opening import refuse
from connectors.http import Service, address_of
from connectors.patience import known_options, limits_of
from connectors.zoho.api import MOST, Credits, Crm
from connectors.zoho.checks import declared
from connectors.zoho.grant import Secrets, SignIn, grant_of
from connectors.zoho.records import ZohoRecords
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection, Level

_SECRETS = ("client_id", "client_secret", "refresh_token")
_SPENDING = ("credits", "spare", "page")


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the records of a module of Zoho CRM; ConfigurationError when the declaration or the settings can't be right.

    Nothing is asked of Zoho yet. The address is that of the accounts server of the office's region; where the records are read is what it
    says. Options of the connection: `client_id`, `client_secret`, `refresh_token`; `credits`, how many of Zoho's credits a run may use, and
    `spare`, how many of the office's it leaves; `page`, how many records a query gives (2000, for 3 credits); `attempts`, `wait`, `timeout`
    and `per_second`, how patient and how gentle to be.
    """
    refuse(declared(source))
    address = address_of(source.name, connection.url)
    if address.user or address.password:
        raise ConfigurationError(f"{source.name}: the address is https://accounts.zoho.eu or another region's; secrets are options.")
    if not address.encrypted:
        raise ConfigurationError(f"{source.name}: the address has to begin with https://; secrets are sent there.")
    options = known_options(source.name, connection.options, (*_SECRETS, *_SPENDING))
    missing = [each.upper() for each in _SECRETS if each not in options]
    if missing:
        raise ConfigurationError(
            f"{source.name}: the options {', '.join(missing)} are missing; docs/connectors/zoho.md says how to get them."
        )
    secrets = Secrets(*(options[each] for each in _SECRETS))
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    accounts = Service(source.name, address.base, limits=limits)
    sign_in = SignIn(source.name, accounts, secrets, grant_of(address.base, secrets), near=not address.base.startswith("https:"))
    spends = Credits(source.name, _whole(source, options, "credits"), _whole(source, options, "spare") or 0)
    page = _whole(source, options, "page") or MOST
    if page > MOST:
        raise ConfigurationError(f"{source.name}: the option page is {MOST} at most.")
    records = ZohoRecords(source, Crm(source.name, sign_in, spends, limits), connection.siblings, page=page)
    halving = records.level is Level.PERMANENT
    return HostedSource(
        source, records, batch_seconds=connection.batch_seconds, siblings=connection.siblings, halving=halving, begun=connection.begun
    )


def _whole(source: Source, options: dict[str, str], name: str) -> int | None:
    """Return an option that is a whole number above nothing; None when it isn't set."""
    said = options.get(name)
    if said is None:
        return None
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise ConfigurationError(f"{source.name}: the option {name} is a whole number from 1.")
    return int(said)
