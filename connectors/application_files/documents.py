"""What a sidecar says, and a sidecar with some values changed: pure functions over its text, JSON or TOML.

A sidecar that breaks off, is no text, is no table, or says the same thing twice is unreadable: nobody can tell what was meant.
"""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Mapping, Sequence

import tomlkit
import tomlkit.exceptions
from tomlkit.container import Container

from worker.core.facts import UNREADABLE, Raw

Document = Mapping[str, object]
Setting = tuple[tuple[str, ...], object]
"""A path of keys, and the value that goes there; None takes a TOML key away, because TOML knows no empty value."""

ATTACHMENTS = "attachments"


class UnreadableDocument(Exception):
    """The text is no sidecar."""


def parse(name: str, content: bytes) -> Document:
    """Return what a sidecar says; UnreadableDocument when nobody can tell."""
    try:
        text = content.decode("utf-8-sig")
        said = tomllib.loads(text) if name.endswith(".toml") else json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise UnreadableDocument from None
    if not isinstance(said, dict):
        raise UnreadableDocument
    return said


def value(document: Document, path: Sequence[str]) -> Raw:
    """Return the value at the end of a path: None when the key is not there, unreadable when it is no single value."""
    reached: object = document
    for name in path:
        if not isinstance(reached, Mapping):
            return UNREADABLE
        reached = reached.get(name)
        if reached is None:
            return None
    return as_raw(reached)


def as_raw(said: object) -> Raw:
    """Return a single value as it is; unreadable for lists, tables, and texts that no other system could store."""
    if isinstance(said, str):
        try:
            said.encode()
        except UnicodeEncodeError:
            return UNREADABLE
        return said
    return said if said is None or isinstance(said, bool | int | float | dt.date | dt.time) else UNREADABLE


def attachments(document: Document) -> list[str] | None:
    """Return the files that a sidecar names under `attachments`; None when that is no list of texts."""
    said = document.get(ATTACHMENTS, [])
    if isinstance(said, str):
        said = [said]
    return list(said) if isinstance(said, list) and all(isinstance(each, str) for each in said) else None


def changed(name: str, content: bytes, settings: Sequence[Setting]) -> bytes:
    """Return a sidecar's text with some values set and everything else as it was.

    UnreadableDocument when it is no sidecar, or when something else stands where a path leads through.
    """
    parse(name, content)
    text = content.decode("utf-8-sig")
    return (_toml(text, settings) if name.endswith(".toml") else _json(text, settings)).encode()


def _json(text: str, settings: Sequence[Setting]) -> str:
    """Return JSON text with values set, indented as it was."""
    said = json.loads(text)
    for path, new in settings:
        _set(said, path, new)
    # Of all that Unicode calls a line end, only this one can't stand in a text of JSON.
    line = next((line for line in text.split("\n")[1:] if line.strip()), None)
    indent = len(line) - len(line.lstrip(" \t")) or None if line is not None else None
    written = json.dumps(said, ensure_ascii=False, indent=indent)
    try:
        written.encode()
    except UnicodeEncodeError:
        written = json.dumps(said, ensure_ascii=True, indent=indent)
    return written + ("\n" if text.endswith("\n") else "")


def _toml(text: str, settings: Sequence[Setting]) -> str:
    """Return TOML text with values set; comments and layout stay."""
    try:
        said = tomlkit.parse(text)
    except tomlkit.exceptions.TOMLKitError:
        raise UnreadableDocument from None
    for path, new in settings:
        _set(said, path, new)
    return tomlkit.dumps(said)


def _set(said: dict[str, object], path: Sequence[str], new: object) -> None:
    """Set the value at the end of a path, making tables on the way; setting nothing where nothing is changes nothing."""
    for name in path[:-1]:
        if said.get(name) is None:
            if new is None:
                return
            said[name] = {}
        inner = said[name]
        if not isinstance(inner, dict):
            raise UnreadableDocument
        said = inner
    last = path[-1]
    if new is not None:
        said[last] = new
    elif last in said:
        if isinstance(said, Container | tomlkit.items.AbstractTable):
            del said[last]
        else:
            said[last] = None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of JSON; ValueError when it says something twice."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a key stands there twice")
    return said
