"""An installation in a temporary folder, joined by the worker's own bootstrap: what system tests work with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.plans import laid_open
from worker.audit.outcomes import Effect, outcomes
from worker.bootstrap import machine
from worker.settings import load
from worker.usecases.applying import RunResult, apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan


@dataclass
class Installation:
    """A policy file, the addresses of its sources, and the instant it is."""

    folder: Path
    policies: str
    urls: Mapping[str, str]
    moment: dt.datetime
    environ: dict[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return the environment that a process of this installation has, after writing its policy file."""
        file = self.folder / "policies.toml"
        if not file.exists() or file.read_text() != self.policies:
            # Otherwise workers would see a changed file whenever a test looks at something.
            file.write_text(self.policies)
        return {
            "RETENTION_POLICIES": str(self.folder / "policies.toml"),
            "RETENTION_STATE": str(self.folder / "state"),
            "RETENTION_KEYS": str(self.folder / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "dora",
            **{f"RETENTION_SOURCES__{name.upper()}__URL": url for name, url in self.urls.items()},
            **self.environ,
        }

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Open everything, as a new process would."""
        settings = load(self.variables(), folder=self.folder)
        with machine(settings, now=lambda: self.moment, helpers=settings.processes is not None) as opened:
            yield opened

    def carry_out(self) -> tuple[MadePlan, RunResult]:
        """Plan, approve and apply, each as the command would."""
        with self.machine() as opened:
            plan = make_plan(opened)
            approve(opened, plan.path, "ann")
            return plan, apply_plan(opened, open_plan(opened, plan.path))

    def effects(self) -> list[Effect]:
        """Return what the audit trail says was done."""
        return list(outcomes(self.folder / "state" / "audit"))

    def written(self) -> bytes:
        """Return every byte the worker wrote for itself, keys excepted: ledger, plans and what is packed in them, audit trail."""
        return b"".join(laid_open(path.read_bytes()) for path in sorted((self.folder / "state").rglob("*")) if path.is_file())


def lend_keys(folder: Path, keys: Path) -> None:
    """Give the installation in a folder the keys that another one made, with their root."""
    own = folder / "keys"
    own.mkdir(mode=0o700)
    for each in (keys, keys.with_suffix(".root")):
        (own / each.name).touch(mode=0o600)
        (own / each.name).write_bytes(each.read_bytes())
