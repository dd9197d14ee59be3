"""Parties of a real Tryton: the policy that the documentation shows, carried out by the command on a bad day; and erasing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from connectors.contract import FaultProxy
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.parties import POLICIES, address, emptied, rows
from tests.systems.servers.tryton import PASSWORD, Tryton
from tests.systems.test_tryton_contract import is_change
from worker.audit.outcomes import outcomes

NOW = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
OLD, NEW = "2020-01-01 00:00:00", "2026-01-01 00:00:00"
PARTIES = 200


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
        "RETENTION_SOURCES__PARTIES__URL": address(proxy.url),
        "RETENTION_SOURCES__PARTIES__OPTIONS__WAIT": "0.02",
        "RETENTION_SOURCES__PARTIES__OPTIONS__ATTEMPTS": "4",
    }
    command = Installation(folder, environ, now=NOW)
    plan = command.approved()
    proxy.reading(429, headers={"Retry-After": "0"}, after=9, times=2)
    proxy.writing(None, applied=True, after=2, times=1)
    proxy.writing(503, after=7, times=1)
    refused = next(each["id"] for each in rows(tryton, "party_address") if each["party"] == due[7])
    body = json.dumps({"id": 1, "error": ["UserError", [f"You are not allowed to delete {WORD}", "", None]]}).encode()
    proxy.about(
        lambda request: b"party.address.delete" in request.body and json.loads(request.body)["params"][0] == [refused], 200, body=body
    )
    applied = command("apply", plan)
    proxy.heal()
    assert 5 == applied.code, applied.err
    return Office(tryton, command, due, kept, noted, due[5], due[7])


def test_what_is_due_is_gone_with_what_belongs_to_it(enforced: Office) -> None:
    """Parties that are due are gone, inactive ones too, with their rows; a new note keeps a party; all else stays."""
    left = {*enforced.kept, *enforced.noted, enforced.used, enforced.refused}
    assert left == enforced.left()
    assert left == enforced.left("party_address", "party")
    assert {*enforced.kept, *enforced.noted, enforced.used} <= enforced.left("party_contact_mechanism", "party")
    assert {f"party.party,{each}" for each in enforced.noted} == enforced.left("ir_note", "resource")


def test_what_tryton_refused_is_said(enforced: Office) -> None:
    """A party that a contract refers to, and one of which an address was refused, are named with the reason, and counted as not done."""
    said = enforced.command.events("retention.record_skipped")
    reasons = {("failed", "referred to by party of retention.contract"), ("failed", "UserError: not allowed")}
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
