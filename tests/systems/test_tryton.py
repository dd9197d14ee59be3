"""Parties of a real Tryton: the policy that the documentation shows, carried out by the command on a bad day; and erasing."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import FaultProxy
from connectors.plugins import tryton as open_source
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.tryton import DATABASE, PASSWORD, USER, Tryton
from tests.systems.test_tryton_contract import PATIENCE, is_change
from worker.audit.outcomes import outcomes
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError
from worker.policyfile.loading import loads
from worker.ports import Along, Changes, Connection, KeyRange, Left, Level, OpenSource

PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "tryton.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: tryton -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOW = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
OLD, NEW = "2020-01-01 00:00:00", "2026-01-01 00:00:00"
PARTIES = 200


@dataclass
class Client:
    """Tryton's own client, around the connector: another program."""

    server: Tryton
    session: str = ""

    def __call__(self, method: str, *parameters: Any, **context: Any) -> Any:
        """Call a method and return its result."""
        body = {"id": 1, "method": method, "params": [*parameters, *([] if method.startswith("common") else [context])]}
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "Authorization": self.session}
        asked = urllib.request.Request(f"{self.server.url}/{DATABASE}/rpc/", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said = json.loads(answer.read())
        assert "error" not in said, said
        return said["result"]

    def signed_in(self) -> Client:
        """Make a session."""
        number, token, *_ = self("common.db.login", USER, {"password": PASSWORD})
        self.session = "Session " + base64.b64encode(f"{USER}:{number}:{token}".encode()).decode()
        return self

    def parties(self, number: int) -> list[int]:
        """Create parties with an address and two ways to reach them each; every value of theirs is a canary."""
        people = [
            {
                "name": f"{WORD}name{each}",
                "identifiers": [["create", [{"code": f"{WORD}code{each}"}]]],
                "addresses": [["create", [{"street_unstructured": f"{WORD}street{each}", "city": f"{WORD}city"}]]],
                "contact_mechanisms": [
                    ["create", [{"type": "email", "value": f"{WORD}{each}@post.example"}, {"type": "other", "value": f"{WORD}phone{each}"}]]
                ],
            }
            for each in range(number)
        ]
        made: list[int] = self("model.party.party.create", people)
        return made

    def note(self, party: int) -> int:
        """Write a note about a party."""
        (made,) = self("model.ir.note.create", [{"resource": f"party.party,{party}", "message": f"{WORD}note"}])
        return int(made)


TABLES = ("ir_note", "party_contact_mechanism", "party_address", "party_identifier", "retention_contract", "party_party")


def rows(server: Tryton, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, as they lie in the database."""
    with server.database() as database:
        database.row_factory = lambda cursor, row: dict(zip([each[0] for each in cursor.description], row, strict=True))
        return database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def emptied(server: Tryton) -> Client:
    """Take all parties away, and return a client."""
    with server.database() as database:
        for table in TABLES:
            database.execute(f"DELETE FROM {table}")
    return Client(server).signed_in()


@pytest.fixture(scope="module")
def proxy(tryton: Tryton) -> Iterator[FaultProxy]:
    """Return what stands between the command and Tryton."""
    with FaultProxy(tryton.url, is_change, keeps_encoding=True).running() as made:
        yield made


@dataclass(frozen=True)
class Office:
    """An office with a Tryton, and the command. due, kept, noted, used, refused -- the numbers of its parties."""

    server: Tryton
    command: Installation
    due: list[int]
    kept: list[int]
    noted: list[int]
    used: int
    refused: int

    def left(self, table: str = "party_party", column: str = "id") -> set[int]:
        """Return the numbers that stand in a column of what is left of a table."""
        return {each[column] for each in rows(self.server, table)}


@pytest.fixture(scope="module")
def enforced(tryton: Tryton, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return an office of 200 parties that planned, approved and applied on a bad day: busy, answers lost, two parties refused."""
    client, folder = emptied(tryton), tmp_path_factory.mktemp("tryton")
    made = client.parties(PARTIES)
    due, kept, noted = made[:40], made[40:190], made[190:]
    client("model.party.party.write", due[10:20], {"active": False})
    old_notes = [client.note(party) for party in (due[0], *noted)][:1]
    client("model.retention.contract.create", [{"party": due[5]}])
    with tryton.database() as database:
        database.execute("UPDATE party_party SET create_date = ?, write_date = NULL", (NEW,))
        database.execute(f"UPDATE party_party SET create_date = '{OLD}' WHERE id <= {due[-1]} OR id >= {noted[0]}")
        database.execute("UPDATE ir_note SET create_date = ?", (NEW,))
        database.execute("UPDATE ir_note SET create_date = ? WHERE id = ?", (OLD, *old_notes))
    (folder / "policies.toml").write_text(POLICIES, encoding="utf-8")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__PARTIES__URL": f"{proxy.url.replace('://', f'://{USER}:{PASSWORD}@')}/{DATABASE}",
        "RETENTION_SOURCES__PARTIES__OPTIONS__WAIT": "0.02",
        "RETENTION_SOURCES__PARTIES__OPTIONS__ATTEMPTS": "4",
    }
    command = Installation(folder, environ, now=NOW)
    plan = command.approved()
    proxy.reading(429, headers={"Retry-After": "0"}, after=9, times=2)
    proxy.writing(None, applied=True, after=2, times=1)
    proxy.writing(503, after=7, times=1)
    address = next(each["id"] for each in rows(tryton, "party_address") if each["party"] == due[7])
    body = json.dumps({"id": 1, "error": ["UserError", [f"You are not allowed to delete {WORD}", "", None]]}).encode()
    proxy.about(
        lambda request: b"party.address.delete" in request.body and json.loads(request.body)["params"][0] == [address], 200, body=body
    )
    applied = command("apply", plan)
    proxy.heal()
    assert 5 == applied.code, applied.err
    return Office(tryton, command, due, kept, noted, due[5], due[7])


def test_what_is_due_is_gone_with_what_belongs_to_it(enforced: Office) -> None:
    """Parties that are due are gone, inactive ones too, with their rows; a new note keeps a party; all else stays."""
    left = {*enforced.kept, *enforced.noted, enforced.used, enforced.refused}
    assert left == enforced.left()
    assert left - {enforced.used} == enforced.left("party_address", "party")
    assert {*enforced.kept, *enforced.noted} <= enforced.left("party_contact_mechanism", "party")
    assert {f"party.party,{each}" for each in enforced.noted} == enforced.left("ir_note", "resource")


def test_what_tryton_refused_is_said(enforced: Office) -> None:
    """A party that a contract refers to, and one of which an address was refused, are named with the reason, and counted as not done."""
    said = enforced.command.events("retention.record_skipped")
    reasons = {("failed", "UserError: used by Party of Retention Contract"), ("failed", "UserError: not allowed")}
    assert reasons == {(each["event.reason"], each["retention.answer"]) for each in said}
    counted = sum(each["retention.count"] for each in enforced.command.events("retention.batch_closed"))
    assert counted == len(list(outcomes(enforced.command.audit)))
    verified = enforced.command("verify", "--json", enforced.command("runs", "--json").json[0]["run_id"])
    assert verified.code in (0, 5), verified.err


def test_a_later_run_does_the_rest(enforced: Office) -> None:
    """When what kept a party is out of the way, a later run deletes it, and nothing else."""
    with enforced.server.database() as database:
        database.execute("DELETE FROM retention_contract")
    before = enforced.left()
    said = enforced.command("run")
    assert said.code in (0, 4), said.err
    assert before - {enforced.used, enforced.refused} == enforced.left()


def test_nothing_personal_gets_out(enforced: Office) -> None:
    """Nothing that was printed or kept holds a value of a party, the password, or a wrong event."""
    assert set() == found_in("".join(enforced.command.everything).encode())
    assert [] == found_under(enforced.command.state)
    assert PASSWORD not in "".join(enforced.command.everything)
    assert [] == wrong_events(enforced.command.audit)


def opened(server: Tryton, text: str = POLICIES, *, url: str = "") -> OpenSource:
    """Open the source of a policy file straight at the server."""
    source = loads(text, "policies.toml").policies[0].source
    address = url or f"{server.url.replace('://', f'://{USER}:{PASSWORD}@')}/{DATABASE}"
    return open_source(source, Connection(address, options=PATIENCE))


ERASING = POLICIES.replace('key = "id"\nsubject', 'key = "id"\noptions = { delete = "erase" }\nsubject', 1)


class TestErasing:
    """Parties that are erased in place by Tryton's own wizard."""

    @pytest.fixture
    def client(self, tryton: Tryton, proxy: FaultProxy) -> Client:
        proxy.heal()
        return emptied(tryton)

    def test_nothing_of_the_person_is_left(self, tryton: Tryton, client: Client) -> None:
        """An erased party, though a contract refers to it, has no value left in any table, is no record any more, and the level is soft."""
        first, second = client.parties(2)
        client("model.retention.contract.create", [{"party": first}])
        client.note(first)
        source = opened(tryton, without_children(ERASING))
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
    def test_an_answer_is_lost(self, tryton: Tryton, proxy: FaultProxy, client: Client, after: int, *, applied: bool) -> None:
        """Whichever of the calls that make up an erasure loses its answer, in the end the party is erased, and it is said to be."""
        first, second = client.parties(2)
        url = f"{proxy.url.replace('://', f'://{USER}:{PASSWORD}@')}/{DATABASE}"
        proxy.writing(None, applied=applied, after=after, times=1)
        assert [] == erase(opened(tryton, without_children(ERASING), url=url), first, second)
        assert [(first, None, 0)] == [(each["id"], each["name"], each["active"]) for each in rows(tryton, "party_party")][:1]

    def test_a_party_that_others_were_merged_into_waits(self, tryton: Tryton, client: Client) -> None:
        """The wizard would erase merged parties unseen, so theirs has to come first."""
        first, second = client.parties(2)
        with tryton.database() as database:
            database.execute("UPDATE party_party SET replaced_by = ?, active = 0 WHERE id = ?", (first, second))
        source = opened(tryton, without_children(ERASING))
        (undone,) = erase(source, first, second)
        assert (Left.FAILED, "parties that it replaced have to go first") == (undone.why, undone.answer)
        assert [] == erase(source, second, first)
        assert [] == erase(source, first, first)

    def test_a_party_that_was_changed_is_left(self, tryton: Tryton, client: Client) -> None:
        """A party that somebody else writes between decision and erasure stays as it is."""
        first, second = client.parties(2)
        source = opened(tryton, without_children(ERASING))
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
    def test_an_answer_is_lost(self, tryton: Tryton, proxy: FaultProxy, after: int, *, applied: bool) -> None:
        """Whichever row's deletion loses its answer, or the party's, in the end all are gone, said to be, and deleted once."""
        proxy.heal()
        client = emptied(tryton)
        first, second = client.parties(2)
        client.note(first)
        source = opened(tryton, url=f"{proxy.url.replace('://', f'://{USER}:{PASSWORD}@')}/{DATABASE}")
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

    def test_a_row_that_was_changed_keeps_its_party(self, tryton: Tryton, proxy: FaultProxy) -> None:
        """A row that somebody writes between decision and deletion stays, with its party."""
        proxy.heal()
        client = emptied(tryton)
        (party,) = client.parties(1)
        source, key = opened(tryton), (party,)
        with source.batch("b", KeyRange(key, key), EVERYTHING, ("name",)) as batch:
            found = [tuple(row[:1]) for _, row in batch.related(("addresses",), [key], ())]
            batch.write(Changes(delete=[key], along=[Along(("addresses",), found)]))  # type: ignore[arg-type]
            client("model.party.address.write", [found[0][0]], {"city": "Elsewhere"})
            assert {Left.CHANGED} == {each.why for each in batch.commit()}
        assert ["Elsewhere"] == [each["city"] for each in rows(tryton, "party_address")]


class TestCheck:
    """What `sources check` finds."""

    def found(self, tryton: Tryton, text: str) -> tuple[str, str]:
        """Return the problems and what is worth knowing."""
        policy = loads(text, "policies.toml").policies[0]
        source = opened(tryton, text)
        problems, notes = source.problems(policy, {})
        source.close()
        return "\n".join(map(str, problems)), "\n".join(map(str, notes))

    def test_the_documented_policy_is_usable(self, tryton: Tryton) -> None:
        """Nothing is wrong with the page's policy; what may refer to a party is named."""
        problems, notes = self.found(tryton, POLICIES)
        assert "" == problems
        assert "retention.contract (party)" in notes

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('"party.party"\nkey', '"party.parti"\nkey', "no model 'party.parti'"),
            ('"create_date", type', '"created", type', "party.party has no field 'created'"),
            ('column = "create_date"', 'column = "addresses.city"', "'addresses' of party.party holds several records"),
            ("match = { resource", "match = { recourse", "ir.note has no field 'recourse'"),
            ('table = "party.address"', 'table = "party.adress"', "no model 'party.adress'"),
            ("match = { party", "match = { party_name", "rows of party.address (party) go with a deleted record, or keep it"),
            ('on_delete = "delete"', 'on_delete = "detach"', "'party' of party.address may not be empty"),
            ("notes.create_date", "notes.created", "ir.note has no field 'created'"),
        ],
    )
    def test_a_wrong_declaration(self, tryton: Tryton, old: str, new: str, said: str) -> None:
        """What Tryton doesn't have, or can't do, is a problem that names it, before anything is read."""
        assert old in POLICIES
        try:
            problems, _ = self.found(tryton, POLICIES.replace(old, new, 1))
        except ConfigurationError as error:
            problems = str(error)
        assert said in problems

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("name = { personal = true }", 'name = { treatment = "clear" }', ""),
            ("name = { personal = true }", 'name = { column = "code", treatment = "clear" }', "'code' may not be empty"),
            ("name = { personal = true }", 'name = { column = "full_name", treatment = "clear" }', "Tryton sets 'full_name' by itself"),
            ('email = { type = "email" }', 'email = { type = "email", treatment = "clear" }', "Tryton works 'email' out"),
            ("name = { personal = true }", 'name = { column = "lang.code", treatment = "clear" }', "a field of another record"),
            ("name = { personal = true }", 'name = { column = "lang", treatment = "clear" }', "'lang' is a many2one"),
        ],
    )
    def test_a_treatment_that_tryton_refuses(self, tryton: Tryton, old: str, new: str, said: str) -> None:
        """Treatments that would fail in a run are problems before it."""
        text = POLICIES.replace(old, new, 1)
        problems, _ = self.found(tryton, text)
        assert said in problems
        assert bool(said) == bool(problems)

    def test_what_the_account_may_not_do(self, tryton: Tryton) -> None:
        """An account without the right is told what it lacks, and for which model."""
        problems, _ = self.found(tryton, POLICIES.replace("party.identifier", "retention.contract"))
        assert "the account may not delete retention.contract" in problems

    @pytest.mark.parametrize(
        "url",
        ["http://retention@127.0.0.1:1/crm", "http://retention:secret@127.0.0.1:1", "ftp://a:b@127.0.0.1/crm", "http://127.0.0.1/crm"],
    )
    def test_an_address_that_can_not_be_right(self, tryton: Tryton, url: str) -> None:
        """An address without user, password or database is refused, and not shown."""
        with pytest.raises(ConfigurationError) as caught:
            opened(tryton, url=url)
        assert "secret@" not in str(caught.value)

    def test_a_database_that_is_not_there(self, tryton: Tryton) -> None:
        """An address with another database is a matter of settings."""
        with (
            pytest.raises(ConfigurationError, match="no Tryton database"),
            opened(tryton, url=f"{tryton.url.replace('://', f'://{USER}:{PASSWORD}@')}/other").reader() as reader,
        ):
            list(reader.rows(EVERYTHING, ()))
