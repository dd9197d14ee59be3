"""How long the audit trail itself is kept is declared in the policy file, or it is kept for ever."""

from __future__ import annotations

import pytest

from worker.core.periods import Period
from worker.errors import Problems
from worker.policyfile import loads
from worker.policyfile.changes import declared_changes

FILE = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"
[periods]
proof = "P7Y"
"""


@pytest.mark.parametrize(
    ("written", "keep"),
    [
        ("", None),
        ("[audit]", None),
        ('[audit]\nkeep = "indefinite"', None),
        ('[audit]\nkeep = "P5Y"', Period(years=5)),
        ('[audit]\nkeep = "P6M"', Period(months=6)),
        ('[audit]\nkeep = "proof"', Period(years=7)),
    ],
)
def test_nothing_is_dropped_that_was_not_declared(written: str, keep: Period | None) -> None:
    """A period written out or by its name; without one nothing is ever dropped."""
    assert keep == loads(FILE + written, "policies.toml").audit_keep


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('keep = "P5M"', "P5M is too short"),
        ('keep = "P0D"', "P0D is too short"),
        ('keep = "P180D"', "P180D is too short"),
        ('keep = "prof"', "there is no period"),
        ("keep = 5", "must be a period"),
        ('keap = "P5Y"', "Did you mean 'keep'?"),
    ],
)
def test_a_period_that_can_not_be_meant_is_a_problem(written: str, words: str) -> None:
    """What was dropped can't be brought back, so a period that is too short or misspelt is refused with its line."""
    with pytest.raises(Problems, match=r"audit\..*\(line 9\)") as caught:
        loads(f"{FILE}[audit]\n{written}", "policies.toml")
    assert words in str(caught.value)


def test_a_new_period_is_shown_before_it_is_put_in_place() -> None:
    """`policies diff` says what becomes of the trail's own period."""
    old, new = (loads(FILE + each, "policies.toml") for each in ("", '[audit]\nkeep = "P5Y"'))
    assert ("audit trail: keep for ever -> P5Y",) == declared_changes(old, new)
    assert ("audit trail: keep P5Y -> for ever",) == declared_changes(new, old)
    assert () == declared_changes(new, new)
