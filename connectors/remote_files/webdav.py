"""Dossiers on a WebDAV share, one request for each folder and each file.

Threat model. Deleting a folder takes along whatever is in it by then, so files go one by one, each only if it is still the same (`If-
Match`, where the server gives strong tags), and a folder only after a listing shows it empty. Names come from whoever can write to the
share: every one is quoted, none is joined as text, and an answer about something outside of the folder that was asked for is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from connectors.http import Answer, Service
from connectors.patience import InDoubt
from connectors.remote_files.storage import LARGEST_SIDECAR, Gone, Refused, Stored
from worker.core.model import Policy
from worker.errors import ConfigurationError, Problem, RetentionError, SourceFailed
from worker.ports import Level

T = TypeVar("T")

_AT_ONCE = 4
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

    at_once = _AT_ONCE

    def __init__(self, source: str, service: Service, root: str, folder: str, *, level: Level, encrypted: bool) -> None:
        self.level = level
        self._source = source
        self._service = service
        self._root = root.rstrip("/")
        self._folder = [part for part in folder.split("/") if part]
        self._encrypted = encrypted

    def dossiers(self, take: Callable[[Iterator[str]], T]) -> T:
        """Return what `take` makes of the names of all folders."""
        return self._top(lambda entries: take(each.name for each in entries if each.is_folder))

    def several(self, dossiers: Sequence[str]) -> Mapping[str, list[Stored]]:  # noqa: ARG002
        """Return nothing: a share tells what is in one folder."""
        return {}

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
        stray = self._top(lambda entries: sum(not each.is_folder for each in entries))
        known = []
        if not self._encrypted:
            what = "the address is not encrypted: the password and all files can be read on the way."
            known.append(Problem(self._source, what, "Use https."))
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

    def _top(self, take: Callable[[Iterator[_Entry]], T]) -> T:
        """Return what `take` makes of what the folder with the dossiers holds, itself not among it."""
        try:
            return self._listed(self._path("", ""), lambda entries: take(each for each in entries if each.name))
        except Gone:
            raise ConfigurationError(f"{self._source}: there is no such folder on the share. Correct its address or table.") from None
        except Refused as error:
            raise ConfigurationError(f"{self._source}: the account may not list the folder ({error.answer}). Give it that right.") from None

    def _below(self, dossier: str, folders: tuple[str, ...]) -> Iterator[Stored]:
        """Yield a folder and all that is in it."""
        if len(folders) > _DEEPEST:
            raise Refused("too deep")
        inside = "/".join(folders)
        for each in self._listed(self._path(dossier, inside), list):
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
            return self._listed(self._path(dossier, folder.path), lambda entries: sum(bool(each.name) for each in entries)) > 0
        except Gone:
            return False

    def _listed(self, path: str, take: Callable[[Iterator[_Entry]], T]) -> T:
        """Return what `take` makes of what is in a folder, and of the folder itself; Gone when there is none, Refused when it can't be had.

        A folder of 100,000 is an answer of many megabytes: it is taken apart as it arrives.
        """
        own = f"{self._root}{unquote(path)}".rstrip("/")
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        answer = self._service.streamed(
            path, None, lambda pieces: take(self._told(pieces, own)), method="PROPFIND", content=_ASKED, headers=headers
        )
        if not isinstance(answer, Answer):
            return answer
        if answer.status == _NOT_FOUND:
            raise Gone
        raise Refused(f"HTTP {answer.status}")

    def _told(self, pieces: Iterator[bytes], own: str) -> Iterator[_Entry]:
        """Yield what an answer says about a folder; SourceFailed when it doesn't end, or isn't one about that folder."""
        met = False
        try:
            for each in _responses(pieces):
                entry = _entry(each, own)
                if entry is None:
                    raise self._no_share()
                met = met or (not entry.name and entry.is_folder)
                yield entry
        except (ParseError, DefusedXmlException, ValueError):
            raise self._no_share() from None
        if not met:
            raise self._no_share()

    def _no_share(self) -> SourceFailed:
        return SourceFailed(f"{self._source}: what answers there is not a WebDAV share (a notice, a cache, another service?).")

    def _path(self, dossier: str, path: str) -> str:
        """Return the path of a request."""
        parts = [*self._folder, *filter(None, [dossier]), *filter(None, path.split("/"))]
        return "/" + "/".join(quote(part, safe="") for part in parts)


def _condition(stored: Stored) -> Mapping[str, str]:
    """Return the header by which a server writes only what is still the same; weak tags can't say so."""
    return {"If-Match": stored.version} if stored.version.startswith('"') else {}


class _Responses:
    """What a parser tells its news to: puts together one response of a listing after the other, and forgets it once it is taken."""

    def __init__(self) -> None:
        self.done: list[Element] = []
        self._depth = 0
        self._tree: TreeBuilder | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Hear of the beginning of an element."""
        if not self._depth and tag != "{DAV:}multistatus":
            raise ParseError("no listing")
        if self._depth == 1 and tag == "{DAV:}response":
            self._tree = TreeBuilder()
        self._depth += 1
        if self._tree is not None:
            self._tree.start(tag, attributes)

    def data(self, text: str) -> None:
        """Hear of a text."""
        if self._tree is not None:
            self._tree.data(text)

    def end(self, tag: str) -> None:
        """Hear of the end of an element."""
        self._depth -= 1
        if self._tree is not None:
            self._tree.end(tag)
            if self._depth == 1:
                self.done.append(self._tree.close())
                self._tree = None

    def close(self) -> None:
        """Hear that there is no more."""


def _responses(pieces: Iterator[bytes]) -> Iterator[Element]:
    """Yield what a listing is made of, piece by piece; ParseError when it is none, or is cut off."""
    told = _Responses()
    parser = DefusedXMLParser(target=told, forbid_dtd=True)
    for piece in pieces:
        parser.feed(piece)
        yield from told.done
        told.done.clear()
    parser.close()


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
