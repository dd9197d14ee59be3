"""A service's limit of requests holds for a run over all workers together: real Celery processes, a real Redis and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from connectors.contract import FaultProxy
from connectors.contract.proxy import Request
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.redis import Redis
from tests.systems.small_firm import TODAY, Firm
from tests.systems.test_workers import celery, ended, handed_over
from tests.vendors.brevo import KEY, Brevo
from worker.audit.broken import Broken
from worker.audit.events import Action
from worker.audit.lines import files
from worker.audit.read import read
from worker.ports import AFTER_CLOSE

POLICIES = """
version = 1
[organisation]
name = "Small firm"
timezone = "Europe/Amsterdam"

[sources.contacts]
connector = "brevo"
table = "contacts"
key = "id"
subject = ["email"]
[sources.contacts.fields]
email = { type = "email", personal = true }
made_at = { column = "createdAt", type = "timestamp", timezone = "UTC" }

[[policies]]
source = "contacts"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email"]
start = "made_at"
keep = "P2Y"
"""
CONTACTS, A_BATCH, A_SECOND = 60, 3, 20
_SPAN = 2.0


class TimedProxy(FaultProxy):
    """Notes when requests come in."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.times: list[float] = []

    def _fault(self, request: Request) -> None:
        self.times.append(time.monotonic())


@pytest.fixture
def proxy() -> Iterator[TimedProxy]:
    """Give a service with contacts that are all due, and what notes the requests to it."""
    with Brevo().running() as vendor:
        for number in range(1, CONTACTS + 1):
            vendor.add(number, f"canary{number}@post.example")
        with TimedProxy(vendor.url).running() as running:
            assert isinstance(running, TimedProxy)
            yield running
        assert {} == vendor.contacts


def busiest(times: list[float]) -> int:
    """Return the most requests that came in within the span."""
    return max(sum(begin <= each < begin + _SPAN for each in times) for begin in times)


def test_no_more_requests_than_allowed_whoever_sends_them(
    proxy: TimedProxy, postgres: Postgres, redis_server: Redis, tmp_path: Path
) -> None:
    """Of three workers the one that is at the source dies, another one goes on at once, and together they keep below the limit of one."""
    redis_server.emptied()
    firm = Firm(
        tmp_path,
        POLICIES,
        {"contacts": f"{proxy.url.replace('://', f'://{KEY}@')}/v3"},
        TODAY,
        {
            "RETENTION_LEDGER": postgres.new_database("ledger"),
            "RETENTION_BROKER": redis_server.url,
            "RETENTION_BATCH_SIZE": str(A_BATCH),
            "RETENTION_MAX_SHARE": "1",
            "RETENTION_CONCURRENCY": "4",
            "RETENTION_SOURCES__CONTACTS__OPTIONS__PER_SECOND": str(A_SECOND),
        },
    )
    died, quiet = tmp_path / "died", ("--without-mingle", "--without-gossip")
    run_id = handed_over(firm)
    planned = len(proxy.times)
    with (
        celery(firm, "beat", "-s", str(tmp_path / "beat-schedule"), "--pidfile="),
        celery(firm, "worker", "--concurrency=3", *quiet, DIE_AT=AFTER_CLOSE, DIE_IN=4, DIED=died),
    ):
        run = ended(firm, run_id)
    assert ("done", 0) == (run.state, run.exit_code)
    wrote = [path for path in files(firm.audit) if _closes_batches(path)]
    assert len(wrote) > 1, "one worker did everything, so nothing was shown"
    during = proxy.times[planned:]
    # A request on its way may be overtaken by a moment, never by a whole second's worth.
    assert busiest(during) <= A_SECOND * _SPAN + 3
    assert len(during) > A_SECOND * _SPAN


def _closes_batches(path: Path) -> bool:
    """Whether the process that wrote a file of the trail carried out a batch; one that died left its file unclosed."""
    with suppress(Broken):
        for entry in read(path):
            if entry.payload is not None and entry.payload["event.action"] == Action.BATCH_CLOSED:
                return True
    return False
