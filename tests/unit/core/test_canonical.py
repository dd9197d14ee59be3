"""Canonical forms of identifiers."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from worker.core.canonical import VERSION, canonical, canonicals
from worker.core.sources import Identifier


def test_version() -> None:
    """The forms below belong to this version; whoever changes one must change the version and migrate what was kept."""
    assert "c1" == VERSION


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Identifier.EMAIL, " Ada@Example.ORG ", "c1:email:ada@example.org"),
        (Identifier.EMAIL, "ada@Bücher.example", "c1:email:ada@xn--bcher-kva.example"),
        (Identifier.EMAIL, "ada@XN--BCHER-KVA.example", "c1:email:ada@xn--bcher-kva.example"),
        (Identifier.EMAIL, "Jose\u0301@example.org", "c1:email:jos\u00e9@example.org"),
        (Identifier.EMAIL, "STRASSE@straße.example", "c1:email:strasse@xn--strae-oqa.example"),
        (Identifier.EMAIL, "a@b@example.org", "c1:email:a@b@example.org"),
        (Identifier.EMAIL, "ada@my_host.example", "c1:email:ada@my_host.example"),
        (Identifier.EMAIL, "Ada@", "c1:email:ada@"),
        (Identifier.EMAIL, "No Address", "c1:email:no address"),
        (Identifier.PHONE, "+31 (0)6-1234 5678", "c1:phone:0031612345678"),
        (Identifier.PHONE, "0031 6 12345678", "c1:phone:0031612345678"),
        (Identifier.PHONE, "06 12.34.56.78", "c1:phone:0612345678"),
        (Identifier.PHONE, "+٣١ ٦ ١٢", "c1:phone:0031612"),
        (Identifier.TEXT, "  Ada   LOVELACE\t", "c1:text:ada lovelace"),
        (Identifier.TEXT, "Straße", "c1:text:strasse"),
        (Identifier.TEXT, "ﬁ", "c1:text:fi"),
        (Identifier.EMAIL, "  ", ""),
        (Identifier.PHONE, "unknown", ""),
        (Identifier.TEXT, "", ""),
    ],
)
def test_known_forms(kind: Identifier, value: str, expected: str) -> None:
    """One person written two ways is one subject; nothing to compare is an empty text."""
    assert expected == canonical(kind, value)


@RULE
@given(st.sampled_from(Identifier), st.text(max_size=30))
def test_any_text(kind: Identifier, value: str) -> None:
    """No text raises; composed and decomposed letters and blanks around make no difference; a form is its own form."""
    form = canonical(kind, value)
    assert form == canonical(kind, unicodedata.normalize("NFD", value)) == canonical(kind, f" {value}\n")
    assert form == "" or form.startswith(f"c1:{kind.value}:")


@RULE
@given(st.from_regex(r"[A-Za-z0-9._+-]{1,20}@[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?\.(org|example)", fullmatch=True))
def test_a_form_is_its_own_form(address: str) -> None:
    """Bringing an address into its form twice changes nothing, and case never matters."""
    form = canonical(Identifier.EMAIL, address)
    assert form == canonical(Identifier.EMAIL, form.removeprefix("c1:email:")) == canonical(Identifier.EMAIL, address.swapcase())


@given(st.sampled_from(Identifier), st.lists(st.text(max_size=12) | st.emails(), max_size=8))
def test_many_at_once_are_as_one_at_a_time(kind: Identifier, values: list[str]) -> None:
    """What a batch keeps of many people is what a hold on one of them is compared with."""
    assert [canonical(kind, value) for value in values] == canonicals(kind, values)
