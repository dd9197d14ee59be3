"""How things stand, as a file for the textfile collector of Prometheus' node exporter.

Labels are the names of sources and commands and nothing else; whoever reads the file learns how many records there are of each kind, and
nothing about any of them. The file is replaced as a whole, so a reader never sees half of it. A figure that is not known (no run yet, no
schedule) has no line: an alert on a missing figure says so, a 0 would lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker.errors import ConfigurationError
from worker.usecases.monitoring import SourceStatus, Status

_Value = float | None
_DAY = 24 * 60 * 60

_OF_SOURCE: tuple[tuple[str, str, Callable[[SourceStatus], _Value]], ...] = (
    ("last_run_timestamp_seconds", "When the last run of the source ended.", lambda each: _ended(each)),
    ("last_run_exit_code", "How it ended: 0 done, 4 with new findings, anything else is a failure.", lambda each: _code(each)),
    ("next_run_timestamp_seconds", "When the schedule calls for the next run.", lambda each: each.next.timestamp() if each.next else None),
    ("run_missed", "1 when no run ended in time.", lambda each: each.missed),
    ("overdue_records", "Records past their deadline, at most.", lambda each: each.overdue),
    ("overdue_age_seconds", "Time since the oldest deadline that was not met, in whole days.", lambda each: each.overdue_days * _DAY),
    ("held_records", "Records that are due and held, as the newest plan saw them.", lambda each: each.counts.get("held")),
    ("undetermined_records", "Records about which nothing can be decided.", lambda each: each.counts.get("undetermined")),
    ("failed_records", "Records that the last run could not do.", lambda each: each.failed if each.last else None),
    ("stuck_batches", "Batches that were begun and that nobody closed.", lambda each: each.stuck),
    ("findings", "Open findings.", lambda each: each.findings),
    ("new_findings", "Open findings that nobody accepted.", lambda each: each.new),
)


def write_textfile(found: Status, path: Path) -> None:
    """Write the file; ConfigurationError when it can't be written, and then what was there before stays."""
    registry = CollectorRegistry()
    registry.register(_Figures(found))
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}. Choose another file (--textfile), or mend its rights."
        ) from None


class _Figures(Collector):
    """The figures of one status."""

    def __init__(self, found: Status) -> None:
        self._found = found

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield every figure with its lines."""
        found = self._found
        yield GaugeMetricFamily("retention_status_timestamp_seconds", "When these figures were taken.", value=found.at.timestamp())
        yield GaugeMetricFamily("retention_status_exit_code", "0 all is well, 4 look at it, 5 something is missing.", value=found.exit_code)
        for name, text, value in _OF_SOURCE:
            family = GaugeMetricFamily(f"retention_{name}", text, labels=["source"])
            for each in found.sources:
                known = value(each)
                if known is not None:
                    family.add_metric([each.source], float(known))
            yield family
        alive = GaugeMetricFamily(
            "retention_heartbeat_timestamp_seconds", "When a command of the schedule was last there.", labels=["command"]
        )
        for beat in found.heartbeats:
            alive.add_metric([beat.command], beat.at.timestamp())
        yield alive


def _ended(each: SourceStatus) -> _Value:
    return each.last.ended_at.timestamp() if each.last and each.last.ended_at else None


def _code(each: SourceStatus) -> _Value:
    return each.last.exit_code if each.last else None
