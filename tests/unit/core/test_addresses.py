"""E-mail addresses with something beside them, and several in one text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from worker.core.addresses import addresses, bare
from worker.core.canonical import canonical, has_one_form, other_forms, several
from worker.core.sources import Comparison, Identifier

ANN, BOB = "ann@post.example", "bob@post.example"
EMAIL, IN_NL = Comparison(Identifier.EMAIL), Comparison(Identifier.PHONE, "NL")
PARTS = st.sampled_from(
    [ANN, BOB, "o'hara@x.example", "a/b@x.example", "Ann", "<", ">", ";", ", ", "/", " ", "'", '"', "mailto:", "(", ")", "@", "\u00e9"]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ANN, [ANN]),
        (f"Ann Lee <{ANN}>", [ANN]),
        (f"Ann Lee<{ANN}>", [ANN]),
        (f'"Lee, Ann" <{ANN}>', [ANN]),
        (f"'{ANN}' <Ann@Post.example>", [ANN]),
        (f"mailto:{ANN}", [ANN]),
        (f"e-mail: {ANN}", [ANN]),
        (f"{ANN} (home)", [ANN]),
        (f"Ann {ANN}", [ANN]),
        (f"\u201cAnn\u201d \u2018{ANN}\u2019", [ANN]),
        (f"{ANN}; {BOB}", [ANN, BOB]),
        (f"{ANN},{BOB}", [ANN, BOB]),
        (f"{ANN}/{BOB}", [ANN, BOB]),
        (f"{ANN} / {BOB}", [ANN, BOB]),
        (f"{ANN} {BOB}", [ANN, BOB]),
        (f"{ANN}\n{BOB}", [ANN, BOB]),
        (f"{ANN} & {BOB}", [ANN, BOB]),
        (f"Ann <{ANN}>, Bob <{BOB}>, {ANN}", [ANN, BOB]),
        (f"{ANN}; unknown", [ANN]),
        ("o'hara@post.example", ["o'hara@post.example"]),
        ("ann/sales@post.example", ["ann/sales@post.example"]),
        ("ann@b\u00fccher.example", ["ann@b\u00fccher.example"]),
        ('"ann lee"@post.example', []),
        ("ann@lee@post.example", []),
        ("ann @ post.example", []),
        ("@ann", []),
        ("ann@", []),
        ("ann", []),
        ("", []),
    ],
)
def test_addresses(text: str, expected: list[str]) -> None:
    """What people and programs write around an address and between two is left out; what is not sure to be an address is none."""
    assert expected == list(addresses(text))


@RULE
@given(st.lists(PARTS, max_size=8).map("".join) | st.text(max_size=20))
def test_what_is_bare_is_compared_as_it_stands(text: str) -> None:
    """The short way never misses: of a text that is surely bare, the address is the text itself, or there is none."""
    if bare(text):
        assert () == several(EMAIL, text)
        assert set(other_forms(EMAIL, text)) <= {canonical(Identifier.EMAIL, text)}
    assert all(bare(each) or "'" in each or "/" in each or not each.isascii() for each in addresses(text))


@RULE
@given(st.lists(st.text(max_size=6) | PARTS, max_size=5))
def test_many_at_once(texts: list[str]) -> None:
    """Many values in one text are surely of one form only where each is."""
    assert has_one_form(EMAIL, "".join(texts)) == all(has_one_form(EMAIL, each) for each in texts)


@pytest.mark.parametrize(
    ("comparison", "text", "others", "named"),
    [
        (EMAIL, f"Ann <{ANN.upper()}>", 1, 0),
        (EMAIL, f"{ANN}; {BOB}", 0, 2),
        (EMAIL, f"{ANN}; {ANN.upper()}", 1, 0),
        (Comparison(Identifier.TEXT), f"{ANN}; {BOB}", 0, 0),
        (IN_NL, "06 12345678", 2, 0),
        (IN_NL, "06 12345678 / 020 6240000", 0, 4),
        (IN_NL, "06-12345678, +31 20 624 0000; +32 470 12 34 56", 0, 5),
        (IN_NL, "020/6240000", 2, 0),
        (IN_NL, "06 12345678 / home", 2, 0),
        (IN_NL, "12 / 34", 0, 0),
        (Comparison(Identifier.PHONE), "06 12345678 / 020 6240000", 0, 0),
    ],
)
def test_whom_a_value_names(comparison: Comparison, text: str, others: int, named: int) -> None:
    """One person's other forms, or those of each of several people, and never both."""
    assert (others, named) == (len(other_forms(comparison, text)), len(several(comparison, text)))
