"""From a source's settings to the messages of a folder."""

from __future__ import annotations

from connectors.hosted import HostedSource
from connectors.imap.address import address_of, trusted
from connectors.imap.checks import declared
from connectors.imap.mailbox import Mailbox
from connectors.patience import known_options, limits_of
from worker.core.sources import Source
from worker.errors import ConfigurationError, Problems
from worker.ports import Connection

_OPTIONS = ("ca_file", "renumbered")


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the messages of the folder that the source's table names: `imaps://user:password@host`; nothing is asked of the server yet.

    Problems or ConfigurationError when declaration, address or options can't be right.
    """
    problems = declared(source)
    if problems:
        raise Problems(f"{source.name}: the mailbox is declared wrongly", problems)
    address = address_of(source.name, connection.url)
    options = known_options(source.name, connection.options, _OPTIONS)
    renumbered = options.get("renumbered", "refuse")
    if renumbered not in ("refuse", "accept"):
        raise ConfigurationError(f"{source.name}: the option renumbered is refuse or accept.")
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    mailbox = Mailbox(source, address, trusted(source.name, options.get("ca_file")), limits, accept_renumbered=renumbered == "accept")
    return HostedSource(source, mailbox, batch_seconds=connection.batch_seconds)
