"""Proofs that were changed after they were made: whatever it is, it is found and called by its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs import (
    OTHER,
    REFERENCES,
    SIGNER,
    THIEF,
)
from tests.thoroughness import examples, some
from tests.unit.audit.changed_proof import KEYS, Change, changed, flaws
from worker.audit.note import VerifierKey
from worker.audit.proof import Proof, ProvenEvent, Reference, Role, document, rendered, signed
from worker.audit.proofcheck import Flaw, check


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
