"""Saying again how batches ended whose closing events went with a machine's power.

A batch costs one flush of the trail: its intents are durable before the source commits. Its closing event is written before the ledger
keeps its end, and becomes durable with the intents of the next batch, or when the process has no more to do. So a power failure, and
nothing less, can leave a batch that the ledger knows as committed and the trail knows as begun. The next process that opens the trail
finds the file that was left, and says from the ledger how those batches ended. What a batch left out is in no ledger: the closing event
of such a batch, and of every one that was rolled back, is made durable at once (`batching`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from worker.audit.broken import Broken
from worker.audit.endings import Ending
from worker.audit.events import Action, Closing, closing_fields
from worker.audit.read import since
from worker.audit.render import JsonValue
from worker.ledger.rows import BatchRow
from worker.ledger.work import Work

_LAST = 32
"""So many batches of one stream, and more, are never under way at once: the intents of any later one made the closing event durable."""


def lost_closings(ledger: Work) -> Callable[[Path, Sequence[Ending]], list[tuple[Action, Mapping[str, JsonValue]]]]:
    """Return what knows the closing events that were lost at the ends of files; see `AuditTrail.open`."""

    def lost(folder: Path, left: Sequence[Ending]) -> list[tuple[Action, Mapping[str, JsonValue]]]:
        return [_closing(row) for each in left for row in _unsaid(folder, ledger.committed_in(each.stream, _LAST))]

    return lost


def _unsaid(folder: Path, rows: Sequence[BatchRow]) -> list[BatchRow]:
    """Return those of some batches of one stream, in their order there, of which the trail does not say that they were committed."""
    if not rows:
        return []
    said: set[object] = set()
    # Beyond damage nothing can be believed, and what is said twice does no harm.
    with suppress(Broken, OSError):
        for event in since(folder, str(rows[0].stream), int(rows[0].first or 0)):
            if event.get("event.action") == Action.BATCH_CLOSED:
                said.add(event.get("retention.batch"))
    return [row for row in rows if row.batch_id not in said]


def _closing(row: BatchRow) -> tuple[Action, Mapping[str, JsonValue]]:
    """Return the closing event of a batch that was committed with nothing left out."""
    fields = closing_fields(row.batch_id, Closing.COMMITTED, digest=row.digest or "", count=sum((row.effects or {}).values()))
    return Action.BATCH_CLOSED, {**fields, "retention.run": row.run_id, "retention.source": row.source}
