"""What a connector promises when it writes: exactly what it was told, all of it or nothing, and an answer to what became of it."""

from __future__ import annotations

import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence

import pytest

from connectors.contract.harness import AWKWARD, CANARY, COLUMNS, Contract, Harness, carry_out, everything, read, record, split
from worker.core.conditions import Compare, Op
from worker.core.select import EVERYTHING, Compares
from worker.errors import Changed, RetentionError
from worker.ports import Changes, Key, KeyRange, Left, OpenSource, Resolution, Update


class WritingContract(Contract):
    """A batch holds what is there now, and writes exactly what it was told or nothing."""

    def test_batch_reads_again(self, harness: Harness, source: OpenSource) -> None:
        """A batch holds the rows of its range as they are when it begins, not as they were when it was planned."""
        harness.fill({harness.key(number): record(number, name="before") for number in range(4)})
        _, whole = everything(source)
        assert harness.disturb(harness.key(2), record(2, name="after"))
        assert harness.disturb(harness.key(3), None)
        with source.batch("b", whole, EVERYTHING, ("name",)) as batch:
            assert [(*harness.key(0), "before"), (*harness.key(1), "before"), (*harness.key(2), "after")] == list(batch.rows)

    def test_delete_removes_exactly_these(self, harness: Harness, source: OpenSource) -> None:
        """A committed deletion removes the records it names, and every other stays as it was."""
        harness.fill({harness.key(number): record(number) for number in range(12)})
        expected = harness.dump()
        _, whole = everything(source)
        carry_out(source, whole, Changes(delete=[harness.key(2), harness.key(7), harness.key(11)]))
        for number in (2, 7, 11):
            del expected[harness.key(number)]
        assert expected == harness.dump()

    def test_update_writes_exactly_these_fields(self, harness: Harness, source: OpenSource) -> None:
        """A committed update writes the fields it names in the records it names; None makes a field empty."""
        treated(harness)
        harness.fill({harness.key(number): record(number) for number in range(5)})
        expected = harness.dump()
        _, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(
                Changes(
                    updates=[
                        Update(("email", "name"), [(*harness.key(1), "p1-k1-x@people.invalid", None)]),
                        Update(("note",), [(*harness.key(1), AWKWARD[0]), (*harness.key(3), AWKWARD[1])]),
                    ]
                )
            )
            batch.commit()
        got = dict(read(source, EVERYTHING, ("email", "name", "note")))
        assert ("p1-k1-x@people.invalid", None, AWKWARD[0]) == got[harness.key(1)]
        assert (expected[harness.key(3)]["email"], expected[harness.key(3)]["name"], AWKWARD[1]) == got[harness.key(3)]
        after = harness.dump()
        for key, values in expected.items():
            for name, value in values.items():
                if (key, name) not in {(harness.key(1), each) for each in ("email", "name", "note")} | {(harness.key(3), "note")}:
                    assert value == after[key][name], name

    def test_delete_and_update_in_one_batch(self, harness: Harness, source: OpenSource) -> None:
        """One batch may delete some records and treat others."""
        treated(harness)
        harness.fill({harness.key(number): record(number) for number in range(3)})
        _, whole = everything(source)
        carry_out(source, whole, Changes(delete=[harness.key(0)], updates=[Update(("note",), [(*harness.key(2), "removed")])]))
        assert {harness.key(1): f"Note {CANARY}", harness.key(2): "removed"} == {key: each["note"] for key, each in harness.dump().items()}

    @pytest.mark.parametrize("leaving", ["before the write", "after the write", "by an error"])
    def test_leaving_without_commit_changes_nothing(self, harness: Harness, source: OpenSource, leaving: str) -> None:
        """A batch that is left without commit, however, leaves everything as it was, and the next batch works."""
        harness.fill({harness.key(number): record(number) for number in range(6)})
        before = harness.dump()
        keys, whole = everything(source)
        changes = Changes(delete=keys[:3], updates=[Update(("name",), [(*keys[4], None)])] if harness.treats else [])

        def leave() -> None:
            with source.batch("b", whole, EVERYTHING, ()) as batch:
                if leaving != "before the write":
                    batch.write(changes)
                if leaving == "by an error":
                    raise _Stopped

        if leaving == "by an error":
            with pytest.raises(_Stopped):
                leave()
        else:
            leave()
        assert before == harness.dump()
        carry_out(source, whole, changes, "c")
        assert keys[3:] == [key for key, _ in read(source, EVERYTHING, ())]

    @pytest.mark.parametrize("how", ["changed", "deleted"])
    @pytest.mark.parametrize("write", ["delete", "update"])
    def test_what_changed_in_between_is_not_written(self, harness: Harness, source: OpenSource, how: str, write: str) -> None:
        """When another program changes a record of the batch before the write, all of the batch is refused, unless a lock kept it out.

        Without transactions that record is left, named with the reason, and the rest is done.
        """
        if write == "update":
            treated(harness)
        harness.fill({harness.key(number): record(number) for number in range(5)})
        keys, whole = everything(source)
        changes = Changes(delete=keys) if write == "delete" else Changes(updates=[Update(("name",), [(*key, "new") for key in keys])])
        caught: BaseException | None = None
        try:
            with source.batch("b", whole, EVERYTHING, COLUMNS) as batch:
                got_in = harness.disturb(keys[2], record(2, note=f"Changed {CANARY}") if how == "changed" else None)
                expected = harness.dump() if got_in else None
                batch.write(changes)
                undone = batch.commit()
        except RetentionError as error:
            caught = error
        if not source.transactional:
            assert caught is None
            assert [(keys[2], Left.CHANGED if how == "changed" else Left.GONE)] == [(each.key, each.why) for each in undone]
            left = harness.dump()
            assert (expected or {}).get(keys[2]) == left.get(keys[2])
            if write == "delete":
                assert [key for key in keys if key != keys[2] and key in left] == []
            else:
                assert [left[key]["name"] for key in keys if key != keys[2]] == ["new"] * 4
        elif expected is not None:
            assert isinstance(caught, Changed)
            assert expected == harness.dump()
        else:
            assert caught is None

    def test_a_record_that_is_not_there_is_not_written(self, harness: Harness, source: OpenSource) -> None:
        """Deleting or updating what the batch does not hold is refused, and commits nothing."""
        harness.fill({harness.key(number): record(number) for number in range(3)})
        before = harness.dump()
        keys, whole = everything(source)
        for changes in (Changes(delete=[keys[0], harness.key(9)]), Changes(updates=[Update(("name",), [(*harness.key(9), "new")])])):
            with pytest.raises(Changed):
                carry_out(source, whole, changes)
            assert before == harness.dump()

    @pytest.mark.parametrize("take", [False, True])
    def test_whole(self, harness: Harness, source: OpenSource, take: bool) -> None:  # noqa: FBT001 - pytest's parameter
        """A deletion of every row the batch holds, taken or not, removes these and nothing outside the range or the selection."""
        harness.fill({harness.key(number): record(number, status="open" if number % 2 else "closed") for number in range(10)})
        selection = Compares(Compare("status", Op.EQ, ("open",)))
        within = KeyRange(harness.key(2), harness.key(7))
        with source.batch("b", within, selection, ("status",), take=take) as batch:
            held = [split(source, row)[0] for row in batch.rows]
            batch.write(Changes(delete=held, whole=True))
            batch.commit()
        assert {harness.key(3), harness.key(5), harness.key(7)} <= set(held)
        assert sorted({harness.key(number) for number in range(10)} - set(held)) == sorted(harness.dump())

    def test_whole_with_a_row_less_is_refused(self, harness: Harness, source: OpenSource) -> None:
        """A deletion that calls itself whole and is not, is refused."""
        harness.fill({harness.key(number): record(number) for number in range(4)})
        before = harness.dump()
        keys, whole = everything(source)
        with pytest.raises(RetentionError):
            carry_out(source, whole, Changes(delete=keys[1:], whole=True))
        assert before == harness.dump()

    def test_taken_rows_come_back(self, harness: Harness, source: OpenSource) -> None:
        """Rows that were taken and not written are all there again, and the same batch works without taking them."""
        harness.fill({harness.key(number): record(number) for number in range(4)})
        before = harness.dump()
        keys, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, COLUMNS, take=True) as batch:
            assert keys == [split(source, row)[0] for row in batch.rows]
        assert before == harness.dump()
        carry_out(source, whole, Changes(delete=keys[:1]))
        assert keys[1:] == sorted(harness.dump())

    def test_the_same_batch_delivered_twice(self, harness: Harness, source: OpenSource) -> None:
        """A batch that is delivered again, as another attempt, finds nothing of what it deleted, and refuses to delete it again."""
        harness.fill({harness.key(number): record(number) for number in range(4)})
        keys, whole = everything(source)
        carry_out(source, whole, Changes(delete=keys[:2]))
        after = harness.dump()
        with source.batch("b~2", whole, EVERYTHING, ()) as batch:
            assert keys[2:] == [split(source, row)[0] for row in batch.rows]
            with pytest.raises(Changed):
                batch.write(Changes(delete=keys[:2]))
        assert after == harness.dump()

    def test_resolve(self, harness: Harness, source: OpenSource) -> None:
        """A batch with a witness resolves to what became of it, and without one to nothing; a forgotten batch leaves no trace."""
        harness.fill({harness.key(number): record(number) for number in range(4)})
        keys, whole = everything(source)
        with source.batch("rolled-back", whole, EVERYTHING, ()) as batch:
            left = dict(batch.witness)
            batch.write(Changes(delete=keys[:1]))
        with source.batch("committed", whole, EVERYTHING, ()) as batch:
            made = dict(batch.witness)
            batch.write(Changes(delete=keys[1:2]))
            batch.commit()
        after = harness.dump()
        assert (Resolution.ROLLED_BACK if left else None) == source.resolve("rolled-back", left)
        assert (Resolution.COMMITTED if made else None) == source.resolve("committed", made)
        assert (Resolution.COMMITTED if made else None) == source.resolve("committed", made)
        source.forget(["committed", "rolled-back", "never heard of"])
        assert after == harness.dump()
        assert not list(harness.names())

    @pytest.mark.parametrize("died", ["after the write", "after the commit"])
    def test_killed(self, harness: Harness, died: str) -> None:
        """A process that is killed leaves all of the batch or nothing, and its witness tells which.

        A dry run, which may resolve nothing, reads the same before as a run does afterwards.
        """
        if not harness.survives:
            pytest.skip("the system dies with its process")
        harness.fill({harness.key(number): record(number) for number in range(6)})
        before = harness.dump()

        def die(tell: Callable[[Mapping[str, str]], None]) -> None:
            source = harness.open()
            keys, whole = everything(source)
            with source.batch("b", whole, EVERYTHING, ()) as batch:
                tell(batch.witness)
                batch.write(Changes(delete=keys[:3], updates=[Update(("name",), [(*keys[4], None)])]))
                if died == "after the commit":
                    batch.commit()
                os.kill(os.getpid(), signal.SIGKILL)

        witness = killed(die)
        opened = harness.open()
        try:
            ahead = everything(opened)
            resolved = opened.resolve("b", witness)
            assert ahead == everything(opened)
        finally:
            opened.close()
        if died == "after the write":
            assert (Resolution.ROLLED_BACK if witness else None) == resolved
            assert before == harness.dump()
        else:
            assert (Resolution.COMMITTED if witness else None) == resolved
            assert sorted(before)[3:] == sorted(harness.dump())

    def test_nothing_personal_in_errors_or_names(self, harness: Harness, source: OpenSource) -> None:
        """No text of an error, however it is printed, and no name of a file that the connector makes holds a personal value."""
        harness.fill({harness.key(number): record(number) for number in range(3)})
        keys, whole = everything(source)
        texts: list[str] = []
        tries: list[Callable[[OpenSource], object]] = [
            lambda each: self._write(each, whole, Changes(delete=[harness.key(77)])),
            lambda each: self._write(each, whole, Changes(updates=[Update(("name",), [(*harness.key(77), CANARY)])])),
            lambda each: self._write(each, whole, Changes(delete=keys[1:], whole=True)),
            lambda each: self._write(each, whole, Changes(delete=keys, updates=[Update(("name",), [(*keys[0], CANARY)])])),
            lambda each: self._disturbed(harness, each, keys, whole),
        ]
        for attempt in tries:
            try:
                attempt(source)
            except RetentionError as error:
                texts += [str(error), repr(error), "".join(traceback.format_exception(error))]
        with source.batch("n", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[split(source, row)[0] for row in batch.rows]))
            texts += [*harness.names(), json.dumps(dict(batch.witness))]
        assert texts
        # The tests' own lines are in a traceback; values are what may not be.
        assert not [text for text in texts if CANARY in text]

    @staticmethod
    def _write(source: OpenSource, within: KeyRange, changes: Changes) -> None:
        with source.batch("e", within, EVERYTHING, ()) as batch:
            batch.write(changes)

    @staticmethod
    def _disturbed(harness: Harness, source: OpenSource, keys: Sequence[Key], whole: KeyRange) -> None:
        with source.batch("e", whole, EVERYTHING, COLUMNS) as batch:
            harness.disturb(keys[1], record(1, name=f"Changed {CANARY}"))
            batch.write(Changes(delete=keys))


def treated(harness: Harness) -> None:
    """Skip a test about treatments where records can only be deleted."""
    if not harness.treats:
        pytest.skip("the harness says that records of this system are deleted and not changed")


class _Stopped(Exception):
    """Something else went wrong inside a batch."""


def killed(die: Callable[[Callable[[Mapping[str, str]], None]], None]) -> dict[str, str]:
    """Run a function that kills its own process, in a process of its own, and return the witness that it told before."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Forking beside threads: the child does nothing but this and dies.
        child = os.fork()
    if child == 0:
        try:
            die(lambda witness: (os.write(writing, json.dumps(dict(witness)).encode()), None)[1])
        finally:
            os._exit(99)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the process was to be killed, and ended by itself"
    witness: dict[str, str] = json.loads(told)
    return witness
