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

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from worker.audit.events import Action, Closing, closing_fields
from worker.audit.trail import room_for
from worker.core.model import Policy
from worker.errors import AuditUnavailable, RetentionError, Retriable, Skippable
from worker.ledger.rows import BatchRow, Intent, Lease
from worker.ledger.work import BatchEnd
from worker.log import get_logger
from worker.planfile import PlannedBatch
from worker.ports import (
    AFTER_CLOSE,
    AFTER_COMMIT,
    AFTER_FSYNC,
    AFTER_INTENT,
    AFTER_LOCK,
    AFTER_WRITE,
    BEFORE_COMMIT,
    BEFORE_LOCK,
    Begun,
    KeyRange,
    OpenSource,
    Resolution,
)
from worker.usecases.gathering import Gathered
from worker.usecases.halves import is_halving, seal
from worker.usecases.intents import IntentLines, by_kind
from worker.usecases.judging import Judging, by_policy
from worker.usecases.machine import Machine
from worker.usecases.planning import open_range, seal_range
from worker.usecases.remembering import remembered
from worker.usecases.reporting import UNDONE
from worker.usecases.sorting import FAILED, GONE, HELD, Skipped, Sorter, Work

_PAYLOAD_BYTES = 900
NAMED = 20
"""So many records that the system refuses to change are named one by one in a run's findings, and with the reason in the log."""


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
        self._refused = 0
        self._gathered = gathered
        self._sorter = self._new_sorter()
        # Selections can't tell what facts over several sources make due, so hardly ever would all rows of a range be taken rightly.
        alone = self._sorter.judge.plain and policy.only_deletes
        self._take = alone and not policy.shared and all(each.disposal is None for each in policy.source.relations)

    def _new_sorter(self) -> Sorter:
        """Return what sorts records by what stands now, and asks for what the trail and other sources' facts keep of a record that goes."""
        judge = self._judging(self._machine, self._policy, self._gathered, identifiers=True)
        return Sorter(self._machine, self._policy, judge, self._intents, self._ref_secret, halving=is_halving(self._source))

    def carry_out(self, planned: PlannedBatch, attempt: str, lease: Lease) -> BatchResult:
        """Carry out one batch under the id `attempt`, which the ledger has as pending, as long as the lease counts.

        A record that the system refuses to change is set aside: the batch is halved until it stands alone, and the rest is done. Raises
        Retriable when the system may be better later, AuditUnavailable when nothing may be written any more, LeaseLost.
        """
        self._lease = lease
        within = open_range(self._machine, planned.batch_id, planned.sealed_range, self._run_id)
        return self._halving(planned, within, attempt, dict(planned.records))

    def _halving(self, planned: PlannedBatch, within: KeyRange, attempt: str, records: Mapping[str, int]) -> BatchResult:
        """Carry out the batch, or when one record spoils it each half of it, down to the one."""
        try:
            return self._locked(planned, within, attempt, records, whole=len(records) == len(planned.records))
        except Skippable as error:
            known = self._machine.ledger.batch(attempt)
            if known is not None and known.state == "pending":
                self._machine.ledger.close_batch(attempt, "rolled_back", {}, "")
            if len(records) == 1:
                self._refused += 1
                if self._refused <= NAMED:
                    about = {"run": self._run_id, "source": planned.source, "record": next(iter(records))}
                    get_logger().warning("retention.record_refused", **about, why=str(error))
                self._say_skipped(attempt, [Skipped(reference, FAILED) for reference in records])
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
            if self._machine.ledger.standing_version() != self._sorter.judge.standing.version:
                self._sorter = self._new_sorter()
            self._machine.trail.reserve(room_for(2 * len(records), 2 * _PAYLOAD_BYTES * len(records)))
            self._machine.faults.reached(BEFORE_LOCK)
            try:
                take = self._take and whole and not self._sorter.judge.looks_at_parents
                return self._attempt(planned, within, attempt, records, barrier.confirm, take=take)
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
        faults, ledger, trail, sorter = self._machine.faults, self._machine.ledger, self._machine.trail, self._sorter
        begun = self._machine.monotonic()
        segment = None
        committing = False
        with self._source.batch(attempt, within, sorter.judge.selection(), sorter.judge.columns, take=take) as batch:
            faults.reached(AFTER_LOCK)
            work = sorter.sort(batch, planned, attempt, records)
            if take and len(work.acting) != len(batch.rows):
                raise NotWhole(f"{planned.source}: not every row of the range is to go")
            try:
                if work.acting:
                    segment = trail.write([*work.children, *self._intents.records(attempt, work.acting, sorter.identifiers)])
                    faults.reached(AFTER_FSYNC)
                    kept = remembered(self._machine, sorter.judge, work.acting, work.leaving, work.loosened)
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
                            begun=seal(self._machine.keyring, attempt, work.begun or ()),
                        )
                    )
                    faults.reached(AFTER_INTENT)
                    batch.write(sorter.changes(work, whole=len(work.acting) == len(batch.rows)))
                    faults.reached(AFTER_WRITE)
                    confirm_barrier()
                    if self._lease is not None:
                        self._confirm(self._lease)
                    faults.reached(BEFORE_COMMIT)
                    self._confirm_in_time(begun)
                    committing = True
                    sorter.leave_out(work, batch.commit())
                    self._gathered.treated(kept[0])
                    faults.reached(AFTER_COMMIT)
            except AuditUnavailable:
                raise
            except RetentionError as error:
                resolution = self._source.resolve(attempt, batch.witness) if committing else Resolution.ROLLED_BACK
                if resolution is Resolution.ROLLED_BACK:
                    half = None if work.begun is None else ()
                    self._close(attempt, Closing.ROLLED_BACK, Counter(), segment.root if segment else "", work.skipped, begun=half)
                    if committing and not isinstance(error, Skippable):
                        raise Retriable(f"{planned.source}: the commit of a batch failed, and it was rolled back; try again.") from None
                if resolution is not Resolution.COMMITTED:
                    # In doubt, it stays open: saying that it was rolled back could deny an effect. The next start reads it back.
                    raise
        if segment is not None and work.effects.total():
            self._close(attempt, Closing.COMMITTED, work.effects, segment.root, work.skipped, left_out=work)
        else:
            self._close(attempt, Closing.ROLLED_BACK, Counter(), segment.root if segment else "", work.skipped, begun=work.begun)
        faults.reached(AFTER_CLOSE)
        refused = [each.reference for each in work.skipped if each.reason == FAILED][:NAMED]
        return BatchResult(Counter(work.effects), Counter(each.reason for each in work.skipped), work.along_counts, refused)

    def _confirm_in_time(self, begun: float) -> None:
        """Raise Retriable when the batch took longer than batches may: by then somebody else may have been told to do it."""
        limit = self._machine.settings.batch_seconds
        if self._machine.monotonic() - begun > limit:
            raise Retriable(f"{self._policy.source.name}: a batch took longer than {limit} seconds and was rolled back.")

    # --- What is said about it ----------------------------------------------------------------------------------------------------

    def _close(
        self,
        attempt: str,
        closing: Closing,
        effects: Mapping[str, int],
        digest: str,
        skipped: Sequence[Skipped],
        *,
        left_out: Work | None = None,
        begun: Sequence[Begun] | None = None,
    ) -> None:
        """Say how the batch ended, in the trail and in the ledger; `left_out` knows what of a committed one was not done.

        begun -- the rows whose deletion came half way, of a batch of which nothing else was done.
        """
        self._say_skipped(attempt, skipped)
        excluded, stayed = (left_out.excluded, left_out.stayed) if left_out is not None else ([], [])
        begun = left_out.begun if left_out is not None else begun
        fields = closing_fields(attempt, closing, digest=digest, count=sum(effects.values()), excluded=excluded)
        # What the ledger could say again needs no flush of its own (see `resaying`).
        plain = closing is Closing.COMMITTED and not skipped and not excluded
        self._machine.trail.emit(
            Action.BATCH_CLOSED, {**fields, "retention.run": self._run_id, "retention.source": self._policy.source.name}, sync=not plain
        )
        known = {**effects, **({UNDONE: len(excluded)} if excluded else {})}
        state: BatchEnd = "committed" if closing is Closing.COMMITTED else "rolled_back"
        half = seal(self._machine.keyring, attempt, begun) if begun is not None else None
        self._machine.ledger.close_batch(attempt, state, known, digest, stayed=frozenset(stayed), begun=half)

    def _say_skipped(self, attempt: str, skipped: Sequence[Skipped]) -> None:
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
