"""What a policy leads to that its writer may not have meant: it loads and is warned about, or is refused."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies import policies
from tests.thoroughness import examples
from tests.unit.policyfile.whole_file import VALID, complaints, line_of, second_example
from worker.core.decide import choose, decide
from worker.core.model import Policy
from worker.core.standing import NOTHING
from worker.policyfile.consequences import _TRIES, Gaps, _constants, _telling, gaps, possible
from worker.policyfile.loading import check_text


class TestWarnings:
    """What works and may not be what was meant."""

    @pytest.mark.parametrize(
        ("right", "wrong", "said"),
        [
            (
                '"P1Y" }] },\n  { do = "delete" }',
                '"P1Y" }] },\n  { do = "delete", when = { status = "a" } }',
                "no disposition is chosen when",
            ),
            ("[[policies.examples]]\ngiven = { issued_on = 2018-06-30 }\ndue = 2025-12-31\n", "", "has no example"),
            ('subject = ["billing_name"]\n', "", "has no subject fields"),
            ('basis = "legal-obligation"', 'basis = "consent"', "does not name its consent"),
            ('basis = "legal-obligation"', 'basis = "legal-obligation"\nmarketing = true', "direct marketing rarely rests on"),
            ('table = "invoices"\nkey = "id"\nsubject', 'table = "bills"\nkey = "id"\nsubject', "lies in the table 'bills'"),
            ('on_delete = "keep_parent"\nsource = "invoices"', 'on_delete = "keep_parent"', "keep their record as long as they exist"),
            ('subject = ["email", "phone"]', 'subject = ["phone"]', "is treated as plain text"),
            (
                'key = ["id", "branch"]',
                'key = "id"\nsuppress = { fields = ["email"], keep = "P1Y" }',
                "nothing says when somebody consented",
            ),
        ],
    )
    def test_each_warning(self, right: str, wrong: str, said: str) -> None:
        """A doubtful file loads and says what is doubtful."""
        text = VALID.replace(right, wrong, 1)
        if said == "has no subject fields":
            text = text.replace("billing_name = {}", "billing_name = { personal = true }")
        report = check_text(text, "policies.toml")
        assert () == report.problems
        assert [True] == [said in str(each) for each in report.warnings]

    def test_the_valid_file_has_none(self) -> None:
        """The file these tests start from is beyond doubt."""
        assert () == check_text(VALID, "policies.toml").warnings

    def test_pseudonymised_for_ever(self) -> None:
        """A chain that ends with pseudonymised data keeps personal data without an end, and that is said."""
        text = VALID.replace(', then = [{ do = "delete", after = "P1Y" }]', "").replace(second_example(), "")
        assert ["ends with pseudonymised data" in str(each) for each in check_text(text, "x").warnings] == [True]

    def test_source_without_policy(self) -> None:
        """A source that no policy is about is never due, and that is said."""
        text = VALID[: VALID.index('[[policies]]\nsource = "invoices"')]
        messages = [str(each) for each in check_text(text, "policies.toml").warnings]
        assert 2 == len(messages), messages
        assert any("sources.invoices" in each and "has no policy" in each for each in messages)
        assert any("no policy decides about 'invoices'" in each for each in messages)

    def test_uncovered_field(self) -> None:
        """A personal field that no purpose lists is a gap; with it, the other fields can be due while the record stays."""
        text = VALID.replace("billing_name = {}", 'billing_name = { treatment = "clear" }\nphone = { treatment = "clear" }')
        messages = [
            str(each) for each in check_text(text.replace("due = 2025-12-31", 'due = 2025-12-31\noutcome = "partly"'), "x").warnings
        ]
        assert ["no purpose lists this field" in each for each in messages] == [True]

    def test_conditional_gap(self) -> None:
        """A field whose purposes all have conditions is a gap when the conditions leave something out; both values of a boolean do not."""
        only_some = 'id = "administration"\nwhen = { paid = true }\n'
        base = VALID.replace('issued_on = { type = "date" }', 'issued_on = { type = "date" }\npaid = { type = "boolean" }')
        base = base.replace("given = { issued_on = 2018-06-30 }", "given = { issued_on = 2018-06-30, paid = true }")
        text = base.replace('id = "administration"\n', only_some)
        messages = [str(each) for each in check_text(text, "x").warnings]
        assert ["no purpose covers this field when paid is false" in each for each in messages] == [True]
        other = '\n[[policies.purposes]]\nid = "unpaid"\nbasis = "contract"\n'
        other += 'fields = ["billing_name"]\nwhen = { paid = false }\nkeep = "indefinite"\n'
        other += '[[policies.examples]]\ngiven = { paid = false }\ntoday = 2026-01-01\noutcome = "kept"\n'
        assert () == check_text(text + other, "x").warnings


class TestConsequences:
    """Steps that would undo each other are refused."""

    def test_treated_field_that_starts_a_clock(self) -> None:
        """A treatment may not destroy the fact by which the next decision about the record is made."""
        text = VALID.replace('closed_on = { type = "date", empty', 'closed_on = { type = "date", treatment = "clear", empty')
        text = text.replace('fields = ["name", "email", "phone", "ip"]', 'fields = ["name", "email", "phone", "ip", "closed_on"]')
        ((line, message),) = complaints(text)
        assert line_of(text, "closed_on = {") == line
        assert "is treated, and its policy decides by it" in message

    def test_treated_field_that_joins(self) -> None:
        """A treatment may not destroy the column by which a record's rows are found."""
        ((_, message),) = complaints(VALID.replace('match = { contact_id = "id" }', 'match = { contact_id = "name" }'))
        assert "the relation 'invoices' finds its rows by it" in message

    def test_a_field_that_follows_has_no_purpose(self) -> None:
        """A field may follow its record when another one has purposes; a purpose that lists a following field is refused."""
        text = VALID.replace("billing_name = {}", 'billing_name = { follows = "record" }')
        text = text.replace('fields = ["billing_name"]', 'fields = ["other"]').replace(
            "issued_on = {", "other = { personal = true }\nissued_on = {"
        )
        assert () == check_text(text, "x").problems
        ((_, message),) = complaints(text.replace("other = { personal = true }", 'other = { follows = "record" }'))
        assert "follows its record and has no purpose of its own" in message

    def test_treatment_missing_when_purposes_differ(self) -> None:
        """Fields that can be due while their record stays need a treatment, also where nothing pseudonymises."""
        text = VALID.replace("billing_name = {}", "billing_name = {}\nphone = { personal = true }")
        ((_, message),) = complaints(text)
        assert "has no treatment, although the purposes of this source differ by field" in message


class TestRemaining:
    """Rows that this policy decides about are read as records of the source, not as rows of a relation."""

    REPLIES = """\
[sources.invoices.children.corrections]
table = "invoices"
key = "id"
match = { corrects = "id" }
on_delete = "detach"

[sources.invoices.facts]
corrections = { count = "corrections", where = { kind = "credit" }, differs = { billing_name = "billing_name" }, remaining = true }
"""

    def test_compared_columns_are_fields(self) -> None:
        """What such a fact compares must be read for every record, so it must be declared as a field."""
        text = VALID + self.REPLIES
        ((line, message),) = complaints(text)
        assert line_of(text, "corrections = {") == line
        assert '"kind" has to be the column of a field' in message
        assert () == check_text(text.replace("billing_name = {}", "billing_name = {}\nkind = {}"), "x").problems


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(policies())
def test_gaps_are_what_decide_says(policy: Policy) -> None:
    """Purposes tried one by one give what deciding over every combination gives: the same fields, first seen with the same facts."""
    policy = replace(policy, effective=None)
    constants = _constants(policy)
    choices = {name: list(dict.fromkeys(possible(policy, name, constants.get(name, [])))) for name in policy.deciding}
    uncovered: dict[str, object] = {}
    unmatched = None
    for combination in itertools.islice(itertools.product(*choices.values()), _TRIES):
        facts = dict(zip(choices, combination, strict=True))
        for name in decide(facts, policy, NOTHING, dt.date(2024, 5, 15)).uncovered:
            if policy.purposes_of[name]:
                uncovered.setdefault(name, _telling(facts, constants))
        if unmatched is None and choose(policy.dispositions, facts) == "no disposition matches":
            unmatched = _telling(facts, constants)
    assert Gaps(uncovered, unmatched) == gaps(policy)


def test_a_parent_that_tells_nobody() -> None:
    """Lines hang on invoices, which hang on people: a hold on a person is looked for one step up only, so invoices have to name them."""
    lines = """
[sources.lines]
connector = "crm"
table = "lines"
key = "id"
[sources.lines.fields]
what = { treatment = "clear" }
made_on = { type = "date" }
[sources.lines.parents.invoice]
table = "invoices"
key = "id"
match = { id = "invoice_id" }
source = "invoices"
same_subject = true

[[policies]]
source = "lines"
disposition = "delete"
[[policies.purposes]]
id = "line"
basis = "contract"
fields = ["what"]
start = "made_on"
keep = "P1Y"
"""
    told, untold = (
        check_text(text + lines, "policies.toml").warnings for text in (VALID, VALID.replace('subject = ["billing_name"]\n', ""))
    )
    place = "policies.toml: sources.lines.parents.invoice.same_subject"
    assert [] == [each for each in told if each.where == place]
    assert ["'invoices' has no subject fields"] == [each.what.split(",")[0] for each in untold if each.where == place]
