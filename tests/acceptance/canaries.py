"""Canaries: values that stand in one place only, planted in every personal field, and a search for them in every form they could take.

Every canary holds one of two beginnings, so that looking for these finds all of them; what follows says which one got out.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.acceptance.schedules.office import Command, Plan
from tests.plans import laid_open
from worker.core.sources import Source
from worker.policyfile import load

WORD, DIGITS = "qxcanary", "090913713579"
_NETWORK = "2001:db8:c4:fe:"
_FOUND = re.compile(rb"(?:qxcanary|090913713579|2001:0?db8:c4:fe:)[\w:]*", re.IGNORECASE)


def _hidden(text: str) -> Iterator[bytes]:
    """Yield what a text looks like inside of something that was encoded."""
    for form in (text, text.upper(), text.title()):
        yield form.encode().hex().encode()
        yield form.encode("utf-16-le")
        for shift in range(3):
            # Three letters come to four; what is beside the word spoils the first and the last of them.
            yield base64.b64encode(b"\0" * shift + form.encode())[4 if shift else 0 : -4]


_ENCODED = [each for text in (WORD, DIGITS) for each in _hidden(text)]


def found_in(content: bytes) -> set[str]:
    """Return the canaries in some bytes, and in the batches of a plan; an encoded one only as what it is encoded like."""
    content = laid_open(content)
    return {each.decode() for each in _FOUND.findall(content)} | {each.decode("ascii", "replace") for each in _ENCODED if each in content}


def found_under(*folders: Path) -> list[str]:
    """Return which files hold a canary, or have one in their name."""
    wrong = []
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        found = found_in(str(path).encode()) | (found_in(path.read_bytes()) if path.is_file() else set())
        if found:
            wrong.append(f"{path.name}: {min(found)}")
    return wrong


@dataclass
class Planter:
    """Makes canaries; the same text in the same kind of field becomes the same one, so that what belongs together still does."""

    made: dict[tuple[str, str], str] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=count)

    def plant(self, kind: str, where: str, value: str) -> str:
        """Return what stands in a field instead of a value. kind -- email, phone, ip or text; where -- the field, for a text."""
        # A person has the same address wherever it stands; whatever else people have is another thing in every field.
        place = (kind, value.strip().lower()) if kind == "email" else (f"{kind} {where}", value)
        if place not in self.made:
            number = next(self._number)
            forms = {"email": f"{WORD}{number}@post.example", "phone": f"{DIGITS}{number:04}", "ip": f"{_NETWORK}:{number:x}"}
            self.made[place] = forms.get(kind, f"{WORD.title()}{number} of {where}")
        return self.made[place]

    def of(self, source: Source) -> dict[str, tuple[str, str]]:
        """Return by column what kind of canary a source's personal fields take, and what the field is called."""
        planted = {}
        for each in source.personal:
            kind = next((kind for kind in ("email", "phone", "ip") if each.name.split("_")[-1] == kind), "text")
            planted[each.column] = (kind, f"{source.name}.{each.name}")
        return planted


def plant_tables(database: Path, sources: Mapping[str, Source]) -> Planter:
    """Plant canaries in every personal column of a database, and in every text of the tables that are no source; return the planter."""
    planter = Planter()
    columns = {source.table: planter.of(source) for source in sources.values()}
    with closing(sqlite3.connect(database)) as connection, connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            described = connection.execute(f"PRAGMA table_info({table})").fetchall()
            texts = {name: ("text", f"{table}.{name}") for _, name, kind, *_ in described if kind == "TEXT" and table not in columns}
            for column, (kind, where) in (columns.get(table) or texts).items():
                if column not in {name for _, name, type_, *_ in described if type_ == "TEXT"}:
                    continue
                for key, value in connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall():
                    if str(value).strip():
                        said = planter.plant(kind, where, str(value))
                        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (said, key))
    return planter


def plant_dossiers(folder: Path) -> None:
    """Plant canaries in dossiers: in their facts, their papers, the names of papers, and the names of the dossiers themselves."""
    planter = Planter()
    for dossier in sorted(each for each in folder.iterdir() if each.is_dir()):
        facts = dossier / "application.toml"
        if facts.is_file():
            text = facts.read_text(encoding="utf-8", errors="surrogateescape")
            changed = re.sub(
                r'^(name|email|phone) = "(.+)"$',
                lambda found: f'{found[1]} = "{planter.plant(found[1], "dossier", found[2])}"',
                text,
                flags=re.MULTILINE,
            )
            facts.write_text(changed, encoding="utf-8", errors="surrogateescape")
            (dossier / f"letter of {planter.plant('text', 'file name', dossier.name)}.txt").write_text(f"I am {WORD}{dossier.name}.")
            dossier.rename(dossier.with_name(f"{dossier.name} {WORD}{next(planter._number)}"))


def planted(plan: Plan, policies: Path) -> Plan:
    """Return what is written down about an office with canaries in every personal field of every record, and in what people typed."""
    planter = Planter()
    sources = load(policies).sources
    records = []
    for record in plan.records:
        places = planter.of(sources[record.source])
        values: dict[str, Any] = dict(record.values)
        for column, (kind, where) in places.items():
            if isinstance(values.get(column), str) and values[column]:
                values[column] = planter.plant(kind, where, values[column])
        records.append(dataclasses.replace(record, values=values))
    nights = []
    for night in plan.nights:
        before = [
            dataclasses.replace(each, typed=planter.plant("email", "", each.typed)) if isinstance(each, Command) and each.typed else each
            for each in night.before
        ]
        nights.append(dataclasses.replace(night, before=tuple(before), rows={}))
    more = [(table, {name: value if name != "title" else f"{WORD} {value}" for name, value in row.items()}) for table, row in plan.more]
    return dataclasses.replace(plan, records=tuple(records), nights=tuple(nights), more=tuple(more))


@dataclass
class Watcher:
    """Faults that stop nothing: at every point of a batch they look at what lies in the folders for temporary files."""

    leaks: set[str] = field(default_factory=set)
    seen: int = 0

    def reached(self, point: str) -> None:
        """Look."""
        self.seen += 1
        self.leaks.update(found_under(Path(tempfile.gettempdir())))


@dataclass
class Failing:
    """A fault whose text is a canary, as that of an error in a library may quote a record."""

    point: str

    def reached(self, point: str) -> None:
        """Raise at the chosen point."""
        if point == self.point:
            raise RuntimeError(json.dumps({"row": f"{WORD}in-an-error"}) + quote(DIGITS))
