"""Dossiers behind SFTP, over one connection to a host whose key is known.

Threat model. A host that can't prove who it is gets neither the password nor a file: its key has to be in the settings, and there is no
way to switch that off (which is why neither fsspec's own SFTP, which accepts any key, nor `sshfs` is used). Whoever can write into a
dossier may put links there: each thing is looked at itself before it is read or entered, links are removed and never followed. SFTP can't
hold a folder open while it works in it, so a folder that is swapped for a link in that very moment is not noticed; the account should
reach nothing but the dossiers (`ChrootDirectory`).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import errno
import logging
import posixpath
import secrets
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import paramiko

from connectors.patience import Again, InDoubt, Limits, repeated
from connectors.remote_files.storage import LARGEST_SIDECAR, Gone, Refused, Stored
from worker.core.model import Policy
from worker.errors import ConfigurationError, Problem, RetentionError, SourceFailed
from worker.ports import Level

T = TypeVar("T")

_DEEPEST = 100
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BROKEN = (paramiko.SSHException, EOFError, ConnectionError, TimeoutError)

# What the library says by itself names users and hosts.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Host:
    """Where to sign in, and how. host_key -- as in a known_hosts file, without the name: `ssh-ed25519 AAAA...`."""

    name: str
    port: int
    host_key: str
    user: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    key_file: str | None = None


class Folder:
    """A folder of a host in which every folder is a dossier. path -- absolute, or below where the account arrives."""

    level = Level.PERMANENT
    at_once = 1

    def __init__(self, source: str, host: Host, path: str, limits: Limits) -> None:
        self._source = source
        self._host = host
        self._path = path or "."
        self._limits = limits
        self._key = _host_key(source, host.host_key)
        self._client: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def dossiers(self, take: Callable[[Iterator[str]], T]) -> T:
        """Return what `take` makes of the names of all folders; links to folders are none."""
        return self._top(lambda entries: take(each.filename for each in entries if _is(each, stat.S_ISDIR)))

    def several(self, dossiers: Sequence[str]) -> Mapping[str, list[Stored]]:  # noqa: ARG002
        """Return nothing: a host tells what is in one folder."""
        return {}

    def contents(self, dossier: str) -> list[Stored]:
        """Return all that a dossier holds, itself among it."""
        try:
            return list(self._below(posixpath.join(self._path, dossier), ()))
        except Gone:
            return []

    def read(self, dossier: str, stored: Stored) -> bytes:
        """Return the content of a file that is one itself, and no link."""
        path = self._of(dossier, stored)

        def content(sftp: paramiko.SFTPClient) -> bytes:
            about = sftp.lstat(path)
            if _tag(about) != stored.tag:
                raise Gone
            if not _is(about, stat.S_ISREG) or (about.st_size or 0) > LARGEST_SIDECAR:
                raise Refused("no file that a sidecar can be")
            with sftp.open(path, "rb") as file:
                # Of a size that is known one request is enough; without it a second one would look for more.
                said: bytes = file.read(about.st_size)
                return said

        return self._call(content)

    def obstacle(self, dossier: str, some: Sequence[Stored]) -> str:  # noqa: ARG002
        """Return nothing: SFTP knows no locks."""
        return ""

    def remove(self, dossier: str, some: Sequence[Stored]) -> None:
        """Remove files and links, and folders that are empty."""
        for number, each in enumerate(some):
            try:
                self._call(self._removing(self._of(dossier, each), each), writes=True)
            except Gone:
                continue
            except RetentionError:
                if number:
                    raise InDoubt(f"{self._source}: only some parts of a dossier were removed.") from None
                raise

    def replace(self, dossier: str, stored: Stored, content: bytes) -> None:
        """Write a file beside a sidecar, and move it to the sidecar's place, in one step."""
        path = self._of(dossier, stored)
        beside = posixpath.join(posixpath.dirname(path), f".retention-{secrets.token_hex(8)}")

        def write(sftp: paramiko.SFTPClient) -> None:
            about = sftp.lstat(path)
            if _tag(about) != stored.tag:
                raise Gone
            try:
                with sftp.open(beside, "wx") as file:
                    file.write(content)
                sftp.chmod(beside, stat.S_IMODE(about.st_mode or 0o600))
                sftp.posix_rename(beside, path)
            except OSError:
                with suppress(OSError):
                    sftp.remove(beside)
                raise

        self._call(write, writes=True)

    def check(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know); a host doesn't say what an account may do."""
        kinds = self._top(lambda entries: Counter(stat.S_IFMT(each.st_mode or 0) for each in entries))
        known = []
        links = kinds.pop(stat.S_IFLNK, 0)
        if links:
            known.append(
                Problem(self._source, f"{links} entries beside the dossiers are links; they are not followed, and are no dossiers.")
            )
        stray = kinds.total() - kinds[stat.S_IFDIR]
        if stray:
            hint = "Put them into a dossier or remove them."
            known.append(Problem(self._source, f"{stray} files lie beside the dossiers; no policy reaches them.", hint))
        what = "SFTP does not say whether this account may remove everything in the dossiers; what it may not is reported when it is due."
        return [], [*known, Problem(self._source, what)]

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what an account needs."""
        return [f"SFTP: {account} must be able to {'read and write' if writes else 'read'} the folder and all that is in it."]

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
        self._client = self._sftp = None

    def _top(self, take: Callable[[Iterator[paramiko.SFTPAttributes]], T]) -> T:
        """Return what `take` makes of what the folder with the dossiers holds, told in pieces; one is asked for at a time."""
        try:
            return self._call(lambda sftp: take(sftp.listdir_iter(self._path, read_aheads=1)))
        except Gone:
            raise ConfigurationError(f"{self._source}: there is no such folder on the host. Correct the address or the table.") from None
        except Refused as error:
            raise ConfigurationError(f"{self._source}: the account may not list the folder ({error.answer}). Give it that right.") from None

    def _below(self, path: str, folders: tuple[str, ...]) -> Iterator[Stored]:
        """Yield a folder and all that is in it; links as they are."""
        if len(folders) > _DEEPEST:
            raise Refused("too deep")

        def listed(sftp: paramiko.SFTPClient) -> list[paramiko.SFTPAttributes]:
            if not _is(sftp.lstat(path), stat.S_ISDIR):
                raise Refused("no folder")
            entries: list[paramiko.SFTPAttributes] = sftp.listdir_attr(path)
            return entries

        found = self._call(listed)
        yield Stored("/".join(folders), readable=False, depth=len(folders) + 1)
        for each in found:
            inside = (*folders, each.filename)
            if _is(each, stat.S_ISDIR):
                yield from self._below(posixpath.join(path, each.filename), inside)
            else:
                changed = _EPOCH + dt.timedelta(seconds=each.st_mtime or 0)
                yield Stored("/".join(inside), "", _tag(each), changed, readable=_is(each, stat.S_ISREG))

    def _removing(self, path: str, stored: Stored) -> Callable[[paramiko.SFTPClient], None]:
        """Return what removes one thing, if it is still the same."""

        def remove(sftp: paramiko.SFTPClient) -> None:
            if stored.depth:
                sftp.rmdir(path)
            elif _tag(sftp.lstat(path)) == stored.tag:
                sftp.remove(path)
            else:
                raise Refused("changed")

        return remove

    def _of(self, dossier: str, stored: Stored) -> str:
        return posixpath.join(self._path, dossier, stored.path) if stored.path else posixpath.join(self._path, dossier)

    def _call(self, act: Callable[[paramiko.SFTPClient], T], *, writes: bool = False) -> T:
        """Do something on the host: as often as it takes, or once where it writes."""
        return repeated(self._source, self._limits, lambda: self._once(act, writes=writes))

    def _once(self, act: Callable[[paramiko.SFTPClient], T], *, writes: bool) -> T:
        """Do something on the host once."""
        sftp = self._connected()
        try:
            return act(sftp)
        except _BROKEN as error:
            self.close()
            raise self._no_answer(error, writes=writes) from None
        except UnicodeError:
            raise Refused("a name that is no text") from None
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise Gone from None
            channel = sftp.get_channel()
            if error.errno is None and (channel is None or channel.closed):
                # A listing takes a connection that ends for its own end, and finds out when it closes the folder.
                self.close()
                raise self._no_answer(error, writes=writes) from None
            raise Refused("SFTP permission denied" if error.errno == errno.EACCES else "SFTP failure") from None

    def _no_answer(self, error: Exception, *, writes: bool) -> Exception:
        """Return what it means that the connection broke."""
        what = f"{self._source}: the host gave no answer ({type(error).__name__})"
        return InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."))

    def _connected(self) -> paramiko.SFTPClient:
        """Return the connection, made anew when there is none."""
        if self._sftp is not None:
            return self._sftp
        source, host, limits = self._source, self._host, self._limits
        client = paramiko.SSHClient()
        name = host.name if host.port == 22 else f"[{host.name}]:{host.port}"
        client.get_host_keys().add(name, self._key.get_name(), self._key)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                host.name, host.port, host.user, host.password, key_filename=host.key_file, timeout=limits.timeout,
                banner_timeout=limits.timeout, auth_timeout=limits.timeout, channel_timeout=limits.timeout, allow_agent=False,
                look_for_keys=False, disabled_algorithms=None,
            )  # fmt: skip
            sftp = client.open_sftp()
            channel = sftp.get_channel()
            if channel is not None:
                channel.settimeout(limits.timeout)
        except paramiko.BadHostKeyException:
            client.close()
            raise ConfigurationError(f"{source}: the host is not the one whose key is in the option HOST_KEY. Find out why.") from None
        except (paramiko.AuthenticationException, paramiko.PasswordRequiredException):
            client.close()
            raise ConfigurationError(f"{source}: the host refused the sign-in. Set the user and the password or KEY_FILE anew.") from None
        except (*_BROKEN, OSError) as error:
            client.close()
            raise Again(SourceFailed(f"{source}: the host can't be reached ({type(error).__name__}).")) from None
        self._client, self._sftp = client, sftp
        return sftp


def _host_key(source: str, said: str) -> paramiko.PKey:
    """Return a host's key out of the settings."""
    try:
        kind, blob = said.split()[:2]
        return paramiko.PKey.from_type_string(kind, base64.b64decode(blob, validate=True))
    except (ValueError, binascii.Error, paramiko.SSHException, paramiko.UnknownKeyType):
        hint = "the line that ssh-keyscan shows, without the name: ssh-ed25519 AAAA..."
        raise ConfigurationError(f"{source}: the option HOST_KEY has to be the key of the host, {hint}") from None


def _is(about: paramiko.SFTPAttributes, kind: Callable[[int], bool]) -> bool:
    """Whether something is of a kind; what the host doesn't say is none."""
    return about.st_mode is not None and kind(about.st_mode)


def _tag(about: paramiko.SFTPAttributes) -> str:
    """Return what changes when a file does: its kind, size and date, the latter in whole seconds."""
    return f"{stat.S_IFMT(about.st_mode or 0):o} {about.st_size} {about.st_mtime}"
