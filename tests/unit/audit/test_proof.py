"""A proof for one person: what is in it, what is not, and that nothing of it can be changed unnoticed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
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
    THIEF,
    UNUSED,
    close,
    digits,
    intent,
    proof_of,
    story,
)
from tests.thoroughness import examples, some
from tests.trails import DAY, MIDNIGHT, Process
from worker.audit.broken import Broken
from worker.audit.lines import files
from worker.audit.note import VerifierKey
from worker.audit.proof import BEGINNING, Malformed, Proof, ProvenEvent, Reference, Role, document, parsed, rendered, signed
from worker.audit.proofcheck import Flaw, ProofVerdict, check
from worker.audit.proving import prove
from worker.audit.search import Became, search

KEYS = [SIGNER.verifier]
SCHEMA = Path(__file__).parents[3] / "docs" / "retention-proof.schema.json"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return story(tmp_path_factory.mktemp("story") / "audit")


@pytest.fixture(scope="module")
def proof(paths: list[Path]) -> Proof:
    return proof_of(paths)


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Return the proof for the person out of a trail whose first process died."""
    return proof_of(story(tmp_path_factory.mktemp("died") / "audit", died=1))


@pytest.fixture(scope="module")
def others(paths: list[Path]) -> Proof:
    """Return the proof for the other person."""
    return proof_of(paths, [Reference("a-000001", 2026, "contacts", OTHER), Reference("a-000001", 2026, "*", OTHER_EVERYWHERE)])


def changed(proof: Proof, change: Change, *, sign: bool = False) -> ProofVerdict:
    """Return what is found after a change; sign -- as if the organisation itself had signed the changed one."""
    found = json.loads(json.dumps(document(proof)))
    change(found)
    content = json.dumps(found, separators=(",", ":")).encode() + b"\n"
    return check(rendered(signed(parsed(content), SIGNER.sign)) if sign else content, KEYS)


def flaws(verdict: ProofVerdict) -> set[Flaw]:
    return {each.flaw for each in verdict.found}


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


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every leaf of a document with the way to it; an empty list is one."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, name))
    elif isinstance(value, list) and value:
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))
    else:
        yield path, value


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    match value:
        case None:
            return "open"
        case str():
            last = value[-1:]
            return value[:-1] + ("0" if last != "0" else "1")
        case int():
            return value + 1
        case _:
            return ["0" * 64]


def _shape(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the way to a leaf without the places in lists."""
    return tuple("#" if type(step) is int else step for step in path)


def lists(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every list of a document that isn't empty."""
    if isinstance(value, list) and value:
        yield path
    for step, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from lists(each, (*path, step))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return what stands at a place of a document."""
    for step in path:
        value = value[step]
    return value


def _leave_out(path: tuple[Any, ...], place: int, found: dict[str, Any]) -> None:
    at(found, path).pop(place)


def _double(path: tuple[Any, ...], place: int, found: dict[str, Any]) -> None:
    at(found, path).append(at(found, path)[place])


def set_at(path: tuple[Any, ...], value: Any) -> Change:
    """Return the change that puts a value where a leaf was."""

    def change(found: dict[str, Any]) -> None:
        for step in path[:-1]:
            found = found[step]
        found[path[-1]] = value

    return change


class TestChanging:
    """Whatever is changed is found, and called by its name."""

    @pytest.mark.parametrize("which", ["proof", "died"])
    def test_every_leaf(self, which: str, request: pytest.FixtureRequest) -> None:
        """Each value of each member, one by one; what only the note over the whole protects is what nothing else could prove."""
        proof: Proof = request.getfixturevalue(which)
        word_alone = set()
        for path, value in leaves(json.loads(rendered(proof))):
            verdict = changed(proof, set_at(path, other(value)))
            assert not verdict.accepted, path
            if {each.where for each in verdict.found} == {""} and flaws(verdict) == {Flaw.FORGED}:
                word_alone.add(_shape(path))
        names = {("references", "#", name) for name in ("key", "year", "source", "reference")}
        assert {("made_at",), ("organisation",), ("asked",), ("signature",), *names} == word_alone

    @pytest.mark.parametrize("value", [None, True, -1, 1 << 70, 1.5, [], {}, [[]], "", "\ud800", "\x1b[2J", "0" * 64, [{"a": 1}]], ids=repr)
    def test_anything_anywhere(self, died: Proof, value: Any) -> None:
        """Whatever stands where something else belongs is told, and nothing stumbles over it, also not over the words of the findings."""
        seen: Counter[tuple[Any, ...]] = Counter()
        for path, was in leaves(json.loads(rendered(died))):
            seen[shape := _shape(path)] += 1
            if seen[shape] > 2 or (was == value and type(was) is type(value)):
                continue
            verdict = changed(died, set_at(path, value))
            assert not verdict.accepted, path
            assert all(each.what.isprintable() for each in verdict.found)

    def test_a_signer_with_an_odd_name(self, proof: Proof) -> None:
        """A note may name its signer as it likes; a terminal is told what can be read."""
        odd = (proof.streams[0].note or "").replace("retention-worker/e-000001", "\x1b[2J\ud800")
        verdict = changed(proof, lambda found: found["streams"][0].update(note=odd), sign=True)
        assert {Flaw.OTHER_KEY} == flaws(verdict)
        assert all(each.what.isprintable() for each in verdict.found)

    @settings(max_examples=examples(200), deadline=None)
    @given(st.data())
    def test_every_byte(self, proof: Proof, data: st.DataObject) -> None:
        """One byte changed to any other, taken out, put in or doubled: never accepted."""
        content = rendered(proof)
        at = data.draw(st.integers(0, len(content) - 1))
        byte = bytes([data.draw(st.integers(0, 255))])
        for made in (content[:at] + byte + content[at + 1 :], content[:at] + content[at + 1 :], content[:at] + byte + content[at:]):
            assert made == content or not check(made, KEYS).accepted

    def test_cut_off(self, proof: Proof) -> None:
        """Wherever the end was lost, it is told as that, the last line feed too."""
        content = rendered(proof)
        assert {Flaw.REENCODED} == flaws(check(content[:-1], KEYS))
        for length in range(len(content) - 2, 0, -997):
            assert {Flaw.TRUNCATED} == flaws(check(content[:length], KEYS)), length

    def test_written_in_another_way(self, proof: Proof) -> None:
        """The same members with spaces are told as that and nothing worse: what was signed is what they say."""
        assert {Flaw.REENCODED} == flaws(check(json.dumps(document(proof), indent=1).encode(), KEYS))

    @pytest.mark.parametrize("which", ["proof", "died"])
    def test_left_out(self, which: str, request: pytest.FixtureRequest) -> None:
        """Anything of any list that is missing is found, and so is what stands there twice; also when the whole was signed again."""
        proof: Proof = request.getfixturevalue(which)
        for path in lists(json.loads(rendered(proof))):
            for place in some(range(len(at(document(proof), path)))):
                assert not changed(proof, partial(_leave_out, path, place)).accepted
                assert not changed(proof, partial(_double, path, place)).accepted
                if path != ("references",) and path != ("events",):
                    assert not changed(proof, partial(_leave_out, path, place), sign=True).accepted, (path, place)

    def test_a_recorded_end(self, died: Proof) -> None:
        """Without the record, or with one of another stream, the segments that hang on it hang on nothing."""

        def drop(found: dict[str, Any]) -> None:
            found["events"] = [each for each in found["events"] if each["role"] != "ending"]

        assert {Flaw.PATH} <= flaws(changed(died, drop, sign=True)) <= {Flaw.PATH, Flaw.CLAIM}
        record = next(each for each in died.events if each.role is Role.ENDING)
        for old, new in ((died.streams[0].stream, "0" * 32), (record.payload()["retention.chain"], "0" * 64)):
            other_end = _with(record, record.event.replace(old, new))
            made = signed(replace(died, events=tuple(other_end if each is record else each for each in died.events)), SIGNER.sign)
            assert {Flaw.EDITED, Flaw.FOREIGN, Flaw.PATH} & flaws(check(rendered(made), KEYS))

    @pytest.mark.parametrize(
        ("member", "value", "flaw"),
        [
            ("event", None, Flaw.EDITED),
            ("salt", "0" * 32, Flaw.SALT),
            ("leaf", "0" * 64, Flaw.PATH),
            ("path", [], Flaw.PATH),
            ("n", 3, Flaw.PATH),
            ("segment", 99, Flaw.PATH),
            ("sha256", "0" * 64, Flaw.CLAIM),
            ("became", "not done", Flaw.CLAIM),
            ("role", "closing", Flaw.FOREIGN),
        ],
    )
    def test_an_event(self, proof: Proof, member: str, value: Any, flaw: Flaw) -> None:
        """An edited event, a wrong salt, a wrong way up and a wrong claim are told apart, even when the whole was signed again."""

        def put(found: dict[str, Any]) -> None:
            one = next(each for each in found["events"] if each["became"] == "done" and "record_deleted" in each["event"])
            one[member] = one["event"].replace("2026-06-01", "2026-06-02") if value is None else value

        verdict = changed(proof, put, sign=True)
        assert flaw in flaws(verdict)
        assert Flaw.FORGED not in flaws(verdict)

    @pytest.mark.parametrize("member", ["root", "previous", "chain", "first", "count", "segment"])
    def test_a_seal(self, proof: Proof, member: str) -> None:
        """No value of a seal can be another: its chain value holds all of them, and leads to the checkpoint."""

        def put(found: dict[str, Any]) -> None:
            one = found["streams"][0]["segments"][0]
            one[member] = "0" * 64 if isinstance(one[member], str) else one[member] + 1

        assert {Flaw.PATH} <= flaws(changed(proof, put, sign=True)) <= {Flaw.PATH, Flaw.CLAIM, Flaw.UNCLOSED, Flaw.FOREIGN}

    def test_a_missing_closing_event(self, proof: Proof) -> None:
        """Without it an intent proves nothing, whatever the proof says of it."""

        def put(found: dict[str, Any]) -> None:
            found["events"] = [each for each in found["events"] if each["role"] != "closing"]

        assert Flaw.UNCLOSED in flaws(changed(proof, put, sign=True))

    def test_somebody_elses_event(self, proof: Proof, others: Proof) -> None:
        """A true event with a true way up has no business here when none of the person's references leads to it."""
        theirs = next(each for each in others.events if OTHER in each.event and each.n not in {one.n for one in proof.events})
        used = {(each.stream, each.segment) for each in (*proof.events, theirs)}
        streams = []
        for stream in proof.streams:
            both = {
                each.segment: each
                for made in (proof, others)
                for one in made.streams
                if one.stream == stream.stream
                for each in one.segments
            }
            streams.append(replace(stream, segments=tuple(each for each in both.values() if (stream.stream, each.segment) in used)))
        smuggled = signed(replace(proof, events=(*proof.events, theirs), streams=tuple(streams)), SIGNER.sign)
        assert {Flaw.FOREIGN} == flaws(check(rendered(smuggled), KEYS))
        reference = Reference("a-000001", 2026, "contacts", OTHER)
        assert Flaw.FORGED in flaws(check(rendered(replace(smuggled, references=(*REFERENCES, reference))), KEYS))

    def test_somebody_elses_closing_event(self, proof: Proof, others: Proof) -> None:
        """The end of a batch in which the person is not, or a reading back of one, is foreign too."""
        for role in (Role.CLOSING, Role.READ_BACK):
            one = next(each for each in proof.events if each.role is role)
            said = one.event.replace('"p-0"', '"p-9"').replace('"p-1"', '"p-9"').replace('"p-3.0"', '"p-9"')
            made = signed(replace(proof, events=tuple(_with(each, said) if each is one else each for each in proof.events)), SIGNER.sign)
            assert Flaw.FOREIGN in flaws(check(rendered(made), KEYS))

    def test_signed_by_somebody_else(self, proof: Proof) -> None:
        """A checkpoint or a whole signed with another key is told apart from one that was spoiled, or taken from elsewhere."""
        assert {Flaw.OTHER_KEY} == flaws(check(rendered(proof), [THIEF.verifier]))
        assert {Flaw.OTHER_KEY} == flaws(check(rendered(signed(proof, THIEF.sign)), KEYS))
        same_name = VerifierKey(SIGNER.verifier.name, THIEF.verifier.public)
        assert {Flaw.OTHER_KEY} == flaws(check(rendered(proof), [same_name]))

        def note(of: Callable[[str], str]) -> Change:
            return lambda found: found["streams"][0].update(note=of(found["streams"][0]["note"]))

        text = proof.streams[0].note or ""
        spoiled = text.replace("\u2014", "-")
        assert {Flaw.OTHER_KEY} == flaws(changed(proof, note(lambda old: THIEF.sign(old.partition("\n\n")[0] + "\n")), sign=True))
        assert {Flaw.FORGED} == flaws(changed(proof, note(lambda _: spoiled), sign=True))
        assert {Flaw.FORGED} == flaws(changed(proof, note(lambda _: proof.streams[1].note or ""), sign=True))
        assert {Flaw.FORGED} == flaws(changed(proof, note(lambda _: proof.signature), sign=True))
        assert {Flaw.FORGED} == flaws(changed(proof, lambda found: found["streams"][0].update(note=None), sign=True))

    def test_an_older_checkpoint(self, proof: Proof, tmp_path: Path) -> None:
        """One that doesn't reach so far proves nothing of what came later, and what it covers needs its own way up."""
        stream = proof.streams[0]
        older = SIGNER.sign(f"retention-worker/{stream.stream}\n1\n{'A' * 43}=\n")
        assert {Flaw.PATH} == flaws(changed(proof, lambda found: found["streams"][0].update(note=older), sign=True))

    def test_said_to_be_unsigned(self, proof: Proof) -> None:
        """What a checkpoint covers can't be passed off as what came after it."""
        assert {Flaw.PATH} == flaws(changed(proof, set_at(("streams", 0, "segments", 0, "path"), None), sign=True))


def _with(event: ProvenEvent, said: str) -> ProvenEvent:
    """Return an event that says something else, with the SHA-256 of that."""
    return replace(event, event=said, sha256=sha256(said.encode()).hexdigest())


def test_an_empty_trail() -> None:
    """Nothing to read is nothing to prove."""
    made = prove([], REFERENCES, asked="subject", organisation="x", made_at=AT)
    assert ((), ()) == (made.events, made.streams)
