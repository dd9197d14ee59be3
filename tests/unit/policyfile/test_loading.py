"""Whole policy files: what a right one becomes, and that everything wrong with a file is told at once, with its line."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from tests.unit.policyfile.whole_file import VALID, YEAR, complaints, line_of
from worker.core.conditions import Compare, Either, Every, Negated, Op
from worker.core.facts import Empty, FieldType
from worker.core.model import Combine, DispositionKind, LegalBasis, Step
from worker.core.periods import Anchor, Bound, Period
from worker.core.sources import Disposal, Function, Identifier, Match, Recount, Relation, Treatment, TreatmentKind
from worker.errors import ConfigurationError, Problems
from worker.policyfile import check, load, loads


class TestARightFile:
    """What the words of a file become."""

    def test_organisation_and_windows(self) -> None:
        """The organisation's zone and fiscal year hold for every policy, its window for those that name none."""
        schedule = loads(VALID, "policies.toml")
        assert (ZoneInfo("Europe/Amsterdam"), YEAR) == (schedule.organisation.zone, schedule.organisation.fiscal_year)
        assert [("customers", Period(days=30)), ("invoices", Period(days=7))] == [(each.id, each.window) for each in schedule.policies]
        assert {ZoneInfo("Europe/Amsterdam")} == {each.zone for each in schedule.policies}

    def test_fields(self) -> None:
        """A treatment or a place in `subject` makes a field personal; its type says how it is recognised and read."""
        source = loads(VALID, "policies.toml").sources["customers"]
        assert ["name", "email", "phone", "ip", "note"] == [each.name for each in source.personal]
        assert [("email", Identifier.EMAIL), ("phone", Identifier.PHONE)] == [(each.name, each.identifier) for each in source.identifiers]
        assert Treatment(TreatmentKind.PSEUDONYM, domain="people") == source.field("email").treatment
        assert Treatment(TreatmentKind.CLEAR) == source.field("phone").treatment
        alone = loads(VALID.replace('type = "phone", treatment = "clear"', 'type = "phone", treatment = "pseudonym"'), "x")
        assert Treatment(TreatmentKind.PSEUDONYM, domain="customers") == alone.sources["customers"].field("phone").treatment
        assert "tel" == source.field("phone").column
        assert Treatment(TreatmentKind.CONSTANT, value="removed") == source.field("note").treatment
        assert source.field("note").follows_record
        reading = source.field("last_contact_at").reading
        assert (FieldType.TIMESTAMP, ZoneInfo("UTC"), dt.date(2000, 1, 1), True) == (
            reading.type,
            reading.stored_zone,
            reading.earliest,
            reading.planned,
        )
        assert Empty.NOT_YET is source.field("closed_on").reading.empty
        assert (("id", "branch"), True, {"schema": "public"}) == (source.key, source.controller, source.options)
        assert not loads(VALID, "policies.toml").sources["invoices"].controller

    def test_relations(self) -> None:
        """Children carry what happens to them and their own children; a parent has no disposal."""
        source = loads(VALID, "policies.toml").sources["customers"]
        lines = Relation("lines", "lines", ("id",), ("invoice",), ("invoice", "number"), Disposal.DELETE, with_pseudonymised=True)
        invoices = Relation(
            "invoices", "invoices", ("id",), ("contact_id",), ("id",), Disposal.KEEP_PARENT, source="invoices", children=(lines,)
        )
        recount = (Recount("customers", (Match("status", ("a", "b")),)),)
        assert (invoices, Relation("branch", "branches", ("branch",), ("id",), ("id",), recount=recount)) == source.relations

    def test_facts(self) -> None:
        """Computed facts know their relation, their restrictions and what it means that there is nothing."""
        count, exists, latest = loads(VALID, "policies.toml").sources["customers"].aggregates
        where = (Match("status", ("open", "paid")), Match("kind", (1,)), Match("email", differs_from="email"))
        assert (Function.COUNT, "invoices", where) == (count.function, count.relation, count.where)
        assert (Function.EXISTS, "branch") == (exists.function, exists.relation)
        assert (Function.LATEST, "issued_on", Empty.NOT_APPLICABLE) == (latest.function, latest.column, latest.none)
        assert latest.reading is not None
        assert (FieldType.DATE, Empty.NOT_YET) == (latest.reading.type, latest.reading.empty)

    def test_purposes_and_dispositions(self) -> None:
        """Purposes carry basis, start, anchor and condition; dispositions are a list of chains."""
        policy = loads(VALID, "policies.toml").policies[0]
        contact, invoices = policy.purposes
        assert contact.start is not None
        assert (("last_contact_at", "closed_on"), Combine.LATEST_OF) == (contact.start.facts, contact.start.combine)
        assert invoices.term is not None
        assert (Anchor.END_OF_FISCAL_YEAR, YEAR, Period(years=7)) == (
            invoices.term.anchor,
            invoices.term.fiscal_year,
            invoices.term.period,
        )
        assert (LegalBasis.LEGAL_OBLIGATION, Bound.FLOOR) == (invoices.basis, invoices.bound)
        expected = Every(
            (
                Compare("invoice_count", Op.GT, (0,)),
                Compare("invoice_count", Op.LE, (10,)),
                Compare("status", Op.IN, ("a", "b")),
                Either((Compare("vip", Op.EQ, (False,)), Negated(invoices_score()))),
            )
        )
        assert expected == invoices.when
        first, second = policy.dispositions
        assert (Step(DispositionKind.PSEUDONYMISE), Step(DispositionKind.DELETE, Period(years=1))) == first.steps
        assert (Step(DispositionKind.DELETE),) == second.steps

    def test_load_and_check_read_the_same_file(self, tmp_path: Path) -> None:
        """`load` and `check` agree on a file; every policy has its digest and every example was run."""
        path = tmp_path / "policies.toml"
        path.write_text(VALID, encoding="utf-8")
        report = check(path, ["crm"])
        assert load(path, ["crm"]) == report.schedule
        assert report.schedule is not None
        assert all(each.digest.startswith("sha256:") for each in report.schedule.policies)
        assert 4 == report.examples_run
        assert (
            "customers.name: contact (legitimate-interests): at most P2Y from the latest of last_contact_at, closed_on; "
            in report.fields[0].text
        )
        assert () == report.problems


def invoices_score() -> Compare:
    return Compare("score", Op.EQ, (Decimal("1.5"),))


SWAPS = [
    # (what stands in the valid file, what stands there instead, what is said about it)
    ("version = 1", "version = 2", "must be one of 1"),
    ("version = 1", "", "'version' is missing"),
    ('name = "Office"', "", "'name' is missing"),
    ('"Europe/Amsterdam"', '"Europe/Amsterdm"', "is not a time zone of the IANA database"),
    ('"Europe/Amsterdam"', '"../../etc/passwd"', "is not a time zone of the IANA database"),
    ('"06-30"', '"06-31"', "not a day that every year has"),
    ('window = "P7D"', 'window = "P0.5Y"', "'P0.5Y' is not a whole calendar period"),
    ('window = "P7D"', "window = 7", "must be a period as text"),
    ('connector = "crm"', 'conector = "crm"', "Did you mean 'connector'?"),
    ('key = ["id", "branch"]', "key = 1", "must be a text or a list of texts"),
    ('key = ["id", "branch"]', 'key = ["id", "id"]', "names a column twice"),
    ('subject = ["email", "phone"]', 'subject = ["emial", "phone"]', "there is no field \"emial\". Did you mean 'email'?"),
    ('subject = ["email", "phone"]', 'subject = ["score"]', "'score' is a number; a subject is recognised by text, email or phone"),
    ('key = ["id", "branch"]', 'key = "id"\nsuppress = { fields = ["email"] }', "'keep' is missing"),
    ('key = ["id", "branch"]', 'key = "id"\nsuppress = { fields = ["email"], keep = "indefinite" }', "keep"),
    ('key = ["id", "branch"]', 'key = "id"\nsuppress = { fields = ["email"], keep = "P0D" }', "suppresses for no time at all"),
    ('key = ["id", "branch"]', 'key = "id"\nsuppress = { fields = [], keep = "P1Y" }', "fields"),
    ('key = ["id", "branch"]', 'key = "id"\nsuppress = { fields = ["name"], keep = "P1Y" }', "'name' is not in `subject`"),
    ('key = ["id", "branch"]', 'key = "id"\nprocessor = true\nsuppress = { fields = ["email"], keep = "P1Y" }', "controller decides"),
    ("[sources.customers.fields]\n", "[sources.customers.fields]\nany = {}\n", "can't be called 'any'"),
    ('name = { treatment = "clear" }', 'name = { treatmnt = "clear" }', "unknown key \"treatmnt\". Did you mean 'treatment'?"),
    (
        'name = { treatment = "clear" }',
        'name = { treatment = "claer" }',
        "\"claer\" is not one of clear, pseudonym, truncate, random, scrub. Did you mean 'clear'?",
    ),
    ('name = { treatment = "clear" }', "name = { treatment = 3 }", "must be 'clear', 'pseudonym', 'truncate', 'random', 'scrub'"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", personal = false }', "is personal"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", domain = "x" }', "only a field with the treatment 'pseudonym'"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", timezone = "UTC" }', "only a timestamp has a zone"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", planned = true }', "'planned' belongs to dates"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", column = "tel" }', "reads the same column as 'name'"),
    ('name = { treatment = "clear" }', 'name = { treatment = "clear", column = "id" }', "is part of the key"),
    ('name = { treatment = "clear" }', "name = { personal = true }", "has no treatment, and a disposition of its policy pseudonymises"),
    ('score = { type = "number" }', 'score = { type = "number", treatment = "pseudonym" }', "a number can only be cleared"),
    ('score = { type = "number" }', 'score = { type = "nummer" }', "Did you mean 'number'?"),
    ('timezone = "UTC", earliest', "earliest", "a timestamp needs a `timezone`"),
    ("earliest = 2000-01-01", 'earliest = "2000-01-01"', "must be a day without quotes"),
    ("earliest = 2000-01-01", "earliest = 2000-01-01T00:00:00", "must be a day without quotes"),
    ('on_delete = "keep_parent"', "", "'on_delete' is missing"),
    ('on_delete = "keep_parent"', 'on_delete = "keep"', "is not one of delete, detach, keep_parent, block"),
    ('source = "invoices"\n\n[sources.customers.children', 'source = "invoice"\n\n[sources.customers.children', "Did you mean 'invoices'?"),
    ('count = "invoices"', 'count = "invoces"', "there is no relation \"invoces\". Did you mean 'invoices'?"),
    ('count = "invoices"', 'count = "invoices", latest = "invoices.x"', "needs exactly one of count, exists, latest, earliest"),
    ('exists = "branch"', 'exists = "branch", none = "unknown"', "'none' belongs to 'latest' and 'earliest'"),
    ('exists = "branch"', 'exists = "branch", remaining = true', "lies in another table"),
    ('latest = "invoices.issued_on", type = "date"', 'latest = "invoices.issued_on"', "needs the column's `type`"),
    ('latest = "invoices.issued_on"', 'latest = "invoices"', "must name a relation and its column"),
    ('status = ["a", "b"] } }', "status = 1.5 } }", "must be a text, a whole number, true, false"),
    ("where = { status", "where = { at = 2024-01-01, status", "must be a text, a whole number, true, false"),
    ("[sources.customers.facts]\n", '[sources.customers.facts]\nname = { count = "invoices" }\n', "'name' is the name of a field too"),
    (
        '[[policies]]\nsource = "customers"',
        '[[policies]]\nsource = "custmers"',
        "there is no source \"custmers\". Did you mean 'customers'?",
    ),
    ('[[policies]]\nsource = "invoices"', '[[policies]]\nsource = "customers"', "'customers' has a policy already, in line"),
    ('disposition = "delete"', "", "'disposition' is missing"),
    ('disposition = "delete"', 'disposition = "anonymise"', "is not one of delete, pseudonymise, review. Did you mean 'pseudonymise'?"),
    ('do = "pseudonymise", when = { vip = true }', 'do = "pseudonymise"', "has no condition, so those after it are never chosen"),
    ('after = "P1Y"', 'after = "P0D"', "does not lie after the step before"),
    ('do = "pseudonymise", when', 'do = "delete", when', "comes after 'delete'"),
    ('id = "invoices"', 'id = "contact"', "another purpose of this policy is called 'contact' too"),
    ('id = "invoices"', 'id = "In voices"', "is not a name of small letters"),
    ('basis = "legal-obligation"', 'basis = "legal_obligation"', "Did you mean 'legal-obligation'?"),
    ('basis = "legal-obligation"', 'basis = "legal-obligation"\nconsent = "x"', "rests on no consent"),
    ('fields = ["name"]', 'fields = ["nam"]', "there is no field \"nam\". Did you mean 'name'?"),
    ('fields = ["name"]', 'fields = ["name", "name"]', "'name' is listed twice"),
    ('fields = ["name"]', 'fields = ["status"]', "'status' is not a personal field"),
    ('fields = ["name"]', 'fields = ["note"]', "'note' follows its record"),
    ('fields = ["name"]', "fields = []", "must not be empty"),
    ('"last_contact_at", "closed_on"', '"last_contact_at", "closd_on"', "there is no fact \"closd_on\". Did you mean 'closed_on'?"),
    ('"last_contact_at", "closed_on"', '"last_contact_at", "score"', "'score' is a number; a period runs from a date or a timestamp"),
    ('"last_contact_at", "closed_on"', '"closed_on", "closed_on"', "'closed_on' is listed twice"),
    ('start = { latest_of = ["last_contact_at", "closed_on"] }', "", "a period needs a `start`"),
    ('end_of_fiscal_year = "last_invoice_on"', 'end_of_fiscal_yaer = "last_invoice_on"', "Did you mean 'end_of_fiscal_year'?"),
    ('{ end_of_fiscal_year = "last_invoice_on" }', "{ }", "needs exactly one of end_of_fiscal_year"),
    ('all_of = ["issued_on"]', 'all_of = ["issued_on"], latest_of = ["issued_on"]', "needs exactly one of latest_of"),
    ('keep = "P2Y"', 'keep = "P2"', "'P2' is not a whole calendar period"),
    ('keep = "P2Y"', 'keep = "indefinite"', "what is kept without an end has no start event"),
    (
        "invoice_count = { gt = 0, le = 10 }",
        'invoice_count = { gt = "0" }',
        "'invoice_count' is a number and can only be compared with a number",
    ),
    ("invoice_count = { gt = 0, le = 10 }", "invoice_count = { gr = 0 }", "unknown operator"),
    ("invoice_count = { gt = 0, le = 10 }", "invoice_count = {}", "there is no comparison in it"),
    ("invoice_count = { gt = 0, le = 10 }", "invoice_count = { in = 3 }", "'in' needs a list"),
    ("invoice_count = { gt = 0, le = 10 }", "invoice_count = { exists = 1 }", "'exists' must be true or false"),
    ("invoice_count = { gt = 0, le = 10 }", "invoice_cuont = 3", "Did you mean 'invoice_count'?"),
    ('status = ["a", "b"], any', 'status = { gt = "a" }, any', "'gt' compares numbers and days, and 'status' is a text"),
    ('status = ["a", "b"], any', "status = [], any", "'in' needs a list"),
    ("any = [{ vip = false }, { not = { score = 1.5 } }]", "any = []", "must be a list of tables"),
    ("any = [{ vip = false }, { not = { score = 1.5 } }]", "not = 3", "must be a table with a condition"),
    ("any = [{ vip = false }, { not = { score = 1.5 } }]", "any = [{}]", "there is no condition in it"),
    ("{ score = 1.5 }", "{ score = nan }", "'score' is a number"),
    ("{ vip = false }", "{ vip = 0 }", "'vip' is a boolean and can only be compared with true or false"),
    (
        "due = 2025-12-31",
        "due = 2025-12-30",
        "expected 'delete or pseudonymise or review' on 2025-12-31, the day after its due day, but it is \"kept\"",
    ),
    ("due = 2025-12-31", "due = 2026-01-01", 'expected to be kept through 2026-01-01, but on that day it is "delete"'),
    ("due = 2025-12-31", "due = 9999-12-31", "no day lies after this one"),
    ("due = 2025-12-31", "", "needs either `due`, or `outcome` with `today`"),
    ("due = 2025-12-31", "today = 2025-12-31", "needs an `outcome`"),
    ("due = 2025-12-31", 'today = 2025-12-31\noutcome = "delete"', "expected 'delete' on 2025-12-31, but it is \"kept\""),
    ("due = 2025-12-31", 'due = 2025-12-31\noutcome = "kept"', "what follows a due day is one of"),
    ("issued_on = 2018-06-30", "isued_on = 2018-06-30", "there is no fact \"isued_on\". Did you mean 'issued_on'?"),
    ("issued_on = 2018-06-30", 'issued_on = "2018-06-30"', "does not fit 'issued_on', which is a date"),
    ("issued_on = 2018-06-30", 'issued_on = { is = "not yet" }', "Did you mean 'not_yet'?"),
]


class TestAWrongFile:
    """Every mistake is told, with its line and the nearest right name."""

    @pytest.mark.parametrize(("right", "wrong", "said"), SWAPS)
    def test_each_mistake(self, right: str, wrong: str, said: str) -> None:
        """One mistake in an otherwise right file brings exactly one complaint, on its own line or that of the table it is missing from."""
        at = VALID.index(right)
        text = VALID[:at] + wrong + VALID[at + len(right) :]
        found = complaints(text)
        assert [said] == [said for _, message in found if said in message], found
        assert 1 == len(found), found
        first = VALID[:at].count("\n") + 1
        line = found[0][0]
        if wrong and "missing" not in said:
            assert line is not None
            assert first - 8 <= line <= first + wrong.count("\n") + 30, (line, first)

    def test_all_at_once(self) -> None:
        """Mistakes in shape and in meaning, in several tables, are told together and in the order of the file."""
        text = VALID
        for right, wrong in (
            ('timezone = "Europe/Amsterdam"', 'timezone = "Mars/Olympus"'),
            ('name = { treatment = "clear" }', 'name = { treatmnt = "clear" }'),
            ('on_delete = "keep_parent"', 'on_delete = "keep"'),
            ('id = "contact"', 'id = "contact"\nunknown = 1'),
            ('start = { latest_of = ["last_contact_at", "closed_on"] }', 'start = { latest_of = ["last_contact_at", "closed"] }'),
            ('{ end_of_calendar_year = { all_of = ["issued_on"] } }', '"issued"'),
        ):
            assert right in text
            text = text.replace(right, wrong, 1)
        found = complaints(text)
        wrong_places = (
            'timezone = "Mars',
            "name = { treatmnt",
            'on_delete = "keep"',
            "unknown = 1",
            "start = { latest_of",
            'start = "issued"',
        )
        assert [line_of(text, each) for each in wrong_places] == [line for line, _ in found], found

    def test_where(self) -> None:
        """A complaint names file, key path and line; policies go by their source, purposes by their id."""
        text = VALID.replace('keep = "P2Y"', 'keep = "P2"')
        ((_, message),) = complaints(text)
        line = line_of(text, 'keep = "P2"')
        where = f"policies.toml: policies[customers].purposes[contact].keep (line {line})"
        assert f"{where}: 'P2' is not a whole calendar period such as P8W, P2Y, P1Y6M or P30D" == message

    def test_what_is_set_aside_brings_no_follow_up(self) -> None:
        """A field with a mistake of its own is not called unknown where it is used."""
        found = complaints(VALID.replace('closed_on = { type = "date"', 'closed_on = { type = "dat"'))
        assert 1 == len(found), found

    def test_unknown_connector(self) -> None:
        """With the installed plug-ins given, a source with another one is refused."""
        with pytest.raises(Problems, match="Did you mean 'crm'"):
            loads(VALID.replace('connector = "crm"', 'connector = "crn"', 1), "policies.toml", ["crm", "mailing_list"])

    def test_syntax_error(self) -> None:
        """A file that is no TOML is refused with file, line and column."""
        with pytest.raises(ConfigurationError, match=r"^policies\.toml: line 3, column 5: not valid TOML: "):
            loads("version = 1\n[organisation]\nname\n", "policies.toml")
        with pytest.raises(ConfigurationError, match=r"^policies\.toml: line 2, column 9: not valid TOML: "):
            loads('version = 1\nname = "', "policies.toml")

    @pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x = 1" + b"0" * 5000, b"x = " + b"[" * 20000, b"x = 1e99999999999999999999"])
    def test_unreadable(self, tmp_path: Path, content: bytes | None) -> None:
        """A file that is missing, no text, or beyond reason is a configuration error."""
        path = tmp_path / "policies.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"policies\.toml"):
            load(path)

    def test_deep_conditions(self) -> None:
        """Conditions nested beyond reason are refused before anything evaluates them."""
        deep = "{ not = " * 30 + "{ vip = true }" + " }" * 30
        found = complaints(VALID.replace("{ not = { score = 1.5 } }", deep))
        assert ["nested more than 20 deep" in message for _, message in found] == [True]


VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.booleans(),
        st.text(max_size=5),
        st.floats(),
        st.dates(),
        st.datetimes(),
        st.times(),
        st.sampled_from(["P2Y", "name", "email", "delete", "closed_on", "customers", "indefinite", "clear"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["do", "gt", "any", "not", "is", "x", "constant"]), inner)
    ),
    max_leaves=6,
)


def _inline(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(_inline(each) for each in value) + "]"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\\ud", "x")
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)


class TestNothingElseIsRaised:
    """Whatever stands in a file, the answer is a schedule or a configuration error."""

    @settings(max_examples=examples(40), deadline=None)
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        """Lines of the valid file that are changed, dropped or doubled bring nothing but configuration errors."""
        lines = VALID.split("\n")
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(lines) - 1))
            how = data.draw(st.sampled_from(["drop", "double", "value", "value", "value", "cut", "inner"]))
            key, equals, value = lines[at].partition(" = ")
            if how == "drop":
                lines[at] = ""
            elif how == "double":
                lines.insert(at, lines[at])
            elif how == "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            elif how == "value" and equals:
                lines[at] = f"{key} = {_inline(data.draw(VALUES))}"
            elif how == "inner" and "{ " in value and " = " in value:
                inner, _, rest = value.partition(" = ")
                tail = rest[rest.find(",") :] if "," in rest else " }"
                lines[at] = f"{key} = {inner} = {_inline(data.draw(VALUES))}{tail}"
        try:
            loads("\n".join(lines), "x")
        except ConfigurationError:
            return

    @settings(max_examples=examples(40), deadline=None)
    @given(st.text(alphabet="[]{}=.\"'#\n ab1-:,\\TZ\u00e9", max_size=60))
    def test_random_text(self, text: str) -> None:
        """Random text is refused or read, never more."""
        try:
            loads(text, "x")
        except ConfigurationError:
            return
        assert tomllib.loads(text)
