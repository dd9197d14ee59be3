"""A whole machine over sources in memory, with a clock that the test moves and a fault port that can end the process."""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import Memory, MemorySource
from tests.events import wrong_events
from tests.statements import compiled_once
from worker.audit.outcomes import outcomes
from worker.audit.trail import AuditTrail
from worker.core.model import Schedule
from worker.keys import Keyring
from worker.ledger.ledger import Ledger
from worker.policyfile import loads
from worker.settings import Settings, load
from worker.usecases.applying import RunResult, apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.resaying import lost_closings

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[sources.customers]
connector = "memory"
table = "customers"
key = "id"
subject = ["email"]
[sources.customers.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym" }
seen_at = { type = "timestamp", timezone = "UTC" }
[sources.customers.children.invoices]
table = "invoices"
key = "id"
match = { customer = "id" }
on_delete = "keep_parent"
source = "invoices"
[sources.customers.children.notes]
table = "notes"
key = "id"
match = { customer = "id" }
on_delete = "delete"
[sources.customers.facts]
invoice_count = { count = "invoices" }
last_invoice = { latest = "invoices.issued_on", type = "date", none = "not_applicable" }

[[policies]]
source = "customers"
disposition = "delete"
categories = ["people"]
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "seen_at"
keep = "P2Y"
[[policies.purposes]]
id = "invoices"
basis = "legal-obligation"
bound = "floor"
fields = ["name"]
when = { invoice_count = { gt = 0 } }
start = { end_of_fiscal_year = "last_invoice" }
keep = "P7Y"

[sources.invoices]
connector = "memory"
table = "invoices"
key = "id"
[sources.invoices.fields]
billed_to = { treatment = "clear" }
issued_on = { type = "date" }
[sources.invoices.parents.customer]
table = "customers"
key = "id"
match = { id = "customer" }
source = "customers"
same_subject = true

[[policies]]
source = "invoices"
disposition = "delete"
[[policies.purposes]]
id = "tax"
basis = "legal-obligation"
bound = "floor"
fields = ["billed_to"]
start = { end_of_fiscal_year = "issued_on" }
keep = "P7Y"
"""


@pytest.fixture(autouse=True)
def _events_are_of_the_closed_set(tmp_path: Path) -> Iterator[None]:
    """Whatever a test made the worker write down has the form that the schema promises."""
    yield
    assert [] == wrong_events(tmp_path)


class Killed(BaseException):
    """The process is gone: nothing after this runs, not even clean-up that would write."""


class KillAt:
    """A fault port that ends everything at a named point, the given number of times passed before."""

    def __init__(self) -> None:
        self.point: str | None = None

    def reached(self, point: str) -> None:
        """Raise at the chosen point."""
        if point == self.point:
            raise Killed(point)


@dataclass
class PlayedTime:
    """Time that passes only while somebody sleeps, or the test lets it; `during` is called in every sleep."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)
    during: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        assert seconds >= 0
        self.slept.append(seconds)
        self.seconds += seconds
        self.during()


@dataclass
class Lab:
    """The machine and everything around it that a test looks at or changes."""

    folder: Path
    policies: str = POLICIES
    memory: Memory = field(default_factory=Memory)
    moment: dt.datetime = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
    faults: KillAt = field(default_factory=KillAt)
    environ: dict[str, str] = field(default_factory=dict)
    opens: type[MemorySource] = MemorySource
    time: PlayedTime = field(default_factory=PlayedTime)
    connect: Callable[[MemorySource], Any] = lambda source: source

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Open everything, as a new process would."""
        settings = settings_of(self.folder, tuple(self.environ.items()))
        settings.state.mkdir(exist_ok=True)
        made = settings.state / "ledger.sqlite"
        if not made.exists():
            shutil.copy(migrated_ledger(), made)
        schedule = schedule_of(self.policies)
        with ExitStack() as stack:
            ledger = stack.enter_context(compiled_once(Ledger.open(settings.ledger_url, now=lambda: self.moment)))
            trails: list[AuditTrail] = []

            def trail() -> AuditTrail:
                if not trails:
                    trails.append(
                        stack.enter_context(
                            AuditTrail.open(
                                settings.audit_folder,
                                now=lambda: self.moment,
                                service_version="0",
                                context={},
                                resay=lost_closings(ledger),
                            )
                        )
                    )
                return trails[0]

            yield Machine(
                settings,
                schedule,
                ledger,
                Keyring.open(settings.keys_file, settings.root_file),
                lambda source: self.connect(self.opens(source, self.memory, schedule.sources)),
                trail,
                lambda: self.moment,
                self.faults,
                self.time.monotonic,
                self.time.sleep,
            )

    def plan_and_apply(self, machine: Machine) -> tuple[MadePlan, RunResult]:
        """Plan, approve and carry out."""
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        return plan, apply_plan(machine, open_plan(machine, plan.path))

    def table(self, name: str) -> Mapping[object, Mapping[str, object]]:
        """Return a table by its first key part."""
        return {key[0]: record for key, record in self.memory.tables[name].items()}

    def effects(self) -> list[tuple[str, str]]:
        """Return (action, record) of every effect in the trail, sorted."""
        return sorted((str(each.action), str(each.payload["retention.record"])) for each in outcomes(self.folder / "state" / "audit"))


@lru_cache(maxsize=4)
def settings_of(folder: Path, more: tuple[tuple[str, str], ...]) -> Settings:
    """Return the settings of a laboratory, read once for all processes that a test plays in it."""
    fixed = {"RETENTION_STATE": str(folder / "state"), "RETENTION_KEYS": str(folder / "keys" / "keys.json"), "RETENTION_OPERATOR": "dora"}
    return load({**fixed, **dict(more)}, folder=folder)


@lru_cache
def schedule_of(policies: str) -> Schedule:
    """Return what a policy file says, read once: nothing changes it."""
    return loads(policies, "policies.toml", connectors=["memory"])


@lru_cache(maxsize=1)
def migrated_ledger() -> Path:
    """Return an empty ledger, made once: making it takes longer than most tests."""
    folder = tempfile.mkdtemp(prefix="retention-ledger-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}", now=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).close()
    return path


def customers(*rows: tuple[int, str, str, str]) -> dict[tuple[int], dict[str, object]]:
    """Return a table of customers: (id, name, email, seen_at)."""
    return {(row[0],): dict(zip(("id", "name", "email", "seen_at"), row, strict=True)) for row in rows}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a laboratory with a handful of customers."""
    return furnished(tmp_path)


@pytest.fixture(scope="module")
def unhurt(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return such a laboratory after a run that nothing happened to; for looking at only."""
    lab = furnished(tmp_path_factory.mktemp("unhurt"))
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    return lab


def furnished(folder: Path) -> Lab:
    """Return a laboratory with a handful of customers, their invoices, and notes about them."""
    lab = Lab(folder)
    lab.memory.tables["customers"] = customers(
        (1, "Long gone", "gone@canary.example", "2020-01-01 10:00:00"),
        (2, "Seen lately", "lately@canary.example", "2026-01-01 10:00:00"),
        (3, "Has invoice", "invoice@canary.example", "2019-01-01 10:00:00"),
        (4, "Nobody knows", "nobody@canary.example", ""),
        (5, "Old invoice", "old@canary.example", "2015-01-01 10:00:00"),
    )
    lab.memory.tables["invoices"] = {
        (30,): {"id": 30, "customer": 3, "billed_to": "Has invoice", "issued_on": "2024-05-01"},
        (50,): {"id": 50, "customer": 5, "billed_to": "Old invoice", "issued_on": "2014-05-01"},
        (60,): {"id": 60, "customer": None, "billed_to": "Orphan", "issued_on": "2018-06-30"},
    }
    lab.memory.tables["notes"] = {
        (1,): {"id": 1, "customer": 1, "body": "x"},
        (2,): {"id": 2, "customer": 2, "body": "y"},
    }
    return lab
