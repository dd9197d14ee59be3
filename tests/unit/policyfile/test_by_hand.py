"""What people decide by hand, as the policy file declares it: marks, reviews, states, and what no server can enforce."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.declarations import Attestation, Gap, is_overdue
from worker.core.facts import Empty
from worker.core.periods import Period
from worker.policyfile import digest, loads, state_name
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


class TestStates:
    """Periods that run from the end of a state."""

    STATE = 'start = { while = { active = true }, ended = "ended_on", settling = "P30D" }'
    FILE = FIRM.partition("[[policies.examples]]")[0].replace('start = "relation_ended"', STATE)

    @pytest.mark.parametrize(
        ("given", "due"),
        [
            ('active = false, ended_on = 2024-02-29, "seen:relation" = 2025-01-01', "2026-02-28"),
            ('active = false, ended_on = { is = "not_yet" }, "seen:relation" = 2024-02-29', "2026-02-28"),
        ],
    )
    def test_examples(self, given: str, due: str) -> None:
        """The declared end counts where there is one, else the day it was first seen, which an example can give."""
        assert [] == problems(f"{self.FILE}[[policies.examples]]\ngiven = {{ {given} }}\ndue = {due}\n")

    @pytest.mark.parametrize(
        "given", ['active = true, ended_on = 2020-01-01, "seen:relation" = 2020-01-01', 'active = false, ended_on = { is = "not_yet" }']
    )
    def test_what_has_not_ended(self, given: str) -> None:
        """A state that holds has not ended, whatever days there are; nor one of which nobody has seen the end."""
        assert [] == problems(f'{self.FILE}[[policies.examples]]\ngiven = {{ {given} }}\ntoday = 2050-01-01\noutcome = "kept"\n')

    def test_nothing_is_due_before_it_has_settled(self) -> None:
        """With a period shorter than the settling time, the settling time decides; of a declared end the period alone."""
        short = self.FILE.replace("P2Y", "P0D") + "[[policies.examples]]\ngiven = { active = false, "
        assert [] == problems(short + 'ended_on = { is = "not_yet" }, "seen:relation" = 2026-01-01 }\ndue = 2026-01-31\n')
        assert [] == problems(short + 'ended_on = 2026-01-01, "seen:relation" = 2026-01-05 }\ndue = 2026-01-01\n')

    def test_of_which_condition_something_was_seen(self) -> None:
        """What is kept of a state goes by the condition and how its facts are read, and by nothing else of the policy."""

        def name(text: str) -> str:
            policy = loads(text, "a").policies[0]
            return state_name(policy, policy.purposes[0])

        first = name(self.FILE)
        assert first.startswith("relation:")
        assert first == name(self.FILE.replace("P2Y", "P3Y").replace("P30D", "P1D"))
        assert first != name(self.FILE.replace("{ active = true }", "{ active = { ne = false } }"))
        assert first != name(self.FILE.replace('active = { type = "boolean"', 'active = { column = "is_active", type = "boolean"'))

    @pytest.mark.parametrize(
        ("start", "said"),
        [
            ("{ while = { activ = true } }", "Did you mean 'active'?"),
            ('{ while = { active = true }, ended = "active" }', "a period runs from a date or a timestamp"),
            ('{ while = { active = true }, latest_of = ["ended_on"] }', "needs exactly one of"),
            ('{ latest_of = ["ended_on"], settling = "P1D" }', "'settling' belongs to 'while'"),
            ('{ end_of_month = "ended_on", ended = "ended_on" }', "'ended' belongs to 'while'"),
            ("{ whlie = { active = true } }", "Did you mean 'while'?"),
        ],
    )
    def test_what_is_refused(self, start: str, said: str) -> None:
        """A state is one condition over facts of the source, with a day for its end and a settling time, and nothing else beside it."""
        found = problems(self.FILE.replace(self.STATE, f"start = {start}"))
        assert any(said in each for each in found), found

    def test_from_the_end_of_the_year_in_which_it_ended(self) -> None:
        """A state can be counted from an anchor like every other event."""
        file = self.FILE.replace(self.STATE, self.STATE.replace("{ while", "{ end_of_calendar_year = { while") + " }")
        given = 'active = false, ended_on = { is = "not_yet" }, "seen:relation" = 2024-02-29'
        assert [] == problems(f"{file}[[policies.examples]]\ngiven = {{ {given} }}\ndue = 2026-12-31\n")
