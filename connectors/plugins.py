"""The built-in plug-ins, named for what people keep in them; each is found through the entry points `retention.connectors`.

The CRM, the mailing list and the website's comments are database tables; application files and logs are folders. What they are built on is
imported only when a source needs it, so that an office without a database doesn't load one.
"""

from __future__ import annotations

from worker.core.model import Source
from worker.ports import Connection, OpenSource


def crm(source: Source, connection: Connection) -> OpenSource:
    """Open a table of a CRM; see `connectors.sql`."""
    return _table(source, connection)


def mailing_list(source: Source, connection: Connection) -> OpenSource:
    """Open the members of a mailing list; see `connectors.sql`."""
    return _table(source, connection)


def comments(source: Source, connection: Connection) -> OpenSource:
    """Open the comments of a website; see `connectors.sql`."""
    return _table(source, connection)


def application_files(source: Source, connection: Connection) -> OpenSource:
    """Open a folder of application files; see `connectors.application_files`."""
    from connectors.application_files import open_source

    return open_source(source, connection)


def log_files(source: Source, connection: Connection) -> OpenSource:
    """Open a folder of log files; see `connectors.log_files`."""
    from connectors.log_files import open_source

    return open_source(source, connection)


def _table(source: Source, connection: Connection) -> OpenSource:
    """Open a source that is a table of a database."""
    from connectors.sql import open_source

    return open_source(source, connection)
