"""The suppression list: identifiers of people who were deleted, so that an import can't bring them back unnoticed.

It differs from a tombstone (`tombstones`) in what it recognises. A tombstone recognises a *record* by facts that never change, and never
takes an identifier alone for it, because people come back. Suppression recognises a *person* by an identifier alone: the source's policy
says that whoever was deleted from it stays away until a day, whatever the new record looks like, unless they consented again since. That
suits a mailing list, where a record is an address and little else, and an import knows nothing but addresses.

Threat model. What is kept may not tell whom it is about: tokens that nobody can make or try without the key `match`, bound to the source,
in one blob per batch, with an end. It is written in the transaction of the batch's intent and counts when the batch took effect, so a crash
leaves no list of people who are still there. It may lead to a deletion (`replaying`), so records that were there all along, and share an
identifier with one that went, are noted after the run and never count; and a consent that is known to be given after the day ends it, here
and in the list. Who is on the list can be asked only by whoever has the address already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from worker.audit.events import Action
from worker.audit.render import JsonValue
from worker.core.consents import agreed_since
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.refs import REFERENCE_BYTES, Referrer, Secret, token
from worker.core.select import EVERYTHING
from worker.core.sources import Comparison, Source
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ledger.rows import FindingRow, Suppressed
from worker.ports import Key, Row
from worker.usecases.judging import Judge
from worker.usecases.machine import Machine
from worker.usecases.matching import identifier_forms, record_token, written_otherwise
from worker.usecases.nameless import Nameless, explained
from worker.usecases.standing import EVERY_SOURCE
from worker.usecases.tombstones import Glance

THERE_AGAIN = "they are suppressed and there again"
OVER = "their time is over"
CONSENTED = "a newer consent is known"
_ENTRY = 2 * REFERENCE_BYTES
_PAGE = 10_000


# --- What is kept -----------------------------------------------------------------------------------------------------------------------


def compared(source: Source) -> list[tuple[str, Comparison]]:
    """Return the fields of a source that are suppressed, each with how it is compared."""
    names = source.suppress.fields if source.suppress is not None else ()
    return [(name, how) for name, how in source.compared if name in names]


def suppressed_tokens(secret: Secret, source: str, comparison: Comparison, raw: object) -> list[bytes]:
    """Return the keyed forms under which an identifier may be on the list of a source; none for nothing, and for a pseudonym."""
    return [token(secret, "suppressed", source, form) for form in identifier_forms(comparison, raw)]


def _listed(secret: Secret, source: str, comparison: Comparison, raw: object) -> list[bytes]:
    """Return the keyed forms under which an identifier is put on the list of a source.

    A telephone number under those alone that all ways of writing it have in common: so whoever is taken off it, by whatever way, is off.
    """
    other = written_otherwise(comparison, raw)
    return [token(secret, "suppressed", source, form) for form in other] or suppressed_tokens(secret, source, comparison, raw)


Leaving = tuple[Source, Iterable[tuple[Key, Mapping[str, Raw]]]]
"""A source and records that are deleted from it: their keys and their identifiers by name."""


def suppressed(machine: Machine, leaving: Iterable[Leaving]) -> tuple[Suppressed, ...]:
    """Return what is kept of the records that a batch deletes today, by source."""
    today, secret = machine.today(), machine.keyring.match().secret
    parts: dict[str, list[bytes]] = {}
    sources: dict[str, Source] = {}
    for source, records in leaving:
        fields = compared(source)
        sources[source.name] = source
        for key, values in records:
            own: bytes | None = None
            for name, how in fields:
                for person in _listed(secret, source.name, how, values[name]):
                    own = own or record_token(secret, source.name, key)
                    parts.setdefault(source.name, []).append(own + person)
    return tuple(_packed(sources[name], today, entries) for name, entries in parts.items())


def _packed(source: Source, today: dt.date, entries: Sequence[bytes]) -> Suppressed:
    if source.suppress is None:
        raise ValueError("nothing of this source is suppressed")
    records = len({each[:REFERENCE_BYTES] for each in entries})
    return Suppressed(source.name, today, source.suppress.keep.after(today), records, b"".join(entries))


# --- Recognising ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """An identifier was suppressed on a local day, last in a batch of a run; lot -- its place in the index."""

    batch: str
    run: str
    day: dt.date
    lot: int


_TABLES = (
    "CREATE TABLE suppressed (person BLOB NOT NULL, lot INTEGER NOT NULL, PRIMARY KEY (person, lot)) WITHOUT ROWID",
    "CREATE TABLE still (own BLOB NOT NULL, lot INTEGER NOT NULL, PRIMARY KEY (own, lot)) WITHOUT ROWID",
    "CREATE TABLE lot (lot INTEGER PRIMARY KEY, batch TEXT, run TEXT, day INTEGER)",
)
_FOUND = "SELECT l.batch, l.run, l.day, l.lot FROM suppressed s JOIN lot l ON l.lot = s.lot WHERE s.person = ?"


class SuppressionIndex(Nameless):
    """Who is suppressed in one source today, in a temporary file; memory stays constant in their number.

    run_id -- only what a run added; columns -- the fields that are needed to recognise somebody; lots -- what was read, without the blobs.
    """

    def __init__(self, machine: Machine, source: Source, today: dt.date, *, run_id: str | None = None) -> None:
        super().__init__(machine.settings.state, *_TABLES)
        self._secret = machine.keyring.match().secret
        self._source = source.name
        self._compared = compared(source)
        self._known = Glance()
        self.columns = tuple(name for name, _ in self._compared)
        self.lots: list[Suppressed] = []
        for number, lot in enumerate(machine.ledger.suppressed(source.name, today, run_id=run_id)):
            self.lots.append(replace(lot, blob=b"", still=None))
            with explained():
                self._connection.execute("INSERT INTO lot VALUES (?, ?, ?, ?)", (number, lot.batch_id, lot.run_id, lot.day.toordinal()))
                self._connection.executemany(
                    "INSERT OR IGNORE INTO suppressed VALUES (?, ?)", _persons(self._known.noted(lot.blob, _ENTRY, REFERENCE_BYTES), number)
                )
                self._connection.executemany("INSERT OR IGNORE INTO still VALUES (?, ?)", _owners(lot.still or b"", number))
        with explained():
            self._connection.execute("COMMIT")

    def tokens(self, values: Mapping[str, Raw]) -> list[bytes]:
        """Return the tokens of what a record is recognised by; values -- its `columns` by name."""
        return [each for name, how in self._compared for each in suppressed_tokens(self._secret, self._source, how, values[name])]

    def hits(self, key: Key, values: Mapping[str, Raw]) -> list[Hit]:
        """Return by what a record is suppressed, the latest first; nothing for one that was there all along."""
        found = self._of(self.tokens(values))
        if not found:
            return []
        own = record_token(self._secret, self._source, key)
        with explained():
            still = {lot for (lot,) in self._connection.execute("SELECT lot FROM still WHERE own = ?", (own,))}
        return [] if any(each.lot in still for each in found) else found

    def holds(self, text: str) -> bool:
        """Whether somebody is suppressed whose identifier was written down like this; case and spaces make no difference."""
        return bool(self._of(self.typed(text)))

    def typed(self, text: str) -> list[bytes]:
        """Return the tokens that an identifier may be under which was written down, as each kind that is suppressed."""
        ways = dict.fromkeys(how for _, how in self._compared)
        return [each for how in ways for each in suppressed_tokens(self._secret, self._source, how, text)]

    def _of(self, tokens: Sequence[bytes]) -> list[Hit]:
        found: dict[int, Hit] = {}
        for each in tokens:
            if not self._known.may_hold(each):
                continue
            with explained():
                rows = self._connection.execute(_FOUND, (each,)).fetchall()
            found.update((lot, Hit(batch, run, dt.date.fromordinal(day), lot)) for batch, run, day, lot in rows)
        return sorted(found.values(), key=lambda hit: (-hit.day.toordinal(), hit.batch))


def _persons(blob: bytes, lot: int) -> Iterator[tuple[bytes, int]]:
    """Yield the identifiers of a blob."""
    for start in range(0, len(blob), _ENTRY):
        yield blob[start + REFERENCE_BYTES : start + _ENTRY], lot


def _owners(blob: bytes, lot: int) -> Iterator[tuple[bytes, int]]:
    """Yield the tokens of records that were there all along."""
    for start in range(0, len(blob), REFERENCE_BYTES):
        yield blob[start : start + REFERENCE_BYTES], lot


# --- In plans and runs ------------------------------------------------------------------------------------------------------------------


def _there(machine: Machine, policy: Policy, index: SuppressionIndex) -> Iterator[tuple[Key, Sequence[Hit], Mapping[str, Raw], bool]]:
    """Yield the suppressed records that are in a source: key, by what, their identifiers, and whether they consented again since."""
    judge = Judge(machine, policy, machine.today(), also=index.columns)
    with machine.open_source(policy.source).reader() as reader:
        for page in reader.rows(EVERYTHING, judge.columns):
            met: list[tuple[Row, list[Hit], dict[str, Raw]]] = []
            for row in page:
                values: dict[str, Raw] = {name: judge.value(row, name) for name in index.columns}
                hits = index.hits(judge.key(row), values)
                if hits:
                    met.append((row, hits, values))
            verdicts = judge.judge([row for row, _, _ in met], reader.related) if met else []
            for verdict, (_, hits, values) in zip(verdicts, met, strict=True):
                yield verdict.key, hits, values, agreed_since(policy, judge.facts(verdict), hits[0].day)


def find_suppressed(
    machine: Machine, policies: Iterable[Policy], plan_id: str, ref_secret: bytes, failed: dict[str, str]
) -> list[FindingRow]:
    """Return who is suppressed and there again in the sources of these policies, and write an event for each record.

    failed -- sources that are not read, with the reason; one that can't be read now is added.
    """
    found: list[FindingRow] = []
    for policy in _suppressing(machine, policies):
        name = policy.source.name
        if name in failed:
            continue
        referrer, count = Referrer(ref_secret, name), 0
        try:
            with SuppressionIndex(machine, policy.source, machine.today()) as index:
                for key, hits, _, consented in _there(machine, policy, index):
                    if not consented:
                        count += 1
                        _say(machine, policy, plan_id, referrer.reference(key), hits[0])
        except (SourceFailed, Retriable, ConfigurationError) as error:
            failed[name] = str(error)
        if count:
            found.append(FindingRow("suppressed", name, policy.id, THERE_AGAIN, count))
    return found


def _suppressing(machine: Machine, policies: Iterable[Policy]) -> list[Policy]:
    """Return those of some policies in whose source somebody is suppressed today."""
    suppressing = machine.ledger.suppressing(machine.today())
    return [each for each in policies if each.source.suppress is not None and each.source.name in suppressing]


def _say(machine: Machine, policy: Policy, plan_id: str, reference: str, hit: Hit) -> None:
    machine.trail.emit(
        Action.RECORD_RETURNED,
        {
            "event.reason": THERE_AGAIN,
            "rule.id": policy.id,
            "retention.plan": plan_id,
            "retention.source": policy.source.name,
            "retention.record": reference,
            "retention.run": hit.run,
            "retention.batch": hit.batch,
            "retention.on": hit.day.isoformat(),
        },
    )


def note_still_there(machine: Machine, run_id: str, policies: Iterable[Policy]) -> None:
    """Note after a run which records have an identifier that it suppressed and are there nevertheless: they never went.

    One person may be on a list twice, and a hold or another purpose keeps one record. What is not noted, after a crash or because a source
    can't be read any more, only makes for findings.
    """
    for policy in _suppressing(machine, policies):
        with suppress(SourceFailed, Retriable), SuppressionIndex(machine, policy.source, machine.today(), run_id=run_id) as index:
            if not index.lots:
                continue
            still: dict[int, list[bytes]] = {}
            secret, width = machine.keyring.match().secret, len(policy.source.key)
            with machine.open_source(policy.source).reader() as reader:
                for page in reader.rows(EVERYTHING, index.columns):
                    for row in page:
                        key: Key = row[:width]  # type: ignore[assignment]
                        for hit in index.hits(key, dict(zip(index.columns, row[width:], strict=True))):
                            still.setdefault(hit.lot, []).append(record_token(secret, policy.source.name, key))
            for number, lot in enumerate(index.lots):
                machine.ledger.keep_still_there(lot, b"".join(still.get(number, ())))


def end_renewed(machine: Machine, policy: Policy, run_id: str) -> None:
    """Take off the list whoever is in the source again and consented since, before a run's batches; said before it is done.

    Raises SourceFailed or Retriable when the source can't be read; then they stay on it until the next run.
    """
    for each in _suppressing(machine, [policy]):
        with SuppressionIndex(machine, each.source, machine.today()) as index:
            renewed: set[bytes] = set()
            for _, _, values, consented in _there(machine, each, index):
                if consented:
                    renewed.update(index.tokens(values))
                if len(renewed) >= _PAGE:
                    _end(machine, each.source.name, run_id, renewed)
            _end(machine, each.source.name, run_id, renewed)


def _end(machine: Machine, source: str, run_id: str, renewed: set[bytes]) -> None:
    """End the suppression of identifiers, and forget them here too."""
    if renewed:
        _say_ended(machine, run_id, source, CONSENTED, len(renewed))
        machine.ledger.release(source, renewed)
        renewed.clear()


def drop_ended_suppressions(machine: Machine, run_id: str) -> None:
    """Drop what has ended, and say of how many records, by source."""
    for source, count in sorted(machine.ledger.drop_suppressed(machine.today()).items()):
        _say_ended(machine, run_id, source, OVER, count)


def _say_ended(machine: Machine, run_id: str, source: str, why: str, count: int) -> None:
    told: dict[str, JsonValue] = {"event.reason": why, "retention.run": run_id, "retention.source": source, "retention.count": count}
    machine.trail.emit(Action.SUPPRESSION_ENDED, told, sync=True)


# --- By hand ----------------------------------------------------------------------------------------------------------------------------


def list_of(machine: Machine, source: str) -> Source:
    """Return a source that has a suppression list; ConfigurationError when it has none."""
    found = machine.policy(source).source
    if found.suppress is None:
        raise ConfigurationError(f"The policy file suppresses nobody in {source}: `suppress` says which identifiers, and for how long.")
    return found


def release(machine: Machine, source: str, typed: Sequence[str]) -> int:
    """Take people off the list of a source by what somebody typed, and return how many of them were on it.

    Said, by keyed references, before it is done. Raises ConfigurationError when the source has no list.
    """
    found = list_of(machine, source)
    with machine.ledger.standing_exclusive(), SuppressionIndex(machine, found, machine.today()) as index:
        on_it = [text for text in dict.fromkeys(typed) if index.holds(text)]
        if on_it:
            referrer = Referrer(machine.keyring.audit_ref(machine.today().year).secret, EVERY_SOURCE)
            ways = dict.fromkeys(how for _, how in compared(found))
            forms = dict.fromkeys(form for text in on_it for how in ways for form in identifier_forms(how, text))
            told: dict[str, JsonValue] = {"retention.source": source, "retention.count": len(on_it), "retention.by": machine.operator}
            machine.trail.emit(Action.SUPPRESSION_RELEASED, {**told, "retention.subjects": [*map(referrer.subject, forms)]}, sync=True)
            machine.ledger.release(source, {each for text in on_it for each in index.typed(text)})
    return len(on_it)
