"""The members that events of the audit trail may have: one name, one type, one meaning, whatever event it stands in.

Names come from the Elastic Common Schema where it has one (`@timestamp`, `event.*`, `process.pid`, `rule.*`, `service.*`, `trace.id`);
the others begin with `retention.`. Types are JSON Schema, so that the shipped schema and the document are made from this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Member:
    """One member. schema -- what its value may be, as JSON Schema; type_in_words -- the same for people."""

    name: str
    schema: dict[str, Any]
    type_in_words: str
    meaning: str


_DIGITS = "[0-9a-f]"
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _pattern(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_REFERENCE = _pattern(_DIGITS + "{32}")
_HASH = _pattern(_DIGITS + "{64}")
_DAY = _pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = _pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z")
_FLAG = {"type": "boolean"}

_KINDS: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "count": _COUNT,
    "day": _DAY,
    "instant, UTC": _INSTANT,
    "32 hex digits": _REFERENCE,
    "64 hex digits": _HASH,
    "true or false": _FLAG,
    "list of texts": _several(_TEXT),
    "list of 32 hex digits": _several(_REFERENCE),
}


def _member(name: str, kind: str | Sequence[str], meaning: str) -> Member:
    """Return a member of a kind above, or of one of the words given."""
    if isinstance(kind, str):
        return Member(name, _KINDS[kind], kind, meaning)
    return Member(name, {"enum": list(kind)}, ", ".join(kind), meaning)


_HOLD_KINDS = ("legal", "dispute", "restriction")
_SCOPES = ("record", "subject", "case", "category", "source")
_REQUEST_KINDS = ("erase", "restrict", "object", "withdraw", "export")
_FINDING_KINDS = (
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
)
_BRAKES = ("clock", "policy", "max_records", "max_share", "max_jump", "shape", "approval", "stop")
_LIMITS = ("stop", "time", "records", "errors", "lag", "transaction", "unanswered", "unseen")

TOTALS = (
    "acted",
    "delete",
    "pseudonymise",
    "treat",
    "children",
    *(f"skipped_{why}" for why in ("changed", "held", "gone", "failed", "busy")),
)
"""What is counted over all sources when a run ends, each as `retention.total.<word>`."""

_ALL = (
    _member("@timestamp", "instant, UTC", "When it was said."),
    _member("event.action", "text", "Which event this is."),
    _member("event.outcome", ("success", "failure", "unknown"), "How it went."),
    _member("event.reason", "text", "Why, in words; of a record every purpose with its state."),
    _member("process.pid", "count", "The number of the process."),
    _member("rule.id", "text", "The policy."),
    _member("rule.version", "text", "The digest of the policy's version."),
    _member("service.name", "text", "This program."),
    _member("service.version", "text", "Its version."),
    _member("trace.id", "32 hex digits", "Joins everything that one call of the program said; the stream's id."),
    _member("retention.answer", "text", "What the system said when it refused a record: its status and its own word for it."),
    _member("retention.answer_by", "day", "By when a request has to be answered."),
    _member("retention.as_of", "day", "The local day that is decided for."),
    _member("retention.batch", "text", "The batch."),
    _member("retention.batch_outcome", ("committed", "rolled_back", "resolved_after_crash"), "How the batch ended."),
    _member("retention.brake", _BRAKES, "Which brake tripped."),
    _member("retention.by", "text", "The person who said or did it: an operator or officer, never a data subject."),
    _member("retention.chain", "64 hex digits", "The chain value of the stream's last whole segment."),
    _member("retention.count", "count", "How many: records, effects, or what the event's meaning says."),
    _member("retention.counts", "text", "The plan's counts by source and word, as a JSON text."),
    _member("retention.deadline", "day", "By when it has to be carried out: due day and window, later after a hold's release."),
    _member("retention.declaration", "text", "The attestation or periodic review of the policy file."),
    _member("retention.digest", "text", "The root of the segment that holds the batch's intents; empty when there are none."),
    _member("retention.dropped", "count", "How many of those noted before are no longer among them."),
    _member("retention.due", "day", "The due day: the last day of keeping."),
    _member("retention.events_version", "count", "The version of this set of events."),
    _member("retention.excluded", "list of texts", "The records of intents that took no effect when others did."),
    _member("retention.exit_code", "count", "With which code the program ended."),
    _member("retention.facts", "text", "Facts that could not be locked, and when they were read again."),
    _member("retention.failed_sources", "list of texts", "Sources that could not be worked on."),
    _member("retention.fields", "list of texts", "The fields that are treated."),
    _member("retention.finding", "text", "The finding's id."),
    _member("retention.finding_kind", _FINDING_KINDS, "What kind of finding."),
    _member("retention.format", "count", "The version of the file's format."),
    _member("retention.hold", "text", "The hold's id."),
    _member("retention.hold_kind", _HOLD_KINDS, "Why disposition is suspended."),
    _member("retention.holds", "list of texts", "Holds that keep the record, or whose release moved its deadline."),
    _member("retention.keep", "text", "How long the policy file says that events keep what they say."),
    _member("retention.key", "text", "The key's id."),
    _member("retention.key_family", "text", "What the key is for."),
    _member("retention.length", "count", "The bytes after the last whole seal."),
    _member("retention.level", ("permanent", "soft"), "How gone a deleted record is in that system."),
    _member("retention.limit", _LIMITS, "Why a run waits or stops before its end."),
    _member("retention.line", "count", "The number of the line after the last whole seal."),
    _member("retention.mac", "64 hex digits", "The plan file's authentication code."),
    _member("retention.mark", "text", "The mark's name in the policy file."),
    _member("retention.new", "count", "How many of them are new."),
    _member("retention.newest", "day", "The local day of the newest event that was dropped."),
    _member("retention.note", "text", "A signed note in the form of C2SP; its text says how far the stream has come."),
    _member("retention.offset", "count", "The offset of that line in bytes."),
    _member("retention.oldest", "day", "The local day of the oldest event that was dropped."),
    _member("retention.on", "day", "The local day on which it happened."),
    _member("retention.parent", "32 hex digits", "Keyed reference of the record that a row goes with."),
    _member("retention.plan", "text", "The plan."),
    _member("retention.presumed", "true or false", "A crash was resolved by reading back, for want of a commit witness."),
    _member("retention.purposes", "list of texts", "The purposes that needed what goes and have ended; the due day is their latest."),
    _member("retention.ranges", "list of texts", "Segments by their numbers, each as first-last."),
    _member("retention.received_on", "day", "When the request came in."),
    _member("retention.record", "32 hex digits", "Keyed reference of the record: source and key under the year's key."),
    _member("retention.relation", "text", "The way from the record to the rows that go with it."),
    _member("retention.replay", "true or false", "The plan deletes what was deleted before and came back, and nothing else."),
    _member("retention.replaces", "text", "The id of the key that was in use until then."),
    _member("retention.request", "text", "The request's id."),
    _member("retention.request_kind", _REQUEST_KINDS, "What the subject asked for."),
    _member("retention.requests", "list of texts", "Requests that keep the record, or ended purposes of it."),
    _member("retention.review_on", "day", "When somebody looks at the hold again."),
    _member("retention.run", "text", "The run."),
    _member("retention.scope", _SCOPES, "What the hold is about."),
    _member("retention.sha256", "64 hex digits", "SHA-256 of those bytes, or of the note."),
    _member("retention.segments", "count", "The segments that a checkpoint covers: all before its own."),
    _member("retention.since", "day", "The first local day that was looked at."),
    _member("retention.shape", "text", "The digest of the source's columns and child tables."),
    _member("retention.source", "text", "The source; `*` for all."),
    _member("retention.stream", "32 hex digits", "The stream."),
    _member("retention.streams", "count", "The streams whose heads were signed."),
    _member(
        "retention.subjects",
        "list of 32 hex digits",
        "Keyed references of the person's identifiers, bound to the source; of a telephone number one for each way of writing it.",
    ),
    _member("retention.treatments", "list of texts", "What happens to each of the fields, in their order."),
    _member("retention.until", "day", "The last day for which it holds."),
    _member("retention.verified", "true or false", "Somebody checked that it is really this person who asks."),
    *(_member(f"retention.total.{word}", "count", f"Over all sources: {word.replace('_', ', ')}.") for word in TOTALS),
)

MEMBERS = {each.name: each for each in _ALL}
"""Every member by its name."""

SECONDS = "retention.seconds."
"""What the names of a plan's reading times begin with; the source follows."""
POLICIES = "retention.policies."
"""Behind this stands a source's name: which version of its policy a plan was made from. Only these two are not in the list."""
