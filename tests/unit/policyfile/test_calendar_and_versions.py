"""Standard periods, fiscal years that differ, earlier promises, versions, and what is there for people: from the file to the model."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from worker.core.model import Policy, StandardPeriod
from worker.core.periods import Anchor, Bound, Earlier, FiscalYear, Period, Term
from worker.policyfile.loading import check_text, loads

TEXT = """\
version = 1

[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
window = "week"
lead = "P30D"
owner = "The board"

[[organisation.fiscal_years]]
first = 2022-07-01
last = 2023-12-31

[[organisation.fiscal_years]]
first = 2021-01-01
last = 2022-06-30

[periods]
week = "P7D"
tax = { keep = "P7Y", description = "Tax law." }

[sources.customers]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]
processor = true
controller_name = "A client"
backups = "P35D"
recipients = ["The post"]

[sources.customers.fields]
email = { type = "email", treatment = "clear" }
seen_on = { type = "date" }
sold_on = { type = "date" }

[[policies]]
source = "customers"
version = "2"
effective = 2026-01-01
owner = "Sales"
statement = "Privacy statement"
clause = "4"
disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "week" }] }]

[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email"]
start = "seen_on"
keep = "P2Y"
was = [{ keep = "P5Y", through = 2020-12-31 }, { keep = "week", through = 2025-12-31 }]

[[policies.purposes]]
id = "tax"
basis = "legal-obligation"
bound = "floor"
fields = ["email"]
start = { end_of_fiscal_year = "sold_on" }
keep = "tax"
was = [{ keep = "P5Y", through = 2020-12-31 }]
stretch = true
recipients = ["The tax office"]

[[policies.examples]]
given = { seen_on = 2026-02-01, sold_on = 2020-05-01 }
due = 2028-12-31
outcome = "pseudonymise"

[[policies.examples]]
given = { seen_on = 2026-02-01, sold_on = 2010-05-01 }
due = 2028-02-01
outcome = "pseudonymise"
"""


def policy() -> Policy:
    """Return the one policy of the text."""
    return loads(TEXT, "policies.toml").policies[0]


class TestARightFile:
    """What the words become."""

    def test_periods_by_name(self) -> None:
        """A name stands wherever a period can, and the model knows both; a policy takes from the organisation what it does not say."""
        organisation = loads(TEXT, "policies.toml").organisation
        tax = StandardPeriod("tax", Period(years=7), "Tax law.")
        assert {"week": StandardPeriod("week", Period(days=7)), "tax": tax} == organisation.periods
        found = policy()
        assert (Period(days=7), Period(days=7), Period(days=30)) == (organisation.window, found.window, found.lead)
        assert Period(days=7) == found.dispositions[0].steps[1].after
        assert [("contact", ""), ("tax", "tax")] == [(each.id, each.period_name) for each in found.purposes]

    def test_terms(self) -> None:
        """A purpose's term knows the fiscal years in the order of time, the bound, and what was promised before."""
        year = FiscalYear(
            odd=((dt.date(2021, 1, 1), dt.date(2022, 6, 30)), (dt.date(2022, 7, 1), dt.date(2023, 12, 31))),
        )
        promised = (Earlier(Period(years=5), dt.date(2020, 12, 31)), Earlier(Period(days=7), dt.date(2025, 12, 31)))
        contact = Term(Period(years=2), Anchor.DAY, year, Bound.CEILING, promised)
        tax = Term(Period(years=7), Anchor.END_OF_FISCAL_YEAR, year, Bound.FLOOR, promised[:1], stretch=True)
        assert [contact, tax] == [each.term for each in policy().purposes]

    def test_for_people(self) -> None:
        """Version, owner, document, recipients and backups are there for the reports."""
        found = policy()
        assert ("2", dt.date(2026, 1, 1), "Sales", "Privacy statement", "4") == (
            found.version,
            found.effective,
            found.owner,
            found.statement,
            found.clause,
        )
        source = found.source
        assert (False, "A client", Period(days=35), ("The post",)) == (
            source.controller,
            source.controller_name,
            source.backups,
            source.recipients,
        )
        assert [(), ("The tax office",)] == [each.recipients for each in found.purposes]
        assert "The board" == loads(TEXT.replace('owner = "Sales"\n', ""), "x").policies[0].owner

    def test_in_words(self) -> None:
        """What decides for a field is said with the period's name, what was promised before, and since when."""
        (line,) = check_text(TEXT, "x").fields
        assert (
            "customers.email: "
            "contact (legitimate-interests): at most P2Y from seen_on (before: P5Y for events through 2020-12-31, P7D for events through "
            "2025-12-31); tax (legal-obligation): at least P7Y (tax) from the end of the fiscal year of sold_on (before: P5Y for what was "
            "over on 2020-12-31) - the one that ends last decides from 2026-01-01 on"
        ) == line.text

    def test_a_named_period_is_the_same_policy(self) -> None:
        """The name of a period is for people: written out it gives the same digest."""
        plain = loads(TEXT.replace('keep = "tax"', 'keep = "P7Y"'), "x").policies[0]
        assert plain.digest == policy().digest
        assert replace(plain.purposes[1], period_name="tax") == policy().purposes[1]


WRONG = [
    ('keep = "tax"', 'keep = "taxx"', "there is no period \"taxx\". Did you mean 'tax'?"),
    ('keep = "tax"', 'keep = "indefinit"', "there is no period \"indefinit\". Did you mean 'indefinite'?"),
    ('keep = "tax"', 'keep = "p7y"', "'p7y' is not a whole calendar period"),
    ('keep = "tax"', 'keep = "for ever"', "'for ever' is not a whole calendar period"),
    ('{ keep = "week", through', '{ keep = "weak", through', "Did you mean 'week'?"),
    ('window = "week"', 'window = "fortnight"', "there is no period \"fortnight\". Write a period such as 'P8W'"),
    ('lead = "P30D"', 'lead = "weak"', "Did you mean 'week'?"),
    ('after = "week"', 'after = "weeks"', "Did you mean 'week'?"),
    ('statement = "Privacy statement"', 'window = "weeks"', "Did you mean 'week'?"),
    ('week = "P7D"', 'week = "P7D"\nindefinite = "P1Y"', '"indefinite" can\'t be the name of a period'),
    ('week = "P7D"', 'week = "P7D"\np8w = "P8W"', '"p8w" can\'t be the name of a period'),
    ('week = "P7D"', 'week = "P7D"\nP8W = "P8W"', '"P8W" is not a name of small letters'),
    ('week = "P7D"', 'week = "P7"', "'P7' is not a whole calendar period"),
    ('week = "P7D"', "week = 7", "must be a period such as 'P8W', or { keep"),
    ('{ keep = "P7Y", description', '{ keap = "P7Y", description', "Did you mean 'keep'?"),
    ('{ keep = "P7Y", description', '{ keep = "week", description', "'week' is not a whole calendar period"),
    ("first = 2021-01-01", "first = 2023-01-01", "2022-06-30 lies before the first day of this fiscal year, 2023-01-01"),
    ("last = 2022-06-30", "last = 2022-07-01", "2022-07-01 lies in the fiscal year from 2021-01-01 to 2022-07-01"),
    ("last = 2022-06-30", "", "'last' is missing"),
    ("processor = true\n", "", "names for whom the records are processed"),
    ('backups = "P35D"', 'backups = "week"', "'week' is not a whole calendar period"),
    ("effective = 2026-01-01", 'effective = "2026-01-01"', "must be a day without quotes"),
    ('version = "2"', "version = 2", "must be a text in quotes"),
    ('recipients = ["The post"]', 'recipients = "The post"', "must be a list"),
    ("through = 2025-12-31", "through = 2020-12-31", "2020-12-31 does not lie after the one before. Give the oldest promise first."),
    ("through = 2025-12-31", "trough = 2025-12-31", "Did you mean 'through'?"),
    ('was = [{ keep = "P5Y", through = 2020-12-31 }]\nstretch', "stretch", "there is no earlier period to stretch"),
    ('start = "seen_on"\nkeep = "P2Y"', 'keep = "indefinite"', "what is kept without an end can't say how long it was kept before"),
]


class TestAWrongFile:
    """Each mistake is told once, in words, with its line and its place."""

    @pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
    def test_each_mistake(self, right: str, wrong: str, said: str) -> None:
        """One mistake brings one complaint, on its own line or that of the table around it, and no follow-up."""
        assert right in TEXT
        at = TEXT.index(right)
        found = check_text(TEXT[:at] + wrong + TEXT[at + len(right) :], "policies.toml").problems
        assert 1 == len(found), found
        assert said in str(found[0])
        assert found[0].line is not None
        assert -5 <= found[0].line - TEXT[:at].count("\n") - 1 <= wrong.count("\n") + 4

    def test_where(self) -> None:
        """The key path leads to the value."""
        (problem,) = check_text(TEXT.replace('{ keep = "week", through', '{ keep = "weak", through'), "policies.toml").problems
        assert "policies.toml: policies[customers].purposes[contact].was[1].keep" == problem.where

    def test_a_floor_that_got_longer(self) -> None:
        """A shorter promise may not be what the law asks for now, so a floor that is not stretched is doubtful."""
        assert () == check_text(TEXT, "x").warnings
        (warning,) = check_text(TEXT.replace("stretch = true\n", ""), "x").warnings
        assert "lets go of earlier events after the shorter period" in str(warning)

    def test_gaps_are_found_before_it_is_in_force(self) -> None:
        """Conclusions are drawn from a policy as it will be, not from the day on which it starts."""
        text = TEXT.replace('keep = "P2Y"\n', 'keep = "P2Y"\nwhen = { seen_on = { exists = true } }\n')
        text = text.replace("start = { end_of", "when = { seen_on = { exists = true } }\nstart = { end_of")
        text = text.replace('seen_on = { type = "date" }', 'seen_on = { type = "date", empty = "not_applicable" }')
        assert ["no purpose covers this field when seen_on is not applicable" in str(each) for each in check_text(text, "x").warnings] == [
            True
        ]
