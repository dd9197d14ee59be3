"""Addresses with a slash, which Mailman takes for a path: it says that there is no such address, and that isn't believed."""

# ruff: noqa: F811 - tests name the fixture that they take

from __future__ import annotations

import pytest

from tests.systems.test_mailman_traps import Place, delete, place, proxy, rename, rows, server  # noqa: F401 - fixtures
from worker.ports import Left

ADDRESS, SECOND = "ann/archer@post.example", "second@post.example"
REFUSED = (Left.FAILED, "a slash in the address")


def subscribed(place: Place, *, alone: bool) -> str:
    """Subscribe the address, with a second one of its user unless it is alone; return the user's id."""
    place.server.subscribe(place.news, ADDRESS, "Ann")
    user = next(str(each["user"]).rsplit("/", 1)[1] for each in place.server.members(place.news))
    if not alone:
        place.server.call("POST", f"/users/{user}/addresses", {"email": SECOND})
    return user


def kept(place: Place) -> list[str]:
    """Return the addresses that Mailman has."""
    with place.server.database() as database:
        return [email for (email,) in database.execute("SELECT email FROM address ORDER BY email")]


@pytest.mark.parametrize("alone", [True, False])
def test_a_left_over_address(place: Place, *, alone: bool) -> None:
    """It is a record, though only the list of all addresses shows it; it goes with its user, else it is refused and not said to be gone."""
    subscribed(place, alone=alone)
    place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": ADDRESS})
    source = place.source("addresses")
    assert (ADDRESS,) in rows(source)
    undone = delete(source, (ADDRESS,))
    assert ([] if alone else [REFUSED]) == [(each.why, each.answer) for each in undone]
    assert ([] if alone else [ADDRESS, SECOND]) == kept(place)


@pytest.mark.parametrize("alone", [True, False])
def test_a_member(place: Place, *, alone: bool) -> None:
    """A membership that would go with the address alone is refused and stays; one that goes with its user goes."""
    subscribed(place, alone=alone)
    source = place.source()
    (key,) = rows(source)
    undone = delete(source, key)
    assert ([] if alone else [REFUSED]) == [(each.why, each.answer) for each in undone]
    assert ([] if alone else [ADDRESS]) == [each["email"] for each in place.server.members(place.news)]
    assert ([] if alone else [ADDRESS, SECOND]) == kept(place)


def test_a_name(place: Place) -> None:
    """The name that stands with the address can't be changed, so nothing is said to be treated."""
    subscribed(place, alone=True)
    source = place.source()
    (key,) = rows(source)
    assert [REFUSED] == [(each.why, each.answer) for each in rename(source, key, None)]


def test_when_it_was_registered(place: Place) -> None:
    """What stands with the address alone is found, too."""
    subscribed(place, alone=True)
    (row,) = rows(place.source(columns=("email", "@registered_on")), ("@registered_on",)).values()
    assert isinstance(row[0], str)
