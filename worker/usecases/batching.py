"""One batch, from lock to closing event. This is the only code that writes to a source.

Threat model. The process may die at any line; each state it can leave behind has one owner who ends it:

- before `ledger.intend_with`: the source has nothing, its transaction dies with the connection; the batch is `pending` and rolled back.
- after it: the intents are durable in the audit trail and the ledger knows the commit witness; `reconciling` asks the source.
- after the source's commit: the same; the witness says committed.
- during the commit of a system without transactions, which writes one record after the other: the same, and `reconciling` asks for every
  single record whether it was done. Who lives to see the end of such a commit is told what was not done (`Undone`): the closing event
  names it, and nobody counts it.

A batch that became somebody else's meanwhile: its intent counts only with the lease, in one transaction, and directly before the source's
commit the lease is asked for again. What of this process is still under way then is rolled back.

A hold placed meanwhile: the batch takes the hold lock shared from before its last read of the holds until after its commit, and placing a
hold takes it exclusive. A record changed meanwhile: every fact used is re-read under lock, decided again, and compared with the plan's
fingerprint; what differs is skipped and said. More rows than planned: only references that are in the plan are acted on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from worker.audit.events import Action, Closing, closing_fields
from worker.audit.trail import room_for
from worker.core.compiled import Judged
from worker.core.decide import Held
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.core.sources import Comparison, Disposal, Relation
from worker.errors import AuditUnavailable, Changed, RetentionError, Retriable, Skippable
from worker.ledger.rows import BatchRow, Intent, Lease
from worker.ledger.work import BatchEnd
from worker.planfile import PlannedBatch, Reason
from worker.ports import (
    AFTER_CLOSE,
    AFTER_COMMIT,
    AFTER_FSYNC,
    AFTER_INTENT,
    AFTER_LOCK,
    AFTER_WRITE,
    BEFORE_COMMIT,
    BEFORE_LOCK,
    Along,
    Batch,
    Changes,
    Key,
    KeyRange,
    OpenSource,
    Resolution,
    Row,
    Undone,
    Update,
)
from worker.usecases.gathering import Gathered
from worker.usecases.intents import IntentLines, by_kind
from worker.usecases.judging import Judge, Judging, Verdict, by_policy, deletes
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.planning import open_range, seal_range
from worker.usecases.remembering import remembered
from worker.usecases.reporting import DELETE, PSEUDONYMISE, UNDONE, action, why

_PAYLOAD_BYTES = 900
_REMEMBERED = 20_000

CHANGED, HELD, GONE, FAILED, BUSY, CHILDREN = "changed", "held", "gone", "failed", "busy", "children"
SKIPS = (CHANGED, HELD, GONE, FAILED, BUSY)
"""Why a planned record was not acted on."""

_ANSWER = re.compile(r"[A-Za-z0-9 _./:-]{1,80}", re.ASCII)


NAMED = 20
"""So many records that the system refuses to change are named one by one in a run's findings."""


class NotWhole(RetentionError):
    """Not every row that was taken is to go, so the batch is done again with locks."""


@dataclass
class BatchResult:
    """What a batch did: `effects` by action (and `children` for rows that went along), `skipped` by reason, `along` by child source.

    refused -- the references of the first records that the system refused to change, as many as are ever named.
    """

    effects: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    along: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def __iadd__(self, other: BatchResult) -> Self:
        """Add another batch's result."""
        self.effects += other.effects
        self.skipped += other.skipped
        self.along += other.along
        self.refused = [*self.refused, *other.refused][:NAMED]
        return self


class _Skipped(NamedTuple):
    """A planned record that was left as it is.

    by -- the holds and requests that keep it; subjects -- whom it is about, if it is kept; answer -- what the system said when it refused.
    """

    reference: str
    reason: str
    by: Sequence[str] = ()
    subjects: Sequence[str] = ()
    answer: str = ""


@dataclass
class _Work:
    """What is to be done in one batch: the records by what happens to them, the lines of the audit trail, the rows that go along.

    named -- what the rows along a path are called as a source; excluded -- the references of what was not done after all; stayed -- tokens
    of records among them that were to be deleted.
    """

    acting: list[tuple[Verdict, str, Reason]] = field(default_factory=list)
    skipped: list[_Skipped] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    along: list[Along] = field(default_factory=list)
    along_counts: Counter[str] = field(default_factory=Counter)
    children: list[bytes] = field(default_factory=list)
    leaving: list[tuple[Judge, list[Verdict]]] = field(default_factory=list)
    named: dict[tuple[str, ...], str] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    stayed: list[bytes] = field(default_factory=list)


class BatchWorker:
    """Carries out the batches of one source in one run.

    gathered -- the facts over several sources; confirm -- raises when the batch's lease, or the run's own lock, was lost; judging -- as for
    the plan.
    """

    def __init__(
        self,
        machine: Machine,
        policy: Policy,
        source: OpenSource,
        run_id: str,
        gathered: Gathered,
        ref_secret: bytes,
        confirm: Callable[[Lease], None],
        judging: Judging = by_policy,
    ) -> None:
        self._judging = judging
        self._machine = machine
        self._policy = policy
        self._source = source
        self._run_id = run_id
        self._ref_secret = ref_secret
        self._intents = IntentLines(machine, policy, source, run_id, ref_secret)
        self._confirm = confirm
        self._lease: Lease | None = None
        self._gathered = gathered
        self._judge = self._new_judge()
        self._referrer = Referrer(ref_secret, policy.source.name)
        self._now: dict[Judged, tuple[str | None, str]] = {}
        self._treaters = machine.treaters(policy)
        # Selections can't tell what facts over several sources make due, so hardly ever would all rows of a range be taken rightly.
        alone = self._judge.plain and policy.only_deletes
        self._take = alone and not policy.shared and all(each.disposal is None for each in policy.source.relations)

    def _new_judge(self) -> Judge:
        """Return a judge that knows what stands now, and asks for what the trail and other sources' facts keep of a record that goes."""
        return self._judging(self._machine, self._policy, self._gathered, identifiers=True)

    def _identifiers(self) -> list[tuple[int, Comparison]]:
        """Return where in a row a person's identifiers stand."""
        return [(self._judge.position(name), comparison) for name, comparison in self._policy.source.compared]

    def carry_out(self, planned: PlannedBatch, attempt: str, lease: Lease) -> BatchResult:
        """Carry out one batch under the id `attempt`, which the ledger has as pending, as long as the lease counts.

        A record that the system refuses to change is set aside: the batch is halved until it stands alone, and the rest is done. Raises
        Retriable when the system may be better later, AuditUnavailable when nothing may be written any more, LeaseLost.
        """
        self._lease = lease
        within = open_range(self._machine, planned.batch_id, planned.sealed_range)
        return self._halving(planned, within, attempt, dict(planned.records))

    def _halving(self, planned: PlannedBatch, within: KeyRange, attempt: str, records: Mapping[str, int]) -> BatchResult:
        """Carry out the batch, or when one record spoils it each half of it, down to the one."""
        try:
            return self._locked(planned, within, attempt, records, whole=len(records) == len(planned.records))
        except Skippable:
            known = self._machine.ledger.batch(attempt)
            if known is not None and known.state == "pending":
                self._machine.ledger.close_batch(attempt, "rolled_back", {}, "")
            if len(records) == 1:
                self._say_skipped(attempt, [_Skipped(reference, FAILED) for reference in records])
                return BatchResult(skipped=Counter({FAILED: 1}), refused=list(records))
        result = BatchResult()
        middle = len(records) // 2
        names = list(records)
        for half, part in enumerate((names[:middle], names[middle:])):
            under = f"{attempt}.{half}"
            row = BatchRow(
                under, self._run_id, planned.source, self._policy.id, planned.number, seal_range(self._machine, under, within), len(part)
            )
            self._machine.ledger.add_batches(self._run_id, [row], lease=self._lease)
            result += self._halving(planned, within, under, {name: records[name] for name in part})
        return result

    def _locked(self, planned: PlannedBatch, within: KeyRange, attempt: str, records: Mapping[str, int], *, whole: bool) -> BatchResult:
        """Carry out the batch while no hold can be placed."""
        with self._machine.ledger.standing_shared() as barrier:
            if self._machine.ledger.standing_version() != self._judge.standing.version:
                self._judge = self._new_judge()
            self._machine.trail.reserve(room_for(2 * len(records), 2 * _PAYLOAD_BYTES * len(records)))
            self._machine.faults.reached(BEFORE_LOCK)
            try:
                return self._attempt(
                    planned, within, attempt, records, barrier.confirm, take=self._take and whole and not self._judge.looks_at_parents
                )
            except NotWhole:
                return self._attempt(planned, within, attempt, records, barrier.confirm, take=False)

    def _attempt(
        self,
        planned: PlannedBatch,
        within: KeyRange,
        attempt: str,
        records: Mapping[str, int],
        confirm_barrier: Callable[[], None],
        *,
        take: bool,
    ) -> BatchResult:
        """Lock, re-read, decide again, write down, write, commit, close."""
        faults, ledger, trail = self._machine.faults, self._machine.ledger, self._machine.trail
        begun = self._machine.monotonic()
        segment = None
        committing = False
        with self._source.batch(attempt, within, self._judge.selection(), self._judge.columns, take=take) as batch:
            faults.reached(AFTER_LOCK)
            work = self._sort(batch, planned, attempt, records)
            if take and len(work.acting) != len(batch.rows):
                raise NotWhole(f"{planned.source}: not every row of the range is to go")
            try:
                if work.acting:
                    segment = trail.write([*work.children, *self._intents.records(attempt, work.acting, self._identifiers())])
                    faults.reached(AFTER_FSYNC)
                    kept = remembered(self._machine, self._judge, work.acting, work.leaving)
                    ledger.intend_with(
                        Intent(
                            attempt,
                            dict(batch.witness),
                            segment.stream,
                            segment.first,
                            segment.count,
                            segment.root,
                            *kept,
                            lease=self._lease,
                            intended={"effects": dict(work.effects), "along": dict(work.along_counts)},
                        )
                    )
                    faults.reached(AFTER_INTENT)
                    batch.write(self._changes(work, whole=len(work.acting) == len(batch.rows)))
                    faults.reached(AFTER_WRITE)
                    confirm_barrier()
                    if self._lease is not None:
                        self._confirm(self._lease)
                    faults.reached(BEFORE_COMMIT)
                    self._confirm_in_time(begun)
                    committing = True
                    self._leave_out(work, batch.commit())
                    self._gathered.treated(kept[0])
                    faults.reached(AFTER_COMMIT)
            except AuditUnavailable:
                raise
            except RetentionError as error:
                resolution = self._source.resolve(attempt, batch.witness) if committing else Resolution.ROLLED_BACK
                if resolution is Resolution.ROLLED_BACK:
                    self._close(attempt, Closing.ROLLED_BACK, Counter(), segment.root if segment else "", work.skipped)
                    if committing and not isinstance(error, Skippable):
                        raise Retriable(f"{planned.source}: the commit of a batch failed, and it was rolled back; try again.") from None
                if resolution is not Resolution.COMMITTED:
                    # In doubt, it stays open: saying that it was rolled back could deny an effect. The next start reads it back.
                    raise
        if segment is not None and work.effects.total():
            self._close(attempt, Closing.COMMITTED, work.effects, segment.root, work.skipped, left_out=work)
        else:
            self._close(attempt, Closing.ROLLED_BACK, Counter(), segment.root if segment else "", work.skipped)
        faults.reached(AFTER_CLOSE)
        refused = [each.reference for each in work.skipped if each.reason == FAILED][:NAMED]
        return BatchResult(Counter(work.effects), Counter(each.reason for each in work.skipped), work.along_counts, refused)

    def _confirm_in_time(self, begun: float) -> None:
        """Raise Retriable when the batch took longer than batches may: by then somebody else may have been told to do it."""
        limit = self._machine.settings.batch_seconds
        if self._machine.monotonic() - begun > limit:
            raise Retriable(f"{self._policy.source.name}: a batch took longer than {limit} seconds and was rolled back.")

    # --- What is to be done -------------------------------------------------------------------------------------------------------

    def _sort(self, batch: Batch, planned: PlannedBatch, attempt: str, records: Mapping[str, int]) -> _Work:
        """Compare what was re-read with what was planned, and sort the records by what happens to them."""
        work = _Work()
        acting, skipped = work.acting, work.skipped
        reasons = planned.reasons
        verdicts = self._judge.judge(batch.rows, batch.related)
        # Records that share their facts share what was judged of them, and in a plan the reason.
        agreed: dict[Judged, Reason] = {}
        for verdict, reference in zip(verdicts, self._referrer.references([each.key for each in verdicts]), strict=True):
            position = records.get(reference)
            if position is None:
                continue
            reason = reasons[position]
            judged = verdict.judged
            if agreed.get(judged) is reason or self._says(judged) == (reason.action, reason.facts):
                agreed[judged] = reason
                acting.append((verdict, reference, reason))
            else:
                outcome = judged.decision.outcome
                if isinstance(outcome, Held):
                    skipped.append(_Skipped(reference, HELD, outcome.by, self._intents.subjects(verdict.row, self._identifiers())))
                else:
                    skipped.append(_Skipped(reference, CHANGED))
        if self._policy.only_deletes:
            work.effects[DELETE] = len(acting)
        else:
            work.effects.update(reason.action for _, _, reason in acting)
        if len(acting) + len(skipped) < len(records):
            seen = {reference for _, reference, _ in acting} | {each.reference for each in skipped}
            skipped.extend(_Skipped(reference, GONE) for reference in records if reference not in seen)
        self._take_children(work, batch, attempt)
        return work

    def _says(self, judged: Judged) -> tuple[str | None, str]:
        """Return (what is done, fingerprint of the facts used) as a plan would say it, remembered from batch to batch."""
        found = self._now.get(judged)
        if found is None:
            if len(self._now) >= _REMEMBERED:
                self._now.clear()
            found = self._now[judged] = (action(judged.decision), self._referrer.fingerprint(judged.evidence))
        return found

    def _take_children(self, work: _Work, batch: Batch, attempt: str) -> None:
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
        self, work: _Work, batch: Batch, attempt: str, relation: Relation, path: tuple[str, ...], parents: Sequence[Key]
    ) -> None:
        """Add the rows of one relation of the records, after the rows of its own children."""
        detach = relation.disposal is Disposal.DETACH
        if relation.source is not None and not detach:
            judge = self._judge.child_judge(relation)
            standings = {verdict.key: verdict.standing for verdict, _, _ in work.acting}
            found = self._judge.children(relation, {key: standings[key] for key in parents}, batch.related)
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
        work.along.append(Along(path, keys, detach=detach))
        work.along_counts[name] += len(keys)
        work.effects[CHILDREN] += len(keys)
        work.children.extend(self._intents.along(attempt, policy, name, path, rows, said, detach=detach))

    def _changes(self, work: _Work, *, whole: bool) -> Changes:
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
        columns = [self._treaters[name].of_rows(self._judge.position)(rows) for name in fields]
        return [(*verdict.key, *values) for verdict, values in zip(verdicts, zip(*columns, strict=True), strict=True)]

    def _leave_out(self, work: _Work, undone: Sequence[Undone]) -> None:
        """Take what the system left as it was out of what the batch will be said to have done."""
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
                work.skipped.append(_Skipped(reference, str(each.why), answer=each.answer if _ANSWER.fullmatch(each.answer) else ""))
            work.effects[did] -= 1
            work.excluded.append(reference)
            work.stayed.append(record_token(self._judge.standing.secret, name, each.key))

    # --- What is said about it ----------------------------------------------------------------------------------------------------

    def _close(
        self,
        attempt: str,
        closing: Closing,
        effects: Mapping[str, int],
        digest: str,
        skipped: Sequence[_Skipped],
        *,
        left_out: _Work | None = None,
    ) -> None:
        """Say how the batch ended, in the trail and in the ledger; `left_out` knows what of a committed one was not done."""
        self._say_skipped(attempt, skipped)
        excluded, stayed = (left_out.excluded, left_out.stayed) if left_out is not None else ([], [])
        fields = closing_fields(attempt, closing, digest=digest, count=sum(effects.values()), excluded=excluded)
        # What the ledger could say again needs no flush of its own (see `resaying`).
        plain = closing is Closing.COMMITTED and not skipped and not excluded
        self._machine.trail.emit(
            Action.BATCH_CLOSED, {**fields, "retention.run": self._run_id, "retention.source": self._policy.source.name}, sync=not plain
        )
        known = {**effects, **({UNDONE: len(excluded)} if excluded else {})}
        state: BatchEnd = "committed" if closing is Closing.COMMITTED else "rolled_back"
        self._machine.ledger.close_batch(attempt, state, known, digest, stayed=frozenset(stayed))

    def _say_skipped(self, attempt: str, skipped: Sequence[_Skipped]) -> None:
        """Write an event for every planned record that was left as it is; what is gone already is counted only."""
        for each in skipped:
            if each.reason == GONE:
                continue
            held = each.reason == HELD
            self._machine.trail.emit(
                Action.RECORD_HELD if held else Action.RECORD_SKIPPED,
                {
                    **({} if held else {"event.reason": each.reason}),
                    "rule.id": self._policy.id,
                    "retention.run": self._run_id,
                    "retention.batch": attempt,
                    "retention.source": self._policy.source.name,
                    "retention.record": each.reference,
                    **by_kind(each.by),
                    **({"retention.subjects": each.subjects} if each.subjects else {}),
                    **({"retention.answer": each.answer} if each.answer else {}),
                },
            )
