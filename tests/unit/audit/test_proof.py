"""A proof for one person: what is in it, what is not, and that nothing of it can be changed unnoticed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs import (
    AT,
    EVERYWHERE,
    OTHER,
    OTHER_EVERYWHERE,
    PERSON,
    REFERENCES,
    SIGNER,
    UNUSED,
    close,
    digits,
    intent,
    proof_of,
    story,
)
from tests.thoroughness import examples
from tests.trails import DAY, MIDNIGHT, Process
from tests.unit.audit.changed_proof import KEYS, changed, flaws
from worker.audit.broken import Broken
from worker.audit.lines import files
from worker.audit.proof import BEGINNING, Malformed, Proof, Reference, Role, parsed, rendered
from worker.audit.proofcheck import Flaw, check
from worker.audit.proving import prove
from worker.audit.search import Became, search

SCHEMA = Path(__file__).parents[3] / "docs" / "retention-proof.schema.json"


def named(proof: Proof) -> list[tuple[str, Role, Became | None]]:
    """Return the events of a proof by the end of their action, in order."""
    return [(each.payload()["event.action"].removeprefix("retention."), each.role, each.became) for each in proof.events]


class TestMaking:
    """What a proof is made of."""

    def test_it_is_accepted_and_holds_the_whole_story(self, proof: Proof) -> None:
        """Every event about the person and what they lead to, what closed and read back their batches, over both processes."""
        verdict = check(rendered(proof), KEYS)
        assert ([], False) == (verdict.found, verdict.partial)
        assert (9, 0, 0) == (verdict.events, verdict.unsigned, verdict.not_read_back)
        assert Counter({Became.DONE: 3, Became.NOT_DONE: 1}) == verdict.became
        about, ends, back = Role.ABOUT, Role.CLOSING, Role.READ_BACK
        expected = [
            ("request_added", about, None),
            ("hold_placed", about, None),
            ("record_deleted", about, Became.DONE),
            ("child_deleted", about, Became.DONE),
            ("batch_closed", ends, None),
            ("batch_verified", back, None),
            ("record_deleted", about, Became.NOT_DONE),
            ("batch_closed", ends, None),
            ("record_held", about, None),
            ("record_deleted", about, Became.DONE),
            ("request_closed", about, None),
            ("batch_closed", ends, None),
            ("batch_verified", back, None),
            ("hold_released", about, None),
        ]
        assert Counter(expected) == Counter(named(proof))

    def test_nothing_is_in_it_about_anybody_else(self, proof: Proof) -> None:
        """Not the other's request, although the person's record names it; not their hold, their records or texts; no counts of many."""
        content = rendered(proof).decode()
        for word in (OTHER, OTHER_EVERYWHERE, "hold-0000000b", digits("theirs"), digits("s3"), "records_held"):
            assert word not in content
        requests = [each.payload() for each in proof.events if "request_added" in each.event]
        assert [[EVERYWHERE]] == [each["retention.subjects"] for each in requests]

    def test_it_says_what_the_search_finds(self, paths: list[Path], proof: Proof) -> None:
        """`audit subject` and a proof tell one story, but for holds that name nobody, and with the same ends."""
        found = Counter((each.stream, each.line - 1, each.became) for each in search(paths, {PERSON, EVERYWHERE, UNUSED}))
        told = {each.n: each for each in proof.events}
        more = Counter((each.stream, each.n, each.became) for each in proof.events if each.role is Role.ABOUT) - found
        assert found <= Counter((each.stream, each.n, each.became) for each in proof.events)
        assert {"hold_placed", "hold_released"} >= {told[n].payload()["event.action"].removeprefix("retention.") for _, n, _ in more}

    def test_one_record(self, paths: list[Path]) -> None:
        """Asked for by its reference, a record brings what went along with it, and what ended its batch."""
        made = proof_of(paths, [Reference("a-000001", 2026, "contacts", digits("mine"))])
        assert ([], 2) == ((verdict := check(rendered(made), KEYS)).found, verdict.events)
        assert ["child_deleted", "record_deleted"] == sorted(name for name, role, _ in named(made) if role is Role.ABOUT)

    def test_what_came_after_the_last_checkpoint(self, tmp_path: Path) -> None:
        """As long as no later process says how the stream ended it is proven up to its seal, counted, and said; the rest as ever."""
        made = proof_of(story(tmp_path / "audit", died=1)[:1])
        verdict = check(rendered(made), KEYS)
        assert ([], True, 2, 1) == (verdict.found, verdict.partial, verdict.unsigned, verdict.became[Became.OPEN])
        assert 2 == sum(segment.path is None for stream in made.streams for segment in stream.segments)

    def test_a_process_that_died_unsigned(self, died: Proof) -> None:
        """The next process recorded the end of its stream and signed that: all segments up to there hang on it by their chain."""
        verdict = check(rendered(died), KEYS)
        assert ([], False, 0) == (verdict.found, verdict.partial, verdict.unsigned)
        assert [Role.ENDING] == [each.role for each in died.events if "stream_unclosed" in each.event]
        assert [2] == [len(each.links) for each in died.streams if each.links]

    def test_several_that_died(self, tmp_path: Path) -> None:
        """The record of an end may be signed by the record of the next end; with the last one open, all of it is."""
        paths = story(tmp_path / "audit", died=2)
        verdict = check(rendered(proof_of(paths)), KEYS)
        assert ([], True, 6) == (verdict.found, verdict.partial, verdict.unsigned)
        Process(tmp_path / "audit", MIDNIGHT + DAY, sign=SIGNER.sign).trail._abandon()
        Process(tmp_path / "audit", MIDNIGHT + 2 * DAY, sign=SIGNER.sign).trail.close()
        made = proof_of(files(tmp_path / "audit"))
        verdict = check(rendered(made), KEYS)
        assert ([], False, 3) == (verdict.found, verdict.partial, sum(each.role is Role.ENDING for each in made.events))

    def test_another_end_than_was_recorded(self, tmp_path: Path) -> None:
        """A stream that was made anew behind its last checkpoint doesn't end in the chain value that was recorded: nobody stands for it."""
        first, second = story(tmp_path / "audit", died=1)
        lines = first.read_bytes().splitlines(keepends=True)
        first.write_bytes(b"".join(lines[:-2]))
        verdict = check(rendered(proof_of([first, second])), KEYS)
        assert ([], True, 2) == (verdict.found, verdict.partial, verdict.unsigned)

    def test_without_any_checkpoint(self, tmp_path: Path) -> None:
        """A trail that nobody signed gives a proof that says so of every event."""
        with Process(tmp_path / "audit") as process:
            close(process, "p-0", process.trail.write([intent(process, "p-0", "mine", PERSON)]), 1)
        verdict = check(rendered(proof_of(files(tmp_path / "audit"))), KEYS)
        assert ([], True, 2, 1) == (verdict.found, verdict.partial, verdict.unsigned, verdict.not_read_back)

    def test_a_trail_that_is_being_written(self, tmp_path: Path) -> None:
        """What is sealed so far can be proven while its writer lives; nobody has signed it yet."""
        with Process(tmp_path / "audit", sign=SIGNER.sign) as process:
            close(process, "p-0", process.trail.write([intent(process, "p-0", "mine", PERSON)]), 1)
            verdict = check(rendered(proof_of(files(tmp_path / "audit"))), KEYS)
        assert ([], True, 2, {Became.DONE: 1}) == (verdict.found, verdict.partial, verdict.unsigned, verdict.became)

    def test_an_intent_that_nothing_closes(self, tmp_path: Path) -> None:
        """It is told as open, which is no proof that anything was done."""
        with Process(tmp_path / "audit", sign=SIGNER.sign) as process:
            process.trail.write([intent(process, "p-0", "mine", PERSON)])
        verdict = check(rendered(proof_of(files(tmp_path / "audit"))), KEYS)
        assert ([], True, {Became.OPEN: 1}) == (verdict.found, verdict.partial, verdict.became)

    def test_a_batch_that_was_tried_again(self, tmp_path: Path) -> None:
        """Each try has its own end, and the end of one is never taken for that of the other."""
        with Process(tmp_path / "audit", sign=SIGNER.sign) as process:
            first = process.trail.write([intent(process, "p-0", "mine", PERSON), intent(process, "p-0", "x", OTHER)])
            second = process.trail.write([intent(process, "p-0", "mine", PERSON)])
            close(process, "p-0", second, 1)
            close(process, "p-0", first, 0)
        made = proof_of(files(tmp_path / "audit"))
        assert [Became.NOT_DONE, Became.DONE] == [each.became for each in made.events if each.became]
        assert [] == check(rendered(made), KEYS).found

    def test_nobody(self, paths: list[Path]) -> None:
        """Of somebody of whom the trail says nothing there is a proof without events."""
        assert ((), ()) == ((made := proof_of(paths, [Reference("a-000001", 2026, "contacts", UNUSED)])).events, made.streams)

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        """Nothing is proven out of a file that is not what was written."""
        for path in (found := story(tmp_path / "audit")):
            path.write_bytes(path.read_bytes().replace(b'"retention.due":"2026-06-01"', b'"retention.due":"2026-06-02"', 1))
        with pytest.raises(Broken, match="not those that were sealed"):
            proof_of(found)

    def test_lines_over_several_blocks(self, tmp_path: Path) -> None:
        """However long the file and wherever in it the person stands, they are found; files without them are not even verified."""
        with Process(tmp_path / "audit", sign=SIGNER.sign) as process:
            for number in range(4):
                lines = [intent(process, f"p-{number}", f"r{number}-{each}", digits(f"s{each}")) for each in range(2500)]
                lines[number * 833] = intent(process, f"p-{number}", f"mine{number}", PERSON)
                close(process, f"p-{number}", process.trail.write(lines), len(lines))
            crowd = process.trail.path
        assert crowd.stat().st_size > 4 << 20
        with Process(tmp_path / "audit", sign=SIGNER.sign) as process:
            process.trail.write([intent(process, "q-0", "theirs", OTHER)])
            process.trail.path.write_bytes(process.trail.path.read_bytes() + b"spoiled\n")
            process.trail._abandon()
        verdict = check(rendered(proof_of(files(tmp_path / "audit"))), KEYS)
        assert ([], 4, Counter({Became.DONE: 4})) == (verdict.found, verdict.events, verdict.became)


@settings(max_examples=examples(25), deadline=None)
@given(st.data())
def test_any_trail_gives_a_proof_that_is_accepted(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever happened to whom, in whatever batches: the proof is accepted and its outcomes are those that the search tells."""
    folder = tmp_path_factory.mktemp("any") / "audit"
    whom = st.lists(st.sampled_from([PERSON, OTHER, digits("third")]), max_size=2, unique=True)
    with Process(folder, sign=SIGNER.sign) as process:
        for number in range(data.draw(st.integers(0, 5))):
            people = data.draw(st.lists(whom, min_size=1, max_size=7))
            because = {"event.reason": data.draw(st.text(st.characters(codec="utf-8") | st.sampled_from('"\\,:{}'), max_size=9))}
            made = process.trail.write(
                [intent(process, f"p-{number}", f"r{number}-{at}", *each, **because) for at, each in enumerate(people)]
            )
            ends = data.draw(st.sampled_from(["closed", "rolled back", "open", "signed"]))
            if ends != "open":
                close(process, f"p-{number}", made, 0 if ends == "rolled back" else len(people))
            if ends == "signed":
                process.trail.checkpoint()
    found = list(search(files(folder), {PERSON}))
    proof = proof_of(files(folder), [Reference("a-000001", 2026, "contacts", PERSON)])
    assert [] == check(rendered(proof), KEYS).found
    assert Counter(each.became for each in found) == Counter(each.became for each in proof.events if each.role is Role.ABOUT)


class TestForm:
    """How a proof is written and read."""

    def test_there_and_back(self, proof: Proof) -> None:
        """What is written is read as it was, it begins as its kind is known by, and it is ASCII on one line."""
        content = rendered(proof)
        assert (proof, True, 1) == (parsed(content), content.startswith(BEGINNING), content.count(b"\n"))
        assert content.isascii()

    def test_the_schema(self, proof: Proof) -> None:
        """The shipped JSON Schema describes every member, and nothing else."""
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads(rendered(proof)), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**json.loads(rendered(proof)), "more": 1}, schema)

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format":"retention-proof/1"}', b"[" * 100_000, b"\xff", b"null", b'"x"'])
    def test_what_is_no_proof(self, content: bytes) -> None:
        """Anything else is told, and never believed or crashed over."""
        with pytest.raises(Malformed):
            parsed(content)
        assert flaws(check(content, KEYS)) <= {Flaw.MALFORMED, Flaw.TRUNCATED}

    @pytest.mark.parametrize(
        "event",
        ['{"retention.subjects":5}', '{"retention.record":[1]}', '{"retention.record":{}}', "[]", "{", '{"retention.excluded":[[]]}', "1"],
    )
    def test_events_that_no_worker_wrote(self, proof: Proof, event: str) -> None:
        """A text that is no event of ours is about nobody, and nothing stumbles over it."""

        def put(found: dict[str, Any]) -> None:
            found["events"][0]["event"] = event

        assert {Flaw.EDITED, Flaw.FOREIGN} <= flaws(changed(proof, put))


def test_an_empty_trail() -> None:
    """Nothing to read is nothing to prove."""
    made = prove([], REFERENCES, asked="subject", organisation="x", made_at=AT)
    assert ((), ()) == (made.events, made.streams)
