"""What becomes of errors, and what a call may leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from worker.cli.main import internal, retention, run
from worker.cli.session import Session
from worker.errors import AuditUnavailable, ConfigurationError, Refused, RetentionError, SourceFailed

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], tuple[int, str, str]]]:
    """Return a function that calls a command which raises an error, and gives (exit code, standard output, standard error)."""

    def calling(error: BaseException) -> tuple[int, str, str]:
        @retention.command("fail")
        def fail() -> None:
            """Raise."""
            raise error

        with CliRunner().isolation() as (out, err, _):
            code = run(["fail"], Session({}))
            return code, out.getvalue().decode(), err.getvalue().decode()

    yield calling
    retention.commands.pop("fail", None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("Mend the [file]."), 2),
        (Refused("Nobody said yes to :smile: it."), 3),
        (SourceFailed("It is down."), 5),
        (AuditUnavailable("The disk is full."), 2),
        (RetentionError("It failed."), 1),
    ],
)
def test_our_own_errors_are_said_as_they_are(failing: Callable[..., tuple[int, str, str]], error: RetentionError, code: int) -> None:
    """An error of ours is printed without a traceback, on standard error, word for word, and decides the exit code."""
    assert (code, "", f"{error}\n") == failing(error)


def test_an_error_nobody_foresaw_says_its_type_and_place_only(failing: Callable[..., tuple[int, str, str]]) -> None:
    """Its text may quote a record, so neither that nor any value of it is printed: exit 1, the type, the place, what to do."""
    secret = "jan@firm.example"
    code, out, err = failing(ValueError(f"bad row: {secret}"))
    assert (1, "") == (code, out)
    assert "Internal error: ValueError at " in err
    assert "test_main.py:" in err
    assert "report" in err
    assert secret not in err
    assert "bad row" not in err


def test_the_causes_of_an_error_are_named_by_type() -> None:
    """A chain of errors is a chain of types."""
    try:
        try:
            raise KeyError("jan")  # noqa: TRY301
        except KeyError as inner:
            raise TypeError("jan") from inner
    except TypeError as error:
        said = internal(error)
    assert "TypeError from KeyError" in said
    assert "jan" not in said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_has_a_code_of_its_own(failing: Callable[..., tuple[int, str, str]], error: BaseException) -> None:
    """Who interrupts is told what became of the batch at work, and gets 130."""
    code, out, err = failing(error)
    assert (130, "") == (code, out)
    assert "rolled back" in err


def test_usage_errors_are_2(call: Call) -> None:
    """A word the command doesn't know, and a day that is none: 2, with the right spelling where there is one."""
    for args in (("plann",), ("plan", "--as-of", "yesterday"), ("runs", "--limit", "none"), ("hold", "add")):
        code, out, err = call(*args)
        assert (2, "") == (code, out)
        assert "Usage: retention" in err


def test_help_names_the_exit_codes(call: Call) -> None:
    """The exit codes are documented where one looks first."""
    code, out, _ = call("--help")
    assert 0 == code
    for number in ("0", "1", "2", "3", "4", "5", "130"):
        assert f"    {number} " in out


def test_settings_hide_secrets(call: Call) -> None:
    """Settings are shown with where they came from, and without passwords."""
    given = {"RETENTION_SOURCES__CRM__URL": "postgresql://me:s3cret@db/crm", "RETENTION_MAX_RECORDS": "7"}
    code, out, err = call("settings", "--json", **given)
    assert (0, "") == (code, err)
    shown = {each["name"]: each for each in json.loads(out)}
    assert ("7", "environment") == (shown["RETENTION_MAX_RECORDS"]["value"], shown["RETENTION_MAX_RECORDS"]["origin"])
    assert "s3cret" not in out
    assert "s3cret" not in call("settings", **given)[1]


def test_the_policy_file_can_be_named(call: Call, tmp_path: Path) -> None:
    """`--policies` wins over the setting; a file that is not there is named."""
    code, _, err = call("--policies", str(tmp_path / "other.toml"), "policies", "check")
    assert 2 == code
    assert "other.toml" in err


def test_the_schema_is_written_where_one_asks(call: Call, tmp_path: Path) -> None:
    """The JSON Schema goes to standard output or into a file; both are the same."""
    code, out, _ = call("policies", "schema")
    assert 0 == code
    assert 0 == call("policies", "schema", "-o", str(tmp_path / "schema.json"))[0]
    assert json.loads(out) == json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))
    assert 2 == call("policies", "schema", "-o", str(tmp_path))[0]


def test_nothing_is_left_behind_by_looking(call: Call, tmp_path: Path) -> None:
    """Help, settings and the schema make no folder, no ledger and no keys."""
    for args in (("--help",), ("settings",), ("policies", "schema"), ("--version",)):
        assert 0 == call(*args)[0]
    assert [] == list(tmp_path.iterdir())
