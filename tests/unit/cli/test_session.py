"""What is typed, and where output goes."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from worker.cli.session import DAY, Session, typed
from worker.errors import ConfigurationError


def test_a_day_is_written_one_way() -> None:
    """Days are YYYY-MM-DD and nothing else."""
    assert dt.date(2026, 6, 30) == DAY.convert("2026-06-30", None, None)
    for wrong in ("30-06-2026", "2026-06-31", "20260630", "today"):
        with pytest.raises(click.BadParameter):
            DAY.convert(wrong, None, None)


def test_a_dash_reads_standard_input() -> None:
    """What recognises a person comes from standard input, one a line, without blanks; no warning is needed."""
    with CliRunner().isolation(input=" a@b.example \n\nc@d.example\n") as (_, err, _mixed):
        assert ["a@b.example", "c@d.example"] == typed(Session({}), ("-",), "identifier")
        assert b"" == err.getvalue()


def test_an_argument_brings_a_warning_without_repeating_it() -> None:
    """On the command line it works, and says once why it is unwise."""
    with CliRunner().isolation() as (_, err, _mixed):
        assert ["a@b.example"] == typed(Session({}), ("a@b.example",), "identifier")
        said = err.getvalue().decode()
    assert "Warning: the identifier on the command line" in said
    assert "a@b.example" not in said


def test_nothing_typed_is_an_error() -> None:
    """An empty standard input is no person."""
    with CliRunner().isolation(input="\n"), pytest.raises(ConfigurationError):
        typed(Session({}), ("-",), "identifier")


def test_results_and_chatter_are_apart() -> None:
    """Results go to standard output, hints to standard error, and neither reads markup into the text."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        session = Session({})
        session.show("[red]result[/red]")
        session.say("[brake] hint")
        session.data({"day": dt.date(2026, 6, 30), "key": b"\x01"})
    assert '[red]result[/red]\n{\n  "day": "2026-06-30",\n  "key": "01"\n}\n' == out.getvalue()
    assert "[brake] hint\n" == err.getvalue()


def test_progress_is_for_terminals_only() -> None:
    """Nothing is drawn into a file."""
    err = io.StringIO()
    with redirect_stderr(err):
        session = Session({})
        with session.progress("Reading", {"contacts": 3}) as advance:
            advance("contacts", 3)
    assert "" == err.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_an_older_locale_gets_its_tables(encoding: str) -> None:
    """A thin space, a name with an accent and a dash are said as well as the locale can; JSON stays JSON."""
    script = (
        "from worker.cli.session import Session\n"
        "session = Session()\n"
        "session.show('1\\u202f780 records \\u2026 M\\xfcller \\u738b')\n"
        "session.data({'name': 'M\\xfcller \\u738b'})\n"
    )
    root = str(Path(__file__).parents[3])
    environ = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, check=False)
    first, rest = done.stdout.decode(encoding).split("\n", 1)
    name = "Müller" if encoding == "latin-1" else "M\\u00fcller"
    assert (0, f"1 780 records ... {name} \\u738b") == (done.returncode, first), done.stderr
    assert {"name": "Müller 王"} == json.loads(rest)
