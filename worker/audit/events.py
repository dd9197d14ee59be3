"""The closed set of things that can be said in the audit trail, and how a batch is closed.

A name that is not here can't be emitted, so a dashboard that knows these names knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from worker.audit.render import JsonValue


class Action(StrEnum):
    """What `event.action` may say, each with its meaning; `worker.audit.vocabulary` says which members its events have."""

    meaning: str

    def __new__(cls, name: str, meaning: str = "") -> Self:
        """Make an action of a name and a sentence that says what it means."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.meaning = meaning
        return made

    STREAM_OPENED = "retention.stream_opened", "A process started to write this file."
    STREAM_CLOSED = "retention.stream_closed", "The process ended in order; nothing follows in this file."
    STREAM_TORN = "retention.stream_torn", "An earlier file ends in something unsealed: its writer died while writing."
    STREAM_UNCLOSED = "retention.stream_unclosed", "An earlier file is whole, but its writer died without closing it."
    RUN_STARTED = "retention.run_started", "An execution began."
    RUN_ENDED = "retention.run_ended", "An execution ended, with its counts."
    PLAN_MADE = "retention.plan_made", "Decisions were frozen in a plan."
    PLAN_APPROVED = "retention.plan_approved", "A person said yes to a plan."
    PLAN_REFUSED = "retention.plan_refused", "A plan was not carried out: unapproved, expired, tampered with or outdated."
    BRAKE_TRIPPED = "retention.brake_tripped", "A limit stopped a run before any write."
    STOP_REQUESTED = (
        "retention.stop_requested",
        "Runs were stopped, by a person or for a ledger that is older than the trail: no batch begins.",
    )
    STOP_LIFTED = "retention.stop_lifted", "A person let runs go on."
    RUN_PAUSED = "retention.run_paused", "A run waits with the batches of a source, because its system is loaded or does not answer."
    RUN_STOPPED = "retention.run_stopped", "A run begins no more batches, of one source or of all; the rest of its plan is left."
    RECORD_DELETED = "retention.record_deleted", "Intent: a record is deleted."
    RECORD_PSEUDONYMISED = "retention.record_pseudonymised", "Intent: a record is pseudonymised."
    FIELDS_TREATED = "retention.fields_treated", "Intent: some fields of a record that stays are treated."
    CHILD_DELETED = "retention.child_deleted", "Intent: child rows of a record are deleted."
    CHILD_DETACHED = "retention.child_detached", "Intent: child rows are cut loose from their record and stay."
    RECORD_HELD = "retention.record_held", "A planned record was left as it is because something holds it."
    RECORD_SKIPPED = "retention.record_skipped", "A planned record was left as it is: it changed, or the system refused."
    RECORDS_HELD = "retention.records_held", "So many records of a source are due and kept by one hold or one request, says a plan."
    BATCH_CLOSED = "retention.batch_closed", "The end of a batch: what makes its intents effects, or not."
    BATCH_DEFERRED = "retention.batch_deferred", "The records of a batch could not be had, and wait for a later run."
    BATCH_VERIFIED = "retention.batch_verified", "The effects of a batch were read back."
    FINDING = "retention.finding", "Something a person must look at."
    FINDING_ACCEPTED = "retention.finding_accepted", "A person accepted a finding, with a reason and an expiry."
    HOLD_PLACED = "retention.hold_placed", "A hold is in force."
    HOLD_RELEASED = "retention.hold_released", "A hold is no longer in force."
    REQUEST_ADDED = "retention.request_added", "What a subject asked for was recorded."
    REQUEST_UPHELD = "retention.request_upheld", "A person decided that a subject objects rightly."
    REQUEST_CLOSED = "retention.request_closed", "A subject's request was answered."
    MARK_SET = "retention.mark_set", "A person said on which day something happened that no system knows."
    MARK_REMOVED = "retention.mark_removed", "A person took back what a mark said."
    REVIEW_ANSWERED = "retention.review_answered", "A person reviewed a record and chose to keep it through a day."
    REVIEW_DONE = "retention.review_done", "A person attested or reviewed what no system can enforce."
    STATES_OBSERVED = "retention.states_observed", "A run noted which records' states have ended, so that periods can run from then."
    POLICY_APPROVED = "retention.policy_approved", "A person approved a version of a policy."
    SOURCE_APPROVED = "retention.source_approved", "A person approved the shape of a source."
    SOURCE_FAILED = "retention.source_failed", "A source could not be worked on."
    KEY_CREATED = "retention.key_created", "A key was generated; its id, never its value."
    KEY_ROTATED = "retention.key_rotated", "A key, or their root, took the place of another; what was made with the old key is recognised."
    KEY_DESTROYED = "retention.key_destroyed", "A key was destroyed; what was made with it can no longer be attributed."
    CHECKPOINT = "retention.checkpoint", "The stream so far, signed."
    AUDIT_PRUNED = "retention.audit_pruned", "What old events of a stream said is dropped, with their salts; their hashes stay."
    ANCHORED = "retention.anchored", "The heads of all streams were signed for somebody else to keep."
    RECORD_RETURNED = (
        "retention.record_returned",
        "A plan found a record that a batch of an earlier run deleted there again, or an identifier that was suppressed then.",
    )
    SUPPRESSION_ENDED = (
        "retention.suppression_ended",
        "Identifiers are no longer suppressed: their time is over, or a newer consent is known.",
    )
    SUPPRESSION_RELEASED = "retention.suppression_released", "A person let somebody be brought back who was on the suppression list."
    TOMBSTONES_DROPPED = "retention.tombstones_dropped", "Tombstones that ended were dropped: their records are recognised no more."
    AGREEMENT_CHECKED = "retention.agreement_checked", "Trail, ledger and systems were compared; it says how many things don't agree."
    CLOCK_SUSPECT = "retention.clock_suspect", "The clock went back or leapt ahead."


INTENTS = frozenset(
    {
        Action.RECORD_DELETED,
        Action.RECORD_PSEUDONYMISED,
        Action.FIELDS_TREATED,
        Action.CHILD_DELETED,
        Action.CHILD_DETACHED,
    }
)
"""The events that say what is about to happen; only the closing event of their batch makes them effects."""


STRUCTURE = frozenset(
    {
        Action.STREAM_OPENED,
        Action.STREAM_CLOSED,
        Action.STREAM_TORN,
        Action.STREAM_UNCLOSED,
        Action.CHECKPOINT,
        Action.AUDIT_PRUNED,
        Action.KEY_CREATED,
        Action.KEY_ROTATED,
        Action.KEY_DESTROYED,
    }
)
"""The events that verifying and attributing the others needs: what they say is never dropped."""


class Closing(StrEnum):
    """How a batch ended, as `retention.batch_outcome` says it."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    RESOLVED_AFTER_CRASH = "resolved_after_crash"


def closing_fields(
    batch: str,
    outcome: Closing,
    *,
    digest: str,
    count: int,
    excluded: Sequence[str] = (),
    presumed: bool = False,
) -> dict[str, JsonValue]:
    """Return the members of a `retention.batch_closed` event, in the form that every reader joins on.

    digest -- root (hex) of the segment that holds the batch's intents; count -- how many of its intents took effect;
    excluded -- the `retention.record` of intents that did not, when the others did; presumed -- whether a crash was resolved
    by reading back, for want of a commit witness. A batch that was rolled back has the
    count 0, a committed one that excludes nothing counts all its intents, and one that was resolved after a crash counts
    what was found to have happened: all but the excluded, or 0. Raises ValueError for a count that can't be.
    """
    if count < 0 or (count and outcome is Closing.ROLLED_BACK):
        raise ValueError(f"a batch that is {outcome} can't have had {count} effects")
    fields: dict[str, JsonValue] = {
        "event.outcome": "success" if count or outcome is Closing.COMMITTED else "failure",
        "retention.batch": batch,
        "retention.batch_outcome": str(outcome),
        "retention.count": count,
        "retention.digest": digest,
    }
    if excluded:
        fields["retention.excluded"] = list(excluded)
    if presumed:
        fields["retention.presumed"] = True
    return fields
