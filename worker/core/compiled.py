"""The decider for the hot loop: rows in, decisions out, equal to `decide` (a property test says so).

Most records of a source share the few facts that decide (a start *day*, a flag), so a decision is worked out once per combination of facts
and remembered. What remains per row is reading raw values, which has a short cut for timestamps stored in UTC.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from worker.core.decide import Decision, decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Raw, Reading, Unknown
from worker.core.model import SEEN, Policy
from worker.core.select import definition
from worker.core.sources import ANSWERED, Aggregate, Function
from worker.core.standing import NOTHING, Standing
from worker.core.treatments import Treater

RELATION = "relation:"
"""In front of a relation's name: the column that counts the relation's rows."""

_REMEMBERED = 100_000
_KEPT = 4
_SUMMARY = 5
_FEW_VARIANTS = frozenset({str, int, bool, dt.date, type(None)})
_UTC_TEXT = len("2026-01-31 22:30:00")
_FRACTION = re.compile(r"\.[0-9]{1,6}")
_DAY = dt.timedelta(days=1)
_TO_ITS_END = _DAY - dt.timedelta.resolution
_MINUTES = frozenset(f" {hour:02}:{minute:02}" for hour in range(24) for minute in range(60))
_SECONDS = frozenset(f":{second:02}" for second in range(60))

Row = Sequence[Raw]
"""The raw values of one record, in the order of the columns that were asked for."""
_Turn = tuple[Raw, Fact, Fact]
"""The first moment of a UTC day that lies on the next local day, and the facts before and from then."""


def fact_columns(policy: Policy) -> tuple[str, ...]:
    """Return the columns a decision needs of a connector: the deciding facts that lie in the row, and what treatments look at."""
    names = dict.fromkeys(name for name in policy.deciding if name not in policy.outside)
    if not policy.only_deletes:
        names.update(dict.fromkeys(policy.examined))
    return tuple(names)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A decision and its evidence: the facts used and the fields still untreated, as bytes to be fingerprinted with a key, never stored.

    because -- what led to it besides the policy, where something did.
    """

    decision: Decision
    evidence: bytes
    because: str = ""


class Memory:
    """What was worked out for one policy on one day, shared by deciders that lay out their rows differently.

    Threads may share it: what two of them work out at once is equal.
    """

    def __init__(self, policy: Policy, today: dt.date) -> None:
        self.policy = policy
        self.today = today
        self.readers = {name: fact_reader(policy, name, today) for name in policy.deciding}
        self.judged: dict[object, Judged] = {}
        self.by_identity: dict[int, dict[int, tuple[Fact, Judged]]] = {}
        """By which fields are untreated (bits) and the identity of the one fact that decides; with that fact, so that it lives on."""


class Memories:
    """The memories that were used last, few because each may be large; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: deque[Memory] = deque(maxlen=_KEPT)

    def of(self, policy: Policy, today: dt.date) -> Memory:
        """Return the memory of a policy, this very object, on a day."""
        found = next((each for each in tuple(self._kept) if each.policy is policy and each.today == today), None)
        if found is None:
            found = Memory(policy, today)
            self._kept.append(found)
        return found


class RowDecider:
    """Decides about rows of one source on one day.

    columns -- the names of the values in a row, key columns included (a superset of `fact_columns(policy)` and `policy.outside`);
    treaters -- by field name, for the treatable fields; memory -- of the same policy and day, its own by default.
    """

    def __init__(
        self, policy: Policy, today: dt.date, columns: Sequence[str], treaters: Mapping[str, Treater], memory: Memory | None = None
    ) -> None:
        self.policy = policy
        self.today = today
        memory = memory or Memory(policy, today)
        self._readers = [(name, columns.index(name), memory.readers[name]) for name in policy.deciding]
        self._single = (self._readers[0][1], self._readers[0][2]) if len(self._readers) == 1 else None
        self._many = _of_many(self._readers[0][2]) if len(self._readers) == 1 else None
        treatable = [] if policy.only_deletes else policy.treatable
        plain = [field.name for field in treatable if not treaters[field.name].beside]
        self._contents = [(name, columns.index(name), treaters[name].is_treated) for name in plain]
        # What looks at the whole row is kept apart, so that everything else goes on costing one look at one value.
        wide = [field.name for field in treatable if treaters[field.name].beside]
        self._in_rows = [(name, treaters[name].in_rows(columns.index)[1]) for name in wide]
        self._remembered = memory.judged
        self._bits = [(1 << bit, place, is_treated) for bit, (_, place, is_treated) in enumerate(self._contents)]
        self._wide_bits = [(1 << bit, is_treated) for bit, (_, is_treated) in enumerate(self._in_rows, len(self._contents))]
        self._by_identity = memory.by_identity

    def facts(self, row: Row) -> dict[str, Fact]:
        """Return the deciding facts that a row states."""
        return {name: read(row[position]) for name, position, read in self._readers}

    def untreated(self, row: Row) -> frozenset[str] | None:
        """Return the names of the fields that still hold something to treat; None where that plays no part."""
        if self.policy.only_deletes:
            return None
        left = [name for name, position, is_treated in self._contents if not is_treated(row[position])]
        left += [name for name, is_treated in self._in_rows if not is_treated(row)]
        return frozenset(left)

    def decide(self, row: Row, standing: Standing = NOTHING, blocking: tuple[str, ...] = ()) -> Decision:
        """Return the decision for a row, as `decide` would give it."""
        return self.judge(row, standing, blocking).decision

    def judge(self, row: Row, standing: Standing = NOTHING, blocking: tuple[str, ...] = ()) -> Judged:
        """Return the decision for a row, as `decide` would give it, with the evidence; the same object for the same facts."""
        if self._single is not None and standing is NOTHING and not blocking:
            # The usual case: readers give the same object for the same day, so its identity finds the decision without hashing anything.
            position, read = self._single
            fact = read(row[position])
            left = 0
            for bit, place, is_treated in self._bits:
                if not is_treated(row[place]):
                    left |= bit
            for bit, is_row_treated in self._wide_bits:
                if not is_row_treated(row):
                    left |= bit
            by_fact = self._by_identity.setdefault(left, {})
            known = by_fact.get(id(fact))
            if known is not None and known[0] is fact:
                return known[1]
            judged = self._judge(row, standing, blocking)
            if len(by_fact) >= _REMEMBERED:
                by_fact.clear()
            by_fact[id(fact)] = (fact, judged)
            return judged
        return self._judge(row, standing, blocking)

    def judge_plain(self, rows: Sequence[Row]) -> list[Judged]:
        """Return what `judge` returns for each of many rows for which nothing stands and that nothing keeps."""
        if self._single is None or self._many is None:
            return [self._judge(row, NOTHING, ()) for row in rows]
        # `judge` written out: the calls would cost as much as the look-ups.
        position = self._single[0]
        facts = self._many([row[position] for row in rows])
        bits, wide, known = self._bits, self._wide_bits, self._by_identity
        if not bits and not wide:
            # A fact that is remembered lives on, so no other one can have its identity.
            found = map(known.setdefault(0, {}).get, map(id, facts))
            return [each[1] if each is not None else self.judge(row) for each, row in zip(found, rows, strict=True)]
        judged = []
        for row, fact in zip(rows, facts, strict=True):
            left = 0
            for bit, place, is_treated in bits:
                if not is_treated(row[place]):
                    left |= bit
            for bit, is_row_treated in wide:
                if not is_row_treated(row):
                    left |= bit
            by_fact = known.get(left)
            known_one = by_fact.get(id(fact)) if by_fact is not None else None
            judged.append(known_one[1] if known_one is not None else self.judge(row))
        return judged

    def _judge(self, row: Row, standing: Standing, blocking: tuple[str, ...]) -> Judged:
        """Return the decision for a row, remembered by the values of its facts."""
        untreated, facts = self.untreated(row), self.facts(row)
        key = (*facts.values(), untreated, blocking)
        if standing is NOTHING:
            found = self._remembered.get(key)
            if found is not None:
                return found
        decision = decide(facts, self.policy, standing, self.today, untreated=untreated, blocking=blocking)
        judged = Judged(decision, _evidence(facts, untreated))
        if standing is NOTHING:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = judged
        return judged


def _evidence(facts: Mapping[str, Fact], untreated: frozenset[str] | None) -> bytes:
    """Return the facts and untreated fields in one unambiguous form."""
    return repr((sorted((name, repr(fact)) for name, fact in facts.items()), sorted(untreated or ()))).encode()


def fact_reader(policy: Policy, name: str, today: dt.date) -> Callable[[Raw], Fact]:
    """Return the function from a raw value to the fact of that name.

    The raw value of an aggregate is its summary, that of what people said or was seen a day or None; that of a fact over several sources is
    the fact itself, which was gathered before.
    """
    if policy.source.shared_fact(name) is not None:
        return lambda raw: raw if isinstance(raw, Fact) else Unknown("not gathered")
    if name == ANSWERED or name.startswith(SEEN):
        return _remembering(Reading(FieldType.DATE, Empty.NOT_APPLICABLE, policy.zone, earliest=dt.date.min, planned=True), today)
    mark = policy.source.mark(name)
    if mark is not None:
        return _remembering(mark.reading, today)
    declared = definition(policy.source, name)
    if isinstance(declared, Aggregate):
        aggregate = declared
        return lambda raw: aggregate_fact(aggregate, raw, today)
    reading = declared.reading
    if reading.type is FieldType.TIMESTAMP and reading.stored_zone is not None and str(reading.stored_zone) == "UTC":
        return _UtcReader(reading, today)
    if reading.type in (FieldType.DATE, FieldType.BOOLEAN):
        return _remembering(reading, today)
    return lambda raw: reading.fact(raw, today)


def aggregate_fact(aggregate: Aggregate, raw: Raw, today: dt.date) -> Fact:
    """Return the fact over a relation's rows.

    raw -- for `count` and `exists` the number of rows; else a summary (rows, empty members, unreadable members, lowest, highest). An
    aggregate with an open member has not happened yet, with an unreadable member it is unknown.
    """
    if aggregate.function in (Function.COUNT, Function.EXISTS):
        if not isinstance(raw, int | Decimal) or (isinstance(raw, Decimal) and not raw.is_finite()):
            return Unknown("not counted")
        count = int(raw)
        return Known(count) if aggregate.function is Function.COUNT else Known(count > 0)
    if not isinstance(raw, tuple | list) or len(raw) != _SUMMARY or aggregate.reading is None:
        return Unknown("no summary of the rows")
    rows, empty, unreadable, lowest, highest = raw
    if not rows:
        return _meaning(aggregate.none, "no rows")
    if unreadable:
        return Unknown("an unreadable value among the rows")
    if empty and aggregate.reading.empty is not Empty.NOT_APPLICABLE:
        return _meaning(aggregate.reading.empty, "an empty value among the rows")
    if empty == rows:
        return NotApplicable()
    ends = aggregate.reading.fact(lowest, today), aggregate.reading.fact(highest, today)
    for end in ends:
        if not isinstance(end, Known):
            return end
    return ends[1] if aggregate.function is Function.LATEST else ends[0]


def _meaning(empty: Empty, why: str) -> Fact:
    """Return what emptiness was declared to mean."""
    match empty:
        case Empty.UNKNOWN:
            return Unknown(why)
        case Empty.NOT_YET:
            return NotYet()
        case Empty.NOT_APPLICABLE:
            return NotApplicable()


def _of_many(read: Callable[[Raw], Fact]) -> Callable[[Iterable[Raw]], list[Fact]]:
    """Return what reads many raw values as a reader reads one."""
    return read.many if isinstance(read, _UtcReader) else lambda raws: list(map(read, raws))


def _remembering(reading: Reading, today: dt.date) -> Callable[[Raw], Fact]:
    """Return a reader that remembers the facts of values with few variants.

    Only types whose equal values mean the same are remembered: 1 and 1.0 are equal, but one of them is no boolean, and a list has no hash.
    """
    remembered: dict[Raw, Fact] = {}

    def read(raw: Raw) -> Fact:
        if type(raw) not in _FEW_VARIANTS:
            return reading.fact(raw, today)
        fact = remembered.get(raw)
        if fact is None:
            fact = reading.fact(raw, today)
            if len(remembered) < _REMEMBERED:
                remembered[raw] = fact
        return fact

    return read


class _UtcReader:
    """Reads UTC timestamps by looking up, per UTC day, the moment at which the local day changes. Equal facts are the same object."""

    def __init__(self, reading: Reading, today: dt.date) -> None:
        self._reading = reading
        self._today = today
        self._turns: dict[object, _Turn] = {}
        self._odd: set[object] = set()
        self._facts: dict[Fact, Fact] = {}

    def __call__(self, raw: Raw) -> Fact:
        """Return the fact that one raw value states."""
        return self.many((raw,))[0]

    def many(self, raws: Iterable[Raw]) -> list[Fact]:
        """Return the facts that many raw values state."""
        turns, facts = self._turns, []
        for raw in raws:
            # A fraction of a second sorts behind its second, so texts compare as the moments they name.
            if (
                type(raw) is str
                and raw[10:16] in _MINUTES
                and (raw[16:] in _SECONDS or (raw[16:_UTC_TEXT] in _SECONDS and _FRACTION.fullmatch(raw, _UTC_TEXT)))
            ):
                day: object = raw[:10]
            elif type(raw) is dt.datetime and raw.tzinfo is None:
                day = raw.toordinal()
            else:
                facts.append(self._long_way(raw))
                continue
            turn = turns.get(day) or self._turn(day, raw)
            if turn is None:
                facts.append(self._long_way(raw))
            else:
                facts.append(turn[2] if raw >= turn[0] else turn[1])  # type: ignore[operator]
        return facts

    def _turn(self, day: object, raw: dt.datetime | str) -> _Turn | None:
        """Return what `_day_change` says of a UTC day, worked out once."""
        if day in self._odd:
            return None
        found = _day_change(self._reading, raw[:_UTC_TEXT] if isinstance(raw, str) else raw, self._today)
        if found is None:
            if len(self._odd) < _REMEMBERED:
                self._odd.add(day)
            return None
        turn = (found[0], self._same(found[1]), self._same(found[2]))
        if len(self._turns) < _REMEMBERED:
            self._turns[day] = turn
        return turn

    def _long_way(self, raw: Raw) -> Fact:
        return self._same(self._reading.fact(raw, self._today))

    def _same(self, fact: Fact) -> Fact:
        """Return the one object for a fact."""
        return self._facts.setdefault(fact, fact) if len(self._facts) < _REMEMBERED else self._facts.get(fact, fact)


def _day_change(reading: Reading, raw: dt.datetime | str, today: dt.date) -> _Turn | None:
    """Return the first moment of a UTC day on which the next local day has begun (typed as `raw` is), and the facts before and from then.

    None when the value is no timestamp, or when the clock changes around that midnight: the long way is taken then. No zone changes its
    clock twice on one UTC day, so where local midnight comes exactly once the days before and behind it are one stretch each.
    """
    try:
        moment = dt.datetime.fromisoformat(raw) if isinstance(raw, str) else raw
        begin = dt.datetime.combine(moment, dt.time.min, dt.UTC)
        end = begin + _TO_ITS_END
        first, last = begin.astimezone(reading.zone), end.astimezone(reading.zone)
        midnight = dt.datetime.combine(last, dt.time.min, last.tzinfo)
        turn = midnight.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    if isinstance(raw, str) and moment.isoformat(sep=" ") != raw:
        return None
    steady = first.utcoffset() == last.utcoffset()
    if first.date() == last.date():
        if not steady:
            return None
        turn = begin
    elif not steady and (last.date() - first.date() != _DAY or midnight.utcoffset() != midnight.replace(fold=1).utcoffset()):
        return None
    turn = turn.replace(tzinfo=None)
    return (turn.isoformat(sep=" ") if isinstance(raw, str) else turn), reading.fact(begin, today), reading.fact(end, today)
