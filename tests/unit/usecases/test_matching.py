"""Which holds and requests touch a record, by its identifiers."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.facts import UNREADABLE
from worker.core.sources import Identifier
from worker.core.standing import NOTHING, Hold, HoldKind, Request, RequestKind, Standing
from worker.usecases.matching import StandingIndex, identifier_token

SECRET = b"s" * 32
HELD = Hold("h1", HoldKind.LEGAL)
RELEASED = Hold("h2", HoldKind.LEGAL, dt.date(2026, 1, 1))
ASKED = Request("r1", RequestKind.ERASE, dt.date(2026, 1, 1), verified=True)


def index() -> StandingIndex:
    """Return a hold on one person, one on another that was released, and a request of the first."""
    tokens = [identifier_token(SECRET, Identifier.EMAIL, f"{name}@example.example") for name in ("zoe", "ann")]
    assert tokens[0] is not None
    assert tokens[1] is not None
    standings = {tokens[0]: Standing((HELD,), (ASKED,)), tokens[1]: Standing((RELEASED,))}
    return StandingIndex(1, NOTHING, standings, {}, SECRET, (("email", Identifier.EMAIL), ("phone", Identifier.PHONE)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"email": "Zoe@example.example", "phone": None}, Standing((HELD,), (ASKED,))),
        ({"email": "ann@example.example", "phone": None}, Standing((RELEASED,))),
        ({"email": "bob@example.example", "phone": None}, NOTHING),
        ({"email": None, "phone": ""}, NOTHING),
        ({"email": UNREADABLE, "phone": None}, Standing((HELD,))),
        ({"email": "bob@example.example", "phone": UNREADABLE}, Standing((HELD,))),
        ({"email": "zoe@example.example", "phone": UNREADABLE}, Standing((HELD,), (ASKED,))),
    ],
)
def test_what_cant_be_read_may_be_anybodys(values: dict[str, object], expected: Standing) -> None:
    """An identifier that can't be read might be that of somebody who is held, so the record is; nobody's request ends anything by it."""
    assert expected == index().touching("people", (1,), values)
