"""What the ledger keeps, as values: one frozen class for one kind of row, and the closed sets of their states.

Instants are aware UTC datetimes, days are local days of the organisation. Tokens are keyed: nothing here names a
person, except the operators who approved, placed or accepted something.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.errors import ConfigurationError

RunKind = Literal["apply", "run"]
RunState = Literal["running", "done", "partial", "failed", "refused", "findings", "resolved_after_crash"]
BatchState = Literal["pending", "intended", "committed", "rolled_back", "resolved_after_crash", "presumed"]
Phase = Literal["preparing", "open", "closing", "ended"]
WorkState = Literal["waiting", "leased", "done", "left", "set_aside"]
HoldKind = Literal["legal", "dispute", "restriction"]
HoldScope = Literal["record", "subject", "case", "category", "source"]
RequestKind = Literal["erase", "restrict", "object", "withdraw", "export"]
FindingKind = Literal[
    "undetermined",
    "uncovered",
    "unreadable",
    "overdue",
    "failed",
    "hold_review",
    "changed",
    "waiting",
    "review",
    "returned",
    "suppressed",
]

OF_A_RUN: tuple[FindingKind, ...] = ("changed", "failed")
"""Findings of records that only carrying out a plan can make."""

RunCounts = Mapping[str, Mapping[str, int]]
"""By source, then by word. The word `acted` is how many records the run acted on: the jump brake reads it."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes, and when it was given."""

    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns and child tables of a source that a person approved last."""

    source: str
    digest: str
    listing: Any
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan: what it was made from and where its file is. policies -- digest by source; mac -- of the file."""

    plan_id: str
    made_at: dt.datetime
    made_by: str
    as_of: dt.date
    expires_at: dt.datetime
    mac: str
    policies: Mapping[str, str]
    counts: Mapping[str, Any]
    path: str
    ref_key_id: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One execution of a plan. host and pid say where to look for it while it runs."""

    run_id: str
    plan_id: str | None
    kind: RunKind
    logical_date: dt.date
    started_at: dt.datetime
    host: str
    pid: int
    by: str
    state: RunState = "running"
    ended_at: dt.datetime | None = None
    counts: RunCounts = field(default_factory=dict)
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch of one source in one run.

    sealed_range -- the keys it covers, encrypted; planned -- how many records; stream, first, count, root -- where its
    intents are in the audit trail; witness -- how to find out after a crash whether the source committed;
    effects, digest -- what its closing event says; intended -- what it was about to do, for whoever has not got its audit file.
    """

    batch_id: str
    run_id: str
    source: str
    policy: str
    number: int
    sealed_range: str
    planned: int
    state: BatchState = "pending"
    witness: Mapping[str, Any] | None = None
    stream: str | None = None
    first: int | None = None
    count: int | None = None
    root: str | None = None
    intended_at: dt.datetime | None = None
    effects: Mapping[str, int] | None = None
    digest: str | None = None
    closed_at: dt.datetime | None = None
    intended: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What a run has to know, wherever it is worked on.

    spread -- any worker may take its batches, and whoever ends the last one closes it; else only the process that began it, and those that
    it started. owner -- the process that prepares it, carries it out or closes it. at_most -- see `apply_plan`; acted -- records so far.
    said -- what the plan and its preparation left to be said at the end.
    """

    run_id: str
    spread: bool
    owner: str
    at_most: int | None
    said: Mapping[str, Any]
    phase: Phase = "preparing"
    acted: int = 0


@dataclass(frozen=True, slots=True)
class RunSourceRow:
    """One source of a run, in its turn. lanes -- most batches at once, over all workers; after -- sources whose batches come first.

    planned -- records; failed -- why it was given up, None while it is worked on.
    """

    run_id: str
    source: str
    position: int
    lanes: int
    after: Sequence[str]
    planned: int
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A planned batch that waits for a worker. body -- the batch as `worker.planfile` packs it; token -- of its last lease."""

    run_id: str
    batch_id: str
    source: str
    number: int
    planned: int
    body: bytes
    token: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry out one planned batch: it counts only while no other lease of the batch has a higher token.

    attempt -- under which id its effects stand in the ledger and in the audit trail, one of its own for each lease.
    """

    run_id: str
    batch_id: str
    source: str
    number: int
    token: int
    tries: int
    worker: str

    @property
    def attempt(self) -> str:
        """The id of this attempt; the first one is the batch's own."""
        return attempt_id(self.batch_id, self.token)


def attempt_id(batch_id: str, token: int) -> str:
    """Return the id under which the lease with this token carries out a batch."""
    return batch_id if token == 1 else f"{batch_id}~{token}"


@dataclass(frozen=True, slots=True)
class SourceWork:
    """How far one source of an open run is: its batches by state. lapsed -- of those that are leased, how many leases ran out."""

    source: RunSourceRow
    waiting: int
    leased: int
    lapsed: int
    done: int

    @property
    def left(self) -> int:
        """How many batches are not done, unless they were set aside."""
        return self.waiting + self.leased

    @property
    def free(self) -> int:
        """How many more batches could be carried out at once now, those of other sources not considered."""
        return max(0, min(self.source.lanes - self.leased + self.lapsed, self.waiting + self.lapsed))


@dataclass(frozen=True, slots=True)
class NightRow:
    """That a scheduled run of a source for a local day was begun: once, whoever was told to. outcome -- None while it is being prepared."""

    source: str
    logical_date: dt.date
    owner: str
    begun_at: dt.datetime
    run_id: str | None = None
    outcome: str | None = None


RECORD = ":record"
"""Stands for a field where the day is that on which the record itself went, and the token its own."""


WHOSE = ":whose"
"""Stands for a field where records were cut loose from the one that said whom they are about: their own token, then those of that one."""


AMONG = ":among"
"""Stands for a field where one identifier that was treated or cut loose named several people: the record's own token, then theirs."""


@dataclass(frozen=True, slots=True)
class HighWater:
    """The days of one field of records that a batch disposes of, by the keyed tokens of their subjects (see also RECORD, WHOSE, AMONG).

    source -- of the records, which may be children that go along. blob -- for every token its 16 bytes and 4 of the day's ordinal, with two
    bits of their own; made and read by `worker.usecases.keptdays`.
    """

    source: str
    field: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What is kept of records that a batch deletes, to recognise them when they come back.

    facts -- the names of the fields that tell that it is the same record; erasure -- whether they were deleted while their subjects'
    erasure was asked for; day -- the local day of the deletion; ends_on -- the last day on which they are looked for; records -- how many;
    blob -- for every record one or more times 16 bytes each of its own token, that of the facts and that of an identifier (zeros: none);
    made and read by `worker.usecases.tombstones`. still -- the tokens, of 16 bytes each, of other records that were there after the run and
    are like these, so that they never count as come back; None while nobody has looked. batch_id and run_id are known of what was read back
    only.
    """

    source: str
    facts: tuple[str, ...]
    erasure: bool
    day: dt.date
    ends_on: dt.date
    records: int
    blob: bytes
    still: bytes | None = None
    batch_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What is kept of records that a batch deletes, so that their identifiers are not brought back.

    day -- the local day of the deletion; ends_on -- the last day on which they are suppressed; records -- how many; blob -- for every
    identifier 16 bytes each of its record's own token and of the identifier; made and read by `worker.usecases.suppressing`. still,
    batch_id and run_id -- as of tombstones.
    """

    source: str
    day: dt.date
    ends_on: dt.date
    records: int
    blob: bytes
    still: bytes | None = None
    batch_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down about a batch before its source commits.

    aliases -- see `Ledger.keep_aliases`; lease -- without which it doesn't count; intended -- effects by action, and rows that go along;
    begun -- sealed, the rows along whose deletion takes several steps.
    """

    batch_id: str
    witness: Mapping[str, Any]
    stream: str
    first: int
    count: int
    root: str
    aliases: bytes = b""
    high_water: tuple[HighWater, ...] = ()
    tombstones: tuple[Tombstones, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    lease: Lease | None = None
    intended: Mapping[str, Any] | None = None
    begun: str = ""


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold. Raises ConfigurationError when it doesn't say what its scope holds.

    token -- keyed canonical identifier of the record or subject; review_on -- the day a person looks again, which
    never releases it; released_at -- None while it is in force.
    """

    hold_id: str
    kind: HoldKind
    scope: HoldScope
    source: str | None
    token: str | None
    key_id: str | None
    case: str | None
    category: str | None
    owner: str
    reason: str
    review_on: dt.date
    placed_at: dt.datetime
    placed_by: str
    released_at: dt.datetime | None = None
    released_by: str | None = None

    def __post_init__(self) -> None:
        """Refuse a hold that would match nothing."""
        needed: Mapping[str, tuple[str, ...]] = {
            "record": ("source", "token", "key_id"),
            "subject": ("token", "key_id"),
            "case": ("case",),
            "category": ("category",),
            "source": ("source",),
        }
        if self.scope not in needed:
            raise ConfigurationError(f"There is no hold with scope {self.scope}: use one of {', '.join(needed)}.")
        missing = [name for name in needed[self.scope] if not getattr(self, name)]
        if missing:
            raise ConfigurationError(f"A hold with scope {self.scope} needs {' and '.join(missing)}.")


@dataclass(frozen=True, slots=True)
class RequestRow:
    """What a subject asked for.

    tokens -- keyed canonical identifiers; consent -- the one withdrawn, None is all; upheld -- an objection was decided for the subject.
    """

    request_id: str
    kind: RequestKind
    tokens: list[str]
    key_id: str
    consent: str | None
    marketing: bool
    verified_by: str | None
    received_on: dt.date
    answer_by: dt.date
    received_by: str
    closed_at: dt.datetime | None = None
    closed_by: str | None = None
    outcome: str | None = None
    upheld_at: dt.datetime | None = None
    upheld_by: str | None = None


@dataclass(frozen=True, slots=True)
class StopRow:
    """A stop that is in force. source -- its name, or `*` for all; why -- what the person said."""

    source: str
    why: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class FindingRow:
    """Something a person must look at: how many records share one kind, source, policy and reason."""

    kind: FindingKind
    source: str
    policy: str
    detail: str
    count: int

    @property
    def digest(self) -> str:
        """What makes it the same finding next night: everything but the count. 64 hexadecimal digits."""
        parts = json.dumps([self.kind, self.source, self.policy, self.detail], ensure_ascii=True)
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A finding that the last look at its source still saw."""

    finding: FindingRow
    digest: str
    first_seen: dt.datetime
    last_seen: dt.datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class AcceptedFinding:
    """A person's decision to live with a finding, through the day expires_on, while its count is at most max_count."""

    digest: str
    owner: str
    reason: str
    expires_on: dt.date
    max_count: int
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class MarkRow:
    """A fact about one record that a person typed in: the day something happened, or through which a review keeps it (and why)."""

    source: str
    record_token: str
    name: str
    day: dt.date
    by: str
    at: dt.datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DoneReview:
    """An attestation or a periodic review, by its id in the policy file, that somebody did on a local day."""

    declaration: str
    day: dt.date
    by: str
    note: str | None
    at: dt.datetime
