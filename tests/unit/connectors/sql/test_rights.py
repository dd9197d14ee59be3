"""What follows from a policy for the rights on tables: nothing for what is only looked at, and everything for what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sql.rights import Needs, needs_of
from tests.unit.connectors.sql.conftest import Open, field
from worker.core.facts import FieldType
from worker.core.model import Disposition, DispositionKind, Policy, Purpose, Step
from worker.core.model import LegalBasis as Basis
from worker.core.sources import Aggregate, Disposal, Function, Match, Recount, Relation, Source, Treatment, TreatmentKind
from worker.policyfile import load
from worker.registry import names

REPOSITORY = Path(__file__).parents[4]
NOTES = Relation("notes", "notes", ("id",), ("person",), ("note",), Disposal.DELETE)
PEOPLE = Source(
    "people",
    "sql",
    "people",
    ("id",),
    (field("name", treatment=Treatment(TreatmentKind.CLEAR)), field("phone", treatment=Treatment(TreatmentKind.CLEAR)), field("seen")),
    relations=(NOTES,),
)


def policy(source: Source, *kinds: DispositionKind, both: bool = True) -> Policy:
    """Return a policy that ends in these; `both` -- all personal fields rest on the same purpose."""
    purposes = [Purpose("contact", Basis.CONSENT, ("name", "phone") if both else ("name",))]
    purposes += [] if both else [Purpose("calls", Basis.CONSENT, ("phone",))]
    return Policy(source, tuple(purposes), (Disposition(tuple(Step(kind) for kind in kinds)),))


def shown(needs: Needs) -> tuple[set[str], set[str], bool, bool]:
    """Return what is read, what is written, whether rows are locked, and whether they are deleted."""
    return set(needs.reads), set(needs.writes), needs.locks, needs.deletes


def test_a_policy_that_only_deletes_writes_no_value() -> None:
    """Where a record goes as a whole or stays as it is, no column has to be written; its children go with it."""
    found = needs_of(PEOPLE, policy(PEOPLE, DispositionKind.DELETE), {})
    assert ({"id", "name", "phone", "seen"}, set(), True, True) == shown(found["people"])
    assert ({"note", "person"}, set(), True, True) == shown(found["notes"])


def test_fields_that_can_go_alone_are_written() -> None:
    """Purposes that differ by field treat fields of records that stay."""
    found = needs_of(PEOPLE, policy(PEOPLE, DispositionKind.DELETE, both=False), {})
    assert {"name", "phone"} == set(found["people"].writes)


def test_without_a_policy_everything_is_only_read() -> None:
    """A source that only contributes is neither locked nor written."""
    assert {(False, False)} == {(each.locks, each.deletes) for each in needs_of(PEOPLE, None, {}).values()}
    assert not any(each.writes for each in needs_of(PEOPLE, None, {}).values())


@pytest.mark.parametrize(("with_pseudonymised", "deletes"), [(True, True), (False, False)])
def test_children_of_what_is_pseudonymised(with_pseudonymised: bool, deletes: bool) -> None:
    """They go only when that is declared; the record itself is never deleted."""
    source = replace(PEOPLE, relations=(replace(NOTES, with_pseudonymised=with_pseudonymised),))
    found = needs_of(source, policy(source, DispositionKind.PSEUDONYMISE), {})
    assert (False, deletes) == (found["people"].deletes, found["notes"].deletes)
    assert {"name", "phone"} == set(found["people"].writes)


def test_rows_that_are_detached_counted_or_keep_their_record() -> None:
    """A pointer is emptied, a count is set right, and what only keeps a record is only looked at."""
    relations = (
        Relation("replies", "people", ("id",), ("parent",), ("id",), Disposal.DETACH),
        Relation("orders", "shop.orders", ("id",), ("buyer",), ("number",), Disposal.KEEP_PARENT),
        Relation("post", "posts", ("post",), ("nr",), ("nr",), recount=(Recount("comments", (Match("state", ("approved",)),)),)),
    )
    aggregates = (
        Aggregate("ordered", "orders", Function.LATEST, "at", field("at", FieldType.DATE).reading, where=(Match("kind", ("paid",)),)),
    )
    source = replace(PEOPLE, relations=relations, aggregates=aggregates)
    found = needs_of(source, policy(source, DispositionKind.DELETE), {})
    assert ({"parent", "post", "state", "id"}, {"parent"}) == (
        set(found["people"].reads) - {"name", "phone", "seen"},
        set(found["people"].writes),
    )
    assert ({"buyer", "number", "at", "kind"}, set(), True, False) == shown(found["shop.orders"])
    assert ({"nr", "comments"}, {"comments"}, True, False) == shown(found["posts"])


def test_rows_of_another_source_are_read_as_that_declares_them() -> None:
    """A child with a policy of its own is decided with its parent, by its own fields and by what it looks at in turn."""
    lines = Relation("lines", "lines", ("number",), ("invoice",), ("line",), Disposal.DELETE)
    count = Aggregate("line_count", "lines", Function.COUNT)
    invoices = Source("invoices", "sql", "invoices", ("number",), (field("billed_to"),), (count,), (lines,))
    source = replace(PEOPLE, relations=(Relation("invoices", "invoices", ("id",), ("person",), ("number",), Disposal.DELETE, "invoices"),))
    found = needs_of(source, policy(source, DispositionKind.DELETE), {"invoices": invoices})
    assert ({"number", "person", "billed_to"}, set(), True, True) == shown(found["invoices"])
    assert {"invoice", "line"} == set(found["lines"].reads)


@pytest.mark.parametrize(
    "file", ["policies.toml", *(f"deploy/schedules/{each.name}" for each in (REPOSITORY / "deploy/schedules").glob("*.toml"))]
)
def test_shipped_policies(file: str) -> None:
    """For every shipped file: what is written is declared to be, and what is written or deleted is read before."""
    schedule = load(REPOSITORY / file, connectors=names())
    for source in schedule.sources.values():
        decides = schedule.policy(source.name)
        for table, each in needs_of(source, decides, schedule.sources).items():
            assert each.reads, (source.name, table)
            if decides is None:
                assert not each.writes
            if table == source.table:
                declared = {field.column for field in source.fields} | {name for one in source.relations for name in one.theirs}
                assert set(each.writes) <= declared
                assert set(source.key) <= set(each.reads)


def test_sqlite_says_what_its_file_needs(opened: Open) -> None:
    """SQLite has no accounts: the answer is a comment that names the file, and nothing that could be run."""
    source = opened("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)", field("name"))
    (line,) = source.rights(None, {}, None)
    assert line.startswith("-- ")
    assert "office.db" in line
