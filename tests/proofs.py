"""The trail of a small story about two people, out of which tests make proofs for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.trails import SECOND, Process
from worker.audit.events import Action, Closing, closing_fields
from worker.audit.lines import Segment, files
from worker.audit.note import Signer
from worker.audit.proof import Proof, Reference, signed
from worker.audit.proving import prove
from worker.audit.render import instant, payload

SIGNER = Signer.of("retention-worker/e-000001", bytes(range(32)))
THIEF = Signer.of("retention-worker/e-000002", bytes(32))
AT = "2026-07-01T08:00:00.000Z"
POLICY = "sha256:5d0e"
REASON = 'contact ended on 2026-06-01: its "period" is over'


def digits(name: str) -> str:
    """Return a reference that stands for a name."""
    return name.encode().hex().ljust(32, "0")[:32]


PERSON, OTHER = digits("person"), digits("other")
"""How contacts refer to two people."""
EVERYWHERE, OTHER_EVERYWHERE = digits("person*"), digits("other*")
"""How holds and requests refer to them."""
UNUSED = digits("unused")
REFERENCES = (
    Reference("a-000001", 2026, "contacts", PERSON),
    Reference("a-000001", 2026, "*", EVERYWHERE),
    Reference("a-000001", 2026, "members", UNUSED),
)


def intent(process: Process, batch: str, record: str, *subjects: str, action: Action = Action.RECORD_DELETED, **more: Any) -> bytes:
    """Return the line that says what is about to be done to a record."""
    child = action in (Action.CHILD_DELETED, Action.CHILD_DETACHED)
    said = {"retention.due": "2026-06-01", "retention.deadline": "2026-06-08", "retention.purposes": ["contact"]}
    return payload(
        {
            "@timestamp": instant(process.at),
            "event.action": action,
            "rule.id": "contacts",
            "rule.version": POLICY,
            "retention.run": "run-1",
            "retention.batch": batch,
            "retention.source": "contacts.notes" if child else "contacts",
            "retention.record": digits(record),
            "event.reason": REASON,
            **({} if child else {"retention.level": "permanent", **said}),
            **({"retention.subjects": list(subjects)} if subjects else {}),
            **{name if "." in name else f"retention.{name}": value for name, value in more.items()},
        }
    )


def close(process: Process, batch: str, made: Segment, count: int, excluded: Sequence[str] = ()) -> None:
    """Say how a batch ended."""
    how = Closing.COMMITTED if count else Closing.ROLLED_BACK
    fields = closing_fields(batch, how, digest=made.root, count=count, excluded=excluded)
    process.trail.emit(Action.BATCH_CLOSED, {**fields, "retention.run": "run-1", "retention.source": "contacts"})


def request(process: Process, name: str, whom: str) -> None:
    """Say that a person asks to be erased."""
    members = {"received_on": "2026-06-20", "answer_by": "2026-07-20", "verified": True, "by": "tester"}
    process.say(Action.REQUEST_ADDED, request=name, request_kind="erase", subjects=[whom], **members)


def story(folder: Path, *, died: int = 0, version: str = POLICY, reason: str = REASON) -> list[Path]:
    """Write what happened to two people over two processes, and return the files.

    The first deletes a record of each of them and a note in one batch, fails at another, and dies after the intents of a third, which the
    second closes. A case's hold keeps a record of the person; the other one's request ended a purpose of it. died -- how many of the
    processes do, unsigned; version, reason -- what the intents of the first batch say.
    """
    because = {"rule.version": version, "event.reason": reason}
    with Process(folder, sign=SIGNER.sign) as first:
        request(first, "request-0000000a", EVERYWHERE)
        request(first, "request-0000000b", OTHER_EVERYWHERE)
        hold = {"hold_kind": "dispute", "source": "*", "review_on": "2026-12-01", "by": "tester"}
        first.say(Action.HOLD_PLACED, hold="hold-0000000a", scope="case", **hold)
        first.say(Action.HOLD_PLACED, hold="hold-0000000b", scope="subject", subjects=[OTHER_EVERYWHERE], **hold)
        lines = [intent(first, "p-0", f"r{number}", digits(f"s{number}")) for number in range(5)]
        lines += [
            intent(first, "p-0", "mine", PERSON, requests=["request-0000000a", "request-0000000b"], **because),
            intent(first, "p-0", "note", action=Action.CHILD_DELETED, relation="notes", parent=digits("mine")),
            intent(first, "p-0", "theirs", OTHER),
            intent(first, "p-0", "left", digits("s9")),
        ]
        close(first, "p-0", first.trail.write(lines), len(lines) - 1, [digits("left")])
        first.say(Action.BATCH_VERIFIED, run="run-1", batch="p-0", source="contacts", count=0)
        tried = first.trail.write([intent(first, "p-1", "second", PERSON), intent(first, "p-1", "others", OTHER)])
        close(first, "p-1", tried, 0)
        members = {"run": "run-1", "batch": "p-2", "source": "contacts"}
        held = {
            "rule.id": "contacts",
            "retention.holds": ["hold-0000000a"],
            "retention.record": digits("third"),
            "retention.subjects": [PERSON],
        }
        first.trail.emit(Action.RECORD_HELD, {**{f"retention.{name}": value for name, value in members.items()}, **held})
        first.trail.emit(
            Action.RECORDS_HELD,
            {
                "rule.id": "contacts",
                "rule.version": POLICY,
                "retention.plan": "p",
                "retention.source": "contacts",
                "retention.hold": "hold-0000000a",
                "retention.count": 17,
            },
        )
        first.trail.checkpoint()
        crashed = first.trail.write([intent(first, "p-3.0", "third", PERSON), intent(first, "p-3.0", "fourth", OTHER)])
        first.say(Action.CLOCK_SUSPECT, event_reason="the clock went back")
        first.say(Action.REQUEST_CLOSED, request="request-0000000a", by="tester")
        first.say(Action.CLOCK_SUSPECT, event_reason="the clock went back")
        if died:
            first.trail._abandon()
    with Process(folder, first.at + SECOND, sign=SIGNER.sign) as second:
        close(second, "p-3.0", crashed, 2)
        second.say(Action.BATCH_VERIFIED, run="run-1", batch="p-3", source="contacts", count=1)
        second.say(Action.HOLD_RELEASED, hold="hold-0000000a", by="tester")
        if died > 1:
            second.trail._abandon()
    return files(folder)


def proof_of(paths: Sequence[Path], references: Sequence[Reference] = REFERENCES) -> Proof:
    """Return the signed proof for whom the references mean."""
    return signed(prove(paths, references, asked="subject", organisation="Small firm", made_at=AT), SIGNER.sign)
