"""The suppression list with real servers: an import is found and undone, before and after the key `match` was rotated."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.test_returning_servers import execute, numbers
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.keyrotating import rotate
from worker.usecases.planning import make_plan
from worker.usecases.replaying import make_replay
from worker.usecases.suppressing import SuppressionIndex, release

LEFT, STAYED = 500, 1_000
POLICIES = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"

[sources.newsletter]
connector = "mailing_list"
table = "subscribers"
key = "id"
subject = ["email"]
suppress = { fields = ["email"], keep = "P5Y" }
[sources.newsletter.fields]
email = { type = "email" }
agreed_at = { type = "timestamp", timezone = "UTC", empty = "not_applicable" }
left_at = { type = "timestamp", timezone = "UTC", empty = "not_yet" }
[sources.newsletter.consents]
newsletter = { given = "agreed_at", withdrawn = "left_at" }

[[policies]]
source = "newsletter"
disposition = "delete"
[[policies.purposes]]
id = "newsletter"
basis = "consent"
consent = "newsletter"
fields = ["email"]
keep = "indefinite"
"""


def fill(url: str, stamp: str) -> None:
    """Build the list: the first have left."""
    execute(url, f"CREATE TABLE subscribers (id BIGINT PRIMARY KEY, email VARCHAR(120) NOT NULL, agreed_at {stamp}, left_at {stamp})")
    rows = ", ".join(
        f"({number}, 'Person{number}@canary.example', '2024-01-01 12:00:00', {left})"
        for number in range(1, LEFT + STAYED + 1)
        for left in ("'2026-06-01 12:00:00'" if number <= LEFT else "NULL",)
    )
    execute(url, f"INSERT INTO subscribers VALUES {rows}")


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_an_import_is_found_and_undone(kind: str, postgres: Postgres, mariadb: MariaDB, tmp_path: Path) -> None:
    """Three hundred come back without a consent and ten with a newer one; of two records of one person the one that stayed stays."""
    server: Postgres | MariaDB = postgres if kind == "postgresql" else mariadb
    url = server.new_database("list")
    fill(url, "TIMESTAMP(6) NULL" if kind == "postgresql" else "DATETIME(6)")
    execute(url, "INSERT INTO subscribers VALUES (7000, 'person1@canary.example', '2024-01-01 12:00:00', NULL)")
    installation = Installation(tmp_path, POLICIES, {"newsletter": url}, dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC))
    installation.environ["RETENTION_BATCH_SIZE"] = "64"
    if kind == "postgresql":
        installation.environ["RETENTION_LEDGER"] = postgres.new_database("ledger")
    else:
        installation.environ["RETENTION_SOURCES__NEWSLETTER__WITNESS_TABLE"] = "yes"
    installation.environ["RETENTION_MAX_SHARE"] = "1"
    _, result = installation.carry_out()
    assert (LEFT, 0) == (result.acted, result.unverified)
    installation.moment += dt.timedelta(days=1)
    with installation.machine() as machine:
        assert LEFT == machine.ledger.suppressing(machine.today())["newsletter"].records
        rotate(machine, "match")
    imported = ", ".join(
        f"({9000 + number}, 'person{number}@CANARY.example', {agreed}, NULL)"
        for number in range(2, 312)
        for agreed in ("'2026-07-01 08:00:00'" if number > 301 else "NULL",)
    )
    execute(url, f"INSERT INTO subscribers VALUES {imported}")
    with installation.machine() as machine:
        assert 1 == release(machine, "newsletter", ["person2@canary.example"])
        plan = make_plan(machine)
        assert [("suppressed", 299)] == [(each.kind, each.count) for each in plan.findings if each.kind in ("suppressed", "returned")]
        made = make_replay(machine)
        assert made is not None
        assert 299 == made.acting["newsletter"]
        approve(machine, made.path, "ann")
        result = apply_plan(machine, open_plan(machine, made.path))
        assert (299, 0) == (result.acted, result.unverified)
    left = [row[0] for row in numbers(url, "SELECT id FROM subscribers WHERE id > 5000 ORDER BY id")]
    assert [7000, 9002, *range(9302, 9312)] == left
    with installation.machine() as machine, SuppressionIndex(machine, machine.policy("newsletter").source, machine.today()) as index:
        # Released, never away, consented again; and two that are away, of whom one was deleted twice.
        asked = [index.holds(f"person{number}@canary.example") for number in (2, 1400, 305, 1, 3)]
        assert [False, False, False, True, True] == asked
    assert b"canary" not in installation.written().lower()
