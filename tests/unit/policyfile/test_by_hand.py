"""What people decide by hand, as the policy file declares it: marks, reviews, and what no server can enforce."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.declarations import Attestation, Gap, is_overdue
from worker.core.facts import Empty
from worker.core.periods import Period
from worker.policyfile import digest, loads
from worker.policyfile.loading import check_text

FIRM = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"
[sources.suppliers]
connector = "crm"
table = "suppliers"
key = "id"
subject = ["email"]
[sources.suppliers.fields]
email = { type = "email" }
active = { type = "boolean" }
ended_on = { type = "date", empty = "not_yet", planned = true }
[sources.suppliers.facts]
relation_ended = { mark = "relation-ended", none = "not_yet" }
[[policies]]
source = "suppliers"
disposition = "delete"
[[policies.purposes]]
id = "relation"
basis = "contract"
fields = ["email"]
start = "relation_ended"
keep = "P2Y"
[[policies.examples]]
given = { relation_ended = 2024-02-29 }
due = 2026-02-28
[[policies.examples]]
given = { relation_ended = { is = "not_yet" } }
today = 2050-01-01
outcome = "kept"
"""


def problems(text: str) -> list[str]:
    """Return the problems of a file as texts."""
    return [str(each) for each in check_text(text, "policies.toml").problems]


class TestMarks:
    """A fact that people set."""

    def test_a_mark_is_a_day_of_its_source(self) -> None:
        """It can start a period, its examples run, and what no mark means is as declared, unknown by default."""
        schedule = loads(FIRM, "policies.toml")
        (mark,) = schedule.sources["suppliers"].marks
        assert ("relation_ended", "relation-ended", Empty.NOT_YET) == (mark.name, mark.mark, mark.none)
        assert ("relation_ended",) == schedule.policies[0].outside
        silent = loads(FIRM.replace(', none = "not_yet"', "").partition("[[policies.examples]]")[0], "policies.toml")
        assert Empty.UNKNOWN is silent.sources["suppliers"].marks[0].none

    def test_what_no_mark_means_is_part_of_the_version(self) -> None:
        """An approval is for what a missing mark means, too."""
        changed = FIRM.replace('none = "not_yet"', 'none = "not_applicable"').partition("[[policies.examples]]")[0]
        assert digest(loads(FIRM, "a").policies[0]) != digest(loads(changed, "a").policies[0])

    @pytest.mark.parametrize(
        ("mark", "said"),
        [
            ('{ mark = "review" }', "the mark of answered reviews"),
            ('{ mark = "ended", latest = "invoices.sent_on" }', "needs exactly one of count, exists, latest, earliest, mark"),
            ('{ mark = "ended", type = "date" }', "'type' belongs to what a system holds"),
            ('{ mark = "ended", where = { a = 1 } }', "'where' belongs to what a system holds"),
            ("{ planned = true }", "needs exactly one of count, exists, latest, earliest, mark"),
        ],
    )
    def test_what_a_mark_can_not_be(self, mark: str, said: str) -> None:
        """A mark is a day and nothing else, and has a name of its own."""
        (problem,) = problems(FIRM.replace('{ mark = "relation-ended", none = "not_yet" }', mark))
        assert said in problem


class TestReviews:
    """A disposition that leaves the record to a person."""

    REVIEWED = FIRM.partition("[[policies.examples]]")[0].replace(
        'disposition = "delete"', 'disposition = [{ do = "review", every = "P1Y", owner = "Purchasing" }]'
    )

    def test_an_interval_counts_and_an_owner_does_not(self) -> None:
        """How long an answer may last is approved with the policy; who gives it may change without a new yes."""
        approved = loads(self.REVIEWED, "a").policies[0]
        (step,) = approved.dispositions[0].steps
        assert (Period(years=1), "Purchasing") == (step.every, step.owner)
        assert digest(approved) == digest(loads(self.REVIEWED.replace("Purchasing", "Sales"), "a").policies[0])
        assert digest(approved) != digest(loads(self.REVIEWED.replace("P1Y", "P2Y"), "a").policies[0])

    @pytest.mark.parametrize("key", ['every = "P1Y"', 'owner = "Purchasing"'])
    def test_only_reviews_have_them(self, key: str) -> None:
        """A deletion has no interval and asks nobody."""
        (problem,) = problems(FIRM.replace('disposition = "delete"', f'disposition = [{{ do = "delete", {key} }}]'))
        assert "belongs to a review, and this step does 'delete'" in problem


class TestDeclarations:
    """What no server can enforce."""

    DECLARED = """
[[attestations]]
id = "cookies"
what = "Cookies expire."
owner = "Web editor"
every = "P1Y"
[[gaps]]
id = "letters"
what = "No period for letters."
categories = ["letters"]
"""

    def test_a_declaration_changes_no_policy(self) -> None:
        """It is part of the schedule, and no approval has to be given again for it."""
        plain, declared = loads(FIRM, "a"), loads(FIRM + self.DECLARED, "a")
        assert plain.policies == declared.policies
        assert (Attestation("cookies", "Cookies expire.", "Web editor", Period(years=1)),) == declared.attestations
        assert (Gap("letters", "No period for letters.", categories=("letters",)),) == declared.gaps

    def test_all_that_is_wrong_is_told(self) -> None:
        """A missing owner, an id that is taken and a misspelt key are three problems, each with its place."""
        review = '[[reviews]]\nid = "a"\nwhat = "b"\nowner = "c"\nevry = "P1Y"\n[[gaps]]'
        text = FIRM + self.DECLARED.replace('owner = "Web editor"\n', "").replace("[[gaps]]", review)
        found = problems(text + '[[gaps]]\nid = "letters"\nwhat = "Twice."\n')
        assert 3 == len(found)
        assert any("attestations[cookies]" in each and "'owner' is missing" in each for each in found)
        assert any("Did you mean 'every'?" in each for each in found)
        assert any("'letters' is declared already, in line" in each for each in found)

    @pytest.mark.parametrize(
        ("last", "overdue"), [(None, True), (dt.date(2026, 1, 31), False), (dt.date(2026, 1, 30), False), (dt.date(2026, 1, 27), True)]
    )
    def test_in_time_through_the_whole_of_the_last_day(self, last: dt.date | None, overdue: bool) -> None:
        """Never done is overdue; a month after 31 January is 28 February, and that day is still in time."""
        declared = Attestation("a", "b", "c", Period(months=1))
        assert overdue is is_overdue(declared, last, dt.date(2026, 2, 28))
