"""The worker itself, joined by its own bootstrap, with everything it promises: brakes, ledger, full audit trail, reading back.

Measured is what a use case does from its call to its answer. Opening the worker (ledger, keys, policies) is not part of it, and neither
is the approval, which is a person's.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.data import AS_OF, DUE, Share
from bench.databases import Database
from bench.measure import Measure, Time, Wrong, confirm_deleted, confirm_treated, timed
from bench.references import engine_of
from worker import bootstrap
from worker.core.compiled import Memories
from worker.settings import load
from worker.usecases.applying import RunResult, apply_plan
from worker.usecases.approving import approve, approve_policy, approve_shape, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.running import run

PLAN, APPLY, RUN = "plan", "apply of an approved plan", "whole run (plan and apply)"
BATCH = 5000
SOURCE = "contacts"
Disposition = Literal["delete", "pseudonymise"]

_POLICIES = """
version = 1

[organisation]
name = "Benchmark"
timezone = "Europe/Amsterdam"

[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]

[sources.contacts.fields]
name = {{ treatment = "clear" }}
email = {{ type = "email", treatment = "pseudonym" }}
phone = {{ type = "phone", treatment = "clear" }}
last_contact_at = {{ type = "timestamp", timezone = "UTC" }}

[[policies]]
source = "contacts"
disposition = "{disposition}"

[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "phone"]
start = "last_contact_at"
keep = "{keep}"
"""


def delete(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure the worker deleting what is due: its plan, the apply of that plan, and a whole night run."""
    left = rows - DUE.of(rows)
    for ways in (_plan_and_apply, _run):
        with database.fresh("contacts") as url:
            for way, took in ways(url, folder, "delete", DUE.of(rows)):
                yield Measure(database.name, "delete", way, DUE.of(rows), took)
            with engine_of(database, url) as engine:
                confirm_deleted(engine, ways.__name__, left)


def pseudonymise(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure the worker pseudonymising what is due: its plan and the apply of that plan, and a whole night run."""
    for ways in (_plan_and_apply, _run):
        with database.fresh("contacts") as url:
            for way, took in ways(url, folder, "pseudonymise", DUE.of(rows)):
                yield Measure(database.name, "pseudonymise", way, DUE.of(rows), took)
            with engine_of(database, url) as engine:
                confirm_treated(engine, ways.__name__, DUE.of(rows))


def plan(url: str, folder: Path, disposition: Disposition, share: Share, due: int) -> Time:
    """Return how long a plan takes that acts on so many records; it is made once before, so that the pages are in memory."""
    with opened(url, folder, disposition, share) as machine:
        planned(machine, due)
        _, took = timed(lambda: planned(machine, due))
        return took


def work_off(url: str, folder: Path, disposition: Disposition, due: int, around: Callable[[Callable[[], RunResult]], RunResult]) -> None:
    """Plan, approve and apply with `around` called around the apply, for whoever wants to look at it while it works."""
    with opened(url, folder, disposition) as machine:
        made = planned(machine, due)
        approve(machine, made.path, "bench")
        confirm(around(lambda: apply_plan(machine, open_plan(machine, made.path))), due)


def opened(url: str, folder: Path, disposition: Disposition, share: Share = DUE) -> AbstractContextManager[Machine]:
    """Return a worker of its own over one database, with the plain policy."""
    return working(url, folder, plain_policy(disposition, share))


def plain_policy(disposition: Disposition, share: Share = DUE) -> str:
    """Return the policy file of most measurements: one purpose, which starts at one day of the row."""
    return _POLICIES.format(disposition=disposition, keep=share.keep)


@contextmanager
def working(url: str, folder: Path, text: str, sources: Iterable[str] = (SOURCE,)) -> Iterator[Machine]:
    """Yield a worker of its own with a policy file, whose sources all lie in one database.

    Its clock starts at the instant of the benchmark; it is thrown away afterwards.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="worker-") as name:
        home = Path(name)
        policies = home / "policies.toml"
        policies.write_text(text)
        settings = load(
            {
                "RETENTION_POLICIES": str(policies),
                "RETENTION_STATE": str(home / "state"),
                "RETENTION_KEYS": str(home / "keys" / "keys.json"),
                "RETENTION_OPERATOR": "bench",
                "RETENTION_BATCH_SIZE": str(BATCH),
                "RETENTION_MAX_RECORDS": "1000000000",
                "RETENTION_MAX_SHARE": "1",
                **{f"RETENTION_SOURCES__{name.upper()}__URL": url for name in sources},
                **{f"RETENTION_SOURCES__{name.upper()}__WITNESS_TABLE": "true" for name in sources},
            },
            folder=home,
        )
        with bootstrap.machine(settings, now=lambda: AS_OF + dt.timedelta(seconds=time.monotonic() - begin), helpers=True) as machine:
            yield machine


def planned(machine: Machine, due: int) -> MadePlan:
    """Make a plan; raise Wrong unless it acts on so many records and has nothing else to say."""
    made = make_plan(machine)
    if made.failed or made.findings or made.acting != {SOURCE: due}:
        raise Wrong(f"the plan acts on {made.acting}, not on {due}; failed: {made.failed}; findings: {list(made.findings)}")
    return made


def _plan_and_apply(url: str, folder: Path, disposition: Disposition, due: int) -> Iterator[tuple[str, Time]]:
    with opened(url, folder, disposition) as machine:
        made, took = timed(lambda: planned(machine, due))
        yield PLAN, took
        approve(machine, made.path, "bench")
        # `retention apply` is a process of its own, which does not remember what was decided when the plan was made.
        forgetful = replace(machine, memories=Memories())
        result, took = timed(lambda: apply_plan(forgetful, open_plan(forgetful, made.path)))
        confirm(result, due)
        yield APPLY, took


def _run(url: str, folder: Path, disposition: Disposition, due: int) -> Iterator[tuple[str, Time]]:
    with opened(url, folder, disposition) as machine:
        approve_policy(machine, SOURCE, "bench")
        approve_shape(machine, SOURCE, "bench")
        night, took = timed(lambda: run(machine))
        if night.result is None:
            raise Wrong(f"a brake stopped the run: {', '.join(each.what for each in night.tripped)}")
        confirm(night.result, due)
        yield RUN, took


def confirm(result: RunResult, due: int) -> None:
    """Raise Wrong unless the run says that it did everything and read it back."""
    if (result.exit_code, result.acted, result.verified, result.left) != (0, due, due, 0):
        raise Wrong(f"the run did not do everything: {result.as_json()}; findings: {result.new_findings}")
