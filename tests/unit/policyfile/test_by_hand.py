"""What people say by hand in the policy file: marks."""

from __future__ import annotations

import pytest

from worker.core.facts import Empty
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
