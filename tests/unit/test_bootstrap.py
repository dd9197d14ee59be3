"""Joining everything: what is opened on first use is opened once, whoever asks first."""

from __future__ import annotations

import threading
from pathlib import Path

from worker import bootstrap
from worker.policyfile import loads
from worker.settings import load

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"
"""


def test_lanes_that_ask_at_once_share_one_audit_file(tmp_path: Path) -> None:
    """A process has one audit file, also when several threads write the first event at the same time."""
    settings = load({"RETENTION_STATE": str(tmp_path / "state"), "RETENTION_KEYS": str(tmp_path / "keys" / "keys.json")}, folder=tmp_path)
    schedule = loads(POLICIES, "policies.toml", connectors=[])
    together = threading.Barrier(8)
    streams: set[str] = set()
    with bootstrap.machine(settings, schedule=schedule) as machine:

        def ask() -> None:
            together.wait()
            streams.add(machine.trail.stream)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert 1 == len(streams) == len(list((tmp_path / "state" / "audit").glob("*.jsonl")))
