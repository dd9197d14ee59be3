"""Which scheduled runs were begun: one for each source and local day, so that a second beat or a doubled tick does nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import delete, select, update

from worker.ledger import schema
from worker.ledger.connect import Store, columns, put, values
from worker.ledger.rows import NightRow

_NIGHT = columns(schema.nights, NightRow)


class Nights(Store):
    """The scheduled runs, by source and logical date."""

    def claim_nights(self, sources: Sequence[str], day: dt.date, owner: str) -> list[str]:
        """Begin the runs of these sources for a local day, and return those that nobody had begun."""
        with self._write() as connection:
            rows = [NightRow(source, day, owner, self._now()) for source in sources]
            return [row.source for row in rows if put(connection, schema.nights, values(row), replace=False)]

    def end_nights(self, sources: Sequence[str], day: dt.date, outcome: str, run_id: str | None = None) -> None:
        """Keep what became of runs that were begun."""
        table = schema.nights
        with self._write() as connection:
            chosen = update(table).where(table.c.source.in_(list(sources)), table.c.logical_date == day)
            connection.execute(chosen.values(outcome=outcome, run_id=run_id))

    def release_nights(self, sources: Sequence[str], day: dt.date, owner: str) -> None:
        """Let somebody else begin runs that their owner could not prepare, or died over."""
        table = schema.nights
        with self._write() as connection:
            mine = delete(table).where(table.c.source.in_(list(sources)), table.c.logical_date == day, table.c.owner == owner)
            connection.execute(mine.where(table.c.outcome.is_(None)))

    def nights(self, since: dt.date) -> list[NightRow]:
        """Return the scheduled runs from a local day on, oldest first."""
        table = schema.nights
        wanted = select(*_NIGHT).where(table.c.logical_date >= since).order_by(table.c.logical_date, table.c.source)
        with self._read() as connection:
            return [NightRow(**row) for row in connection.execute(wanted).mappings()]
