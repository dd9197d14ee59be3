"""What is to be done in one batch: what was read again under lock, compared with the plan and sorted by what happens to it.

Nothing is written here. A record is acted on only if it is in the plan and is judged now as it was when the plan was made; everything that
goes along with it is found, judged by its own policy, and put in the order in which it may go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.core.compiled import Judged
from worker.core.decide import Held
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.core.sources import Comparison, Disposal, Relation
from worker.errors import Changed
from worker.planfile import PlannedBatch, Reason
from worker.ports import Along, Batch, Begun, Changes, Key, Row, Undone, Update
from worker.usecases.intents import IntentLines
from worker.usecases.judging import Judge, Verdict, deletes
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.reporting import DELETE, PSEUDONYMISE, action, why

CHANGED, HELD, GONE, FAILED, BUSY, CHILDREN = "changed", "held", "gone", "failed", "busy", "children"
SKIPS = (CHANGED, HELD, GONE, FAILED, BUSY)
"""Why a planned record was not acted on."""
_REMEMBERED = 20_000
_ANSWER = re.compile(r"[A-Za-z0-9 _.,/:-]{1,80}", re.ASCII)


class Skipped(NamedTuple):
    """A planned record that was left as it is.

    by -- the holds and requests that keep it; subjects -- whom it is about, if it is kept; answer -- what the system said when it refused.
    """

    reference: str
    reason: str
    by: Sequence[str] = ()
    subjects: Sequence[str] = ()
    answer: str = ""


@dataclass
class Work:
    """What is to be done in one batch: the records by what happens to them, the lines of the audit trail, the rows that go along.

    named -- what the rows along a path are called as a source; excluded -- the references of what was not done after all; stayed -- tokens
    of records among them that were to be deleted; loosened -- (record's key, own key) of the rows that are cut loose, by relation; begun --
    the rows along whose deletion takes several steps, at the end those that came half way.
    """

    acting: list[tuple[Verdict, str, Reason]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    along: list[Along] = field(default_factory=list)
    along_counts: Counter[str] = field(default_factory=Counter)
    children: list[bytes] = field(default_factory=list)
    leaving: list[tuple[Judge, list[Verdict]]] = field(default_factory=list)
    loosened: list[tuple[Relation, list[tuple[Key, Key]]]] = field(default_factory=list)
    named: dict[tuple[str, ...], str] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    stayed: list[bytes] = field(default_factory=list)
    begun: list[Begun] | None = None


class Sorter:
    """Sorts the records of one source's batches. halving -- some of what goes along goes in steps (`worker.ports.Halving`)."""

    def __init__(
        self, machine: Machine, policy: Policy, judge: Judge, intents: IntentLines, ref_secret: bytes, *, halving: bool = False
    ) -> None:
        self.judge = judge
        self._policy = policy
        self._intents = intents
        self._ref_secret = ref_secret
        self._referrer = Referrer(ref_secret, policy.source.name)
        self._halving = halving
        self._agreed: dict[Judged, Reason] = {}
        self._treaters = machine.treaters(policy)

    @property
    def identifiers(self) -> list[tuple[int, Comparison]]:
        """Where in a row a person's identifiers stand."""
        return [(self.judge.position(name), comparison) for name, comparison in self._policy.source.compared]

    def sort(self, batch: Batch, planned: PlannedBatch, attempt: str, records: Mapping[str, int]) -> Work:
        """Compare what was re-read with what was planned, and sort the records by what happens to them."""
        work = Work(begun=[] if self._halving else None)
        acting, skipped = work.acting, work.skipped
        reasons = planned.reasons
        verdicts = self.judge.judge(batch.rows, batch.related)
        # Records that share their facts share what was judged of them, and in a plan the reason.
        agreed = self._agreed
        for verdict, reference in zip(verdicts, self._referrer.references([each.key for each in verdicts]), strict=True):
            position = records.get(reference)
            if position is None:
                continue
            reason = reasons[position]
            judged = verdict.judged
            if agreed.get(judged) is reason or self._agree(judged, reason):
                acting.append((verdict, reference, reason))
            else:
                outcome = judged.decision.outcome
                if isinstance(outcome, Held):
                    skipped.append(Skipped(reference, HELD, outcome.by, self._intents.subjects(verdict.row, self.identifiers)))
                else:
                    skipped.append(Skipped(reference, CHANGED))
        if self._policy.only_deletes:
            work.effects[DELETE] = len(acting)
        else:
            work.effects.update(reason.action for _, _, reason in acting)
        if len(acting) + len(skipped) < len(records):
            seen = {reference for _, reference, _ in acting} | {each.reference for each in skipped}
            skipped.extend(Skipped(reference, GONE) for reference in records if reference not in seen)
        self._take_children(work, batch, attempt)
        return work

    def _agree(self, judged: Judged, reason: Reason) -> bool:
        """Whether what is judged now (what is done, and the facts used) is what a plan said, remembered from batch to batch."""
        if (action(judged.decision), self._referrer.fingerprint(judged.evidence)) != (reason.action, reason.facts):
            return False
        if len(self._agreed) >= _REMEMBERED:
            self._agreed.clear()
        self._agreed[judged] = reason
        return True

    def _take_children(self, work: Work, batch: Batch, attempt: str) -> None:
        """Add the rows that go, or are cut loose, with the records that are deleted or pseudonymised: deepest first."""
        if not self._policy.source.relations:
            return
        deleted = [verdict.key for verdict, _, reason in work.acting if reason.action == DELETE]
        treated = [verdict.key for verdict, _, reason in work.acting if reason.action == PSEUDONYMISE]
        for relation in self._policy.source.relations:
            moving = relation.disposal in (Disposal.DELETE, Disposal.DETACH) or (relation.source and relation.disposal is not None)
            parents = (deleted if moving else []) + (treated if relation.with_pseudonymised else [])
            if parents:
                self._take_relation(work, batch, attempt, relation, (relation.name,), parents)

    def _take_relation(
        self, work: Work, batch: Batch, attempt: str, relation: Relation, path: tuple[str, ...], parents: Sequence[Key]
    ) -> None:
        """Add the rows of one relation of the records, after the rows of its own children."""
        detach = relation.disposal is Disposal.DETACH
        if relation.source is not None and not detach:
            judge = self.judge.child_judge(relation)
            standings = {verdict.key: verdict.standing for verdict, _, _ in work.acting}
            found = self.judge.children(relation, {key: standings[key] for key in parents}, batch.related)
            if not all(deletes(verdict.outcome) for _, verdict in found):
                raise Changed(f"{self._policy.id}: rows of {relation.name} came in that are not due.")
            rows = [(parent, verdict.key) for parent, verdict in found]
            work.leaving.append((judge, [verdict for _, verdict in found]))
            policy = judge.policy
            said = [why(policy, verdict.judged.decision) for _, verdict in found]
        else:
            width = len(relation.key)
            rows = [(parent, row[:width]) for row, parent in {row: parent for parent, row in batch.related(path, parents, ())}.items()]  # type: ignore[misc]
            policy, said = self._policy, [f"it goes with its record ({relation.name})"] * len(rows)
        if relation.table == self._policy.source.table and detach:
            leaving = {verdict.key for verdict, _, reason in work.acting if reason.action == DELETE}
            rows = [(parent, key) for parent, key in rows if key not in leaving]
            said = said[: len(rows)]
        if not rows:
            return
        keys = [key for _, key in rows]
        if not detach:
            for child in relation.children:
                self._take_relation(work, batch, attempt, child, (*path, child.name), parents)
        name = relation.source or f"{self._policy.source.name}.{'.'.join(path)}"
        work.named[path] = name
        if detach:
            work.loosened.append((relation, rows))
        work.along.append(Along(path, keys, detach=detach))
        if work.begun is not None and not detach:
            work.begun += [Begun(parent, path, key) for parent, key in rows]
        work.along_counts[name] += len(keys)
        work.effects[CHILDREN] += len(keys)
        work.children.extend(self._intents.along(attempt, policy, name, path, rows, said, detach=detach))

    def changes(self, work: Work, *, whole: bool) -> Changes:
        """Return what the source is told to write."""
        if self._policy.only_deletes:
            return Changes([verdict.key for verdict, _, _ in work.acting], (), work.along, whole=whole)
        deletes = [verdict.key for verdict, _, reason in work.acting if reason.action == DELETE]
        by_fields: dict[tuple[str, ...], list[Verdict]] = {}
        for verdict, _, reason in work.acting:
            if reason.action != DELETE:
                by_fields.setdefault(reason.fields, []).append(verdict)
        updates = [Update(fields, self._treated(fields, verdicts)) for fields, verdicts in by_fields.items()]
        return Changes(deletes, updates, work.along, whole=whole and not updates)

    def _treated(self, fields: Sequence[str], verdicts: Sequence[Verdict]) -> list[Row]:
        """Return, for every record, its key's parts and the new values of some fields."""
        if not fields:
            return [verdict.key for verdict in verdicts]
        rows = [verdict.row for verdict in verdicts]
        columns = [self._treaters[name].of_rows(self.judge.position)(rows) for name in fields]
        return [(*verdict.key, *values) for verdict, values in zip(verdicts, zip(*columns, strict=True), strict=True)]

    def leave_out(self, work: Work, undone: Sequence[Undone]) -> None:
        """Take what the system left as it was out of what the batch will be said to have done."""
        if work.begun is not None:
            half = {(each.path, each.key) for each in undone if each.begun}
            work.begun = [each for each in work.begun if (each.path, each.key) in half]
        if not undone:
            return
        acting = {verdict.key: (reference, reason.action) for verdict, reference, reason in work.acting}
        for each in undone:
            if each.path:
                name = work.named[each.path]
                reference, did = Referrer(self._ref_secret, name).reference(each.key), CHILDREN
                work.along_counts[name] -= 1
            else:
                name = self._policy.source.name
                reference, did = acting[each.key]
                work.skipped.append(Skipped(reference, str(each.why), answer=each.answer if _ANSWER.fullmatch(each.answer) else ""))
            work.effects[did] -= 1
            work.excluded.append(reference)
            work.stayed.append(record_token(self.judge.standing.secret, name, each.key))
