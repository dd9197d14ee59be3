"""Calls of the command without an installation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from worker.cli.main import run
from worker.cli.session import Session

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Return a function that calls the command in an empty folder and gives (exit code, standard output, standard error)."""

    def calling(*args: str, typed: str = "", **environ: str) -> tuple[int, str, str]:
        given = {"RETENTION_STATE": str(tmp_path / "state"), "RETENTION_KEYS": str(tmp_path / "keys.json"), **environ}
        with CliRunner().isolation(input=typed) as (out, err, _):
            code = run(args, Session(given, folder=tmp_path))
            return code, out.getvalue().decode(), err.getvalue().decode()

    return calling
