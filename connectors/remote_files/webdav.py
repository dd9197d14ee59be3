"""Dossiers on a WebDAV share, one request for each folder and each file.

Threat model. Deleting a folder takes along whatever is in it by then, so files go one by one, each only if it is still the same (`If-
Match`, where the server gives strong tags), and a folder only after a listing shows it empty. Names come from whoever can write to the
share: every one is quoted, none is joined as text, and an answer about something outside of the folder that was asked for is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connectors.http import Answer, Service
from connectors.patience import InDoubt
from connectors.remote_files.storage import LARGEST_SIDECAR, Gone, Refused, Stored
from worker.core.model import Policy
from worker.errors import ConfigurationError, Problem, RetentionError, SourceFailed
from worker.ports import Level

_DEEPEST = 100
_MULTISTATUS, _NOT_FOUND, _CHANGED = 207, 404, 412
_ASKED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/><lockdiscovery/></prop></propfind>"
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a share says about one thing in a folder; name -- '' for the folder itself."""

    name: str
    is_folder: bool
    tag: str
    etag: str
    changed: dt.datetime | None
    locked: bool


class Share:
    """A folder of a share in which every folder is a dossier. folder -- its path below the service's address, without slashes around it."""

    def __init__(self, source: str, service: Service, root: str, folder: str, *, level: Level, encrypted: bool) -> None:
        self.level = level
        self._source = source
        self._service = service
        self._root = root.rstrip("/")
        self._folder = [part for part in folder.split("/") if part]
        self._encrypted = encrypted

    def dossiers(self) -> list[str]:
        """Return the names of all folders."""
        return [each.name for each in self._top() if each.is_folder and each.name]

    def contents(self, dossier: str) -> list[Stored]:
        """Return all files and folders of a dossier, itself among them."""
        try:
            return list(self._below(dossier, ()))
        except Gone:
            return []

    def read(self, dossier: str, stored: Stored) -> bytes:
        """Return the content of a file."""
        answer = self._service.read(self._path(dossier, stored.path))
        if answer.status == _NOT_FOUND:
            raise Gone
        if not answer.is_success:
            raise Refused(f"HTTP {answer.status}")
        if len(answer.body) > LARGEST_SIDECAR:
            raise Refused("larger than a sidecar can be")
        if answer.headers.get("etag", stored.version) != stored.version:
            raise Gone
        return answer.body

    def obstacle(self, dossier: str, some: Sequence[Stored]) -> str:  # noqa: ARG002
        """Return whether somebody has locked one of these."""
        return "HTTP 423 Locked" if any(each.locked for each in some) else ""

    def remove(self, dossier: str, some: Sequence[Stored]) -> None:
        """Delete files that are still the same, and folders that are empty."""
        for number, each in enumerate(some):
            path = self._path(dossier, each.path)
            try:
                if each.depth and self._holds_something(dossier, each):
                    continue
                answer = self._service.write("DELETE", path, headers=_condition(each))
            except RetentionError:
                if number:
                    raise InDoubt(f"{self._source}: only some parts of a dossier were deleted.") from None
                raise
            if answer.status == _MULTISTATUS or not (answer.is_success or answer.status == _NOT_FOUND):
                raise Refused(f"HTTP {answer.status}")

    def replace(self, dossier: str, stored: Stored, content: bytes) -> None:
        """Write a file anew if it is still the same."""
        answer = self._service.write("PUT", self._path(dossier, stored.path), content=content, headers=_condition(stored))
        if answer.status in (_NOT_FOUND, _CHANGED):
            raise Gone
        if not answer.is_success:
            raise Refused(f"HTTP {answer.status}")

    def check(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know); a share doesn't say what an account may do."""
        top = list(self._top())
        known = []
        if not self._encrypted:
            what = "the address is not encrypted: the password and all files can be read on the way."
            known.append(Problem(self._source, what, "Use https."))
        stray = sum(not each.is_folder for each in top)
        if stray:
            hint = "Put them into a dossier or remove them."
            known.append(Problem(self._source, f"{stray} files lie beside the dossiers; no policy reaches them.", hint))
        what = "a share does not say whether this account may delete, nor whether it keeps a bin or earlier versions (Nextcloud does)."
        hint = "Look there. Set the source's option BIN where deleted files go to a bin."
        return [], [*known, *([Problem(self._source, what, hint)] if self.level is Level.PERMANENT else [])]

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what an account needs."""
        return [f"A WebDAV share: {account} must be able to {'read and write' if writes else 'read'} the folder and all that is in it."]

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()

    def _top(self) -> list[_Entry]:
        """Return what the folder with the dossiers holds."""
        try:
            return [each for each in self._listed(self._path("", "")) if each.name]
        except Gone:
            raise ConfigurationError(f"{self._source}: there is no such folder on the share. Correct its address or table.") from None
        except Refused as error:
            raise ConfigurationError(f"{self._source}: the account may not list the folder ({error.answer}). Give it that right.") from None

    def _below(self, dossier: str, folders: tuple[str, ...]) -> Iterator[Stored]:
        """Yield a folder and all that is in it."""
        if len(folders) > _DEEPEST:
            raise Refused("too deep")
        inside = "/".join(folders)
        for each in self._listed(self._path(dossier, inside)):
            path = "/".join((*folders, each.name)) if each.name else inside
            if not each.name:
                yield Stored(path, readable=False, depth=len(folders) + 1, locked=each.locked)
            elif each.is_folder:
                yield from self._below(dossier, (*folders, each.name))
            else:
                yield Stored(path, each.etag, each.tag, each.changed, locked=each.locked)

    def _holds_something(self, dossier: str, folder: Stored) -> bool:
        """Whether a folder holds anything now."""
        try:
            return any(each.name for each in self._listed(self._path(dossier, folder.path)))
        except Gone:
            return False

    def _listed(self, path: str) -> list[_Entry]:
        """Return what is in a folder, and the folder itself; Gone when there is none, Refused when it may not be listed."""
        answer = self._service.read(path, method="PROPFIND", content=_ASKED, headers={"Depth": "1", "Content-Type": "application/xml"})
        if answer.status == _NOT_FOUND:
            raise Gone
        if 400 <= answer.status < 500:
            raise Refused(f"HTTP {answer.status}")
        own = f"{self._root}{unquote(path)}".rstrip("/")
        found = [_entry(each, own) for each in _responses(answer)]
        if any(each is None for each in found) or not any(each is not None and not each.name and each.is_folder for each in found):
            raise SourceFailed(f"{self._source}: what answers there is not a WebDAV share (a notice, a cache, another service?).")
        return [each for each in found if each is not None]

    def _path(self, dossier: str, path: str) -> str:
        """Return the path of a request."""
        parts = [*self._folder, *filter(None, [dossier]), *filter(None, path.split("/"))]
        return "/" + "/".join(quote(part, safe="") for part in parts)


def _condition(stored: Stored) -> Mapping[str, str]:
    """Return the header by which a server writes only what is still the same; weak tags can't say so."""
    return {"If-Match": stored.version} if stored.version.startswith('"') else {}


def _responses(answer: Answer) -> list[Element]:
    """Return what a listing is made of; nothing when it is none."""
    if answer.status != _MULTISTATUS:
        return []
    try:
        said: Element = fromstring(answer.body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return []
    return said.findall("{DAV:}response") if said.tag == "{DAV:}multistatus" else []


def _entry(said: Element, own: str) -> _Entry | None:
    """Return what a share says about one thing; None when it isn't in the folder that was asked for."""
    path = unquote(urlsplit(said.findtext("{DAV:}href", "")).path).rstrip("/")
    name = "" if path == own else path.removeprefix(f"{own}/")
    if (name and not path.startswith(f"{own}/")) or "/" in name or name in (".", ".."):
        return None
    etag, modified = _quoted(_text(said, "getetag")), _text(said, "getlastmodified")
    try:
        changed = parsedate_to_datetime(modified) if modified else None
    except ValueError:
        changed = None
    is_folder = said.find(".//{DAV:}resourcetype/{DAV:}collection") is not None
    locked = said.find(".//{DAV:}lockdiscovery/{DAV:}activelock") is not None
    return _Entry(name, is_folder, f"{etag} {_text(said, 'getcontentlength')} {modified}", etag, changed, locked)


def _quoted(etag: str) -> str:
    """Return a tag as headers write it; some servers leave the quotation marks out in listings."""
    return etag if not etag or etag.startswith(('"', "W/")) else f'"{etag}"'


def _text(said: Element, name: str) -> str:
    """Return the text of a property, '' when the share doesn't say."""
    return (said.findtext(f".//{{DAV:}}prop/{{DAV:}}{name}") or "").strip()
