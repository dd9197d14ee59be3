"""After a crash: every batch that was left open gets its final state, by the commit witness where there is one, else by reading back.

With transactions a batch is read back as a whole; without them every record is, because any part of it may be done.

Runs inside the run lock of the sources concerned, so nobody else can be working on the batches.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import sleep
from typing import cast

from worker.audit.accounts import WORDS
from worker.audit.events import INTENTS, Action, Closing, closing_fields
from worker.audit.read import segment
from worker.core.refs import Referrer
from worker.core.select import EVERYTHING
from worker.errors import AuditUnavailable, Busy, ConfigurationError, LedgerUnreachable, RetentionError, Retriable, SourceFailed
from worker.keys import Key
from worker.ledger.rows import BatchRow, Lease, PlanRow, RunRow
from worker.ledger.work import BatchEnd
from worker.ports import Begun, OpenSource, Resolution
from worker.ports import Key as KeyParts
from worker.usecases.batching import BatchResult
from worker.usecases.halves import forget_ended, is_halving, of_batch, seal
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.planning import open_range
from worker.usecases.reporting import ACTIONS, UNDONE
from worker.usecases.retrying import patience
from worker.usecases.sorting import CHANGED, GONE

TOOK_EFFECT = ("committed", "resolved_after_crash", "presumed")
PART_MARK = "."
"""What stands in the id of a part of a batch that had to be halved."""
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1


def reconcile(machine: Machine, sources: Collection[str], failed: dict[str, str] | None = None, *, abandon: bool = False) -> list[BatchRow]:
    """End every batch of these sources that a dead process left open, and the runs they belonged to; return those batches.

    abandon -- end spread runs too, which other workers could go on with. Raises Busy while a worker is at a batch of these sources.
    failed -- takes, by source, why its batches can't be ended now: nothing may be written there, and the other sources go on. Without it
    the error is raised.
    """
    ended: list[BatchRow] = []
    for run in machine.ledger.open_runs():
        order = machine.ledger.order(run.run_id)
        if order is not None and (abandon or not order.spread):
            _halt(machine, run.run_id, sources)
    for row in machine.ledger.unfinished():
        if row.source not in sources:
            continue
        try:
            # After a power failure the worker may be up before the systems are.
            for attempt in patience(machine, source=row.source):
                with attempt:
                    _end_batch(machine, row)
        except (AuditUnavailable, LedgerUnreachable):
            raise
        except RetentionError as error:
            # Whatever it is, a damaged trail or a lost key too: it is a matter of this source, and no reason to leave the others.
            if failed is None:
                raise
            failed[row.source] = f"What became of a batch that a crash left open can't be found out now: {error}"
        else:
            ended.append(row)
    for run in machine.ledger.open_runs():
        order = machine.ledger.order(run.run_id)
        unprepared = order is not None and order.phase == "preparing" and not machine.ledger.lives(order.owner)
        if order is not None and order.spread and not abandon and not unprepared:
            continue
        counts: dict[str, dict[str, int]] = {}
        final: dict[str, list[str]] = {}
        mine = _sources_of(machine, run)
        for batch in machine.ledger.batches(run.run_id):
            found = counts.setdefault(batch.source, {"acted": 0})
            found["acted"] += sum((batch.effects or {}).get(each, 0) for each in ACTIONS)
            final.setdefault(batch.source, []).append(batch.batch_id)
        # Whoever holds the lock of a run's sources knows that the run is over, whatever its process number says now, and wherever it was.
        over = unprepared or bool((mine | counts.keys()) & set(sources)) or _process_is_gone(run)
        if over and not machine.ledger.unfinished(run.run_id):
            for name in final.keys() & set(sources):
                # Witnesses that can't be dropped now do no harm where they are.
                with suppress(SourceFailed, Retriable):
                    machine.open_source(machine.policy(name).source).forget(final[name])
            machine.ledger.end_run(run.run_id, "resolved_after_crash", counts, 1)
            machine.trail.emit(
                Action.RUN_ENDED,
                {"event.outcome": "unknown", "event.reason": "its process died; resolved by a later run", "retention.run": run.run_id},
                sync=True,
            )
    forget_ended(machine, sources)
    return ended


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier attempts at a batch came to. whole -- one of them did all of it."""

    result: BatchResult
    whole: bool = False

    def added_to(self, later: BatchResult) -> BatchResult:
        """Return both together: what is done already, the later attempt found gone or treated, and that is no skip."""
        left = sum(self.result.effects[each] for each in ACTIONS)
        for reason in (GONE, CHANGED):
            explained = min(left, later.skipped[reason])
            later.skipped[reason] -= explained
            left -= explained
        later += self.result
        return later


NOTHING_BEFORE = Before(BatchResult())


def settle(machine: Machine, lease: Lease) -> Before:
    """End what earlier leases of a batch left open in the same run, and return what they came to.

    Raises SourceFailed or Retriable when the source can't tell now; then nothing of the batch may be done.
    """
    result, whole = BatchResult(), False
    for known in machine.ledger.attempts(lease.run_id, lease.source, lease.number):
        row = known
        if row.state in ("pending", "intended"):
            try:
                _end_batch(machine, row)
            except RetentionError as error:
                if isinstance(error, (SourceFailed, Retriable)):
                    raise
                # Its worker lives after all and was quicker; what it says then stands in the ledger.
            row = machine.ledger.batch(row.batch_id) or row
            if row.state in ("pending", "intended"):
                raise SourceFailed(f"{row.source}: what became of batch {row.batch_id} can't be found out now.")
        if row.state in TOOK_EFFECT and row.effects:
            result.effects.update({each: count for each, count in row.effects.items() if each != UNDONE})
            result.along.update((row.intended or {}).get("along", {}))
            whole = whole or (PART_MARK not in row.batch_id and UNDONE not in row.effects)
    return Before(result, whole)


def _end_batch(machine: Machine, row: BatchRow) -> None:
    """Find out what became of a batch, and say it."""
    if row.state == "pending":
        _close(machine, row, took_effect=False, presumed=False)
        return
    source = machine.open_source(machine.policy(row.source).source)
    resolution = source.resolve(row.batch_id, row.witness or {})
    if resolution is None and not source.transactional:
        _close(machine, row, took_effect=True, presumed=True, found=_find(machine, row, source))
        return
    presumed = resolution is None or resolution in (Resolution.PRESUMED_COMMITTED, Resolution.PRESUMED_ROLLED_BACK)
    if resolution is None:
        resolution = _read_back(machine, row, source)
    _close(machine, row, took_effect=resolution in (Resolution.COMMITTED, Resolution.PRESUMED_COMMITTED), presumed=presumed)


def _halt(machine: Machine, run_id: str, sources: Collection[str]) -> None:
    """Have no more batches of a run of these sources taken, and wait for workers that are at one. Busy when that takes too long."""
    ledger = machine.ledger
    if not sources or not {each.source.source for each in ledger.work_of(run_id)} & set(sources):
        return
    ledger.halt_order(run_id, ledger.worker)
    for _ in range(round(_PATIENCE_SECONDS / _POLL_SECONDS)):
        if not any(lasts and ledger.lives(worker) for worker, lasts in ledger.leases(run_id)):
            return
        sleep(_POLL_SECONDS)
    ledger.reopen_order(run_id, ledger.worker)
    raise Busy(f"A worker is still at a batch of the run {run_id}. Nothing was written; try again in a few minutes.")


def _sources_of(machine: Machine, run: RunRow) -> set[str]:
    """Return the sources of a run: those of its plan, which a run that died before its first batch has as well."""
    plan = machine.ledger.plan(run.plan_id) if run.plan_id is not None else None
    return {*(plan.policies if plan is not None else ()), *(each.source.source for each in machine.ledger.work_of(run.run_id))}


def _process_is_gone(run: RunRow) -> bool:
    """Whether a run's process is known to have ended: it ran on this host and its number is free, or ours."""
    if run.host != socket.gethostname():
        return False
    if run.pid == os.getpid():
        return True
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def intents_of(machine: Machine, row: BatchRow) -> list[dict[str, object]]:
    """Return the intents of a batch out of the audit trail, checked against the root that the ledger kept."""
    if row.stream is None or row.first is None or row.count is None:
        return []
    payloads = segment(machine.settings.audit_folder, row.stream, row.first, row.count, root=row.root)
    return [dict(payload) for payload in payloads if payload.get("event.action") in INTENTS]


def _read_back(machine: Machine, row: BatchRow, source: OpenSource) -> Resolution:
    """Presume what became of a batch from what is there.

    Records that were to be deleted and are still there mean that it was rolled back. Where none was to be deleted, it was committed when
    more of the records that are there are treated than not: none was before, and a few may have been changed since.
    """
    intents = [each for each in intents_of(machine, row) if each["retention.source"] == row.source]
    deleted = {str(each["retention.record"]) for each in intents if each["event.action"] == str(Action.RECORD_DELETED)}
    fields = {
        str(each["retention.record"]): [str(name) for name in names]
        for each in intents
        if isinstance(names := each.get("retention.fields"), list)
    }
    policy = machine.policy(row.source)
    columns = () if deleted else policy.examined
    referrer = Referrer(ref_key(machine, row).secret, row.source)
    width = len(source.spec.key)
    positions = {name: width + place for place, name in enumerate(columns)}
    are_treated = {} if deleted else {name: each.in_rows(positions.__getitem__)[1] for name, each in machine.treaters(policy).items()}
    within = open_range(machine, row.batch_id, row.sealed_range)
    treated: Counter[bool] = Counter()
    with source.reader() as reader:
        for page in reader.rows(EVERYTHING, columns, within=within):
            for found in page:
                reference = referrer.reference(found[:width])
                if reference in deleted:
                    return Resolution.PRESUMED_ROLLED_BACK
                if not deleted and reference in fields:
                    treated[all(are_treated[name](found) for name in fields[reference])] += 1
    return Resolution.PRESUMED_COMMITTED if deleted or treated[True] > treated[False] else Resolution.PRESUMED_ROLLED_BACK


@dataclass
class _Found:
    """What of a batch did not take effect, as reading back shows: references, and tokens of those that were to be deleted.

    half -- rows along whose deletion came half way; None in a system where that can't be.
    """

    undone: set[str] = field(default_factory=set)
    stayed: set[bytes] = field(default_factory=set)
    half: Sequence[Begun] | None = None


def _find(machine: Machine, row: BatchRow, source: OpenSource) -> _Found:
    """Find out record by record what became of a batch in a system without transactions, where a crash leaves any part of it done.

    A record that was to be deleted and is there was not; one that was to be treated was, when it is there with every field treated. Rows
    along are looked for with the records that are still there; those of records that are gone went before them. Where a deletion takes
    several steps each of them is looked for by its own key too.
    """
    secret = ref_key(machine, row).secret
    policy, intents = machine.policy(row.source), intents_of(machine, row)
    referrer = Referrer(secret, row.source)
    match_secret, width = machine.keyring.match().secret, len(source.spec.key)
    own = {str(each["retention.record"]): each for each in intents if "retention.parent" not in each}
    along = [each for each in intents if "retention.parent" in each]
    parents = {str(each["retention.parent"]) for each in along}
    fields = {reference: cast("list[str]", each.get("retention.fields", [])) for reference, each in own.items()}
    columns = policy.examined if any(fields.values()) else ()
    positions = {name: width + place for place, name in enumerate(columns)}
    are_treated = {name: each.in_rows(positions.__getitem__)[1] for name, each in machine.treaters(policy).items()} if columns else {}
    found = _Found({reference for reference, names in fields.items() if names})
    there: dict[str, KeyParts] = {}
    with source.reader() as reader:
        for page in reader.rows(EVERYTHING, columns, within=open_range(machine, row.batch_id, row.sealed_range)):
            for read in page:
                reference = referrer.reference(read[:width])
                if reference not in own:
                    continue
                key: KeyParts = read[:width]  # type: ignore[assignment]
                if reference in parents:
                    there[reference] = key
                if not fields[reference]:
                    found.undone.add(reference)
                    found.stayed.add(record_token(match_secret, row.source, key))
                elif all(are_treated[name](read) for name in fields[reference]):
                    found.undone.discard(reference)
        for name, path in {(str(each["retention.source"]), str(each["retention.relation"])) for each in along} if there else ():
            referrer = Referrer(secret, name)
            left = reader.related(path.split("."), list(there.values()), ())
            found.undone.update(referrer.reference(read) for _, read in left)
            found.stayed.update(record_token(match_secret, name, read) for _, read in left)
    if is_halving(source):
        names = {tuple(str(each["retention.relation"]).split(".")): str(each["retention.source"]) for each in along}
        found.half = source.half_gone(of_batch(machine, row))
        found.undone.update(Referrer(secret, names[each.path]).reference(each.key) for each in found.half)
        found.stayed.update(record_token(match_secret, names[each.path], each.key) for each in found.half)
    # Rows that hang on the record now and were no part of the batch are not the batch's to name.
    found.undone.intersection_update(str(each["retention.record"]) for each in intents)
    return found


def ref_key(machine: Machine, row: BatchRow) -> Key:
    """Return the key that made the references of a batch; ConfigurationError when it was destroyed or lost."""
    run = machine.ledger.run(row.run_id)
    plan = machine.ledger.plan(run.plan_id) if run is not None and run.plan_id is not None else None
    key = machine.keyring.find(plan.ref_key_id) if plan is not None else None
    if key is None:
        raise ConfigurationError(f"The key that made the references of batch {row.batch_id} is not in the key file: it can't be read back.")
    return key


def key_of_plan(machine: Machine, plan: PlanRow) -> Key:
    """Return the key that made the references of a plan; ConfigurationError when it was destroyed or lost."""
    key = machine.keyring.find(plan.ref_key_id)
    if key is None:
        raise ConfigurationError(f"The key that made the references of plan {plan.plan_id} is not in the key file: make a new plan.")
    return key


def _close(machine: Machine, row: BatchRow, *, took_effect: bool, presumed: bool, found: _Found | None = None) -> None:
    """Say what became of a batch, in the trail and in the ledger; `found` knows what of it did not take effect when others may have."""
    effects: Counter[str] = Counter()
    undone = found.undone if found is not None else set()
    if took_effect and row.intended is not None and not undone:
        # Its audit file may lie on another machine.
        effects.update(row.intended["effects"])
    elif took_effect:
        done = (each for each in intents_of(machine, row) if each["retention.record"] not in undone)
        effects.update(WORDS[str(each["event.action"])] for each in done)
    count = effects.total()
    excluded = sorted(undone) if count else ()
    fields = closing_fields(
        row.batch_id, Closing.RESOLVED_AFTER_CRASH, digest=row.root or "", count=count, excluded=excluded, presumed=presumed
    )
    machine.trail.emit(
        Action.BATCH_CLOSED,
        {**fields, "retention.run": row.run_id, "retention.source": row.source},
        sync=True,
    )
    if row.state == "pending":
        machine.ledger.close_batch(row.batch_id, "rolled_back", {}, "")
    else:
        known = {**effects, **({UNDONE: len(excluded)} if excluded else {})}
        stayed = found.stayed if found is not None else ()
        begun = None if found is None or found.half is None else seal(machine.keyring, row.batch_id, found.half)
        state: BatchEnd = "presumed" if presumed else "resolved_after_crash"
        machine.ledger.close_batch(row.batch_id, state, known, row.root or "", stayed=stayed, begun=begun)
