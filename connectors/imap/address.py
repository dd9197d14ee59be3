"""Where a mailbox is: an address taken apart, and whose certificates are believed.

Threat model. A password and all mail go over this connection. It is encrypted from the first byte (`imaps`), or before anybody signs in
(`imap+starttls`); in plain text only to this machine itself. A server that offers no encryption is not spoken to further.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from worker.errors import ConfigurationError

_PORTS = {"imaps": 993, "imap+starttls": 143, "imap": 143}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. scheme -- `imaps`, `imap+starttls`, or `imap` on this machine."""

    scheme: str
    host: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)


def address_of(source: str, url: str | None) -> Address:
    """Return the address of a mailbox out of the settings; ConfigurationError when it is none, or would send a password in plain text."""
    variable = f"RETENTION_SOURCES__{source.upper().replace('-', '_')}__URL"
    parts = urlsplit(url or "")
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"{source}: {variable} names a port that is none.") from None
    if parts.scheme not in _PORTS or not parts.hostname or not parts.username or not parts.password:
        raise ConfigurationError(f"{source}: {variable} has to be imaps://user:password@host, or imap+starttls://user:password@host.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigurationError(f"{source}: {variable} ends with the host; the folder is the source's `table`.")
    if parts.scheme == "imap" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(f"{source}: imap:// is not encrypted and only for this machine itself. Use imaps:// or imap+starttls://.")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], unquote(parts.username), unquote(parts.password))


def trusted(source: str, authorities: str | None) -> ssl.SSLContext:
    """Return whose certificates are believed: those the machine trusts, or a file's; ConfigurationError when there is no such file."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # Also what is no certificate: ssl's errors are of this kind.
        raise ConfigurationError(f"{source}: the option ca_file names no file with certificates ({type(error).__name__}).") from None
