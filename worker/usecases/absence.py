"""Whether what the audit trail reports as done is so in the systems now: deleted records are absent, treated fields still treated.

Every source is read once, in the order of its keys; each key is made into references with the keys of the years at stake and looked
up among the references of the effects, which lie in a temporary file. A record that is there although it was reported as deleted may
never have gone, or may have come again, or its key may have been given again: the batch's reading back tells the first from the others,
and where there is a tombstone it tells these two apart.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from worker.audit.accounts import Intents
from worker.audit.events import Action
from worker.audit.read import Payload
from worker.core.refs import Referrer
from worker.core.select import EVERYTHING
from worker.core.treatments import Treater
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Key, Row
from worker.usecases.agreeing import Agreement, Difference, Disagreement, Settled
from worker.usecases.machine import Machine
from worker.usecases.nameless import Nameless, explained
from worker.usecases.tombstones import TombstoneIndex

_DELETED, _TREATED = 0, 1
_KINDS = {
    Action.RECORD_DELETED: _DELETED,
    Action.CHILD_DELETED: _DELETED,
    Action.RECORD_PSEUDONYMISED: _TREATED,
    Action.FIELDS_TREATED: _TREATED,
}
_HELD_BACK = 5_000
_ASKED = 500

NO_SOURCE = "rows that have no source of their own"
NO_POLICY = "no policy is about their source any more"
NO_KEY = "the key of their year is gone"
NO_TREATMENT = "their fields are no longer declared as treated"

Progress = Callable[[str, int], None]
"""Is told the source and how many more of its records were looked at."""


class EffectIndex(Nameless):
    """The references of intents by the segment in which they stand, in a temporary file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, "CREATE TABLE intent (reference BLOB NOT NULL, segment INTEGER NOT NULL, kind INTEGER NOT NULL, fields TEXT)"
        )
        self._waiting: list[tuple[bytes, int, int, str | None]] = []

    def keep(self, segment: Intents, intent: Payload) -> None:
        """Take in one intent; one whose effect no system can be asked about is left out."""
        kind = _KINDS.get(intent["event.action"])
        if kind is not None:
            fields = "\n".join(intent["retention.fields"]) if kind == _TREATED else None
            self._waiting.append((bytes.fromhex(intent["retention.record"]), segment.number, kind, fields))
            if len(self._waiting) >= _HELD_BACK:
                self._flush()

    def _flush(self) -> None:
        with explained():
            self._connection.executemany("INSERT INTO intent VALUES (?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    def seal(self) -> None:
        """Make what was taken in ready to be asked for."""
        self._flush()
        with explained():
            self._connection.execute("CREATE INDEX by_reference ON intent (reference)")
            self._connection.execute("COMMIT")

    def find(self, references: Sequence[bytes]) -> dict[bytes, list[tuple[int, int, str | None]]]:
        """Return (segment, kind, fields) of every intent about one of these references."""
        found: dict[bytes, list[tuple[int, int, str | None]]] = defaultdict(list)
        for start in range(0, len(references), _ASKED):
            some = references[start : start + _ASKED]
            places = ",".join("?" * len(some))
            with explained():
                rows = self._connection.execute(f"SELECT * FROM intent WHERE reference IN ({places})", some).fetchall()
            for reference, *rest in rows:
                found[reference].append(tuple(rest))
        return found


class Looking:
    """Looks for the effects of a comparison in the systems and adds what it finds to the result."""

    def __init__(self, machine: Machine, index: EffectIndex, result: Agreement, progress: Progress | None = None) -> None:
        self._machine = machine
        self._index = index
        self._result = result
        self._progress = progress or (lambda _source, _count: None)
        self._secrets, self._keyless = self._keys()

    def look(self) -> None:
        """Look into every source of which an effect is known; one that can't be read is named and the others are looked into."""
        deleted, treated = self._expected()
        for name in sorted({*deleted, *treated}):
            try:
                machine = self._machine
                with TombstoneIndex(machine, machine.policy(name).source, machine.today()) as tombstones:
                    looks_at_fields = bool(treated[name])
                    source = _Source(machine, name, self._index, self._result, self._secrets, tombstones, looks_at_fields=looks_at_fields)
                    source.read(self._progress)
            except (SourceFailed, Retriable, ConfigurationError) as error:
                self._result.failed[name] = str(error)
                continue
            side = self._result.side(name)
            side.absent += deleted[name] - source.there
            side.treated += treated[name] - source.untreated - source.unknown
            if source.unknown:
                side.incomparable[NO_TREATMENT] += source.unknown

    def _keys(self) -> tuple[list[bytes], set[int]]:
        """Return the secrets that made the references of the effects, and the segments of which it is gone.

        Of a run that the ledger doesn't know any secret may be the one.
        """
        machine = self._machine
        found: dict[str, list[bytes]] = {}
        keyless: set[int] = set()
        for number, settled in self._result.settled.items():
            run_id = settled.closed.run
            if run_id not in found:
                run = machine.ledger.run(run_id)
                plan = machine.ledger.plan(run.plan_id) if run is not None and run.plan_id is not None else None
                key = machine.keyring.find(plan.ref_key_id) if plan is not None else None
                found[run_id] = [key.secret] if key is not None else [each.secret for each in machine.keyring.audit_refs() if plan is None]
            if not found[run_id]:
                keyless.add(number)
        return list(dict.fromkeys(secret for secrets in found.values() for secret in secrets)), keyless

    def _expected(self) -> tuple[Counter[str], Counter[str]]:
        """Return how many records should be absent, and how many be treated, by source; what can't be asked for is counted apart."""
        deleted: Counter[str] = Counter()
        treated: Counter[str] = Counter()
        for number, settled in self._result.settled.items():
            for (source, action), count in settled.segment.intents.items():
                if action not in _KINDS:
                    continue
                why = NO_KEY if number in self._keyless else ""
                if self._machine.schedule.policy(source) is None:
                    why = NO_SOURCE if "." in source else NO_POLICY
                if why:
                    self._result.side(settled.closed.source).incomparable[why] += count
                    continue
                (deleted if _KINDS[Action(action)] == _DELETED else treated)[source] += count
            for _ in settled.closed.excluded:
                deleted[settled.closed.source] -= 1
        return deleted, treated


class _Source:
    """One source, read from its first key to its last. there, untreated -- effects that are not so; unknown -- nobody can tell."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        index: EffectIndex,
        result: Agreement,
        secrets: Iterable[bytes],
        tombstones: TombstoneIndex,
        *,
        looks_at_fields: bool,
    ) -> None:
        policy = machine.policy(name)
        self.there = 0
        self.untreated = 0
        self.unknown = 0
        self._name = name
        self._index = index
        self._result = result
        self._width = len(policy.source.key)
        self._treaters: Mapping[str, Treater] = machine.treaters(policy) if looks_at_fields else {}
        self._columns = tuple(dict.fromkeys((*self._treaters, *tombstones.columns)))
        self._opened = machine.open_source(policy.source)
        self._tombstones = tombstones
        self._referrers = [Referrer(secret, name) for secret in secrets]
        self._counted: Counter[tuple[Difference, str, str]] = Counter()

    def read(self, progress: Progress) -> None:
        """Read every record and note what is not as reported."""
        with self._opened.reader() as reader:
            for page in reader.rows(EVERYTHING, self._columns):
                self._page(page)
                progress(self._name, len(page))
        self._say()

    def _page(self, page: Sequence[Row]) -> None:
        """Look up the records of one page."""
        rows: dict[bytes, Row] = {}
        for row in page:
            key: Key = row[: self._width]  # type: ignore[assignment]
            rows.update((bytes.fromhex(each.reference(key)), row) for each in self._referrers)
        found = self._index.find(list(rows))
        effects: dict[Key, list[tuple[dt.datetime, int, Settled, str | None]]] = defaultdict(list)
        values: dict[Key, Row] = {}
        for reference, intents in found.items():
            row = rows[reference]
            own: Key = row[: self._width]  # type: ignore[assignment]
            values[own] = row
            for number, kind, fields in intents:
                settled = self._result.settled.get(number)
                if settled is not None and reference.hex() not in settled.closed.excluded:
                    effects[own].append((settled.closed.at, kind, settled, fields))
        for own, done in effects.items():
            self._record(values[own], sorted(done, key=lambda each: each[0]))

    def _record(self, row: Row, done: Sequence[tuple[dt.datetime, int, Settled, str | None]]) -> None:
        """Compare one record that is there with what was done to it, oldest first: what was done before its last deletion says nothing."""
        deletions = [position for position, (_, kind, _, _) in enumerate(done) if kind == _DELETED]
        self.there += len(deletions)
        if deletions:
            self._is_there(row, done[deletions[-1]][2], len(deletions))
        for _, _, settled, fields in done[deletions[-1] + 1 if deletions else 0 :]:
            named = [name for name in (fields or "").split("\n") if name in self._treaters]
            if not named:
                self.unknown += 1
            elif any(not self._treaters[name].is_treated(row[self._width + self._columns.index(name)]) for name in named):
                self.untreated += 1
                self._count(Difference.UNTREATED, settled)

    def _is_there(self, row: Row, settled: Settled, deletions: int) -> None:
        """Tell what it means that a record is there although it was deleted so many times, the last time in a batch."""
        key: Key = row[: self._width]  # type: ignore[assignment]
        same = self._tombstones.is_same(key, dict(zip(self._columns, row[self._width :], strict=True)), settled.closed.batch)
        if same is False:
            # Another record was given the key: what was deleted is absent.
            self.there -= deletions
        elif not settled.seen_gone:
            self._count(Difference.STILL_THERE, settled)
        else:
            self._count(Difference.RETURNED if same else Difference.AGAIN, settled)

    def _count(self, kind: Difference, settled: Settled) -> None:
        self._counted[kind, settled.closed.run, settled.closed.batch] += 1

    def _say(self) -> None:
        """Add what was found, by batch."""
        for (kind, run, batch), count in sorted(self._counted.items()):
            self._result.found.append(Disagreement(kind, self._name, run, batch, _WHAT[kind], count))


_WHAT = {
    Difference.STILL_THERE: "reported as deleted and there; nobody ever read back that they were gone",
    Difference.AGAIN: "deleted and read back as gone; records with these keys exist again, and nobody can tell whether they are the same",
    Difference.RETURNED: "deleted and read back as gone; the same records came back",
    Difference.UNTREATED: "reported as treated; the fields hold something else",
}
