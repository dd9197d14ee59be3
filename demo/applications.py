"""The application files of the office: one folder per applicant with a letter, a CV and a sidecar with the facts.

A sidecar is `application.json` or `application.toml` with name, email, phone, vacancy, received_on, procedure_ended_on
(missing or empty: the procedure is open), hired (missing: nobody filled it in), consent_given_on, consent_withdrawn_on
and attachments: files outside the folder, relative to it. `shared/` holds those files; it is no applicant.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import tomlkit

from demo import documents
from demo.people import Person, day_between, person, seeded, years_before

_VACANCIES = ("webontwikkelaar", "adviseur", "administratie", "vormgever")
WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sidecar of one dossier says; None leaves the line out, an empty text leaves it empty."""

    who: Person
    received_on: date
    procedure_ended_on: date | str | None = None
    hired: bool | None = False
    consent_given_on: date | None = None
    consent_withdrawn_on: date | None = None
    attachments: tuple[str, ...] = ()


@dataclass(slots=True)
class Cabinet:
    """The folder with dossiers while it is being filled; dossiers are numbered in the order of adding."""

    root: Path
    count: int = 0
    canaries: set[str] = field(default_factory=set)

    def dossier(self, facts: Facts, *, sidecar: bytes | None = None) -> str:
        """Write a dossier and return its name; `sidecar` replaces the text of the sidecar, empty leaves it out."""
        name = self._name(facts.received_on)
        vacancy = _VACANCIES[self.count % len(_VACANCIES)]
        who = facts.who
        self.canaries |= {who.name, who.email, who.phone}
        kind = "json" if self.count % 2 else "toml"
        text = _json(facts, vacancy) if kind == "json" else _toml(facts, vacancy)
        text = text if sidecar is None else sidecar
        if text:
            self.put(f"{name}/application.{kind}", text, facts.received_on)
        cv = documents.pdf(f"Curriculum vitae {who.name}", (who.email, who.phone, f"Functie: {vacancy}"))
        self.put(f"{name}/cv.pdf", cv, facts.received_on)
        letter = f"Geachte heer of mevrouw, ik solliciteer als {vacancy}. Met vriendelijke groet, {who.name}"
        match self.count % 3:
            case 0:
                self.put(f"{name}/letter.docx", documents.docx("Sollicitatie", letter), facts.received_on)
            case 1:
                self.put(f"{name}/letter.txt", documents.txt(letter, who.email), facts.received_on)
            case _:
                mail = documents.txt(f"Aan: {who.email}", "Bedankt voor uw sollicitatie.")
                self.put(f"{name}/correspondence/bevestiging van ontvangst.txt", mail, facts.received_on)
        return name

    def empty_dossier(self, received_on: date) -> str:
        """Make a dossier folder with nothing in it and return its name."""
        name = self._name(received_on)
        (self.root / name).mkdir()
        return name

    def put(self, name: str, content: bytes, day: date) -> None:
        """Write one file, dated at noon of that day."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        _date(path, day)

    def _name(self, received_on: date) -> str:
        self.count += 1
        return f"{received_on.year}-{self.count:04d}"


def fill(cabinet: Cabinet, as_of: date, scale: int) -> None:
    """Add ordinary dossiers up to 120 times the scale, and date every folder."""
    draw = seeded("applications")
    for number in range(3500, 3500 + 120 * scale - cabinet.count):
        chance = draw.random()
        ended = day_between(years_before(as_of, 3), as_of - 8 * WEEK - timedelta(days=1), draw)
        facts = Facts(person(number), ended - draw.randint(3, 9) * WEEK, ended)
        if chance < 0.25:  # Open: some have no line for the end, others an empty one.
            received_on = day_between(as_of - 20 * WEEK, as_of, draw)
            facts = replace(facts, received_on=received_on, procedure_ended_on=draw.choice((None, "")), hired=None)
        elif chance < 0.45:  # Ended less than eight weeks ago.
            ended = day_between(as_of - 8 * WEEK + timedelta(days=1), as_of - timedelta(days=1), draw)
            facts = replace(facts, received_on=ended - 6 * WEEK, procedure_ended_on=ended)
        elif chance < 0.65:  # May be kept for a year.
            ended = day_between(as_of - 45 * WEEK, as_of - 9 * WEEK, draw)
            facts = replace(facts, received_on=ended - 6 * WEEK, procedure_ended_on=ended, consent_given_on=ended)
        elif chance < 0.8:
            facts = replace(facts, hired=True)
        cabinet.dossier(facts)
    # A folder changes its date with every file in it, so folders are dated last.
    for folder in (cabinet.root, *cabinet.root.rglob("*")):
        if folder.is_dir():
            _date(folder, as_of)


def _known(facts: Facts, vacancy: str) -> dict[str, object]:
    lines = {
        "name": facts.who.name,
        "email": facts.who.email,
        "phone": facts.who.phone,
        "vacancy": vacancy,
        "received_on": facts.received_on,
        "procedure_ended_on": facts.procedure_ended_on,
        "hired": facts.hired,
        "consent_given_on": facts.consent_given_on,
        "consent_withdrawn_on": facts.consent_withdrawn_on,
        "attachments": list(facts.attachments) or None,
    }
    return {name: value for name, value in lines.items() if value is not None}


def _json(facts: Facts, vacancy: str) -> bytes:
    text = json.dumps(_known(facts, vacancy), default=date.isoformat, ensure_ascii=False, indent=2)
    return f"{text}\n".encode()


def _toml(facts: Facts, vacancy: str) -> bytes:
    return tomlkit.dumps(_known(facts, vacancy)).encode()


def _date(path: Path, day: date) -> None:
    noon = datetime.combine(day, time(12), UTC).timestamp()
    os.utime(path, (noon, noon))
