"""What a replay takes, and what it leaves to a person: the rule, held against another telling of it for every combination."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from tests.unit.usecases.conftest import Lab
from worker.audit.accounts import tried_as
from worker.core.facts import UNREADABLE, Empty, FieldType, Reading
from worker.core.sources import Field, Identifier
from worker.policyfile import loads
from worker.usecases.planning import make_plan
from worker.usecases.replaying import ANEW, NEEDED, PERSON, UNTOLD, make_replay
from worker.usecases.standing import add_hold, add_request, close_request, release_hold
from worker.usecases.tombstones import Tokens, text_of

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[sources.people]
connector = "memory"
table = "people"
key = "id"
subject = ["email"]
watch = "P1Y"
unchanging = ["created_at", "email"]
[sources.people.fields]
email = { type = "email" }
created_at = { type = "timestamp", timezone = "UTC" }
seen_on = { type = "date" }
status = { }
billed = { }

[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email"]
start = "seen_on"
keep = "P2Y"
[[policies.purposes]]
id = "newsletter"
basis = "consent"
consent = "newsletter"
fields = ["email"]
when = { status = "subscribed" }
keep = "indefinite"
[[policies.purposes]]
id = "tax"
basis = "legal-obligation"
bound = "floor"
fields = ["email"]
when = { billed = "yes" }
start = "seen_on"
keep = "P7Y"
"""

MADE = "2019-01-02 03:04:05"
ERASED, SCHEDULED = 1, 2
MAIL = {ERASED: "erased@canary.example", SCHEDULED: "scheduled@canary.example"}
DAY = dt.date(2026, 6, 30)
LONG_AGO, LATELY, THAT_DAY, SINCE, NEVER = "2016-05-04", "2026-03-02", "2026-06-30", "2026-07-01", ""


def person(key: int, email: str, made: str, seen: str, status: str = "left", billed: str = "no") -> dict[str, object]:
    """Return a record."""
    return {"id": key, "email": email, "created_at": made, "seen_on": seen, "status": status, "billed": billed}


@dataclass(frozen=True)
class Back:
    """A record that is there after two were deleted. like -- which of them it is like, and in what."""

    like: int
    same_key: bool
    same_made: bool
    same_email: bool
    seen: str
    subscribed: bool
    billed: bool
    held: bool

    def record(self) -> dict[str, object]:
        """Return it as it stands in the table."""
        return person(
            self.like if self.same_key else 70,
            MAIL[self.like].upper() if self.same_email else "other@canary.example",
            f"{MADE}.000" if self.same_made else "2026-07-01 00:00:00",
            self.seen,
            "subscribed" if self.subscribed else "left",
            "yes" if self.billed else "no",
        )

    def expected(self) -> tuple[int, int, dict[str, int]]:
        """Return how many records are deleted again, how many held, and what stays and why."""
        if not self.same_email:
            return 0, 0, {}
        if not self.same_made:
            return 0, 0, {PERSON: 1} if self.like == ERASED else {}
        if self.seen in (THAT_DAY, SINCE):
            return 0, 0, {ANEW: 1}
        if self.seen == NEVER:
            return 0, 0, {UNTOLD: 1}
        lasts = self.seen == LATELY and (self.billed or self.like == SCHEDULED)
        if lasts:
            return 0, 0, {NEEDED: 1}
        return (0, 1, {}) if self.held else (1, 0, {})


BACKS = st.builds(
    Back,
    st.sampled_from([ERASED, SCHEDULED]),
    st.booleans(),
    st.booleans() | st.just(True),
    st.booleans() | st.just(True),
    st.sampled_from([LONG_AGO, LATELY, THAT_DAY, SINCE, NEVER]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@pytest.fixture(scope="module")
def deleted(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a laboratory that deleted one record because its person asked for it, and one because its time was up, in one night."""
    lab = Lab(tmp_path_factory.mktemp("deleted"), POLICIES, moment=dt.datetime(2026, 6, 29, 12, tzinfo=dt.UTC))
    lab.memory.tables["people"] = {
        (ERASED,): person(ERASED, MAIL[ERASED], MADE, LATELY),
        (SCHEDULED,): person(SCHEDULED, MAIL[SCHEDULED], MADE, LONG_AGO),
        (3,): person(3, "third@canary.example", MADE, LATELY),
    }
    with lab.machine() as machine:
        request = add_request(machine, kind="erase", identifiers=[MAIL[ERASED]], verified_by="a clerk")
        lab.moment += dt.timedelta(days=1)
        lab.plan_and_apply(machine)
        close_request(machine, request.request_id, "erased")
    assert {(3,)} == set(lab.memory.tables["people"])
    lab.moment += dt.timedelta(days=2)
    return lab


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BACKS)
def test_the_rule(deleted: Lab, back: Back) -> None:
    """Same facts and key or identifier, nothing newer, and a decision that ends it; held is held, the rest is said."""
    record = back.record()
    third = deleted.memory.tables["people"][3,]
    deleted.memory.tables["people"] = {(3,): third, (int(str(record["id"])),): record}
    with deleted.machine() as machine:
        kept = (
            add_hold(machine, kind="legal", scope="source", owner="d", reason="r", review_on=dt.date(2027, 1, 1), source="people")
            if back.held
            else []
        )
        made = make_replay(machine)
        for each in kept:
            release_hold(machine, each.hold_id)
    assert made is not None
    counts = made.summary.counts["people"]
    stays = {each.detail: each.count for each in made.findings}
    assert back.expected() == (counts["actions"]["delete"], counts["held"], stays)
    assert {"returned"} >= {each.kind for each in made.findings}


def test_a_lot_that_ended_is_no_reason(deleted: Lab) -> None:
    """When tombstones have ended nothing is replayed, and there is no plan."""
    deleted.memory.tables["people"] = {(ERASED,): person(ERASED, MAIL[ERASED], MADE, LATELY)}
    before = deleted.moment
    deleted.moment = dt.datetime(2027, 7, 1, 12, tzinfo=dt.UTC)
    with deleted.machine() as machine:
        assert make_replay(machine) is None
    deleted.moment = before


def field(kind: FieldType, identifier: Identifier | None = None) -> Field:
    """Return a field of a type."""
    zone = ZoneInfo("Europe/Amsterdam")
    return Field("f", "f", Reading(kind, Empty.UNKNOWN, zone, ZoneInfo("UTC")), identifier=identifier)


@pytest.mark.parametrize(
    ("one", "other", "of"),
    [
        ("2019-01-02 03:04:05", dt.datetime(2019, 1, 2, 3, 4, 5), field(FieldType.TIMESTAMP)),
        ("2019-01-02T03:04:05.000", "2019-01-02 03:04:05", field(FieldType.TIMESTAMP)),
        ("2019-01-02 03:04:05+01:00", dt.datetime(2019, 1, 2, 2, 4, 5, tzinfo=dt.UTC), field(FieldType.TIMESTAMP)),
        ("2019-01-02", dt.date(2019, 1, 2), field(FieldType.DATE)),
        ("1.50", Decimal("1.5"), field(FieldType.NUMBER)),
        (1, "true", field(FieldType.BOOLEAN)),
        (" Ann ", "Ann", field(FieldType.TEXT)),
        ("e\u0301", "\u00e9", field(FieldType.TEXT)),
        (" A@B.example", "a@b.example", field(FieldType.TEXT, Identifier.EMAIL)),
        (None, "", field(FieldType.TEXT)),
    ],
)
def test_the_same_written_otherwise(one: object, other: object, of: Field) -> None:
    """What an import writes otherwise is the same fact."""
    assert text_of(of, one) == text_of(of, other)


@pytest.mark.parametrize(
    ("one", "other", "of"),
    [
        ("2019-01-02 03:04:05", "2019-01-02 03:04:06", field(FieldType.TIMESTAMP)),
        ("2019-01-02 03:04:05", "2019-01-02 03:04:05.5", field(FieldType.TIMESTAMP)),
        ("nonsense", "other nonsense", field(FieldType.TIMESTAMP)),
        ("Ann", "ann", field(FieldType.TEXT)),
        ("0", "", field(FieldType.NUMBER)),
        (UNREADABLE, "", field(FieldType.TEXT)),
    ],
)
def test_what_differs(one: object, other: object, of: Field) -> None:
    """A second, a letter, nothing and naught, and what can't be read, are not the same."""
    assert text_of(of, one) != text_of(of, other)


def test_tokens_are_bound_to_their_source_and_key() -> None:
    """The same record in two sources, or under two keys, can't be joined without the key, and parts don't run into each other."""
    people = loads(POLICIES, "policies.toml").sources["people"]
    others = dataclasses.replace(people, name="others")
    values = {"email": "a@b.example", "created_at": MADE}
    made = {
        token
        for secret in (b"1" * 32, b"2" * 32)
        for source in (people, others)
        for tokens in [Tokens(secret, source, ("created_at", "email"))]
        for token in (tokens.own((1,)), *tokens.facts(values), *tokens.people(values))
    }
    assert 12 == len(made)
    tokens = Tokens(b"1" * 32, people, ("status", "billed"))
    assert tokens.facts({"status": "a", "billed": "b"}) != tokens.facts({"status": 'a", "b', "billed": ""})
    assert () == tokens.facts({"status": "", "billed": None})
    assert () == tokens.facts({"status": "a", "billed": UNREADABLE})


def test_rows_that_went_along_leave_tombstones_of_their_own(lab: Lab) -> None:
    """Children with a policy of their own go in their parent's batch; their source is watched, their parent's is not."""
    lab.policies = lab.policies.replace(
        'table = "invoices"\nkey = "id"\n[sources.invoices.fields]',
        'table = "invoices"\nkey = "id"\nwatch = "P1Y"\nunchanging = ["billed_to", "issued_on"]\n[sources.invoices.fields]',
    )
    gone = dict(lab.table("invoices")[50])
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
        # One went with its customer, and one by itself.
        assert {"invoices": 2} == machine.ledger.watched(machine.today())
        lab.moment += dt.timedelta(days=1)
        lab.memory.tables["invoices"] = {**lab.memory.tables["invoices"], (50,): gone, (51,): {**gone, "id": 51}}
        found = [each for each in make_plan(machine).findings if each.kind == "returned"]
        # Without an identifier nothing tells that another key is the same record's.
        assert [("deleted records came back", 1)] == [(each.detail, each.count) for each in found]
        made = make_replay(machine)
        assert made is not None
        assert {"invoices": 1} == made.acting


@pytest.mark.parametrize(
    ("batch", "expected"),
    [("p-0-1", ["p-0-1"]), ("p-0-1~2", ["p-0-1~2", "p-0-1"]), ("p-0-1+3.0.1", ["p-0-1+3.0.1", "p-0-1", "p-0-1+3", "p-0-1+3.0"])],
)
def test_a_batch_is_read_back_with_what_it_is_part_of(batch: str, expected: list[str]) -> None:
    """Reading back a planned batch, or one attempt at it, reads back its halves too."""
    assert expected == tried_as(batch)
