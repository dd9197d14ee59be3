"""The operational log says where and what kind, and never what an error or a library quotes."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from worker import log
from worker.errors import ConfigurationError

PERSON = "jan.jansen@example.org"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the process's logging as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # The test runner's own handlers must not be closed by the configuration.
    root.handlers[:] = []
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def failing(kind: type[Exception]) -> None:
    secret = PERSON
    raise kind(f"Key (email)=({secret}) already exists")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_events_are_json_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Static names, identifiers as keys, a level and a time; nothing below the level."""
    log.configure(json=True, level="info")
    log.get_logger(source="customers").info("retention.batch_done", rows=3)
    log.get_logger().debug("retention.unheard")
    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "retention.batch_done", "source": "customers", "rows": 3, "level": "info"}


def test_nothing_is_logged_before_it_was_said_where_to(capsys: pytest.CaptureFixture[str]) -> None:
    """A command whose standard output is read by a program is not spoilt by a library that nobody configured."""
    log.get_logger(source="customers").error("retention.unheard", why=PERSON)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_foreign_error_is_named_and_not_quoted(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """A driver's error text quotes the row: its type and place are printed, its text and locals are not."""
    log.configure(json=as_json, level="info")
    try:
        failing(ValueError)
    except ValueError as error:
        log.get_logger().exception("retention.batch_failed")
        log.get_logger().error("retention.batch_failed", exc_info=error)
    text = capsys.readouterr().err
    assert "jansen" not in text
    assert "example.org" not in text
    assert text.count("ValueError") == 2
    assert text.count("test_log.py") >= 2


def test_our_own_error_keeps_its_text_and_its_cause_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Our errors hold no personal data by rule; what caused them may."""
    log.configure(json=True, level="info")
    try:
        try:
            failing(KeyError)
        except KeyError as error:
            raise ConfigurationError("the audit folder can't be used") from error
    except ConfigurationError:
        log.get_logger().exception("retention.refused")
    (line,) = lines(capsys)
    assert "the audit folder can't be used" in json.dumps(line)
    assert "jansen" not in json.dumps(line)


def test_secrets_and_addresses_are_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of defence: what looks like a secret or an e-mail address is not printed, nested or not."""
    log.configure(json=True, level="info")
    log.get_logger().info(
        "retention.connected",
        password="hunter2",
        url="postgresql://crm:hunter2@localhost/crm",
        tried=[PERSON, {"api_token": "hunter2", "n": 1}],
        error=ValueError(PERSON),
    )
    (line,) = lines(capsys)
    assert "hunter2" not in json.dumps(line)
    assert "jansen" not in json.dumps(line)
    assert line["tried"] == [log.WITHHELD, {"api_token": log.WITHHELD, "n": 1}]


def test_libraries_are_heard_without_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's warning is a place to look at, not a text to trust."""
    log.configure(json=True, level="info")
    logging.getLogger("driver").warning("Data truncated for %s", PERSON)
    logging.getLogger("driver").info("quiet")
    logging.getLogger("driver").log(35, "a level of its own")
    line, own = lines(capsys)
    assert own["level"] == "warning"
    assert (line["event"], line["library"], line["level"]) == ("retention.library_message", "driver", "warning")
    assert "jansen" not in json.dumps(line)


def test_bound_context_is_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """What an earlier piece of work bound doesn't leak into the next."""
    structlog.contextvars.bind_contextvars(run="old")
    log.configure(json=True, level="info")
    log.get_logger().info("retention.started")
    assert "run" not in lines(capsys)[0]


def test_an_unknown_level_is_refused() -> None:
    """A misspelt level is not silence."""
    with pytest.raises(ValueError, match="log level"):
        log.configure(json=True, level="loud")
