"""The built-in plug-ins, named for what people keep in them; each is found through the entry points `retention.connectors`.

The CRM, the mailing list and the website's comments are database tables; application files and logs are folders. What they are built on is
imported only when a source needs it, so that an office without a database doesn't load one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from worker.core.sources import Source
from worker.errors import ConfigurationError
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


def wordpress(source: Source, connection: Connection) -> OpenSource:
    """Open the comments of a WordPress site over its REST API; see `connectors.wordpress`."""
    with _needing("rest"):
        from connectors.wordpress import open_source

    return open_source(source, connection)


def tryton(source: Source, connection: Connection) -> OpenSource:
    """Open the records of a model of a Tryton over its JSON-RPC; see `connectors.tryton`."""
    with _needing("rest"):
        from connectors.tryton import open_source

    return open_source(source, connection)


def laposta(source: Source, connection: Connection) -> OpenSource:
    """Open a list at Laposta; see `connectors.laposta`."""
    with _needing("rest"):
        from connectors.laposta import open_source

    return open_source(source, connection)


def brevo(source: Source, connection: Connection) -> OpenSource:
    """Open the contacts of an account at Brevo, or those in a list; see `connectors.brevo`."""
    with _needing("rest"):
        from connectors.brevo import open_source

    return open_source(source, connection)


def zoho_crm(source: Source, connection: Connection) -> OpenSource:
    """Open the records of a module of Zoho CRM; see `connectors.zoho`."""
    with _needing("rest"):
        from connectors.zoho import open_source

    return open_source(source, connection)


def mailchimp(source: Source, connection: Connection) -> OpenSource:
    """Open the members of a Mailchimp audience; see `connectors.mailchimp`."""
    with _needing("rest"):
        from connectors.mailchimp import open_source

    return open_source(source, connection)


def mailman(source: Source, connection: Connection) -> OpenSource:
    """Open members, left-over addresses or requests of a Mailman 3 over its REST API; see `connectors.mailman`."""
    with _needing("rest"):
        from connectors.mailman import open_source

    return open_source(source, connection)


def application_files(source: Source, connection: Connection) -> OpenSource:
    """Open a folder of application files; see `connectors.application_files`."""
    from connectors.application_files import open_source

    return open_source(source, connection)


def s3_files(source: Source, connection: Connection) -> OpenSource:
    """Open application files in a bucket of S3; see `connectors.remote_files`."""
    with _needing("s3"):
        from connectors.remote_files.openings import open_s3

        return open_s3(source, connection)


def webdav_files(source: Source, connection: Connection) -> OpenSource:
    """Open application files on a WebDAV share; see `connectors.remote_files`."""
    with _needing("webdav"):
        from connectors.remote_files.openings import open_webdav

        return open_webdav(source, connection)


def sftp_files(source: Source, connection: Connection) -> OpenSource:
    """Open application files behind SFTP; see `connectors.remote_files`."""
    with _needing("sftp"):
        from connectors.remote_files.openings import open_sftp

        return open_sftp(source, connection)


def log_files(source: Source, connection: Connection) -> OpenSource:
    """Open a folder of log files; see `connectors.log_files`."""
    from connectors.log_files import open_source

    return open_source(source, connection)


def imap_mailbox(source: Source, connection: Connection) -> OpenSource:
    """Open the messages of a folder of a mailbox; see `connectors.imap`."""
    with _needing("imap"):
        from connectors.imap import open_source

    return open_source(source, connection)


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    """Say which extra to install when something is missing that only some connectors need."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("connectors", "worker"):
            raise
        raise ConfigurationError(
            f"This connector needs {error.name}, which is not installed: pip install 'retention-worker[{extra}]'."
        ) from None


def _table(source: Source, connection: Connection) -> OpenSource:
    """Open a source that is a table of a database."""
    from connectors.sql import open_source

    return open_source(source, connection)
