"""What a connector promises when it reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from connectors.contract.cases import Facts, policies, random_record, random_selection, seeded, treaters
from connectors.contract.harness import AWKWARD, COLUMNS, TODAY, Contract, Harness, carry_out, everything, kept, read, record, split
from connectors.contract.measuring import ReadingApart, allocated
from worker.core.compiled import RowDecider
from worker.core.decide import Due, Partly, Waiting
from worker.core.select import EVERYTHING, due, undetermined
from worker.ports import Changes, Key, KeyRange, OpenSource, Row, Update

VERY_MANY: Final = int(os.environ.get("CONTRACT_RECORDS", "0"))
"""How many records are read by a process of their own; 0 for as few as each harness says."""
MEBIBYTE: Final = 2**20
GROWN: Final = 8
"""MiB that a process may grow while it reads, besides what the harness grants; 100,000 keys of which each is held take more."""
FIRST_PAGE: Final = 1.1
"""MiB that may be taken until the first page is there; 10,000 keys of which each is held take more."""


class ReadingContract(Contract):
    """Every record is found, once, in order, as it is; and looking changes nothing."""

    def test_rows_come_in_key_order_once_each(self, harness: Harness, source: OpenSource) -> None:
        """More records than a page come in key order, each once, and the number is counted alike."""
        expected = [harness.key(number) for number in range(harness.more_than_a_page)]
        harness.fill({key: record(number) for number, key in reversed(list(enumerate(expected)))})
        with source.reader() as reader:
            pages = [[split(source, row)[0] for row in page] for page in reader.rows(EVERYTHING, ("seen_on",))]
            assert harness.more_than_a_page == reader.count(EVERYTHING)
        assert expected == [key for page in pages for key in page]
        assert len(pages) > 1

    def test_row_is_key_then_columns(self, harness: Harness, source: OpenSource) -> None:
        """A row is the key's parts and then the columns in the order they were asked for; `get` gives the same row, or None."""
        harness.fill({harness.key(1): record(1, name="One", note="Two", status="Three")})
        columns = ("status", "name", "note")
        expected = (*harness.key(1), "Three", "One", "Two")
        with source.reader() as reader:
            assert [[expected]] == [list(page) for page in reader.rows(EVERYTHING, columns)]
            assert expected == reader.get(harness.key(1), columns)
            assert reader.get(harness.key(2), columns) is None

    def test_pages_while_their_records_go(self, harness: Harness, source: OpenSource) -> None:
        """Where there are no snapshots: whoever deletes what a page held, while reading on, still meets every other record once."""
        if source.transactional:
            pytest.skip("a reader of this system has a view of its own")
        expected = [harness.key(number) for number in range(harness.more_than_a_page)]
        harness.fill({key: record(number) for number, key in enumerate(expected)})
        met: list[Key] = []
        with source.reader() as reader:
            for page in reader.rows(EVERYTHING, ()):
                keys = [split(source, row)[0] for row in page]
                met += keys
                if len(met) < len(expected) // 2:
                    carry_out(source, KeyRange(keys[0], keys[-1]), Changes(delete=keys))
        assert expected == met

    def test_memory_is_constant(self, harness: Harness, source: OpenSource, record_property: Callable[[str, object], None]) -> None:
        """Reading four times as many records takes no more memory, but for what the harness grants for their keys; nor do very many."""
        if VERY_MANY and harness.survives:
            if not harness.large:
                pytest.skip("the harness says that another one tries this")
            self._very_many(harness, record_property)
            return
        if not harness.many:
            pytest.skip("the harness says that this system holds few records")
        peaks: list[int] = []
        for number in (harness.many // 4, harness.many):
            harness.fill_many(number)
            # What else happens to be alive only adds to a peak, so the least of a few readings is the reader's own.
            readings = [allocated(source) for _ in range(3)]
            assert {number} == {records for records, _ in readings}
            peaks.append(min(peak for _, peak in readings))
        assert peaks[1] < 2 * peaks[0] + harness.many * harness.bytes_a_key
        assert peaks[1] < harness.mebibytes * MEBIBYTE + harness.many * harness.bytes_a_key

    def _very_many(self, harness: Harness, record_property: Callable[[str, object], None]) -> None:
        """Let a process of its own read so many records: whatever its libraries are written in, it grows by no more than a little."""
        harness.fill_many(3)
        with ReadingApart(harness.open) as apart:
            harness.fill_many(VERY_MANY)
            took = apart.read()
        record_property("reading", took)
        assert took.records == VERY_MANY
        assert took.grown < (GROWN + harness.elsewhere) * MEBIBYTE

    def test_the_first_page_takes_no_more_memory(self, harness: Harness, source: OpenSource) -> None:
        """Where a system has to be listed before anything is read, the listing isn't held: so many names would not fit into the memory."""
        if not harness.first_page or VERY_MANY:
            pytest.skip("the harness says that all that is read is tried")
        harness.fill_many(harness.first_page)
        records, peak = allocated(source, pages=1)
        assert 0 < records < harness.first_page
        assert peak < FIRST_PAGE * MEBIBYTE

    def test_an_empty_source_has_no_rows(self, harness: Harness, source: OpenSource) -> None:
        """A source without records gives no rows, and nothing fails."""
        harness.fill({})
        assert not read(source, EVERYTHING, COLUMNS)

    def test_rights_are_said_without_secrets(self, harness: Harness, source: OpenSource) -> None:
        """What a source needs is said line by line, less for one that is only read, and never with what opens it."""
        harness.fill({harness.key(1): record(1)})
        policy = next(iter(policies(harness.source)))
        acting, looking = (source.rights(each, {}, "somebody") for each in (policy, None))
        assert all(isinstance(line, str) and "\n" not in line for line in (*acting, *looking))
        assert len("".join(looking)) <= len("".join(acting))
        assert not any("://" in line for line in acting)

    def test_within_includes_both_ends(self, harness: Harness, source: OpenSource) -> None:
        """A key range holds its first and its last key."""
        harness.fill({harness.key(number): record(number) for number in range(9)})
        within = KeyRange(harness.key(3), harness.key(5))
        expected = [harness.key(number) for number in (3, 4, 5)]
        assert expected == [key for key, _ in read(source, EVERYTHING, (), within)]
        with source.batch("b", within, EVERYTHING, ()) as batch:
            assert expected == [split(source, row)[0] for row in batch.rows]

    def test_ranges_of_one_run(self, harness: Harness, source: OpenSource) -> None:
        """A run's ranges hold what its first one found and is still there, as it is now; for another run, or none, all that is there."""
        harness.fill({harness.key(number): record(number, note="before") for number in range(6) if number != 3})
        first, second, none = (KeyRange(harness.key(0), harness.key(9), run) for run in ("first", "second", ""))
        with source.batch("b", first, EVERYTHING, ()) as batch:
            before = {split(source, row)[0] for row in batch.rows}
        assert before == set(harness.dump())
        harness.fill({harness.key(number): record(number, note="since") for number in (2, 4, 5, 6)})
        there = {key: (values["note"],) for key, values in harness.dump().items() if none.first <= key <= none.last}
        for within in (first, second, none):
            with source.batch("b", within, EVERYTHING, ("note",)) as batch:
                found = [split(source, row) for row in batch.rows]
            assert found == read(source, EVERYTHING, ("note",), within) == sorted(found)
            assert dict(found).items() <= there.items()
            assert set(there) - (set() if within is not first else set(there) - before) <= set(dict(found))

    def test_selection_never_misses(self, harness: Harness, source: OpenSource) -> None:
        """Whatever facts make of a record, a selection that must hold it does; count and rows agree; `EVERYTHING` holds all."""
        draw = seeded(20260630)
        records = {harness.key(number): kept(harness, random_record(draw, harness.odd_dates)) for number in range(120)}
        harness.fill(records)
        facts = Facts(harness.source)
        with source.reader() as reader:
            assert set(records) == self._keys(source, reader.rows(EVERYTHING, ()))
            for _ in range(harness.selections):
                selection = random_selection(draw)
                found = self._keys(source, reader.rows(selection, ("seen_on",)))
                must = {key for key, values in records.items() if facts.must_hold(selection, values)}
                assert must <= found, (selection, [records[key] for key in must - found])
                assert len(found) == reader.count(selection), selection

    def test_selections_of_policies_never_miss(self, harness: Harness, source: OpenSource) -> None:
        """What `decide` would act on, calls undetermined or finds waiting too long, is in the selections that are made for it."""
        draw = seeded(7)
        records = {harness.key(number): kept(harness, random_record(draw, harness.odd_dates)) for number in range(120)}
        harness.fill(records)
        for policy in policies(harness.source):
            # What people say about a record lies outside its row: here nobody has said anything.
            decider = RowDecider(policy, TODAY, (*COLUMNS, *policy.outside), treaters(harness.source))
            nothing = (None,) * len(policy.outside)
            decided = {key: decider.decide([*(values[name] for name in COLUMNS), *nothing]) for key, values in records.items()}
            with source.reader() as reader:
                acted = self._keys(source, reader.rows(due(policy, TODAY), COLUMNS))
                open_ = self._keys(source, reader.rows(undetermined(policy, TODAY), COLUMNS))
            assert {key for key, each in decided.items() if isinstance(each.outcome, Partly | Due | Waiting)} <= acted
            assert {key for key, each in decided.items() if each.undetermined or each.uncovered or each.waiting} <= open_

    def test_values_mean_the_same(self, harness: Harness, source: OpenSource) -> None:
        """Every value comes back so that it means the same fact, and empty values stay empty."""
        draw = seeded(3)
        records = {harness.key(number): random_record(draw, harness.odd_dates) for number in range(60)}
        harness.fill(records)
        facts = Facts(harness.source)
        for key, row in read(source, EVERYTHING, COLUMNS):
            given = dict(zip(COLUMNS, row, strict=True))
            for name in COLUMNS:
                assert facts.of(records[key], name) == facts.of(given, name), name

    def test_awkward_texts_survive(self, harness: Harness, source: OpenSource) -> None:
        """Quotation marks, other scripts, line ends and very long texts come back as they are, and None stays apart from a text."""
        texts = [*AWKWARD, "", None]
        harness.fill({harness.key(number): record(number, note=text) for number, text in enumerate(texts)})
        assert [harness.kept(text) for text in texts] == [row[0] for _, row in read(source, EVERYTHING, ("note",))]

    def test_awkward_keys(self, harness: Harness, source: OpenSource) -> None:
        """Keys that are hard to write down are found, ranged over, updated and deleted like others."""
        keys = [*harness.awkward_keys, harness.key(1)]
        harness.fill({key: record(number, name=f"n{number}") for number, key in enumerate(keys)})
        found, whole = everything(source)
        assert sorted(map(repr, keys)) == sorted(map(repr, found))
        with source.reader() as reader:
            assert [f"n{number}" for number in range(len(keys))] == [(reader.get(key, ("name",)) or (None,))[-1] for key in keys]
        for key in found:
            assert [key] == [each for each, _ in read(source, EVERYTHING, (), KeyRange(key, key))]
        if harness.treats:
            carry_out(source, whole, Changes(updates=[Update(("note",), [(*key, "new") for key in found])]), "u")
            assert {"new"} == {values["note"] for values in harness.dump().values()}
        carry_out(source, whole, Changes(delete=found), "d")
        assert not harness.dump()

    def test_reading_changes_nothing(self, harness: Harness, source: OpenSource) -> None:
        """No way of looking changes a record."""
        harness.fill({harness.key(number): random_record(seeded(number), harness.odd_dates) for number in range(20)})
        before = harness.dump()
        keys, whole = everything(source)
        for policy in policies(harness.source):
            source.problems(policy, {harness.source.name: harness.source})
        source.shape()
        with source.reader() as reader:
            reader.count(EVERYTHING)
            reader.get(keys[0], COLUMNS)
        with source.batch("b", whole, EVERYTHING, COLUMNS):
            pass
        assert before == harness.dump()

    def test_load_can_be_asked_at_any_time(self, harness: Harness, source: OpenSource) -> None:
        """How loaded the system is can be asked beside a reader and a batch, is no negative number, and asking changes nothing."""
        harness.fill({harness.key(number): record(number) for number in range(3)})
        before = harness.dump()
        _, within = everything(source)
        loads = [source.load()]
        with source.reader() as reader:
            loads.append(source.load())
            assert reader.count(EVERYTHING) == 3
        with source.batch("b", within, EVERYTHING, ()) as batch:
            loads.append(source.load())
            assert len(batch.rows) == 3
        for load in loads:
            assert (load.lag_seconds or 0) >= 0
            assert (load.oldest_transaction_seconds or 0) >= 0
        assert before == harness.dump()

    def test_shape_names_the_columns(self, harness: Harness, source: OpenSource) -> None:
        """The shape holds every column, and is the same when asked again."""
        harness.fill({harness.key(1): record(1, asked_on=TODAY)})
        shape = source.shape()
        assert {field.column for field in harness.source.fields} <= set(shape.columns)
        assert shape == source.shape()

    @staticmethod
    def _keys(source: OpenSource, pages: Iterator[list[Row]]) -> set[Key]:
        return {split(source, row)[0] for page in pages for row in page}
