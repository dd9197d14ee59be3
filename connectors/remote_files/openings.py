"""From a source's settings to the storage where its dossiers lie; each storage's library is imported when a source needs it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from connectors.patience import limits_of
from connectors.remote_files.source import RemoteFiles, folder_of, layout_of
from worker.core.model import Source
from worker.errors import ConfigurationError
from worker.ports import Connection

PATIENCE = ("attempts", "wait", "timeout")
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
    options = _known(source, connection, _S3)
    if ("key" in options) is not ("secret" in options):
        raise ConfigurationError(f"{source.name}: set both options KEY and SECRET, or neither to use the machine's own role.")
    folder = folder_of(source, unquote(parts.path))
    limits = limits_of(source.name, connection.options, PATIENCE, connection.batch_seconds)
    storage = Bucket(source.name, parts.netloc, f"{folder}/" if folder else "", options, limits)
    return RemoteFiles(source, layout, storage, batch_seconds=connection.batch_seconds)


def _known(source: Source, connection: Connection, names: tuple[str, ...]) -> dict[str, str]:
    """Return the options of a connection; ConfigurationError for one that this connector doesn't know."""
    unknown = sorted(connection.options.keys() - {*names, *PATIENCE})
    if unknown:
        raise ConfigurationError(f"{source.name}: unknown options {', '.join(unknown)}; there are {', '.join((*names, *PATIENCE))}.")
    return {name: said for name, said in connection.options.items() if name in names and said}


def _variable(source: Source) -> str:
    return f"RETENTION_SOURCES__{source.name.upper().replace('-', '_')}"
