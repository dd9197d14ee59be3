"""Parties of a real Tryton, one by one: what belongs to them goes on bad days too, and Tryton's own erasing leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.contract import FaultProxy
from tests.acceptance.canaries import WORD
from tests.systems.servers.parties import POLICIES, TABLES, Client, Opened, address, emptied, rows
from tests.systems.servers.tryton import Tryton
from tests.systems.test_tryton_contract import is_change
from worker.core.select import EVERYTHING
from worker.policyfile.loading import loads
from worker.ports import Along, Changes, KeyRange, Left, Level, OpenSource

ERASING = POLICIES.replace('key = "id"\nsubject', 'key = "id"\noptions = { delete = "erase" }\nsubject', 1)


@pytest.fixture(scope="module")
def proxy(tryton: Tryton) -> Iterator[FaultProxy]:
    """Return what stands between the command and Tryton."""
    with FaultProxy(tryton.url, is_change, keeps_encoding=True).running() as made:
        yield made


@pytest.fixture
def opened(tryton: Tryton) -> Iterator[Opened]:
    """Return what opens sources."""
    made = Opened(tryton)
    yield made
    made.close()


class TestErasing:
    """Parties that are erased in place by Tryton's own wizard."""

    @pytest.fixture
    def client(self, tryton: Tryton, proxy: FaultProxy) -> Client:
        proxy.heal()
        return emptied(tryton)

    def test_nothing_of_the_person_is_left(self, tryton: Tryton, opened: Opened, client: Client) -> None:
        """An erased party, though a contract refers to it, has no value left in any table, is no record any more, and the level is soft."""
        first, second = client.parties(2)
        client("model.retention.contract.create", [{"party": first}])
        client.note(first)
        source = opened(without_children(ERASING))
        assert Level.SOFT is source.level
        assert [] == erase(source, first, second)
        with source.reader() as reader:
            assert [(second,)] == [row for page in reader.rows(EVERYTHING, ()) for row in page]
            assert reader.get((first,), ()) is None
        held = [each for table in TABLES[1:] for each in rows(tryton, table) if first == each["id" if table == "party_party" else "party"]]
        assert 6 == len(held)
        assert not [each for each in held if WORD in str(each)]
        assert WORD not in str(rows(tryton, "ir_note"))
        assert {first} == {each["party"] for each in rows(tryton, "retention_contract")}

    @pytest.mark.parametrize("after", range(6))
    @pytest.mark.parametrize("applied", [True, False])
    def test_an_answer_is_lost(
        self, tryton: Tryton, opened: Opened, proxy: FaultProxy, client: Client, after: int, *, applied: bool
    ) -> None:
        """Whichever of the calls that make up an erasure loses its answer, in the end the party is erased, and it is said to be."""
        first, second = client.parties(2)
        proxy.writing(None, applied=applied, after=after, times=1)
        assert [] == erase(opened(without_children(ERASING), url=address(proxy.url)), first, second)
        assert [(first, None, 0)] == [(each["id"], each["name"], each["active"]) for each in rows(tryton, "party_party")][:1]

    def test_what_erasing_needs_and_leaves_is_said(self, opened: Opened) -> None:
        """Erasing needs no children to be declared; what it leaves is said, and which models the account has to write."""
        text = without_children(ERASING)
        source = opened(text)
        problems, notes = source.problems(loads(text, "policies.toml").policies[0], {})
        assert [] == problems
        assert any("Tryton's own erasing" in str(each) for each in notes)
        said = "\n".join(source.rights(loads(text, "policies.toml").policies[0], {}, "office"))
        assert "party.contact_mechanism" in said
        assert "party.erase" in said

    def test_a_party_that_others_were_merged_into_waits(self, tryton: Tryton, opened: Opened, client: Client) -> None:
        """The wizard would erase merged parties unseen, so theirs has to come first."""
        first, second = client.parties(2)
        with tryton.database() as database:
            database.execute("UPDATE party_party SET replaced_by = ?, active = 0 WHERE id = ?", (first, second))
        source = opened(without_children(ERASING))
        (undone,) = erase(source, first, second)
        assert (Left.FAILED, "parties that it replaced have to go first") == (undone.why, undone.answer)
        assert [] == erase(source, second, first)
        assert [] == erase(source, first, first)

    def test_a_party_that_was_changed_is_left(self, tryton: Tryton, opened: Opened, client: Client) -> None:
        """A party that somebody else writes between decision and erasure stays as it is."""
        first, second = client.parties(2)
        source = opened(without_children(ERASING))
        meanwhile = lambda: client("model.party.party.write", [first], {"name": "Married"})  # noqa: E731 - a step of the test
        (undone,) = erase(source, first, second, meanwhile)
        assert Left.CHANGED is undone.why
        assert "Married" in [each["name"] for each in rows(tryton, "party_party")]


def without_children(text: str) -> str:
    """Return the policy without relations: erasing takes care of them."""
    head, rest = text.split("[sources.parties.children.addresses]", 1)
    rules = rest.split("[[policies]]", 1)[1].split("[[policies.examples]]")[0]
    rules = rules.replace(', "last_note"', "")
    return f"{head}[[policies]]{rules}"


def erase(source: OpenSource, party: int, last: int, meanwhile: Any = lambda: None) -> list[Any]:
    """Delete one party and return what was not done."""
    with source.batch("b", KeyRange((1,), (max(party, last),)), EVERYTHING, ("name",)) as batch:
        batch.write(Changes(delete=[(party,)]))
        meanwhile()
        return list(batch.commit())


class TestRows:
    """What belongs to a party, on a bad day."""

    @pytest.mark.parametrize("after", range(6))
    @pytest.mark.parametrize("applied", [True, False])
    def test_an_answer_is_lost(self, tryton: Tryton, opened: Opened, proxy: FaultProxy, after: int, *, applied: bool) -> None:
        """Whichever row's deletion loses its answer, or the party's, in the end all are gone, said to be, and deleted once."""
        proxy.heal()
        client = emptied(tryton)
        first, second = client.parties(2)
        client.note(first)
        source = opened(url=address(proxy.url))
        key = (first,)
        with source.batch("b", KeyRange(key, (second,)), EVERYTHING, ("name",)) as batch:
            along = [
                Along((name,), [tuple(row[:1]) for _, row in batch.related((name,), [key], ())])  # type: ignore[misc]
                for name in ("addresses", "numbers", "identifiers", "notes")
            ]
            proxy.writing(None, applied=applied, after=after, times=1)
            batch.write(Changes(delete=[key], along=along))
            assert [] == list(batch.commit())
        assert {"party_party": 1, "party_address": 1, "party_contact_mechanism": 2, "party_identifier": 1, "ir_note": 0} == {
            table: len(rows(tryton, table)) for table in TABLES if table != "retention_contract"
        }
        assert 6 == proxy.writes()

    def test_notes_of_a_row(self, tryton: Tryton, opened: Opened) -> None:
        """Rows that may point to any model are found beneath rows too; a dot leads to what a field points to, or to nothing."""
        client = emptied(tryton)
        first, second = client.parties(2)
        (address_of_first,) = [each["id"] for each in rows(tryton, "party_address") if each["party"] == first]
        (note,) = client("model.ir.note.create", [{"resource": f"party.address,{address_of_first}", "message": "Ring twice"}])
        (english,) = client("model.ir.lang.search", [["code", "=", "en"]], 0, 1, None)
        client("model.party.party.write", [first], {"lang": english})
        beneath = """
[sources.parties.children.addresses.children.notes]
table = "ir.note"
key = "id"
match = { resource = "id" }
on_delete = "delete"
"""
        text = POLICIES.replace("[sources.parties.children.numbers]", f"{beneath}[sources.parties.children.numbers]")
        source = opened(text.replace("name = { personal", 'language = { column = "lang.code" }\nname = { personal'))
        with source.reader() as reader:
            assert [((first,), (note,))] == reader.related(("addresses", "notes"), [(first,), (second,)], ())
            assert [[(first, "en"), (second, None)]] == list(reader.rows(EVERYTHING, ("language",)))

    def test_a_row_that_was_changed_keeps_its_party(self, tryton: Tryton, opened: Opened, proxy: FaultProxy) -> None:
        """A row that somebody writes between decision and deletion stays, with its party."""
        proxy.heal()
        client = emptied(tryton)
        (party,) = client.parties(1)
        source, key = opened(), (party,)
        with source.batch("b", KeyRange(key, key), EVERYTHING, ("name",)) as batch:
            found = [tuple(row[:1]) for _, row in batch.related(("addresses",), [key], ())]
            batch.write(Changes(delete=[key], along=[Along(("addresses",), found)]))  # type: ignore[arg-type]
            client("model.party.address.write", [found[0][0]], {"city": "Elsewhere"})
            assert {Left.CHANGED} == {each.why for each in batch.commit()}
        assert ["Elsewhere"] == [each["city"] for each in rows(tryton, "party_address")]
