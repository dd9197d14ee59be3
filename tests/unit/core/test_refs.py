"""References of many records are the references of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.core.refs import Referrer, Secret, token, tokens

_PART = st.integers() | st.text(max_size=8) | st.binary(max_size=8) | st.booleans()


@given(st.lists(st.lists(_PART, min_size=1, max_size=3).map(tuple), max_size=8))
def test_many_at_once_are_as_one_at_a_time(keys: list[tuple[object, ...]]) -> None:
    """A batch finds the records that its plan named, whatever their keys are made of."""
    referrer = Referrer(b"k" * 32, "contacts")

    assert [referrer.reference(key) for key in keys] == referrer.references(keys)


@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=8), max_size=8))
def test_people_of_many_records_are_named_as_those_of_one(identifiers: list[str]) -> None:
    """`audit find` finds a person by one identifier, whatever the batch was; an empty one names nobody. File names hold lone surrogates."""
    referrer = Referrer(b"k" * 32, "contacts")

    assert [referrer.subject(each) if each else "" for each in identifiers] == referrer.subjects(identifiers)


_SECRET = st.binary(min_size=1, max_size=64)


@given(_SECRET | st.lists(_SECRET, min_size=1, max_size=3).map(tuple), st.lists(st.text(max_size=20), max_size=8))
def test_tokens_of_many_are_the_tokens_of_each(secret: Secret, texts: list[str]) -> None:
    """Holds and requests find what a batch kept of many identifiers at once, also after the key was changed."""
    assert [token(secret, "identifier", text) for text in texts] == tokens(secret, "identifier", last=texts)
