"""From a source's settings to the storage where its dossiers lie; each storage's library is imported when a source needs it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from connectors.patience import known_options, limits_of
from connectors.remote_files.source import RemoteFiles, folder_of, layout_of
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection, Level

_UNPACED = ("attempts", "wait", "timeout")
_S3 = ("endpoint", "region", "key", "secret", "token")


def open_s3(source: Source, connection: Connection) -> RemoteFiles:
    """Open the dossiers in a bucket: `s3://bucket/prefix`, the keys in the connection's options."""
    from connectors.remote_files.s3 import Bucket

    layout = layout_of(source)
    parts = urlsplit(connection.url or "")
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc:
        raise ConfigurationError(
            f"{source.name}: {_variable(source)}__URL has to be s3://bucket or s3://bucket/prefix; the keys are the options KEY and SECRET."
        )
    options = known_options(source.name, connection.options, _S3, _UNPACED)
    if ("key" in options) is not ("secret" in options):
        raise ConfigurationError(f"{source.name}: set both options KEY and SECRET, or neither to use the machine's own role.")
    folder = folder_of(source, unquote(parts.path))
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    storage = Bucket(source.name, parts.netloc, f"{folder}/" if folder else "", options, limits)
    return RemoteFiles(source, layout, storage, batch_seconds=connection.batch_seconds)


def open_webdav(source: Source, connection: Connection) -> RemoteFiles:
    """Open the dossiers on a share: `https://user:password@host/path`."""
    import httpx

    from connectors.http import Service, address_of
    from connectors.remote_files.webdav import Share

    layout = layout_of(source)
    address = address_of(source.name, connection.url)
    options = known_options(source.name, connection.options, ("bin",))
    if options.get("bin", "no") not in ("yes", "no"):
        raise ConfigurationError(f"{source.name}: {_variable(source)}__OPTIONS__BIN is yes or no.")
    auth = httpx.BasicAuth(address.user, address.password) if address.user else None
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    service = Service(source.name, address.base, auth=auth, limits=limits, headers={"Accept": "*/*"})
    level = Level.SOFT if options.get("bin") == "yes" else Level.PERMANENT
    root = unquote(urlsplit(address.base).path)
    storage = Share(source.name, service, root, folder_of(source, ""), level=level, encrypted=address.encrypted)
    return RemoteFiles(source, layout, storage, batch_seconds=connection.batch_seconds)


def open_sftp(source: Source, connection: Connection) -> RemoteFiles:
    """Open the dossiers on a host: `sftp://user:password@host:port/path`, the host's key in the connection's options."""
    from connectors.remote_files.sftp import Folder, Host

    layout = layout_of(source)
    parts = urlsplit(connection.url or "")
    if parts.scheme != "sftp" or not parts.hostname or not parts.username:
        raise ConfigurationError(f"{source.name}: {_variable(source)}__URL has to be sftp://user@host/path, with a password or without.")
    options = known_options(source.name, connection.options, ("host_key", "key_file"), _UNPACED)
    if "host_key" not in options:
        raise ConfigurationError(
            f"{source.name}: set {_variable(source)}__OPTIONS__HOST_KEY; a host that nobody knows is not signed in to."
        )
    password = unquote(parts.password) if parts.password else None
    host = Host(parts.hostname, parts.port or 22, options["host_key"], unquote(parts.username), password, options.get("key_file"))
    folder = f"/{folder_of(source, unquote(parts.path))}"
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    return RemoteFiles(source, layout, Folder(source.name, host, folder, limits), batch_seconds=connection.batch_seconds)


def _variable(source: Source) -> str:
    return f"RETENTION_SOURCES__{source.name.upper().replace('-', '_')}"
