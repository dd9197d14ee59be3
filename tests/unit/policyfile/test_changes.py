"""What differs between two versions of a policy, in words."""

from __future__ import annotations

from tests.unit.usecases.test_forecasting import AHEAD
from worker.policyfile import loads
from worker.policyfile.changes import changes


def said(*swaps: tuple[str, str], source: str = "comments") -> tuple[str, ...]:
    """Return what is said about a policy after some texts of the file were exchanged."""
    text = AHEAD
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    before, after = (loads(each, "policies.toml", ["memory"]).policy(source) for each in (AHEAD, text))
    assert before is not None
    assert after is not None
    return changes(before, after)


def test_nothing_is_said_about_what_is_only_for_people() -> None:
    """A description, a comment or another order changes no decision."""
    assert () == said(('id = "abuse"', 'id = "abuse"\ndescription = "Recognising abuse." # since 2020'))


def test_a_purpose_that_changed_says_what_it_was() -> None:
    """Period, start, condition and fields in the words of the file, each as it was and as it is."""
    found = said(
        (
            'fields = ["email"]\nstart = "posted_on"\nkeep = "P1M"',
            'fields = ["email"]\nwhen = { kind = "x" }\nstart = { end_of_month = "posted_on" }\nkeep = "P2M"',
        )
    )
    assert ("purpose abuse: keep P1M -> P2M from the end of month; when none -> kind is x",) == found


def test_purposes_that_come_and_go() -> None:
    """Another id is another purpose."""
    assert (
        "purpose spam is new: spam (legitimate-interests): at most P1M from posted_on",
        "purpose abuse is gone: abuse (legitimate-interests): at most P1M from posted_on",
    ) == said(('id = "abuse"', 'id = "spam"'))


def test_what_belongs_to_no_purpose() -> None:
    """Dispositions, the window, and which fields of the source are declared otherwise."""
    found = said(
        ('  { do = "review", when = { kind = "A reviewer" } },\n', ""),
        ('timezone = "Europe/Amsterdam"\n', 'timezone = "Europe/Amsterdam"\nwindow = "P7D"\n'),
        ('email = { type = "email", treatment = "pseudonym", domain = "answers" }', 'email = { type = "email", treatment = "clear" }'),
    )
    before = "pseudonymise, then delete after P2M when answers > 0, review when kind is A reviewer, delete"
    after = "pseudonymise, then delete after P2M when answers > 0, delete"
    assert (f"disposition {before} -> {after}", "window P0D -> P7D", "source: fields (email) declared otherwise") == found
