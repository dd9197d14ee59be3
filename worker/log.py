"""The operational log: what an operator watches, on standard error. It proves nothing; the audit trail does.

It says what went wrong and where, and no more: the text of an error that is not our own may quote a row of a table or a
password in an address, so only its type and its place are printed, never its text and never local variables.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, cast

import structlog
from structlog.contextvars import clear_contextvars, merge_contextvars
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from worker.errors import RetentionError

WITHHELD = "[withheld]"
LEVELS = ("debug", "info", "warning", "error", "critical")

_SECRET_NAME = re.compile(r"passw|secret|token|credential|authori[sz]ation|cookie", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@/\"'<>(),;]+@[^\s@\"'<>(),;]+")
_frames = ExceptionDictTransformer(show_locals=False)


def configure(*, json: bool, level: str) -> None:
    """Send the operational log to standard error, as JSON lines or for people, from this level on.

    Forgets all context that was bound before, and the handlers of Python's own logging: what libraries say comes out as
    the place and the level only. Raises ValueError for a level that is not one of LEVELS.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"{level!r} is not a log level; there are {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    clear_contextvars()
    structlog.reset_defaults()
    ending: list[Processor] = (
        [structlog.processors.JSONRenderer()] if json else [_as_text, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_texts,
            _withhold,
            *ending,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=max(number, logging.WARNING), force=True)


def get_logger(**context: object) -> FilteringBoundLogger:
    """Return a logger with these members bound; events are static dotted names, identifiers are members.

    Until `configure` was called nothing is logged: whoever uses the worker as a library has not said where to.
    """
    if not structlog.is_configured():
        return cast("FilteringBoundLogger", structlog.wrap_logger(None, processors=[_drop]))
    return cast("FilteringBoundLogger", structlog.get_logger(**context))


def _drop(_: WrappedLogger, __: str, ___: EventDict) -> EventDict:
    """Log nothing."""
    raise structlog.DropEvent


def _without_texts(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace exc_info by the types and places of the errors; only our own errors keep their text."""
    info = event.pop("exc_info", None)
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    elif info and not isinstance(info, tuple):
        info = sys.exc_info()
    if info and info[0] is not None:
        event["exception"] = _cleaned(_frames(info), _own_names(RetentionError))
    return event


def _cleaned(stacks: Iterable[dict[str, Any]], own: frozenset[str]) -> list[dict[str, Any]]:
    return [
        {
            "type": stack["exc_type"],
            "text": stack["exc_value"] if stack["exc_type"] in own else WITHHELD,
            "at": [f"{frame['filename']}:{frame['lineno']} {frame['name']}" for frame in stack["frames"]],
            **({"group": [_cleaned(inner, own) for inner in stack["exceptions"]]} if stack.get("exceptions") else {}),
        }
        for stack in stacks
    ]


def _own_names(kind: type[RetentionError]) -> frozenset[str]:
    names = {kind.__name__}
    for below in kind.__subclasses__():
        names |= _own_names(below)
    return frozenset(names)


def _withhold(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep out what looks like a secret or an e-mail address: the last line of defence, not the first."""
    return {name: WITHHELD if _SECRET_NAME.search(name) else _safe(value) for name, value in event.items()}


def _safe(value: object) -> object:
    if isinstance(value, str):
        return _ADDRESS.sub(WITHHELD, value)
    if isinstance(value, dict):
        return {key: WITHHELD if _SECRET_NAME.search(str(key)) else _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _ADDRESS.sub(WITHHELD, str(value))


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Turn the errors into the lines a person reads."""
    stacks = event.get("exception")
    if isinstance(stacks, list):
        event["exception"] = "\n".join(
            f"{stack['type']}: {stack['text']}" + "".join(f"\n  {place}" for place in stack["at"]) for stack in stacks
        )
    return event


class _LibraryHandler(logging.Handler):
    """Says that a library said something, and where: its text may quote a record."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            # structlog knows only the five levels; a library may have made one in between.
            min(record.levelno // 10 * 10, logging.CRITICAL),
            "retention.library_message",
            library=record.name,
            at=f"{record.module}:{record.lineno} {record.funcName}",
            exc_info=record.exc_info,
        )
