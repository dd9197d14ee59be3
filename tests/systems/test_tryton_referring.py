"""What refers to a party of a real Tryton and isn't declared: then the party stays whole, whatever Tryton would do about it.

What could go wrong, each a test: the party's rows go and the party doesn't; a reference to a row, not to the party; a row that goes along
is taken for one that keeps; of two records that go in one batch one refers to the other; it costs requests where nothing refers to
anything; a reference is made in the last moment; the account can't see what refers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest

from connectors.contract import FaultProxy
from tests.systems.servers.parties import POLICIES, Client, Opened, address, emptied, rows
from tests.systems.servers.tryton import Tryton
from tests.systems.test_tryton_contract import is_change
from worker.core.select import EVERYTHING
from worker.policyfile.loading import loads
from worker.ports import Along, Changes, KeyRange, Left, OpenSource, Undone

RELATIONS = ("numbers", "addresses", "identifiers", "notes")
KEPT = "referred to by party of retention.contract"


@pytest.fixture
def opened(tryton: Tryton) -> Iterator[Opened]:
    """Return what opens sources."""
    made = Opened(tryton)
    yield made
    made.close()


@pytest.fixture
def client(tryton: Tryton) -> Client:
    """Return another program, at an empty Tryton."""
    return emptied(tryton)


@pytest.fixture
def proxy(tryton: Tryton) -> Iterator[FaultProxy]:
    """Return what stands between the source and Tryton."""
    with FaultProxy(tryton.url, is_change, keeps_encoding=True).running() as made:
        yield made


def deleted(source: OpenSource, parties: Sequence[int], relations: Sequence[str] = RELATIONS) -> list[Undone]:
    """Delete parties with their rows, and return what was not done."""
    keys = [(each,) for each in parties]
    with source.batch("b", KeyRange(min(keys), max(keys)), EVERYTHING, ("name",)) as batch:
        along = [Along((name,), [tuple(row[:1]) for _, row in batch.related((name,), keys, ())]) for name in relations]  # type: ignore[misc]
        batch.write(Changes(delete=keys, along=along))
        return list(batch.commit())


def refused(undone: Sequence[Undone]) -> list[tuple[int, Left, str]]:
    """Return the records among what was not done."""
    return [(int(each.key[0]), each.why, each.answer) for each in undone if not each.path]


def held(server: Tryton, party: int) -> list[int]:
    """Return how many rows of each kind a party has."""
    tables = ("party_address", "party_contact_mechanism", "party_identifier")
    return [sum(each["party"] == party for each in rows(server, table)) for table in tables]


def test_a_party_is_left_whole(tryton: Tryton, opened: Opened, client: Client) -> None:
    """A party that a contract refers to keeps its rows, with an answer that names model and field; the others go."""
    first, second, third = client.parties(3)
    client("model.retention.contract.create", [{"party": second}])
    undone = deleted(opened(), [first, second, third])
    assert [(second, Left.FAILED, KEPT)] == refused(undone)
    assert [1, 2, 1] == held(tryton, second)
    assert [second] == [each["id"] for each in rows(tryton, "party_party")]


def test_a_row_is_referred_to(tryton: Tryton, opened: Opened, client: Client) -> None:
    """An address that a number of another party leads to keeps its party, and every row of it."""
    first, second = client.parties(2)
    (at,) = [each["id"] for each in rows(tryton, "party_address") if each["party"] == first]
    with tryton.database() as database:
        database.execute("UPDATE party_contact_mechanism SET address = ? WHERE party = ?", (at, second))
    undone = deleted(opened(), [first])
    assert [(first, Left.FAILED, "referred to by address of party.contact_mechanism")] == refused(undone)
    assert [1, 2, 1] == held(tryton, first)


def test_rows_that_go_along_keep_nothing(tryton: Tryton, opened: Opened, client: Client) -> None:
    """A number that leads to an address of its own party goes with it, and both are told."""
    (first,) = client.parties(1)
    (at,) = [each["id"] for each in rows(tryton, "party_address") if each["party"] == first]
    with tryton.database() as database:
        database.execute("UPDATE party_contact_mechanism SET address = ?", (at,))
    assert [] == deleted(opened(), [first])
    assert ([], [0, 0, 0]) == (rows(tryton, "party_party"), held(tryton, first))


@pytest.mark.parametrize("turned", [True, False])
def test_records_of_one_batch(tryton: Tryton, opened: Opened, client: Client, *, turned: bool) -> None:
    """A party into which another was merged goes after that one; in the other order the next run does it."""
    first, second = client.parties(2)
    merged, into = (second, first) if turned else (first, second)
    with tryton.database() as database:
        database.execute("UPDATE party_party SET replaced_by = ?, active = 0 WHERE id = ?", (into, merged))
    undone = deleted(opened(), [first, second])
    kept = [(into, Left.FAILED, "referred to by replaced_by of party.party")] if turned else []
    assert kept == refused(undone)
    if turned:
        assert [1, 2, 1] == held(tryton, into)
        assert [] == deleted(opened(), [into])
    assert [] == rows(tryton, "party_party")


def test_what_it_costs(opened: Opened, client: Client, proxy: FaultProxy) -> None:
    """Where nothing refers to anything each field is asked about once for a batch, however many records it has."""
    parties = client.parties(30)
    source = opened(url=address(proxy.url))
    assert [] == deleted(source, parties)
    asked = [json.loads(request.body)["method"] for request, _ in proxy.seen if request.body]
    assert 1 == asked.count("model.retention.contract.search_read")


def test_a_reference_in_the_last_moment(tryton: Tryton, opened: Opened, client: Client, proxy: FaultProxy) -> None:
    """What somebody makes after the question is Tryton's to refuse: the party stays, and nobody says that it went."""
    (first,) = client.parties(1)
    made: list[int] = []

    def make(request: object) -> bool:
        if not made and b"party.identifier.delete" in getattr(request, "body", b""):
            made.extend(client("model.retention.contract.create", [{"party": first}]))
        return False

    source = opened(url=address(proxy.url))
    proxy.any(None).on = make
    assert [(first, Left.FAILED, "UserError: used by Party of Retention Contract")] == refused(deleted(source, [first]))
    assert [first] == [each["id"] for each in rows(tryton, "party_party")]


def test_a_declared_reference(tryton: Tryton, opened: Opened, client: Client) -> None:
    """What is declared is not asked about: that a contract keeps its party is decided before any batch."""
    (first,) = client.parties(1)
    client("model.retention.contract.create", [{"party": first}])
    contracts = """
[sources.parties.children.contracts]
table = "retention.contract"
key = "id"
match = { party = "id" }
on_delete = "keep_parent"
[sources.parties.facts.last_note]"""
    undone = deleted(opened(POLICIES.replace("\n[sources.parties.facts.last_note]", contracts, 1)), [first])
    assert [(first, Left.FAILED, "UserError: used by Party of Retention Contract")] == refused(undone)


@pytest.mark.parametrize("turned", [True, False])
def test_rows_that_go_with_other_rows(opened: Opened, *, turned: bool) -> None:
    """Tryton takes numbers along with their address: where they are declared behind it that is said, since they wouldn't be counted."""
    text = POLICIES
    if turned:
        head, rest = text.split("[sources.parties.children.numbers]", 1)
        numbers, rest = rest.split("[sources.parties.children.", 1)
        at, rest = f"[sources.parties.children.{rest}".split("[sources.parties.children.identifiers]", 1)
        text = f"{head}{at}[sources.parties.children.numbers]{numbers}[sources.parties.children.identifiers]{rest}"
    _, notes = opened(text).problems(loads(text, "policies.toml").policies[0], {})
    assert turned is any("declare numbers before addresses" in str(each).lower() for each in notes)


def test_what_is_said_before(opened: Opened) -> None:
    """The check names what would keep a record, and what refers to one without being shown."""
    _, notes = opened().problems(loads(POLICIES, "policies.toml").policies[0], {})
    said = "\n".join(map(str, notes))
    assert "retention.contract (party)" in said
    assert "doesn't show this account" in said
    assert "party.party-party.category (party)" in said
