"""Rotating keys, and destroying those of a pseudonym domain: what was made with them is still recognised, also after a crash."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import Firm
from tests.acceptance.killing import Killer, killed
from tests.acceptance.test_returning import BACK, ELSEWHERE, enforced, erased, insert, returned, rows, watched
from worker.bootstrap import machine
from worker.core.refs import token
from worker.core.sources import Identifier
from worker.errors import ConfigurationError
from worker.keys import Keyring
from worker.settings import load
from worker.usecases.applying import apply_plan
from worker.usecases.approving import open_plan
from worker.usecases.keykeeping import KEY_POINTS
from worker.usecases.keyrotating import ROTATION_POINTS
from worker.usecases.matching import identifier_form
from worker.usecases.standing import add_request

__all__ = ["watched"]

PSEUDONYM = re.compile(r"p1-(p-[0-9a-f]{6})-[a-z2-7]{26}@people\.invalid")
WHO = ("--owner", "x", "--reason", "y", "--review-on", "2027-01-01")
HOLD = ("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO)


def in_file(firm: Firm, family: str) -> list[str]:
    """Return the ids of a family's keys in the file, in order."""
    kept = json.loads(Path(firm.environ["RETENTION_KEYS"]).read_text())["keys"]
    return [each["id"] for each in kept if each["family"] == family]


def secrets_of(firm: Firm, family: str) -> list[bytes]:
    file = Path(firm.environ["RETENTION_KEYS"])
    ring = Keyring.open(file, file.with_suffix(".root"))
    return [key.secret for key_id in ring.ids_of(family) if (key := ring.find(key_id)) is not None]


def rotated(firm: Firm, family: str) -> None:
    said = firm("keys", "rotate", family)
    assert 0 == said.code, said.err


def said_rotated(firm: Firm) -> set[tuple[str, str]]:
    return {(each["retention.key"], each["retention.replaces"]) for each in firm.events("retention.key_rotated")}


def held(firm: Firm, who: str) -> None:
    """Place a hold on somebody."""
    said = firm(*HOLD, typed=f"{who}\n")
    assert 0 == said.code, said.err


def due(firm: Firm) -> int:
    """Return how many contacts a plan would delete."""
    return int(firm("plan", "--json").json["sources"]["contacts"]["actions"].get("delete", 0))


def pseudonymised(firm: Firm) -> Firm:
    """Let the firm pseudonymise its contacts instead of deleting them."""
    firm.rewrite('disposition = "delete"\ncategories = ["contacts"]', 'disposition = "pseudonymise"\ncategories = ["contacts"]')
    return firm


def addresses(firm: Firm) -> dict[int, str]:
    """Return the key's id in every pseudonym that there is, by record."""
    found = {key: PSEUDONYM.fullmatch(mail) for key, mail in firm.sql("SELECT id, email FROM contacts WHERE email LIKE 'p1-%'")}
    assert None not in found.values()
    return {key: match.group(1) for key, match in found.items() if match is not None}


class TestTokens:
    """The key `match`: holds, requests, marks, aliases, tombstones."""

    def test_holds_from_before_and_after_are_honoured(self, firm: Firm) -> None:
        """Two rotations, and a hold from each time in between: three of the ten stay."""
        for number in (1, 2, 3):
            held(firm, f"q{number}@firm.example")
            rotated(firm, "match")
        assert 4 == len(in_file(firm, "match"))
        enforced(firm)
        assert [1, 2, 3] == firm.contacts()[:3]
        assert 11 == firm.contacts()[3]

    def test_a_request_from_before_is_carried_out(self, firm: Firm) -> None:
        """Asked for, then rotated: it still finds whom it is about."""
        request = firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "A. Clerk", typed="q25@firm.example\n")
        assert 0 == request.code
        rotated(firm, "match")
        firm.now += dt.timedelta(days=1)
        enforced(firm)
        assert 25 not in firm.contacts()

    def test_a_record_whose_address_was_treated_is_still_found(self, firm: Firm) -> None:
        """Aliases lead from the address that somebody types now to the record that has a pseudonym since before."""
        enforced(pseudonymised(firm))
        rotated(firm, "match")
        said = firm("hold", "add", *HOLD[2:], typed="q3@firm.example\n")
        assert 0 == said.code
        assert said.out.split()[1] in firm("explain", "contacts", "3").out

    def test_whom_a_treated_address_named_is_still_known(self, firm: Firm) -> None:
        """Both people of a record that named two in one field."""
        firm.sql("UPDATE contacts SET email = 'q3@firm.example; anna@firm.example' WHERE id = 3")
        enforced(pseudonymised(firm))
        rotated(firm, "match")
        for typed in ("q3@firm.example", "anna@firm.example"):
            said = firm("hold", "add", *HOLD[2:], typed=f"{typed}\n")
            assert said.out.split()[1] in firm("explain", "contacts", "3").out

    def test_what_was_deleted_before_is_recognised(self, watched: Firm) -> None:
        """Tombstones, and what was noted to be there all along."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        rotated(watched, "match")
        insert(watched, *gone)
        insert(watched, (900, "x", "q4@firm.example", "2026-06-01 12:00:00", "2021-05-06 07:08:04"))
        assert {BACK: 1, ELSEWHERE: 1} == returned(watched)

    def test_an_erasure_from_before_is_recognised(self, firm: Firm) -> None:
        """Also the records that stayed then, which never came back."""
        firm.sql("INSERT INTO members VALUES (70, 'q25@firm.example', 'subscribed', NULL)")
        erased(firm, "q25@firm.example")
        rotated(firm, "match")
        assert {} == returned(firm)
        firm.sql("INSERT INTO members VALUES (77, 'Q25@firm.example', 'subscribed', NULL)")
        assert {ELSEWHERE: 1} == returned(firm)

    def test_the_old_key_tells_nothing_about_the_ledger(self, firm: Firm) -> None:
        """Somebody who has the old key alone can't find a known address in the ledger as it is; with all keys it is there."""
        held(firm, "q1@firm.example")
        rotated(firm, "match")
        keys = secrets_of(firm, "match")
        form = identifier_form(Identifier.EMAIL, "q1@firm.example")
        with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as connection:
            ((kept, key_id),) = connection.execute("SELECT token, key_id FROM holds").fetchall()
        assert token(tuple(keys), "identifier", form).hex() == kept
        assert kept not in {token(key, "identifier", form).hex() for key in keys}
        assert in_file(firm, "match")[-1] == key_id

    def test_whoever_read_the_keys_before_starts_again(self, firm: Firm) -> None:
        """A command that was waiting for somebody to type places nothing under the old key, and no run begins with it."""
        plan = firm.approved()
        with machine(load(firm.environ, folder=firm.folder), now=lambda: firm.now) as before:
            rotated(firm, "match")
            with pytest.raises(ConfigurationError, match="start it again"):
                add_request(before, kind="restrict", identifiers=["q1@firm.example"])
            with pytest.raises(ConfigurationError, match="start it again"):
                apply_plan(before, open_plan(before, plan))
        assert [] == json.loads(firm("request", "list", "--json").out)
        assert 10 == due(firm)

    def test_not_while_a_run_is_under_way(self, firm: Firm) -> None:
        """What a crash left open goes by the keys of then; nothing is changed until it is ended."""
        plan = firm.approved()
        assert signal.SIGKILL == killed(firm, Killer("after_intent"), "apply", plan)
        for command in (("rotate", "match"), ("rotate", "seal")):
            said = firm("keys", *command)
            assert 3 == said.code
            assert "retention reconcile" in said.err
        assert 1 == len(in_file(firm, "match"))
        assert 0 == firm("reconcile").code
        rotated(firm, "match")

    def test_a_lost_new_key_is_noticed(self, firm: Firm) -> None:
        """A backup of the key file from before the rotation does not hold what is needed."""
        held(firm, "q1@firm.example")
        file = Path(firm.environ["RETENTION_KEYS"])
        before = file.read_bytes()
        rotated(firm, "match")
        file.write_bytes(before)
        said = firm("run")
        assert 2 == said.code
        assert "holds, requests and tombstones" in said.err

    def test_an_older_ledger_goes_by_its_own_keys(self, firm: Firm) -> None:
        """A ledger that is put back from before a rotation works with the key file of after it."""
        held(firm, "q1@firm.example")
        with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as now, closing(sqlite3.connect(firm.folder / "kept")) as kept:
            now.backup(kept)
        rotated(firm, "match")
        with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as now, closing(sqlite3.connect(firm.folder / "kept")) as kept:
            kept.backup(now)
        assert 9 == due(firm)


@pytest.mark.parametrize("family", ["match", "pseudonym/people", "seal", "plan-mac"])
@pytest.mark.parametrize("point", ROTATION_POINTS)
def test_killed_while_rotating(firm: Firm, point: str, family: str) -> None:
    """SIGKILL between the steps: the next command ends it, the trail says what is so, the hold counts, and it can be done again."""
    held(firm, "q3@firm.example")
    enforced(pseudonymised(firm))
    before = in_file(firm, family)[-1]
    assert signal.SIGKILL == killed(firm, Killer(point), "keys", "rotate", family)
    assert 0 == firm("hold", "list").code
    after = in_file(firm, family)[-1]
    switched = after != before and not (family == "match" and point == "after_key_added")
    assert ({(after, before)} if switched else set()) == said_rotated(firm)
    count = len(firm.events("retention.key_rotated"))
    assert 0 == firm("hold", "list").code
    assert count == len(firm.events("retention.key_rotated"))
    rotated(firm, family)
    assert [3] == [key for (key,) in firm.sql("SELECT id FROM contacts WHERE email LIKE 'q_@%'")]
    assert firm("run").code in (0, 4)
    assert [3] == [key for (key,) in firm.sql("SELECT id FROM contacts WHERE email LIKE 'q_@%'")]


@pytest.mark.parametrize("family", ["seal", "plan-mac"])
def test_a_plan_from_before_is_carried_out(firm: Firm, family: str) -> None:
    """It is opened and believed with the key that it was made with, and a changed one still is not."""
    plan = firm.approved()
    rotated(firm, family)
    changed = firm.folder / "changed.jsonl"
    changed.write_text(plan.read_text().replace("2024", "2023", 1))
    assert 3 == firm("apply", changed).code
    assert firm("apply", plan).code in (0, 4)
    assert [11] == firm.contacts()[:1]


@pytest.mark.parametrize("family", ["audit-ref/2026", "sign", "pseudonym", "match/x", "nothing", "pseudonym/nobody"])
def test_what_can_not_be_rotated(firm: Firm, family: str) -> None:
    """It is said why, and nothing changes."""
    firm.plan()
    before = Path(firm.environ["RETENTION_KEYS"]).read_bytes()
    said = firm("keys", "rotate", family)
    assert 2 == said.code
    assert family in said.err
    assert before == Path(firm.environ["RETENTION_KEYS"]).read_bytes()


class TestPseudonyms:
    """Rotating and destroying the keys of a domain."""

    def test_old_pseudonyms_stay_and_new_ones_have_the_new_key(self, firm: Firm) -> None:
        """What was treated is never treated again, and the list of keys shows both."""
        enforced(pseudonymised(firm))
        before = addresses(firm)
        rotated(firm, "pseudonym/people")
        old, new = in_file(firm, "pseudonym/people")
        firm.sql("UPDATE contacts SET last_contact_at = '2022-03-03 12:00:00' WHERE id = 30")
        enforced(firm)
        assert {**before, 30: new} == addresses(firm)
        assert {old} == set(before.values())
        assert {(new, old)} == said_rotated(firm)
        assert 0 == due(firm)

    def destroy(self, firm: Firm) -> tuple[str, ...]:
        return ("keys", "destroy", "pseudonym/people", "--confirm", " ".join(in_file(firm, "pseudonym/people")))

    def test_nobody_can_attribute_them_any_more(self, firm: Firm) -> None:
        """All keys of the domain go, those that were rotated away too; pseudonyms stay, count as treated, and the next has another key."""
        enforced(pseudonymised(firm))
        rotated(firm, "pseudonym/people")
        ids = in_file(firm, "pseudonym/people")
        before = addresses(firm)
        said = firm(*self.destroy(firm))
        assert 0 == said.code, said.err
        assert "contacts is pseudonymised with it" in said.err
        assert set(ids) == {each["retention.key"] for each in firm.events("retention.key_destroyed")}
        assert [] == in_file(firm, "pseudonym/people")
        # The same address once more, which was q1's: nothing tells that it is the same person.
        firm.sql("UPDATE contacts SET email = 'q1@firm.example', last_contact_at = '2022-03-03 12:00:00' WHERE id = 30")
        enforced(firm)
        (new,) = in_file(firm, "pseudonym/people")
        assert {**before, 30: new} == addresses(firm)
        assert new not in ids
        public = firm("audit", "key").out.strip()
        assert 0 == firm("audit", "verify", *sorted(firm.audit.glob("*.jsonl")), "--key", public).code
        assert 0 == firm("audit", "prove", "--source", "contacts", "--key", "1", "-o", firm.folder / "proof.json").code
        assert "pseudonymised" in firm("audit", "find", "--source", "contacts", "--key", "1").out

    def test_it_has_to_be_typed(self, firm: Firm) -> None:
        """Exit code 3 and the ids; the file is as it was."""
        enforced(pseudonymised(firm))
        ids = in_file(firm, "pseudonym/people")
        said = firm("keys", "destroy", "pseudonym/people", "--confirm", "p-000000")
        assert 3 == said.code
        assert ids[0] in said.err
        assert ids == in_file(firm, "pseudonym/people")

    def test_not_while_a_run_is_under_way(self, firm: Firm) -> None:
        """A run has the key in use until it is ended."""
        plan = pseudonymised(firm).approved()
        assert signal.SIGKILL == killed(firm, Killer("after_intent"), "apply", plan)
        assert 3 == firm(*self.destroy(firm)).code
        assert 0 == firm("reconcile").code
        assert 0 == firm(*self.destroy(firm)).code

    @pytest.mark.parametrize("point", KEY_POINTS)
    def test_killed_while_destroying(self, firm: Firm, point: str) -> None:
        """SIGKILL between the steps: whatever is called next ends it, and the trail says it."""
        enforced(pseudonymised(firm))
        (key,) = in_file(firm, "pseudonym/people")
        assert signal.SIGKILL == killed(firm, Killer(point), *self.destroy(firm))
        assert 0 == firm("hold", "list").code
        assert [] == in_file(firm, "pseudonym/people")
        assert {key} == {each["retention.key"] for each in firm.events("retention.key_destroyed")}

    def test_a_backup_of_the_key_file_is_refused(self, firm: Firm) -> None:
        """It opens nothing. Together with its root the destroyed key is there again: nothing works until it is destroyed again."""
        enforced(pseudonymised(firm))
        file = Path(firm.environ["RETENTION_KEYS"])
        root = file.with_suffix(".root")
        backup, its_root = file.read_bytes(), root.read_bytes()
        destroy = self.destroy(firm)
        assert 0 == firm(*destroy).code
        file.write_bytes(backup)
        assert 2 == firm("run").code
        root.write_bytes(its_root)
        said = firm("run")
        assert 2 == said.code
        assert "retention keys destroy pseudonym/people" in said.err
        assert 0 == firm(*destroy).code
        assert firm("run").code in (0, 4)
