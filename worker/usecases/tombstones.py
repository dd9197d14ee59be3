"""Tombstones: recognising records that were deleted when an import, a restore or a telephone brings them back.

Threat model. A tombstone outlives what it is about, so it may not tell whom that was: it holds tokens that nobody can make or try without
the key `match`, each bound to the source, and an end. It may lead to a deletion (`replaying`), so it may not mistake one record for
another: a key alone proves nothing, because keys are given again, and neither does an identifier alone, because people come back. A record
whose facts are empty or can't be read leaves none.

They are kept in the ledger's transaction of the batch's intent, and count only when the batch took effect.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from worker.core.facts import FieldType, Known, Raw, Unreadable
from worker.core.periods import NO_TIME, Period
from worker.core.refs import NOBODY, REFERENCE_BYTES, Secret, token
from worker.core.sources import Field, Source
from worker.core.standing import Standing
from worker.ledger.rows import Tombstones
from worker.ports import Key
from worker.usecases.machine import Machine
from worker.usecases.matching import identifier_form, identifier_forms, record_token, written_otherwise
from worker.usecases.nameless import Nameless, explained

_ENTRY = 3 * REFERENCE_BYTES


# --- Tokens -----------------------------------------------------------------------------------------------------------------------------


class Tokens:
    """Makes the tokens of one source's records. facts -- the names of the fields that tell that it is the same record."""

    def __init__(self, secret: Secret, source: Source, facts: Sequence[str]) -> None:
        self._secret = secret
        self._source = source
        self._facts = [source.field(name) for name in facts]

    def own(self, key: Key) -> bytes:
        """Return the token of a record's key."""
        return record_token(self._secret, self._source.name, key)

    def facts(self, values: Mapping[str, Raw]) -> tuple[bytes, ...]:
        """Return the tokens of a record's unchanging facts; none when there is nothing in them, or one can't be read.

        The first is of the facts as they stand. Telephone numbers among them may be written anew, all in one other way: one more for each.
        """
        texts = [text_of(each, values[each.name]) for each in self._facts]
        if None in texts or not any(texts):
            return ()
        return tuple(dict.fromkeys(map(self._told, (texts, *self._rewritten(texts, values)))))

    def _told(self, texts: Sequence[str | None]) -> bytes:
        # With their lengths, so that none can run into the next.
        return token(self._secret, "unchanging", self._source.name, "".join(f"{len(text)}:{text}" for text in texts if text is not None))

    def _rewritten(self, texts: Sequence[str | None], values: Mapping[str, Raw]) -> Iterator[list[str | None]]:
        """Yield the texts with the telephone numbers among them in each other way in which those are written."""
        if not any(each.country for each in self._facts):
            return
        others = [written_otherwise(each.comparison, values[each.name]) if each.comparison else () for each in self._facts]
        for way in range(max(map(len, others))):
            yield [other[way] if way < len(other) else text for text, other in zip(texts, others, strict=True)]

    def people(self, values: Mapping[str, Raw]) -> list[bytes]:
        """Return the tokens of the identifiers that a record has."""
        forms = [form for name, how in self._source.compared for form in identifier_forms(how, values[name])]
        return [token(self._secret, "returning", self._source.name, form) for form in dict.fromkeys(forms)]


def text_of(field: Field, raw: Raw) -> str | None:
    """Return what a field holds in a form that stays the same when the record is written again; empty for nothing, None if unreadable.

    Identifiers in their canonical form, instants in UTC to the microsecond, texts without spaces around them; what is not of the field's
    type as the text that it is.
    """
    if isinstance(raw, Unreadable):
        return None
    if field.identifier is not None:
        return identifier_form(field.identifier, raw)
    if raw is None:
        return ""
    if field.reading.type is FieldType.TIMESTAMP:
        return _instant(raw)
    fact = field.reading.fact(raw, dt.date.max)
    return unicodedata.normalize("NFC", str(fact.value if isinstance(fact, Known) else raw)).strip()


def _instant(raw: Raw) -> str:
    """Return an instant, or a local time without zone, as a text."""
    moment = raw
    if isinstance(raw, str):
        try:
            moment = dt.datetime.fromisoformat(raw.strip())
        except ValueError:
            return raw.strip()
    if isinstance(moment, dt.datetime):
        return (moment.astimezone(dt.UTC) if moment.tzinfo is not None else moment).isoformat(timespec="microseconds")
    return str(moment)


# --- What is kept -----------------------------------------------------------------------------------------------------------------------


def facts_of_source(source: Source) -> tuple[str, ...]:
    """Return the fields by which a record of a source is recognised: those declared as unchanging, else the identifiers."""
    return source.unchanging or tuple(each.name for each in source.identifiers)


def kept_columns(source: Source) -> tuple[str, ...]:
    """Return the fields that have to be read of a record that is deleted, for its tombstone."""
    return tuple(dict.fromkeys((*source.unchanging, *(each.name for each in source.identifiers))))


def tombstones(
    source: Source, secret: Secret, today: dt.date, watch: Period, records: Iterable[tuple[Key, Mapping[str, Raw]]], *, erasure: bool
) -> Tombstones | None:
    """Return what is kept of records that are deleted on a local day; None when none of them could be recognised.

    watch -- how long from that day on; records -- key, and by name the source's `kept_columns`.
    """
    facts = facts_of_source(source)
    tokens = Tokens(secret, source, facts)
    parts: list[bytes] = []
    count = 0
    for key, values in records:
        told = tokens.facts(values)
        if not told:
            continue
        count += 1
        own = tokens.own(key)
        parts += (part for each in told for person in tokens.people(values) or [NOBODY] for part in (own, each, person))
    return Tombstones(source.name, facts, erasure, today, watch.after(today), count, b"".join(parts)) if parts else None


def buried(machine: Machine, leaving: Iterable[tuple[Source, Iterable[Leaving]]]) -> tuple[Tombstones, ...]:
    """Return what is kept of the records that a batch deletes today, by source: of those that are watched, and of erasures everywhere."""
    today, secret = machine.today(), machine.keyring.match().secret
    records: dict[tuple[str, bool], list[tuple[Key, Mapping[str, Raw]]]] = {}
    sources: dict[str, Source] = {}
    for source, gone in leaving:
        sources[source.name] = source
        for key, standing, values in gone:
            erasure = source.controller and standing.erasure is not None
            if source.watch is not None or erasure:
                records.setdefault((source.name, erasure), []).append((key, values()))
    made: list[Tombstones | None] = []
    for (name, erasure), found in records.items():
        watch = watch_of(sources[name], machine.schedule.organisation.watch_erasures, today, erasure=erasure)
        if watch is not None:
            made.append(tombstones(sources[name], secret, today, watch, found, erasure=erasure))
    return tuple(each for each in made if each is not None)


Leaving = tuple[Key, Standing, Callable[[], Mapping[str, Raw]]]
"""A record that is deleted: its key, what stands for it, and what gives its values by name."""


def watch_of(source: Source, erasures: Period, today: dt.date, *, erasure: bool) -> Period | None:
    """Return how long a deleted record is watched for, None when it isn't; of an erasure the longer of both periods."""
    asked = [source.watch] if source.watch is not None else []
    if erasure and erasures != NO_TIME:
        asked.append(erasures)
    return max(asked, key=lambda each: each.after(today), default=None)


# --- Recognising ------------------------------------------------------------------------------------------------------------------------


class Likeness(IntEnum):
    """How much a record is like one that was deleted, most first."""

    SAME = 0
    """The same key, the same unchanging facts."""
    ELSEWHERE = 1
    """Another key, the same unchanging facts and an identifier."""
    PERSON = 2
    """Other facts, and an identifier of somebody whose erasure was asked for."""


@dataclass(frozen=True, slots=True)
class Match:
    """A record is like one that was deleted on a local day, in a batch of a run.

    erasure -- while its subject's erasure was asked for; facts -- the fields that were compared.
    """

    likeness: Likeness
    batch: str
    run: str
    day: dt.date
    erasure: bool
    facts: tuple[str, ...]


_TABLES = (
    "CREATE TABLE tombstone (own BLOB NOT NULL, facts BLOB NOT NULL, person BLOB NOT NULL, lot INTEGER NOT NULL)",
    "CREATE TABLE still (own BLOB NOT NULL, lot INTEGER NOT NULL, PRIMARY KEY (own, lot)) WITHOUT ROWID",
    "CREATE TABLE lot (lot INTEGER PRIMARY KEY, batch TEXT, run TEXT, day INTEGER, erasure INTEGER, facts INTEGER)",
)
_FOUND = "SELECT t.own, t.facts, l.lot, l.batch, l.run, l.day, l.erasure, l.facts FROM tombstone t JOIN lot l ON l.lot = t.lot WHERE"
_STILL = "SELECT lot FROM still WHERE own = ?"


class TombstoneIndex(Nameless):
    """The tombstones of one source that have not ended, in a temporary file; memory stays constant in their number.

    run_id -- only those of a run; columns -- the fields that are needed to recognise a record; unknown -- names of facts that are no fields
    any more: what was told by them can't be recognised.
    """

    def __init__(self, machine: Machine, source: Source, today: dt.date, *, run_id: str | None = None) -> None:
        super().__init__(machine.settings.state, *_TABLES)
        secret = machine.keyring.match().secret
        names = {each.name for each in source.fields}
        self._tokens: list[Tokens] = []
        self._facts: list[tuple[str, ...]] = []
        self._people = Tokens(secret, source, ())
        self._known = Glance()
        self.unknown: tuple[str, ...] = ()
        for number, lot in enumerate(machine.ledger.tombstones(source.name, today, run_id=run_id)):
            if not names.issuperset(lot.facts):
                self.unknown = tuple(sorted({*self.unknown, *(set(lot.facts) - names)}))
                continue
            if lot.facts not in self._facts:
                self._facts.append(lot.facts)
                self._tokens.append(Tokens(secret, source, lot.facts))
            kept = (number, lot.batch_id, lot.run_id, lot.day.toordinal(), lot.erasure, self._facts.index(lot.facts))
            with explained():
                self._connection.execute("INSERT INTO lot VALUES (?, ?, ?, ?, ?, ?)", kept)
                self._connection.executemany("INSERT INTO tombstone VALUES (?, ?, ?, ?)", _entries(self._noted(lot.blob), number))
                self._connection.executemany("INSERT OR IGNORE INTO still VALUES (?, ?)", _still(lot.still or b"", number))
        with explained():
            self._connection.execute("CREATE INDEX by_own ON tombstone (own)")
            self._connection.execute("CREATE INDEX by_person ON tombstone (person)")
            self._connection.execute("COMMIT")
        used = (name for facts in self._facts for name in facts)
        self.columns = tuple(dict.fromkeys((*used, *(each.name for each in source.identifiers))))

    def _noted(self, blob: bytes) -> bytes:
        """Take in the tokens of keys and identifiers in a blob, and return it."""
        return self._known.noted(blob, _ENTRY, 0, 2 * REFERENCE_BYTES)

    def matches(self, key: Key, values: Mapping[str, Raw]) -> list[Match]:
        """Return what a record is most like, an erasure before others and the latest first; nothing when it is like none.

        values -- its `columns` by name.
        """
        return self._best([match for _, match in self._like(key, values)])

    def is_same(self, key: Key, values: Mapping[str, Raw], batch: str) -> bool | None:
        """Return whether the record with this key is the one that a batch deleted; None when its tombstone is not there."""
        with explained():
            rows = self._connection.execute(f"{_FOUND} t.own = ? AND l.batch = ?", (self._people.own(key), batch)).fetchall()
        if not rows:
            return None
        return any(row[1] in self._tokens[row[-1]].facts(values) for row in rows)

    def others(self, key: Key, values: Mapping[str, Raw]) -> set[int]:
        """Return the numbers of the batches' tombstones that a record is like although it has another key than what was deleted."""
        return {number for number, match in self._like(key, values) if match.likeness is not Likeness.SAME}

    def _like(self, key: Key, values: Mapping[str, Raw]) -> Iterator[tuple[int, Match]]:
        """Yield everything that a record is like, with the number of the tombstones."""
        own = self._people.own(key)
        asked = [("t.own = ?", own), *(("t.person = ?", person) for person in self._people.people(values))]
        asked = [(where, wanted) for where, wanted in asked if self._known.may_hold(wanted)]
        told = [tokens.facts(values) for tokens in self._tokens] if asked else []
        still: set[int] | None = None
        for where, wanted in asked:
            with explained():
                rows = self._connection.execute(f"{_FOUND} {where}", (wanted,)).fetchall()
            for theirs, facts, number, batch, run, day, erasure, named in rows:
                if facts in told[named]:
                    likeness = Likeness.SAME if theirs == own else Likeness.ELSEWHERE
                elif erasure and wanted != own:
                    likeness = Likeness.PERSON
                else:
                    # Another record was given the key, or somebody who was deleted on schedule came anew.
                    continue
                if theirs != own:
                    with explained():
                        still = {lot for (lot,) in self._connection.execute(_STILL, (own,))} if still is None else still
                    if number in still:
                        continue
                yield number, Match(likeness, batch, run, dt.date.fromordinal(day), bool(erasure), self._facts[named])

    @staticmethod
    def _best(found: Sequence[Match]) -> list[Match]:
        """Return the matches of the greatest likeness, each once."""
        best = min((each.likeness for each in found), default=None)
        alike = {each for each in found if each.likeness is best}
        return sorted(alike, key=lambda each: (not each.erasure, -each.day.toordinal(), each.batch))


class Glance:
    """Says at once of most tokens that they are not among those it was shown: one bit for each beginning there is, in two megabytes."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << 21)

    def noted(self, blob: bytes, every: int, *places: int) -> bytes:
        """Take in the tokens at these places of every entry of so many bytes in a blob, and return it."""
        bits = self._bits
        for start in range(0, len(blob), every):
            for place in places:
                number = int.from_bytes(blob[start + place : start + place + 3], "big")
                bits[number >> 3] |= 1 << (number & 7)
        return blob

    def may_hold(self, token: bytes) -> bool:
        """Whether a token may be one of those; when not, it is none."""
        number = int.from_bytes(token[:3], "big")
        return bool(self._bits[number >> 3] & 1 << (number & 7))


def _entries(blob: bytes, lot: int) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    """Yield the entries of a blob."""
    for start in range(0, len(blob), _ENTRY):
        middle, last = start + REFERENCE_BYTES, start + 2 * REFERENCE_BYTES
        yield blob[start:middle], blob[middle:last], blob[last : start + _ENTRY], lot


def _still(blob: bytes, lot: int) -> Iterator[tuple[bytes, int]]:
    """Yield the tokens of records that were there all along."""
    for start in range(0, len(blob), REFERENCE_BYTES):
        yield blob[start : start + REFERENCE_BYTES], lot
