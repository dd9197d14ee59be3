"""From rows to decisions, with everything that lies outside the row: what stands for it, its children, the replies that remain.

One `Judge` serves the plan (through a reader), the batch that acts (through the locked batch) and `explain`: all three decide alike.

Threads: an aggregate marked `remaining` counts only rows of the same source that this policy does not delete. A page's whole subtrees
are read and decided from the leaves up, so the outcome does not depend on the order in which batches run. Children with a policy of
their own keep their parent from being deleted until every one of them is due for deletion too; then they go with it.

Nothing is done to a record by which other sources' facts are decided while nobody can read whom it is about: the day that it leaves would
count for nobody, and somebody's clock would go back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from worker.core import select
from worker.core.compiled import RELATION, Judged, RowDecider, fact_columns
from worker.core.decide import Due, Outcome, Partly, Undecided
from worker.core.facts import Fact, Unreadable
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Aggregate, Disposal, Relation, TreatmentKind
from worker.core.standing import NOTHING, Standing
from worker.errors import ConfigurationError
from worker.ports import Key, Row
from worker.usecases.gathering import Gathered
from worker.usecases.machine import Machine
from worker.usecases.matching import StandingIndex, load_standing, of_several
from worker.usecases.outside import Outside

_FOR_OTHERS = "an identifier can't be read, by which it counts for somebody in other sources"

Related = Callable[[Sequence[str], Sequence[Key], Sequence[str]], list[tuple[Key, Row]]]


class Verdict(NamedTuple):
    """One record, judged. `row` is as read; `standing` what touches it."""

    key: Key
    row: Row
    judged: Judged
    standing: Standing

    @property
    def outcome(self) -> Outcome:
        """What happens to the record."""
        return self.judged.decision.outcome


class Judge:
    """Judges rows of one source for one day.

    columns -- what has to be read for every row; gathered -- the facts over several sources; identifiers -- ask for the identifier fields
    although nothing stands, and for the days that other sources' decisions take from here: what has to be kept of a record that goes;
    also -- fields to be read besides; plain -- rows are judged by nothing but the policy and what stands for them.
    """

    plain = True

    def __init__(
        self,
        machine: Machine,
        policy: Policy,
        today: dt.date,
        gathered: Gathered | None = None,
        *,
        identifiers: bool = False,
        also: Sequence[str] = (),
    ) -> None:
        self.policy = policy
        self.standing: StandingIndex = load_standing(machine, policy)
        self._outside = Outside(machine, policy, today)
        self._machine = machine
        self._width = len(policy.source.key)
        self._remaining = [each for each in policy.source.aggregates if each.remaining]
        if len(self._remaining) > 1:
            raise ConfigurationError(f"{policy.id}: only one fact may count what remains.")
        self._gathered = gathered if gathered is not None else Gathered(today, self.standing.secret)
        self._joined = self._gathered.joined(policy)
        virtual = {*(each.name for each in self._remaining), *(each.name for each in policy.shared)}
        names = dict.fromkeys(name for name in fact_columns(policy) if name not in virtual)
        if identifiers or self.standing.columns:
            names.update(dict.fromkeys(self.standing.fields))
        self._known_by = tuple(dict.fromkeys(each.name for member in policy.source.contributing for each in member.identifiers))
        names.update(dict.fromkeys(self._known_by))
        if identifiers:
            names.update(dict.fromkeys(name for member in policy.source.contributing for name in member.columns))
            names.update(dict.fromkeys(policy.source.unchanging))
        if self._joined is not None:
            names.update(dict.fromkeys(self._joined.columns))
        names.update(dict.fromkeys(also))
        for each in self._remaining:
            names.update(dict.fromkeys(self._match_fields(each)))
        names.update(dict.fromkeys(RELATION + relation.name for relation in self._keepers()))
        self.columns: tuple[str, ...] = tuple(names)
        self._positions = {name: self._width + position for position, name in enumerate(self.columns)}
        self._parents = [
            (relation, load_standing(machine, machine.policy(relation.source or "")))
            for relation in policy.source.relations
            if relation.same_subject
        ]
        # Rows that are only cut loose stay as they are, so they keep nothing from being deleted.
        staying = (None, Disposal.DETACH)
        self._children = [relation for relation in policy.source.relations if relation.source and relation.disposal not in staying]
        self._turn_to(today)

    def on(self, today: dt.date) -> Judge:
        """Return the judge of the same records for another day; what was loaded, such as holds and requests, is shared."""
        other = copy(self)
        other._turn_to(today, self)  # noqa: SLF001 - a copy of this judge
        return other

    def _turn_to(self, today: dt.date, origin: Judge | None = None) -> None:
        """Begin to judge for a day; `origin` is the judge this one is a copy of."""
        self.today = today
        self._origin = origin
        self._through: dict[Key, list[Standing]] = {}
        self._child_judges: dict[str, Judge] = {}
        shared = self._joined.names if self._joined is not None else ()
        layout = (*self.policy.source.key, *self.columns, *self._outside.names, *shared, *(each.name for each in self._remaining))
        # The key's column names may equal field names: the fields stand behind them, so they are looked up from the end.
        treaters = self._machine.treaters(self.policy)
        self._decider = RowDecider(self.policy, today, _Layout(layout), treaters, self._machine.memories.of(self.policy, today))
        # The same person has the same pseudonym, so whoever was pseudonymised before is still told from the others.
        self._pseudonymisers = {
            name: each.treat
            for name, each in treaters.items()
            if each.field.treatment and each.field.treatment.kind is TreatmentKind.PSEUDONYM
        }

    def _keepers(self) -> list[Relation]:
        """Return the relations whose rows keep the record from being deleted, and have no policy of their own."""
        keeping = (Disposal.KEEP_PARENT, Disposal.BLOCK)
        return [each for each in self.policy.source.relations if each.disposal in keeping and each.source is None]

    def _match_fields(self, aggregate: Aggregate) -> Iterable[str]:
        """Return the fields that an aggregate over remaining rows compares; ConfigurationError when a column is no field."""
        for match in aggregate.where:
            for column in (match.column, match.differs_from):
                if column is None:
                    continue
                field = next((each for each in self.policy.source.fields if each.column == column), None)
                if field is None:
                    raise ConfigurationError(f"{self.policy.id}: {aggregate.name} compares {column}, which has to be declared as a field.")
                yield field.name

    def selection(self, *, findings: bool = False, full: bool = False) -> select.Selection:
        """Return what to ask the source for: everything that may be due, with `findings` also what a person must look at."""
        if full or self.standing.ends_purposes or any(index.ends_purposes for _, index in self._parents):
            return select.EVERYTHING
        due = select.due(self.policy, self.today)
        return select.union(due, select.undetermined(self.policy, self.today)) if findings else due

    def key(self, row: Row) -> Key:
        """Return a row's key."""
        return row[: self._width]  # type: ignore[return-value]

    def facts(self, verdict: Verdict) -> dict[str, Fact]:
        """Return the facts that a verdict rests on."""
        return self._decider.facts(verdict.row)

    def position(self, field: str) -> int:
        """Return where in a row the raw value of a field stands that is among the columns."""
        return self._positions[field]

    def value(self, row: Row, field: str) -> object:
        """Return a row's raw value of a field that is among the columns."""
        return row[self._positions[field]]

    def judge(self, rows: Sequence[Row], related: Related) -> list[Verdict]:
        """Return one verdict per row, in their order. `related` reads rows of a relation from where the rows came from."""
        rows = self._completed(rows)
        self._through = self._through_parents(rows, related, self._parents)
        if self._remaining:
            verdicts = self._judge_threads(rows, related)
        elif self.plain and self.standing.empty and not self._through:
            width = self._width
            # Made without the named tuple's own constructor, which costs as much as the look-up of the decision.
            made = zip(rows, self._decider.judge_plain(rows), strict=True)
            verdicts = [tuple.__new__(Verdict, (row[:width], row, judged, NOTHING)) for row, judged in made]
        else:
            verdicts = [self._one(row) for row in rows]
        return self._blocked(self._readable(verdicts), related)

    def _completed(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return rows with the values that lie outside of them behind what was read: what people set, and what several sources say."""
        if self._outside.names:
            values, width = self._outside.values, self._width
            rows = [(*row, *values(row[:width])) for row in rows]  # type: ignore[arg-type]
        if self._joined is not None:
            facts, width = self._joined.facts, self._width
            rows = [(*row, *facts(self.key(row), dict(zip(self.columns, row[width:], strict=False)))) for row in rows]
        return rows

    def values(self, verdict: Verdict) -> dict[str, object]:
        """Return the raw values of a verdict's row by the names of the columns that were asked for."""
        return dict(zip(self.columns, verdict.row[self._width :], strict=False))

    def _along_with(
        self, found: Sequence[tuple[Key, Row]], parents: Mapping[Key, Standing], others: Mapping[Key, Sequence[Standing]]
    ) -> list[Verdict]:
        """Return the verdicts on rows that go with their parents, without looking at their own children or replies.

        others -- what stands for rows through parents that they don't go along with, by the row's key.
        """
        self._through = {self.key(row): [parents[parent]] for parent, row in found if parents[parent] is not NOTHING}
        for key, standings in others.items():
            self._through.setdefault(key, []).extend(standings)
        return self._readable([self._one(row) for row in self._completed([row for _, row in found])])

    def _readable(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Return verdicts of which none acts on a record that may be about anybody and counts for other sources."""
        return [self._left_alone(each) if self._is_anybody(each.row) else each for each in verdicts] if self._known_by else verdicts

    def _is_anybody(self, row: Row) -> bool:
        """Whether an identifier can't be read by which a record counts for other sources."""
        return any(isinstance(row[self._positions[name]], Unreadable) for name in self._known_by)

    def _left_alone(self, verdict: Verdict) -> Verdict:
        """Return the verdict on such a record: a person has to look at it before anything is done to it."""
        decision, outcome = verdict.judged.decision, verdict.outcome
        if not isinstance(outcome, Due | Partly) or (isinstance(outcome, Due) and outcome.kind is DispositionKind.REVIEW):
            return verdict
        left = replace(decision, outcome=Undecided(_FOR_OTHERS, outcome.due))
        return verdict._replace(judged=Judged(left, verdict.judged.evidence))

    def _one(self, row: Row, blocking: tuple[str, ...] = ()) -> Verdict:
        """Return the verdict on one row with what stands for it."""
        key = self.key(row)
        standing = NOTHING
        if not self.standing.empty:
            identifiers = {name: row[self._positions[name]] for name in self.standing.columns if name in self._positions}
            standing = self.standing.touching(self.policy.source.name, key, identifiers)
        if key in self._through:
            standing = of_several(standing, self._through[key])
        return Verdict(key, row, self._decider.judge(row, standing, blocking), standing)

    # --- Parents --------------------------------------------------------------------------------------------------------------------

    @property
    def looks_at_parents(self) -> bool:
        """Whether something stands that may concern a record through the person its parent is about."""
        return any(index.of_persons for _, index in self._parents)

    def _through_parents(
        self, rows: Sequence[Row], related: Related, parents: Sequence[tuple[Relation, StandingIndex]]
    ) -> dict[Key, list[Standing]]:
        """Return what stands for records through some of their parents that are about the same person, by the record's key."""
        found: dict[Key, list[Standing]] = {}
        for relation, index in parents:
            if not index.of_persons:
                continue
            names = index.fields
            for key, row in related((relation.name,), [self.key(row) for row in rows], names):
                width = len(relation.key)
                standing = index.of_person(relation.source or "", row[:width], dict(zip(names, row[width:], strict=True)))
                if standing is not NOTHING:
                    found.setdefault(key, []).append(standing)
        return found

    def _through_others(self, rows: Sequence[Row], known: Callable[[Relation], bool]) -> dict[Key, list[Standing]]:
        """Return what stands for records through parents that are not known yet, by the record's key.

        Who goes along is read with the record that it goes along with, where these parents can't be seen. So they are read in the source of
        the records themselves, directly before the write, and not locked.
        """
        others = [(each, index) for each, index in self._parents if index.of_persons and not known(each)]
        if not others or not rows:
            return {}
        with self._machine.open_source(self.policy.source).reader() as reader:
            return self._through_parents(rows, reader.related, others)

    # --- Children -----------------------------------------------------------------------------------------------------------------

    def _blocked(self, verdicts: list[Verdict], related: Related) -> list[Verdict]:
        """Judge again the records that would be deleted but have rows that keep them."""
        keepers = [(each.name, self._positions[RELATION + each.name]) for each in self._keepers()]
        if not keepers and not self._children:
            return verdicts
        leaving = {verdict.key: position for position, verdict in enumerate(verdicts) if deletes(verdict.outcome)}
        standings = {key: verdicts[position].standing for key, position in leaving.items()}
        blocking: dict[Key, dict[str, None]] = {}
        for key, position in leaving.items():
            for name, column in keepers:
                if verdicts[position].row[column]:
                    blocking.setdefault(key, {})[name] = None
        for relation in self._children:
            child_source = self._machine.policy(relation.source or "").source
            alone = all(each.disposal is None for each in child_source.relations)
            for parent, verdict in self.children(relation, standings, related):
                # Rows with children of their own are deleted by their own batches; their parent follows in the next run.
                if not (alone and deletes(verdict.outcome)):
                    blocking.setdefault(parent, {})[relation.name] = None
        for key, names in blocking.items():
            position = leaving[key]
            verdicts[position] = self._one(verdicts[position].row, tuple(names))
        return verdicts

    def children(self, relation: Relation, parents: Mapping[Key, Standing], related: Related) -> list[tuple[Key, Verdict]]:
        """Return (parent's key, verdict) for the rows of a relation that have a policy of their own.

        parents -- the records and what stands for them, which stands for rows that are about the same person too.
        """
        if not parents or relation.source is None:
            return []
        judge = self.child_judge(relation)
        found = related((relation.name,), list(parents), judge.columns)
        same = any(each.same_subject and self._leads_back(relation, each) for each in judge.policy.source.relations)
        others = judge._through_others([row for _, row in found], partial(self._leads_back, relation))  # noqa: SLF001 - another judge
        verdicts = judge._along_with(found, parents if same else dict.fromkeys(parents, NOTHING), others)  # noqa: SLF001 - the same
        return [(parent, verdict) for (parent, _), verdict in zip(found, verdicts, strict=True)]

    def _leads_back(self, relation: Relation, parent: Relation) -> bool:
        """Whether a parent of a relation's rows is the same one seen from there; another parent may be somebody else."""
        pairs = set(zip(relation.own, relation.theirs, strict=True))
        return parent.source == self.policy.source.name and {*zip(parent.theirs, parent.own, strict=True)} == pairs

    def child_judge(self, relation: Relation) -> Judge:
        """Return the judge of a relation's own source."""
        name = relation.source or ""
        if name not in self._child_judges:
            self._child_judges[name] = (
                self._origin.child_judge(relation).on(self.today)
                if self._origin is not None
                else Judge(self._machine, self._machine.policy(name), self.today, self._gathered, identifiers=True)
            )
        return self._child_judges[name]

    # --- Threads ------------------------------------------------------------------------------------------------------------------

    def _judge_threads(self, rows: Sequence[Row], related: Related) -> list[Verdict]:
        """Judge records whose replies belong to the same source: the whole subtrees, from the leaves up."""
        aggregate = self._remaining[0]
        nodes: dict[Key, Row] = {self.key(row): row for row in rows}
        replies: dict[Key, list[Key]] = {key: [] for key in nodes}
        frontier = list(nodes)
        asked: set[Key] = set()
        while frontier:
            asked.update(frontier)
            found = related((aggregate.relation,), frontier, self.columns)
            for (parent, _), row in zip(found, self._completed([row for _, row in found]), strict=True):
                key = self.key(row)
                nodes.setdefault(key, row)
                replies.setdefault(key, [])
                replies[parent].append(key)
            frontier = list(dict.fromkeys(key for _, row in found if (key := self.key(row)) not in asked))
        done: dict[Key, Verdict] = {}
        for root in [self.key(row) for row in rows]:
            self._settle(root, nodes, replies, done)
        return [done[self.key(row)] for row in rows]

    def _settle(self, root: Key, nodes: Mapping[Key, Row], replies: Mapping[Key, Sequence[Key]], done: dict[Key, Verdict]) -> None:
        """Judge a record after all of its replies, without recursion; a reply that leads back to its own thread counts as remaining."""
        stack: list[tuple[Key, bool]] = [(root, False)]
        open_: set[Key] = set()
        while stack:
            key, ready = stack.pop()
            if key in done or (key in open_ and not ready):
                continue
            if not ready:
                open_.add(key)
                stack.append((key, True))
                stack.extend((reply, False) for reply in replies[key] if reply not in done)
                continue
            row = nodes[key]
            remaining = sum(
                1 for reply in replies[key] if self._counts(row, nodes[reply]) and not (reply in done and deletes(done[reply].outcome))
            )
            done[key] = self._readable([self._one((*row, remaining))])[0]

    def _counts(self, row: Row, reply: Row) -> bool:
        """Whether a reply is one that the aggregate counts for a record."""
        by_column = {each.column: each.name for each in self.policy.source.fields}
        for match in self._remaining[0].where:
            value = self.value(reply, by_column[match.column])
            if match.values and not match.admits(value):
                return False
            if match.differs_from is not None and self._alike(by_column[match.column], value, by_column[match.differs_from], row):
                return False
        return True

    def _alike(self, theirs: str, value: object, ours: str, row: Row) -> bool:
        """Whether a reply's value is the record's own; one of the two may have been pseudonymised in an earlier batch or night."""
        own = self.value(row, ours)
        pseudonym = self._pseudonymisers.get(ours) if theirs == ours else None
        return value == own or (pseudonym is not None and pseudonym(value) == pseudonym(own))


class _Layout(tuple[str, ...]):
    """Column names of a row, looked up from the end: the key's columns stand in front and may have a field's name."""

    __slots__ = ()

    def index(self, name: str, *_: object) -> int:
        """Return the last position of a name."""
        return len(self) - 1 - tuple(reversed(self)).index(name)


class Judging(Protocol):
    """Makes the judges of a plan and of the batches that carry it out."""

    def __call__(self, machine: Machine, policy: Policy, gathered: Gathered, *, identifiers: bool = False) -> Judge:
        """Return a judge that knows what stands now; see `Judge`."""
        ...  # pragma: no cover


def by_policy(machine: Machine, policy: Policy, gathered: Gathered, *, identifiers: bool = False) -> Judge:
    """Return the judge of every plan that does what the policies say."""
    return Judge(machine, policy, gathered.today, gathered, identifiers=identifiers)


def deletes(outcome: Outcome) -> bool:
    """Whether a record is to be deleted."""
    return isinstance(outcome, Due) and outcome.kind is DispositionKind.DELETE
