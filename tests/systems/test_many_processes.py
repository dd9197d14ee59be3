"""One source, several processes: the same outcome as with one, nothing twice, and each of them has done its part.

The contacts here depend on nothing, so their batches may be carried out side by side.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.installation import Installation
from tests.systems.killing import killed
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.redis import Redis
from tests.systems.small_firm import TODAY, Firm, opened
from tests.systems.test_workers import celery, ended, workers
from worker.audit.outcomes import outcomes
from worker.audit.read import check
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, approve_policy, approve_shape, open_plan
from worker.usecases.draining import Drain
from worker.usecases.pacing import pacer_of
from worker.usecases.planning import make_plan
from worker.usecases.running import run
from worker.usecases.spreading import end_if_done, hand_over

ROWS, DUE_EVERY = 6_000, 2
DUE = ROWS // DUE_EVERY
BATCH = 50

POLICIES = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"
[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]
[sources.contacts.fields]
name = {{ treatment = "clear" }}
email = {{ type = "email", treatment = "pseudonym" }}
seen_at = {{ type = "timestamp", timezone = "UTC" }}
[[policies]]
source = "contacts"
disposition = "{disposition}"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "seen_at"
keep = "P2Y"
"""


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB) -> str:
    """Return a database with contacts of which every second is due."""
    server: Postgres | MariaDB = mariadb if request.param == "mariadb" else postgres
    made = server.new_database("many")
    with opened(made) as connection:
        timestamp = "TIMESTAMP" if connection.dialect.name == "postgresql" else "DATETIME"
        connection.execute(
            sa.text(f"CREATE TABLE contacts (id BIGINT PRIMARY KEY, name VARCHAR(100), email VARCHAR(200), seen_at {timestamp})")
        )
        rows = [
            {
                "id": number,
                "name": f"Name {number}",
                "email": f"person{number}@canary.example",
                "seen_at": "2020-01-01 10:00:00" if number % DUE_EVERY else "2026-06-01 10:00:00",
            }
            for number in range(ROWS)
        ]
        connection.execute(sa.text("INSERT INTO contacts VALUES (:id, :name, :email, :seen_at)"), rows)
    return made


def firm(folder: Path, url: str, disposition: str, **environ: str) -> Firm:
    """Return an installation over those contacts."""
    folder.mkdir(exist_ok=True)
    given = {
        "RETENTION_BATCH_SIZE": str(BATCH),
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_PROCESSES": "3",
        "RETENTION_SOURCES__CONTACTS__WITNESS_TABLE": "true",
        **environ,
    }
    return Firm(folder, POLICIES.format(disposition=disposition), {"contacts": url}, TODAY, given)


def audited(installation: Installation) -> Counter[str]:
    """Return how many processes acted, by stream, after looking whether the trail is whole and no record is in it twice."""
    audit = installation.folder / "state" / "audit"
    assert [] == list(check(audit))
    effects = list(outcomes(audit))
    assert DUE == len(effects) == len({str(each.payload["retention.record"]) for each in effects})
    return Counter(each.stream for each in effects)


def ends_recorded(installation: Installation) -> None:
    """Start once more: whoever starts next says how the files of those that died ended."""
    with installation.machine() as machine:
        machine.trail.sync()


def left(url: str, disposition: str) -> tuple[int, int]:
    """Return how many contacts there are, and how many still have a name."""
    with opened(url) as connection:
        return tuple(connection.execute(sa.text("SELECT COUNT(*), COUNT(name) FROM contacts")).one())  # type: ignore[return-value]


EXPECTED = {"delete": (ROWS - DUE, ROWS - DUE), "pseudonymise": (ROWS, ROWS - DUE)}


@pytest.mark.parametrize("disposition", ["delete", "pseudonymise"])
def test_helpers_of_one_command(url: str, tmp_path: Path, disposition: str) -> None:
    """A command and its helpers come to what one process comes to; no process is left over."""
    installation = firm(tmp_path / "firm", url, disposition)
    _, result = installation.carry_out()
    assert (0, DUE, DUE, 0) == (result.exit_code, result.acted, result.verified, result.left)
    assert EXPECTED[disposition] == left(url, disposition)
    assert len(audited(installation)) > 1
    installation.runs()


def children() -> set[str]:
    """Return the processes that this one started and that are still there."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("share", ["1", "0.1"])
def test_helpers_of_a_night(url: str, tmp_path: Path, share: str) -> None:
    """They wait while the night is planned, do their part, and are gone afterwards, also when a brake lets nobody work."""
    installation = firm(tmp_path / "firm", url, "delete", RETENTION_MAX_SHARE=share)
    before = children()
    with installation.machine() as machine:
        assert len(before) + 2 == len(children())
        approve_policy(machine, "contacts", "ann")
        approve_shape(machine, "contacts", "ann")
        night = run(machine)
    assert before == children()
    if share == "1":
        assert night.result is not None
        assert (0, DUE, DUE) == (night.result.exit_code, night.result.acted, night.result.verified)
        assert len(audited(installation)) > 1
    else:
        assert ["max_share"] == [each.brake for each in night.tripped]
        assert (ROWS, ROWS) == left(url, "delete")


def apply_and_be_killed(installation: Firm, plan: Path) -> None:
    """Carry out a plan, and die when some of it is done."""

    def progress(_source: str, _count: int) -> None:
        if len(list((installation.folder / "state" / "audit").iterdir())) > 2:
            os.kill(os.getpid(), signal.SIGKILL)

    with installation.machine() as machine:
        apply_plan(machine, open_plan(machine, plan), progress=progress)


def test_a_command_that_is_killed_beside_its_helpers(url: str, tmp_path: Path) -> None:
    """They end the batch they are at and go; the next command waits for that, ends the run and does the rest."""
    installation = firm(tmp_path / "firm", url, "delete")
    plan = installation.approved()
    killed(apply_and_be_killed, installation, plan)
    result = installation.apply(plan)
    assert 0 == result.exit_code, result.as_json()
    assert EXPECTED["delete"] == left(url, "delete")
    audited(installation)
    assert ["done", "resolved_after_crash"] == sorted(run.state for run in installation.runs())


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
class TestWorkers:
    """Celery's processes on one source."""

    def handed_over(self, installation: Firm) -> str:
        """Leave an approved plan to the workers."""
        with installation.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            return hand_over(machine, open_plan(machine, plan.path))

    def test_two_beats_and_four_workers(self, url: str, postgres: Postgres, redis_server: Redis, tmp_path: Path) -> None:
        """Counts, audit trail and ledger agree, and more than one process did it."""
        ledger = postgres.new_database("ledger")
        installation = firm(tmp_path / "firm", url, "delete", RETENTION_LEDGER=ledger, RETENTION_BROKER=redis_server.url)
        run_id = self.handed_over(installation)
        with workers(installation, 4), celery(installation, "beat", "-s", str(tmp_path / "second"), "--pidfile="):
            run = ended(installation, run_id)
        assert ("done", {"acted": DUE, "delete": DUE}) == (run.state, dict(run.counts["contacts"]))
        assert EXPECTED["delete"] == left(url, "delete")
        assert len(audited(installation)) > 1
        with installation.machine() as machine:
            assert DUE == sum((each.effects or {}).get("delete", 0) for each in machine.ledger.batches(run_id))
        installation.runs()

    def test_kills_at_random_times(self, url: str, postgres: Postgres, redis_server: Redis, tmp_path: Path) -> None:
        """Whatever process dies whenever: what is done is done once, and the run ends."""
        ledger = postgres.new_database("ledger")
        installation = firm(tmp_path / "firm", url, "pseudonymise", RETENTION_LEDGER=ledger, RETENTION_BROKER=redis_server.url)
        run_id = self.handed_over(installation)
        for number in range(3):
            with workers(installation, 2):
                time.sleep(3 + number / 2)
                for child in children_of_workers(installation):
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.5)
        with workers(installation, 2):
            run = ended(installation, run_id)
        assert "done" == run.state, run
        assert EXPECTED["pseudonymise"] == left(url, "pseudonymise")
        ends_recorded(installation)
        audited(installation)
        installation.runs()


def children_of_workers(installation: Installation) -> list[int]:
    """Return the processes that have one of this installation's audit files open."""
    folder = str(installation.folder / "state" / "audit")
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                names = [str(each.readlink()) for each in (process / "fd").iterdir()]
            except OSError:
                continue
            if any(name.startswith(folder) for name in names):
                found.append(int(process.name))
    return found


def test_a_process_that_meets_its_own_batch_again(postgres: Postgres, url: str, tmp_path: Path) -> None:
    """Taken for dead while it works, a process is given its own batch for its second lane: each of the two says what came of its own."""
    installation = firm(tmp_path / "firm", url, "pseudonymise", RETENTION_LEDGER=postgres.new_database("ledger"))
    plan = installation.approved()
    with installation.machine() as machine:
        run_id = hand_over(machine, open_plan(machine, plan))
        asked = 0

        def go_on(_source: str) -> bool:
            nonlocal asked
            asked += 1
            if asked % 7 == 2:
                machine.ledger.expire(run_id, machine.ledger.worker)
            return True

        with Drain(machine, run_id, pacer_of(machine, run_id), go_on=go_on) as drain:
            drain.source("contacts")
        result = end_if_done(machine, run_id)
        assert result is not None
        assert (0, {}, DUE) == (result.exit_code, result.failed, result.acted)
        assert [] == machine.ledger.unfinished()
    assert EXPECTED["pseudonymise"] == left(url, "pseudonymise")
    ends_recorded(installation)
    audited(installation)
