"""One large source, two beats and four worker processes: counts, audit and ledger agree, memory stays where it was.

`make soak` does it with a million records (ROWS); `make test` with three thousand. What is measured is told and not judged, but for the
memory: how fast a machine is says nothing about the worker.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest
import sqlalchemy as sa

from tests.acceptance.canaries import WORD
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.redis import Redis
from tests.systems.small_firm import Firm, opened
from tests.systems.soak.campaign import through
from tests.systems.soak.crew import Crew, crew
from tests.systems.soak.firm import FIRST_NIGHT, SCHEDULE
from tests.systems.soak.proxy import running_proxy
from worker.audit.lines import files
from worker.audit.outcomes import outcomes
from worker.audit.verify import verify
from worker.bootstrap import signer
from worker.clock import now
from worker.ledger import Ledger
from worker.ledger.rows import BatchRow, RunRow
from worker.usecases.approving import approve
from worker.usecases.planning import make_plan

ROWS = int(os.environ.get("ROWS", "3000")) // 6 * 6
BATCHES = 200
PATIENCE = 120.0 + ROWS / 500
DELAY = 0.02
"""Seconds by which everything that goes to the slow source is held back."""
GROWTH = 40 << 20
"""Bytes by which a worker's memory may differ between the first half of its work and the second."""

POLICY = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"
[sources.members]
connector = "crm"
table = "members"
key = "id"
subject = ["email"]
[sources.members.fields]
name = { treatment = { constant = "-" } }
email = { type = "email", treatment = "pseudonym" }
address = { treatment = "clear" }
left_on = { type = "date" }
[[policies]]
source = "members"
disposition = "delete"
[[policies.purposes]]
id = "post"
basis = "contract"
fields = ["address"]
start = "left_on"
keep = "P1Y"
[[policies.purposes]]
id = "membership"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "left_on"
keep = "P3Y"
"""


def filled(postgres: Postgres, rows: int) -> str:
    """Return a database with so many members: a third is to go, a third loses the address only, a third stays."""
    url = postgres.new_database("members")
    with opened(url) as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE members (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120), address TEXT, left_on DATE)"
            )
        )
        connection.execute(
            sa.text(
                f"INSERT INTO members SELECT n, '{WORD}' || n, '{WORD}' || n || '@post.example', '{WORD} street ' || n, "
                "CASE n % 3 WHEN 0 THEN DATE '2023-06-30' WHEN 1 THEN DATE '2025-06-30' ELSE DATE '2026-05-01' END - (n % 5)::int "
                "FROM generate_series(1, :rows) n"
            ),
            {"rows": rows},
        )
        connection.execute(sa.text("CREATE INDEX members_left ON members (left_on)"))
    return url


def installed(folder: Path, url: str, rows: int, **environ: str) -> Firm:
    """Return an installation whose first plan was approved."""
    folder.mkdir()
    settings = {
        "RETENTION_BATCH_SIZE": str(min(5000, max(5, rows * 2 // 3 // BATCHES))),
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_MAX_RECORDS": str(rows),
        "RETENTION_SCHEDULE": SCHEDULE,
        "RETENTION_LOG_FORMAT": "json",
    }
    firm = Firm(folder, POLICY, {"members": url}, FIRST_NIGHT, {**settings, **environ})
    with firm.machine() as machine:
        approve(machine, make_plan(machine).path, "ann")
    (folder / "clock").write_text(str((FIRST_NIGHT - now()).total_seconds()))
    return firm


@pytest.fixture
def night(postgres: Postgres, redis_server: Redis, tmp_path: Path) -> Iterator[Night]:
    """Return what plays nights of installations in a folder."""
    redis_server.emptied()
    with ExitStack() as stack:
        yield Night(postgres, redis_server, tmp_path, stack)
    redis_server.emptied()


class Night:
    """One night of an installation, by so many workers."""

    def __init__(self, postgres: Postgres, server: Redis, folder: Path, stack: ExitStack) -> None:
        self._postgres = postgres
        self._server = server
        self._folder = folder
        self._stack = stack
        self.url = ""
        self.memory: dict[str, list[int]] = defaultdict(list)

    def played(
        self, name: str, rows: int, workers: int, *, each: int = 1, delay: float = 0.0, **environ: str
    ) -> tuple[Firm, RunRow, list[BatchRow]]:
        """Let the night go by, and return (installation, its run, the run's batches). each -- processes of a worker."""
        self.url = filled(self._postgres, rows)
        proxy = self._stack.enter_context(running_proxy(self._postgres.port, delay=delay)) if delay else None
        ledger_url = self._postgres.new_database("ledger")
        firm = installed(self._folder / name, self.url, rows, RETENTION_LEDGER=ledger_url, RETENTION_BROKER=self._server.url, **environ)
        if proxy is not None:
            firm.urls = {"members": through(self.url, proxy)}
        with crew(firm.folder, {**firm.variables(), "CLOCK": str(firm.folder / "clock")}) as processes:
            for number in range(workers):
                processes.worker(f"worker-{number}", each)
            for beat in ("beat", "second-beat"):
                processes.beat(beat)
            with Ledger.open(ledger_url, now=now) as ledger:
                run = self._ended(ledger, processes)
                batches = list(ledger.batches(run.run_id))
            processes.stop()
        return firm, run, batches

    def _ended(self, ledger: Ledger, processes: Crew) -> RunRow:
        """Wait for the end of the run, looking at the workers' memory."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for process, resident in processes.resident().items():
                self.memory[process].append(resident)
            found = [run for run in ledger.runs(5) if run.ended_at is not None]
            if found and {"begun"} == {each.outcome for each in ledger.nights(dt.date(2026, 1, 1))}:
                assert found == ledger.runs(5), "two beats began two runs"
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"no run ended in {PATIENCE:.0f} seconds:\n{processes.log.read_text(errors='replace')[-6000:]}")


def test_counts_audit_and_ledger_agree(night: Night) -> None:
    """Two beats, four processes: the table, the trail, the batches and the run say the same, every record once, and memory is flat."""
    firm, run, batches = night.played("large", ROWS, 2, each=2, RETENTION_CONCURRENCY="4")
    assert ("done", 0) == (run.state, run.exit_code)
    third = ROWS // 3
    with opened(night.url) as connection:
        there = tuple(connection.execute(sa.text("SELECT COUNT(*), COUNT(address) FROM members")).one())
    assert (2 * third, third) == there
    effects: Counter[str] = Counter()
    for batch in batches:
        effects.update(batch.effects or {})
    assert {"delete": third, "treat": third} == dict(effects)
    assert 2 * third == run.counts["members"]["acted"]
    seen: set[bytes] = set()
    audited: Counter[str] = Counter()
    streams: Counter[str] = Counter()
    for each in outcomes(firm.audit):
        audited[str(each.action)] += 1
        streams[each.stream] += 1
        seen.add(bytes.fromhex(str(each.payload["retention.record"])))
    assert [third, third] == sorted(audited.values())
    assert 2 * third == len(seen)
    assert len(streams) > 1
    with firm.machine() as machine:
        machine.trail.checkpoint()
        assert [] == machine.ledger.unfinished()
        key = signer(machine.keyring).verifier
    assert verify(files(firm.audit), [key]).whole
    tell(f"{ROWS:,} records, {2 * third:,} acted on by {len(streams)} processes, {_seconds(batches):.1f} s from first batch to last")
    for name, sizes in sorted(night.memory.items()):
        # Half of the samples after the first quarter, in which everything is loaded, against the last quarter.
        quarter = max(1, len(sizes) // 4)
        early, late = median(sizes[quarter : 2 * quarter] or sizes), median(sizes[-quarter:])
        tell(f"{name}: {early / 2**20:.0f} MiB in the second quarter, {late / 2**20:.0f} MiB in the last, {max(sizes) / 2**20:.0f} at most")
        if len(sizes) > 20:
            assert late - early < GROWTH


@pytest.mark.skipif("RETENTION_SOAK_KILLS" not in os.environ, reason="how fast a machine is says nothing: make soak measures it")
def test_a_second_worker_makes_a_slow_source_faster(night: Night) -> None:
    """Told as a ratio, of one run each in the same minutes: the second process waits for the server while the first one does."""
    rows = 1_200
    taken = []
    for workers in (1, 2):
        _, run, batches = night.played(f"by-{workers}", rows, workers, delay=DELAY)
        assert "done" == run.state
        taken.append(_seconds(batches))
    one, two = taken
    tell(f"slow source ({DELAY * 1000:.0f} ms): {one:.1f} s by one worker, {two:.1f} s by two: {one / two:.2f} times as fast")
    assert two < one


def _seconds(batches: list[BatchRow]) -> float:
    """Return how long it took from the first intent to the last closing."""
    begun = [each.intended_at for each in batches if each.intended_at is not None]
    closed = [each.closed_at for each in batches if each.closed_at is not None]
    return (max(closed) - min(begun)).total_seconds()


def tell(text: str) -> None:
    """Tell a person who waits, past what pytest captures."""
    print(text, file=sys.__stderr__, flush=True)
