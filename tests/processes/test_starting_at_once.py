"""Processes that find nothing yet and begin at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_processes_that_start_at_once_make_one_ledger(url: str) -> None:
    """One of them migrates, the others wait for it, and each can write."""
    program = (
        "import datetime, sys; from worker.ledger import Ledger; "
        "ledger = Ledger.open(sys.argv[1], now=lambda: datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)); "
        "ledger.set_meta('last', 'x'); ledger.close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]

    assert [0, 0, 0] == [process.wait() for process in started]


def test_processes_that_start_at_once_agree_on_keys(tmp_path: Path) -> None:
    """Between processes the file is changed by one at a time."""
    path = tmp_path / "config" / "keys.json"
    program = (
        "import sys, pathlib; from worker.keys import Keyring; "
        "ring = Keyring.open(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])); "
        "print(ring.match().id, ring.seal_key().id, ring.plan_mac().id)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(path.with_suffix(".root"))], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {process.communicate()[0] for process in started}

    assert 1 == len(said)
    assert {0} == {process.returncode for process in started}
