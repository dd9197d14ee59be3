"""A process that dies at any named point leaves nothing that the next start does not put right.

Every case begins with the same approved plan and the same keys. One copy is applied unhurt; another is killed at a point, in the middle of
its work, and applied again. Both must end with the same content, and the same effects in the audit trail joined to closed batches.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.application_files import source as files
from connectors.application_files.removal import MANIFESTED, MARKED, MOVED, REMOVED, REWRITTEN
from tests.acceptance.conftest import FIRM, Firm, make_firm
from tests.acceptance.killing import Killer, killed
from worker.audit.outcomes import outcomes
from worker.audit.read import check
from worker.ledger.ledger import Ledger
from worker.ports import AFTER_COMMIT, AFTER_FSYNC, AFTER_LOCK, AFTER_WRITE, BEFORE_COMMIT, FAULT_POINTS

FREE = {"RETENTION_MAX_SHARE": "1", "RETENTION_MAX_RECORDS": "1000"}
"""A night on which no brake trips for what is due here."""

# Besides the contacts, which go with their notes: members whose address stays as a pseudonym, and dossiers on a disk.
POLICIES = (
    FIRM.replace(
        'email = { type = "email" }\nstatus', 'email = { type = "email", treatment = "pseudonym", domain = "people" }\nstatus'
    ).replace('source = "members"\ndisposition = "delete"', 'source = "members"\ndisposition = "pseudonymise"')
    + """
[sources.applications]
connector = "application_files"
table = "applications"
key = "folder"
[sources.applications.fields]
name = { personal = true }
ended_on = { type = "date", empty = "not_yet", earliest = 2000-01-01 }

[[policies]]
source = "applications"
disposition = "delete"
[[policies.purposes]]
id = "application"
basis = "legitimate-interests"
fields = ["name"]
start = "ended_on"
keep = "P8W"
"""
)


def prepare(folder: Path) -> Firm:
    """Return a firm with an approved plan of three batches and more in each source."""
    folder.mkdir()
    firm = make_firm(folder)
    firm.policies.write_text(POLICIES, encoding="utf-8")
    firm.environ["RETENTION_SOURCES__APPLICATIONS__PATH"] = str(folder / "files")
    firm.environ["RETENTION_BATCH_SIZE"] = "2"
    firm.sql("UPDATE members SET status = 'unsubscribed', unsubscribed_at = '2026-04-01 08:00:00' WHERE id <= 6")
    for number in range(9):
        dossier = folder / "files" / "applications" / f"applicant-{number}"
        dossier.mkdir(parents=True)
        facts = {"name": f"Ysolde {number}", "ended_on": "2026-01-15" if number < 6 else "2026-06-15"}
        (dossier / "application.json").write_text(json.dumps(facts), encoding="utf-8")
        (dossier / "letter.txt").write_text(f"Dear firm, I am Ysolde {number}.", encoding="utf-8")
    said = firm("plan", "-o", folder / "plan.jsonl")
    assert said.code == 0, said.err
    said = firm("approve", folder / "plan.jsonl")
    assert said.code == 0, said.err
    return firm


def moved(firm: Firm, folder: Path) -> Firm:
    """Return a copy of a firm, with everything it keeps, in another folder."""
    shutil.copytree(firm.folder, folder)
    environ = {name: value.replace(str(firm.folder), str(folder)) for name, value in firm.environ.items()}
    return replace(firm, folder=folder, environ=environ, everything=[])


def content(firm: Firm) -> dict[str, object]:
    """Return everything that is in the systems: every row of every table but the worker's own, and every file."""
    with closing(sqlite3.connect(firm.database)) as connection:
        tables = {each: connection.execute(f"SELECT * FROM {each} ORDER BY 1").fetchall() for each in ("contacts", "notes", "members")}
    files = {
        str(path.relative_to(firm.folder)): path.read_bytes()
        for path in sorted((firm.folder / "files").rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(firm.folder).parts)
    }
    return {**tables, "files": files}


def removed_aside(firm: Firm) -> list[Path]:
    """Return what a crash may have left in the folders that dossiers wait in before they are removed."""
    return [
        path
        for path in (firm.folder / "files").rglob("*")
        if path.is_file() and "Ysolde" in path.read_text(encoding="utf-8", errors="replace")
    ]


def effects(firm: Firm) -> Counter[tuple[str, str, str]]:
    """Return the effects that closed batches made of their intents, and check that the trail is whole."""
    assert [] == list(check(firm.audit))
    return Counter(
        (str(each.action), str(each.payload["retention.source"]), str(each.payload["retention.record"])) for each in outcomes(firm.audit)
    )


def everything_on_the_disk(firm: Firm) -> dict[str, bytes]:
    """Return every file of the dossiers, those that wait to be removed included."""
    return {str(path): path.read_bytes() for path in (firm.folder / "files").rglob("*") if path.is_file()}


def left_open(firm: Firm) -> list[tuple[str, str]]:
    """Return the batches in no final state, and the runs that never ended."""
    with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as connection:
        batches = connection.execute("SELECT batch_id, state FROM batches WHERE state IN ('pending', 'intended')").fetchall()
        return batches + connection.execute("SELECT run_id, state FROM runs WHERE state = 'running'").fetchall()


def killed_at(firm: Firm, point: str, number: int) -> int:
    """Apply the plan in a process of its own that dies at a point, and return the signal it died of (0: none)."""
    return killed(firm, Killer(point, number), "apply", firm.folder / "plan.jsonl")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    """Return the firm every case begins with; nobody applies it."""
    return prepare(tmp_path_factory.mktemp("crash") / "prepared")


@pytest.fixture(scope="module")
def unhurt(prepared: Firm) -> Firm:
    """Return a copy whose plan was applied without a fault."""
    firm = moved(prepared, prepared.folder.with_name("unhurt"))
    assert 0 == firm("apply", firm.folder / "plan.jsonl").code
    assert not firm.sql("SELECT id FROM contacts WHERE id <= 10")
    assert 3 == len(list((firm.folder / "files" / "applications").glob("applicant-*")))
    return firm


def number_of(source: str) -> int:
    """Return how many times a point is passed before the second batch of a source reaches it: sources come in the plan's order."""
    return {"contacts": 2, "members": 5 + 2, "applications": 5 + 3 + 2}[source]


@pytest.mark.parametrize("source", ["contacts", "members", "applications"])
@pytest.mark.parametrize("point", FAULT_POINTS)
def test_killed_at_a_point(prepared: Firm, unhurt: Firm, tmp_path: Path, point: str, source: str) -> None:
    """SIGKILL in a source's second batch: the next start ends every batch, does the rest, and the result is that of an unhurt run."""
    firm = moved(prepared, tmp_path / "hurt")
    plan = firm.folder / "plan.jsonl"
    assert signal.SIGKILL == killed_at(firm, point, number_of(source))
    again = firm("apply", plan, "--json")
    assert 0 == again.code, again.err
    assert content(unhurt) == content(firm)
    assert len(removed_aside(unhurt)) == len(removed_aside(firm))
    assert effects(unhurt) == effects(firm)
    assert [] == left_open(firm)
    assert 0 == firm("verify", again.json["run"]).code
    assert "Nothing was left open." in firm("reconcile").out


CONNECTOR_POINTS = [(point, number) for point in (MANIFESTED, MARKED, REWRITTEN) for number in (1, 2)]
CONNECTOR_POINTS += [(point, number) for point in (MOVED, REMOVED) for number in (1, 3, 4)]


def dying_inside(point: str, number: int) -> Callable[[], Killer]:
    """Return what makes the fault port of the files' connector, one for all of its batches, in a process that is to die in there."""
    killer = Killer(point, number)
    return lambda: killer


def night_after(firm: Firm, unhurt: Firm) -> None:
    """Run one night, and hold it against the run that was never hurt: content, effects, and that a dry run before it had said the same."""
    dry = firm("plan", "--json")
    assert 0 == dry.code, dry.err
    left = everything_on_the_disk(firm)
    assert dry.json["sources"] == firm("plan", "--json").json["sources"]
    assert left == everything_on_the_disk(firm)
    again = firm("run", "--json", env=FREE)
    assert 0 == again.code, again.err
    assert {name: sum(each["actions"].values()) for name, each in dry.json["sources"].items()} == {
        name: again.json["sources"].get(name, {}).get("acted", 0) for name in dry.json["sources"]
    }
    assert content(unhurt) == content(firm)
    assert len(removed_aside(unhurt)) == len(removed_aside(firm))
    assert effects(unhurt) == effects(firm)
    assert [] == left_open(firm)
    assert 1 == again.json["resolved_after_crash"]


@pytest.mark.parametrize("source", ["contacts", "members", "applications"])
@pytest.mark.parametrize("point", [AFTER_LOCK, AFTER_FSYNC, AFTER_WRITE, BEFORE_COMMIT, AFTER_COMMIT])
def test_one_night_after_a_kill_is_enough(prepared: Firm, unhurt: Firm, tmp_path: Path, point: str, source: str) -> None:
    """SIGKILL at a point of a batch: the first night after it makes a plan of its own, and comes to what a run never hurt comes to."""
    firm = moved(prepared, tmp_path / "hurt")
    assert signal.SIGKILL == killed_at(firm, point, number_of(source))
    night_after(firm, unhurt)


@pytest.mark.parametrize(("point", "number"), CONNECTOR_POINTS)
def test_one_night_after_a_kill_inside_the_connector(
    prepared: Firm, unhurt: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, number: int
) -> None:
    """The same where the process died at a step of moving dossiers aside, marking or removing them."""
    firm = moved(prepared, tmp_path / "hurt")
    with monkeypatch.context() as patched:
        patched.setattr(files, "NoFaults", dying_inside(point, number))
        assert signal.SIGKILL == killed(firm, Killer("nowhere"), "apply", firm.folder / "plan.jsonl")
    night_after(firm, unhurt)


def test_what_a_brake_says_when_something_was_ended_first(prepared: Firm, tmp_path: Path) -> None:
    """A night that a brake stops has ended what a crash left open, and says so; nothing else is written."""
    firm = moved(prepared, tmp_path / "hurt")
    assert signal.SIGKILL == killed_at(firm, "before_commit", number_of("applications"))
    before = content(firm)
    said = firm("run", env={"RETENTION_MAX_RECORDS": "0"})
    assert (3, True) == (said.code, "1 batches that a crash had left open were ended. Nothing else was written." in said.err), said.err
    assert [] == left_open(firm)
    assert before["contacts"] == content(firm)["contacts"]
    assert 7 == len(list((firm.folder / "files" / "applications").glob("applicant-*")))


def test_reconcile_alone_ends_what_was_left(prepared: Firm, tmp_path: Path) -> None:
    """`reconcile` gives every batch its final state without carrying out anything more."""
    firm = moved(prepared, tmp_path / "hurt")
    assert signal.SIGKILL == killed_at(firm, "after_commit", 2)
    left = content(firm)
    said = firm("reconcile")
    assert (0, True) == (said.code, "contacts: 1 batches ended as resolved_after_crash" in said.out), said.out + said.err
    assert left == content(firm)
    assert "resolved_after_crash" == firm("runs", "--json").json[0]["state"]


@pytest.mark.parametrize("point", ["after_intent", "before_commit", "after_commit"])
def test_without_a_witness_it_is_read_back(prepared: Firm, unhurt: Firm, tmp_path: Path, point: str) -> None:
    """Where no marker table is allowed, what happened is read from what is there, and the end says that it is presumed."""
    firm = moved(prepared, tmp_path / "hurt")
    firm.environ["RETENTION_SOURCES__CONTACTS__WITNESS_TABLE"] = "false"
    assert signal.SIGKILL == killed_at(firm, point, 2)
    again = firm("apply", firm.folder / "plan.jsonl")
    assert 0 == again.code, again.err
    assert content(unhurt) == content(firm)
    assert effects(unhurt) == effects(firm)
    assert [] == left_open(firm)
    assert [True] == [each["retention.presumed"] for each in firm.events("retention.batch_closed") if "retention.presumed" in each]


@pytest.mark.parametrize("written", ["start_run", "begin_order", "open_order"])
def test_a_run_of_another_machine_that_died_before_its_first_batch(
    prepared: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """Whoever has the lock of its sources ends it: no process number of a container that is gone keeps it open, and keys can be rotated."""
    firm = moved(prepared, tmp_path / "hurt")

    def dies(ledger: Ledger, *given: Any) -> None:
        keep(ledger, *given)
        os.kill(os.getpid(), signal.SIGKILL)

    keep = getattr(Ledger, written)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, written, dies)
        assert signal.SIGKILL == killed(firm, Killer("nowhere"), "apply", firm.folder / "plan.jsonl")
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    assert 0 == firm("run", env=FREE).code
    assert [] == left_open(firm)
    assert ["done", "resolved_after_crash"] == sorted(each["state"] for each in firm("runs", "--json").json)
    assert 0 == firm("keys", "rotate", "seal").code


def test_what_no_policy_is_about_any_more_is_not_called_ended(prepared: Firm, tmp_path: Path) -> None:
    """A source that left the policy file with a batch open: `reconcile` names it and fails; with its policy back the batch is ended."""
    firm = moved(prepared, tmp_path / "hurt")
    assert signal.SIGKILL == killed_at(firm, AFTER_COMMIT, number_of("members"))
    policies = firm.policies.read_text(encoding="utf-8")
    before, rest = policies.split("[sources.members]")
    firm.policies.write_text(before + "[sources.applications]" + rest.split("[sources.applications]")[1], encoding="utf-8")
    said = firm("reconcile")
    assert (5, False) == (said.code, "Nothing was left open" in said.out)
    assert "members: 1 batches are still intended. No policy is about this source any more" in said.err
    assert [("members", "intended")] == [(each["source"], each["state"]) for each in firm("reconcile", "--json").json]
    watched = firm("status", "--json", now=firm.now + timedelta(hours=2))
    assert (5, {"members": 1}) == (watched.code, watched.json["stuck_without_policy"])
    assert "members: 1 batches were left open" in firm("status", now=firm.now + timedelta(hours=2)).out
    firm.policies.write_text(policies, encoding="utf-8")
    assert (0, "members: 1 batches ended as resolved_after_crash.") == ((said := firm("reconcile")).code, said.out.strip())
    assert [] == left_open(firm)
