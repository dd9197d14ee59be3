"""What a process has imported after a call of the command: no more than that call needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(*args: str) -> set[str]:
    """Return the modules that a process has imported after such a call."""
    code = "import sys\nfrom worker.cli.main import run\nfrom worker.cli.session import Session\n"
    code += f"run({list(args)!r}, Session())\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_opens_nothing() -> None:
    """Asking for help imports neither a database nor what draws, prints or measures."""
    heavy = {"sqlalchemy", "pydantic", "structlog", "rich", "jinja2", "prometheus_client", "cryptography", "worker.bootstrap"}
    assert set() == heavy & imported("--help")


def test_a_run_imports_no_pages() -> None:
    """What a night run never shows is not loaded for it."""
    loaded = imported("run", "--help")
    assert "worker.usecases.running" in loaded
    assert set() == {"jinja2", "prometheus_client", "worker.paper", "worker.reports.plan", "worker.cli.plans"} & loaded
