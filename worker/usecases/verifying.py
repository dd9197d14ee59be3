"""Reading back whether what was reported is so.

`ReadBack` asks right after a batch's commit, on another connection, for what the batch's own selection still finds. `verify` does it
again at any later time and thoroughly: every record of the batches' key ranges is compared with the effects in the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.audit.lines import archived_files
from worker.audit.outcomes import End, ends
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError
from worker.ports import KeyRange, OpenSource
from worker.usecases.batching import BatchResult
from worker.usecases.gathering import Gathered
from worker.usecases.judging import Judging, by_policy
from worker.usecases.machine import Machine
from worker.usecases.planning import open_range
from worker.usecases.reconciling import intents_of, ref_key
from worker.usecases.reporting import UNDONE, action


class ReadBack:
    """Reads back batches of one source right after their commit, on a connection of its own."""

    def __init__(
        self, machine: Machine, policy: Policy, source: OpenSource, gathered: Gathered, ref_secret: bytes, judging: Judging = by_policy
    ) -> None:
        self._judge = judging(machine, policy, gathered)
        self._source = source
        self._referrer = Referrer(ref_secret, policy.source.name)

    def still_there(self, within: KeyRange, planned: Collection[str], outcome: BatchResult) -> int:
        """Return how many of the planned records are still due although they were not skipped: 0 when everything took effect."""
        found = 0
        with self._source.reader() as reader:
            for page in reader.rows(self._judge.selection(), self._judge.columns, within=within):
                for verdict in self._judge.judge(page, reader.related):
                    if action(verdict.judged.decision) is not None and self._referrer.reference(verdict.key) in planned:
                        found += 1
        skipped = sum(count for reason, count in outcome.skipped.items() if reason != "gone")
        return max(0, found - skipped)


@dataclass
class Verified:
    """What a run's verification found, by source: records absent as reported, treated as reported, and those that are not."""

    gone: dict[str, int] = field(default_factory=dict)
    treated: dict[str, int] = field(default_factory=dict)
    still_there: dict[str, int] = field(default_factory=dict)
    untreated: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything is as it was reported."""
        return not (any(self.still_there.values()) or any(self.untreated.values()))


def verify(machine: Machine, run_id: str, progress: Callable[[str, int], None] | None = None) -> Verified:
    """Compare every effect of a run with what is in the systems now; ConfigurationError when there is no such run."""
    if machine.ledger.run(run_id) is None:
        raise ConfigurationError(f"There is no run {run_id}. `retention runs` lists them.")
    result = Verified()
    opened: dict[str, OpenSource] = {}
    closed: dict[tuple[str, str], End] | None = None
    for row in machine.ledger.batches(run_id):
        if row.state not in ("committed", "resolved_after_crash", "presumed") or not row.effects:
            continue
        policy = machine.policy(row.source)
        source = opened.setdefault(row.source, machine.open_source(policy.source))
        intents = [each for each in intents_of(machine, row) if each["retention.source"] == row.source]
        if UNDONE in row.effects:
            # Which ones only the closing event says, and it may stand in another process's file.
            closed = ends(archived_files(machine.settings.audit_folder)) if closed is None else closed
            end = closed.get((row.batch_id, row.root or ""))
            if end is None:
                raise ConfigurationError(f"The end of batch {row.batch_id} is not in the audit folder: bring its file back.")
            intents = [each for each in intents if end.took_effect(each)]
        deleted = {str(each["retention.record"]) for each in intents if each["event.action"] == str(Action.RECORD_DELETED)}
        treated = {
            str(each["retention.record"]): each["retention.fields"]
            for each in intents
            if each["event.action"] in (str(Action.RECORD_PSEUDONYMISED), str(Action.FIELDS_TREATED))
        }
        referrer = Referrer(ref_key(machine, row).secret, row.source)
        within = open_range(machine, row.batch_id, row.sealed_range)
        columns = policy.examined if treated else ()
        width = len(policy.source.key)
        positions = {name: width + place for place, name in enumerate(columns)}
        are_treated = {name: each.in_rows(positions.__getitem__)[1] for name, each in machine.treaters(policy).items()} if treated else {}
        there, left = 0, 0
        with source.reader() as reader:
            for page in reader.rows(EVERYTHING, columns, within=within):
                for found in page:
                    reference = referrer.reference(found[:width])
                    there += reference in deleted
                    fields = treated.get(reference)
                    if isinstance(fields, list):
                        left += any(not are_treated[name](found) for name in fields)
        for counter, count in (
            (result.gone, len(deleted) - there),
            (result.still_there, there),
            (result.treated, len(treated) - left),
            (result.untreated, left),
        ):
            counter[row.source] = counter.get(row.source, 0) + count
        machine.trail.emit(
            Action.BATCH_VERIFIED,
            {
                "event.outcome": "failure" if there or left else "success",
                "retention.run": run_id,
                "retention.batch": row.batch_id,
                "retention.source": row.source,
                "retention.count": there + left,
            },
        )
        if progress is not None:
            progress(row.source, row.planned)
    return result
