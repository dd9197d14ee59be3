"""What would fail at night is said by the check: each case is one sentence of `sources check`."""

from __future__ import annotations

import pytest

from tests.unit.connectors.sql.conftest import Open, field
from worker.core.facts import FieldType
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.sources import Aggregate, Coarse, Disposal, Function, Identifier, Match, Relation, Scrubbing, Treatment, TreatmentKind
from worker.errors import ConfigurationError

PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, email VARCHAR(40) UNIQUE, code TEXT NOT NULL, seen_on DATE);"
NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people (id){cascade}, body TEXT);"
CLEAR = Treatment(TreatmentKind.CLEAR)


def said(found: list[object]) -> str:
    """Return all that was said, in one text."""
    return "\n".join(map(str, found))


def test_a_fitting_source_has_no_problems(opened: Open) -> None:
    """A table with a key, existing columns and treatments that fit is usable without a word."""
    source = opened(PEOPLE + "CREATE INDEX seen ON people (seen_on);", field("name", treatment=CLEAR), field("seen_on", FieldType.DATE))
    assert ([], []) == source.problems(None, {})


def test_missing_columns_come_with_the_nearest_name(opened: Open) -> None:
    """Every missing column is named, with what it may have been meant to be."""
    source = opened(PEOPLE, field("nme"), field("quite_other"), key=("id",))
    problems, _ = source.problems(None, {})
    assert 2 == len(problems)
    assert "sources.people.fields.nme: the table people has no column 'nme'. Did you mean 'name'?" in said(problems)


def test_a_missing_table_comes_with_the_nearest_name(opened: Open) -> None:
    """A table that is not there can't be opened."""
    with pytest.raises(ConfigurationError, match=r"there is no table 'poeple' in the database\. Did you mean 'people'\?"):
        opened(PEOPLE, table="poeple")


@pytest.mark.parametrize(
    ("sql", "key", "expected"),
    [
        ("CREATE TABLE people (id INTEGER, name TEXT);", ("id",), "there is no primary key or unique index"),
        ("CREATE TABLE people (id INTEGER, name TEXT); CREATE UNIQUE INDEX u ON people (id) WHERE name = 'x';", ("id",), "no primary key"),
        ("CREATE TABLE people (a INTEGER, b INTEGER, PRIMARY KEY (a, b));", ("a",), "does not identify a row"),
        ("CREATE TABLE people (id REAL PRIMARY KEY NOT NULL);", ("id",), "a key is made of whole numbers"),
        ("CREATE TABLE people (id TEXT PRIMARY KEY); INSERT INTO people VALUES (NULL);", ("id",), "may be empty"),
    ],
)
def test_a_key_must_identify_a_row(opened: Open, sql: str, key: tuple[str, ...], expected: str) -> None:
    """What is no unique, whole key is refused."""
    problems, _ = opened(sql, key=key).problems(None, {})
    assert expected in said(problems)


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("CREATE TABLE people (id TEXT PRIMARY KEY);", ("id",)),
        ("CREATE TABLE people (id INTEGER, UNIQUE (id)); INSERT INTO people VALUES (1);", ("id",)),
        ("CREATE TABLE people (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));", ("a", "b")),
        ("CREATE TABLE people (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;", ("b", "a")),
    ],
)
def test_keys_of_every_shape_are_taken(opened: Open, sql: str, key: tuple[str, ...]) -> None:
    """Composite keys and unique indexes identify rows as well as a primary key does."""
    assert ([], []) == opened(sql, key=key).problems(None, {})


def test_a_view_is_refused(opened: Open) -> None:
    """Rows of a view can't be locked or deleted for certain."""
    problems, _ = opened(PEOPLE + "CREATE VIEW some AS SELECT * FROM people;", table="some").problems(None, {})
    assert "some is a view" in said(problems)


@pytest.mark.parametrize(
    ("name", "treatment", "expected"),
    [
        ("code", CLEAR, "may not be empty (NOT NULL)"),
        ("email", Treatment(TreatmentKind.CONSTANT, "removed"), "is unique"),
        ("email", Treatment(TreatmentKind.TRUNCATE), "is unique"),
        ("email", Treatment(TreatmentKind.CONSTANT, "r" * 41), "takes 40 characters"),
        ("id", Treatment(TreatmentKind.CONSTANT, "0"), "is part of the key"),
        ("made", CLEAR, "is computed by the database"),
        ("email", Treatment(TreatmentKind.GENERALISE, coarse=Coarse.REGION, size=2), "is unique"),
        ("email", Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(within=40)), "is unique"),
        ("short", Treatment(TreatmentKind.RANDOM), "takes 10 characters, but the treatment random writes up to 29"),
        ("short", Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing()), "say within = 10"),
        ("short", Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(within=11)), "say within = 10"),
    ],
)
def test_a_treatment_must_fit_its_column(opened: Open, name: str, treatment: Treatment, expected: str) -> None:
    """NOT NULL, UNIQUE, length, key and generated columns limit what a treatment may write."""
    sql = PEOPLE.replace("seen_on DATE", "seen_on DATE, short VARCHAR(10), made TEXT GENERATED ALWAYS AS (name || code) STORED")
    problems, _ = opened(sql, field(name, treatment=treatment)).problems(None, {})
    assert expected in said(problems)


def test_treatments_that_fit(opened: Open) -> None:
    """A token is unique, a scrubbed text stays within what was said, and a coarse value never needs more room than it had."""
    fitting = {
        "email": Treatment(TreatmentKind.RANDOM),
        "code": Treatment(TreatmentKind.GENERALISE, coarse=Coarse.REGION, size=2),
        "short": Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(within=10)),
        "seen_on": Treatment(TreatmentKind.GENERALISE, coarse=Coarse.YEAR),
    }
    sql = PEOPLE.replace("seen_on DATE", "seen_on DATE, short VARCHAR(10)")
    problems, _ = opened(sql, *(field(name, treatment=each) for name, each in fitting.items())).problems(None, {})
    assert [] == list(problems)


def test_a_pseudonym_of_an_address_needs_room(opened: Open) -> None:
    """A pseudonymous e-mail address is longer than many columns."""
    mail = field("email", treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people"))
    problems, _ = opened(PEOPLE, mail).problems(None, {})
    assert not problems
    address = type(mail)(mail.name, mail.column, mail.reading, personal=True, treatment=mail.treatment, identifier=Identifier.EMAIL)
    problems, _ = opened("", address).problems(None, {})
    assert "takes 40 characters, but the treatment pseudonym writes up to 53" in said(problems)


@pytest.mark.parametrize(
    ("cascade", "effect"), [("", ""), (" ON DELETE CASCADE", "would cascade"), (" ON DELETE SET NULL", "would set null")]
)
def test_undeclared_references_are_problems(opened: Open, cascade: str, effect: str) -> None:
    """A table that refers to the records and is not declared would fail, or vanish, at night; declared it is fine."""
    sql = PEOPLE + NOTES.format(cascade=cascade) + "CREATE INDEX p ON notes (person);"
    problems, _ = opened(sql).problems(None, {})
    assert "notes (person) refers to people, but is not declared as its child" in said(problems)
    assert effect in said(problems)
    notes = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)
    assert ([], []) == opened("", relations=(notes,)).problems(None, {})


def test_references_to_children_are_checked_too(opened: Open) -> None:
    """What refers to a child that goes along has to be declared below it."""
    sql = (
        PEOPLE
        + NOTES.format(cascade="")
        + "CREATE TABLE marks (id INTEGER PRIMARY KEY, note INTEGER REFERENCES notes (id) ON DELETE CASCADE);"
    )
    notes = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)
    problems, warnings = opened(sql, relations=(notes,)).problems(None, {})
    assert "marks (note) refers to notes, but is not declared as its child and the database would cascade" in said(problems)
    assert "there is no index on notes (person)" in said(warnings)


def test_a_required_reference_can_not_be_detached(opened: Open) -> None:
    """A text that may not be empty can't refer to nothing; a number becomes 0."""
    sql = "CREATE TABLE people (id TEXT PRIMARY KEY); CREATE TABLE notes (id INTEGER PRIMARY KEY, person TEXT NOT NULL);"
    notes = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DETACH)
    problems, _ = opened(sql, relations=(notes,)).problems(None, {})
    assert "can't be detached" in said(problems)


@pytest.mark.parametrize(
    ("trigger", "fires"),
    [
        ("begin_log AFTER DELETE ON people BEGIN UPDATE people SET name = name; END", True),
        ("t BEFORE /* begin */ DELETE -- of a row\n ON people BEGIN SELECT 1; END", True),
        ("t AFTER INSERT ON people BEGIN DELETE FROM people WHERE name IS NULL; END", False),
        ("delete_log AFTER UPDATE OF name ON people BEGIN SELECT 1; END", False),
    ],
)
def test_on_which_event_a_trigger_fires(opened: Open, trigger: str, fires: bool) -> None:
    """A trigger on deletions is found whatever it is called and whatever is remarked in it; one on other events is not meant."""
    problems, _ = opened(f"{PEOPLE} CREATE TRIGGER {trigger};").problems(None, {})
    assert fires == ("fires when a row of people is deleted" in said(problems))


def test_triggers_have_to_be_accepted(opened: Open) -> None:
    """A trigger on deletion may copy what is deleted: a person has to have read it."""
    trigger = "CREATE TRIGGER keep AFTER DELETE ON people BEGIN INSERT INTO old VALUES (OLD.name); END;"
    update = "CREATE TRIGGER other AFTER UPDATE ON people BEGIN DELETE FROM old; END;"
    problems, _ = opened(PEOPLE + "CREATE TABLE old (name TEXT);" + trigger + update).problems(None, {})
    assert ["keep"] == [word for word in said(problems).split() if word in ("keep", "other")]
    problems, warnings = opened("", options={"triggers": "accepted"}).problems(None, {})
    assert not problems
    assert "the trigger keep fires" in said(warnings)


def test_a_start_without_index_is_a_warning(opened: Open) -> None:
    """Every run would read the whole table; the warning names the column."""
    source = opened(PEOPLE, field("name", treatment=CLEAR), field("seen_on", FieldType.DATE))
    contact = Purpose("contact", LegalBasis.LEGITIMATE_INTERESTS, ("name",), StartEvent(("seen_on",)), Term(Period(years=2)))
    policy = Policy(source.spec, (contact,), (Disposition((Step(DispositionKind.DELETE),)),))
    problems, warnings = source.problems(policy, {})
    assert not problems
    assert "there is no index on people (seen_on)" in said(warnings)


def test_columns_of_aggregates_must_exist(opened: Open) -> None:
    """Facts over related rows name columns of the other table and, for a difference, of this one."""
    notes = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)
    wrong = Aggregate("count", "notes", Function.COUNT, where=(Match("autor", ("x",)), Match("body", differs_from="nam")))
    problems, _ = opened(PEOPLE + NOTES.format(cascade=""), relations=(notes,), aggregates=(wrong,)).problems(None, {})
    assert "the table notes has no column 'autor'" in said(problems)
    assert "the table people has no column 'nam'. Did you mean 'name'?" in said(problems)


def test_shape_tells_of_new_columns_and_tables(opened: Open) -> None:
    """Personal data may have moved in: a new column or a new referring table changes the shape."""
    source = opened(PEOPLE)
    before = source.shape()
    opened("ALTER TABLE people ADD COLUMN nickname TEXT;" + NOTES.format(cascade=""))
    after = source.shape()
    assert {"nickname"} == set(after.columns) - set(before.columns)
    assert ((), ("notes.person",)) == (before.referring, after.referring)
