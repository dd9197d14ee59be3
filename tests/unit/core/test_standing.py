"""What stands between a record and its disposition."""

import datetime as dt

from hypothesis import given

from tests.strategies import RULE, standings
from worker.core.standing import NOTHING, Hold, HoldKind, Request, RequestKind, Standing

JUNE = dt.date(2026, 6, 1)
MAY = dt.date(2026, 5, 1)
RESTRICTED = Request("restrict", RequestKind.RESTRICT, JUNE)
OBJECTED = Request("object", RequestKind.OBJECT, JUNE)
MARKETING = Request("marketing", RequestKind.OBJECT, JUNE, marketing=True)
UPHELD = Request("upheld", RequestKind.OBJECT, JUNE, upheld=True)
ERASE = Request("erase", RequestKind.ERASE, JUNE, verified=True)
HOLDS = tuple(Hold(kind.value, kind) for kind in HoldKind)


def test_nothing_suspends_nothing() -> None:
    """Most records have neither holds nor requests."""
    assert ((), None) == (NOTHING.suspending, NOTHING.erasure)


def test_what_suspends() -> None:
    """Every hold, a wish to restrict and an objection suspend; an objection to direct marketing, or one that was upheld, does not."""
    assert ("legal", "dispute", "restriction", "restrict", "object") == Standing(
        HOLDS, (RESTRICTED, OBJECTED, MARKETING, UPHELD)
    ).suspending


def test_erasure_outranks_only_restriction() -> None:
    """Who asks for erasure no longer wants it merely restricted; legal and dispute holds stay."""
    assert ("legal", "dispute") == Standing(HOLDS, (RESTRICTED, OBJECTED, ERASE)).suspending


def test_what_ends_purposes() -> None:
    """An objection ends something once nobody has to decide about it any more: when it is to direct marketing, or was upheld."""
    assert [True, True, True, False, False] == [
        Standing(requests=(each,)).ends_purposes for each in (ERASE, MARKETING, UPHELD, OBJECTED, RESTRICTED)
    ]


def test_released_holds_suspend_nothing() -> None:
    """A released hold is kept only for the deadline."""
    assert () == Standing(tuple(Hold(kind.value, kind, JUNE) for kind in HoldKind)).suspending


def test_erasure_is_verified_and_the_earliest() -> None:
    """Nobody is erased on a stranger's word; of several requests the first counts."""
    unverified = Request("stranger", RequestKind.ERASE, dt.date(2026, 1, 1))
    earlier = Request("earlier", RequestKind.ERASE, MAY, verified=True)
    assert earlier == Standing(requests=(unverified, ERASE, earlier)).erasure
    assert Standing(requests=(unverified,)).erasure is None


@RULE
@given(standings)
def test_strong_holds_always_suspend(standing: Standing) -> None:
    """Whatever else stands, a legal or dispute hold in force is among what suspends."""
    strong = {hold.id for hold in standing.holds if hold.kind is not HoldKind.RESTRICTION and hold.released_on is None}
    assert strong <= set(standing.suspending)
