"""Findings: what a person must look at, what a person decided to live with for a while, and declared reviews that were done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, or_, select, update

from worker.errors import ConfigurationError
from worker.ledger import schema
from worker.ledger.connect import Store, columns, put, values
from worker.ledger.rows import AcceptedFinding, DoneReview, FindingKind, FindingRow, OpenFinding

_FOUND = schema.findings.c
_GONE = (
    update(schema.findings)
    .where(_FOUND.gone_at.is_(None), _FOUND.run_id != bindparam("run"), _FOUND.source.in_(bindparam("covered", expanding=True)))
    .where(or_(_FOUND.kind.not_in(bindparam("kept", expanding=True)), _FOUND.digest.in_(bindparam("over", expanding=True))))
    .values(gone_at=bindparam("gone"))
)
_OPEN = select(schema.findings).where(_FOUND.gone_at.is_(None)).order_by(_FOUND.source, _FOUND.policy, _FOUND.kind, _FOUND.detail)
_ACCEPTED = select(*columns(schema.accepted_findings, AcceptedFinding)).order_by(
    schema.accepted_findings.c.expires_on, schema.accepted_findings.c.digest
)


class Attention(Store):
    """Findings and their acceptances, and declared reviews that were done. Finding the same again does not make it a new one."""

    def record_findings(
        self,
        run_id: str,
        found: Sequence[FindingRow],
        *,
        covered: Collection[str] = (),
        kept: Collection[FindingKind] = (),
        over: Collection[FindingRow] = (),
    ) -> None:
        """Keep what a run (or a plan) found.

        covered -- the sources it looked at completely: what was open there and was not found again is over, but for kinds that it could
        not have found (`kept`); over -- single findings of those kinds that are over all the same.
        """
        table, at = schema.findings, self._now()
        with self._write() as connection:
            for finding in _merged(found):
                row = {
                    **values(finding),
                    "digest": finding.digest,
                    "first_seen": at,
                    "last_seen": at,
                    "run_id": run_id,
                    "gone_at": None,
                }
                put(connection, table, row, keep=("first_seen",))
            # Compared by run, not by this call: a run reports in several steps.
            over_now = {"covered": sorted(covered), "kept": sorted(kept), "over": sorted(each.digest for each in over)}
            connection.execute(_GONE, {"run": run_id, "gone": at, **over_now})

    def open_findings(self) -> list[OpenFinding]:
        """Return the findings that are not over, by source, policy, kind and reason."""
        with self._read() as connection:
            return [_open(row) for row in connection.execute(_OPEN).mappings()]

    def accept_finding(self, digest: str, owner: str, reason: str, expires_on: dt.date, max_count: int) -> None:
        """Keep a person's decision to live with a finding through a day and up to a count; a later one replaces it.

        Raises ConfigurationError when there is no such finding.
        """
        accepted = AcceptedFinding(digest, owner, reason, expires_on, max_count, self._now())
        known = select(schema.findings.c.digest).where(schema.findings.c.digest == digest)
        with self._write() as connection:
            if connection.execute(known).first() is None:
                raise ConfigurationError(f"There is no finding {digest}. `retention findings list` shows them.")
            put(connection, schema.accepted_findings, values(accepted))

    def accepted(self) -> list[AcceptedFinding]:
        """Return all acceptances, also those that are over, the first to expire first."""
        with self._read() as connection:
            return [AcceptedFinding(**row) for row in connection.execute(_ACCEPTED).mappings()]

    def add_done(self, declaration: str, day: dt.date, by: str, note: str | None) -> None:
        """Keep that somebody did a declared review."""
        done = DoneReview(declaration, day, by, note, self._now())
        with self._write() as connection:
            connection.execute(insert(schema.done_reviews).values(values(done)))

    def last_done(self) -> dict[str, DoneReview]:
        """Return, by declaration, the review that was done last; those that were never done are not among them."""
        table = schema.done_reviews
        wanted = select(*columns(table, DoneReview)).order_by(table.c.day, table.c.done_id)
        with self._read() as connection:
            return {row["declaration"]: DoneReview(**row) for row in connection.execute(wanted).mappings()}

    def new_findings(self, today: dt.date, current: Sequence[FindingRow]) -> list[FindingRow]:
        """Return those that nobody accepted, that grew beyond what was accepted, or whose acceptance has expired."""
        accepted = {one.digest: one for one in self.accepted()}
        return [
            finding
            for finding in _merged(current)
            if (yes := accepted.get(finding.digest)) is None or finding.count > yes.max_count or today > yes.expires_on
        ]


def _merged(found: Sequence[FindingRow]) -> list[FindingRow]:
    """Return one finding for each digest: parts of a source may report the same reason apart."""
    merged: dict[str, FindingRow] = {}
    for finding in found:
        before = merged.get(finding.digest)
        merged[finding.digest] = finding if before is None else replace(before, count=before.count + finding.count)
    return list(merged.values())


def _open(row: RowMapping) -> OpenFinding:
    kept: dict[str, Any] = {column.name: row[column.name] for column in columns(schema.findings, FindingRow)}
    return OpenFinding(FindingRow(**kept), row["digest"], row["first_seen"], row["last_seen"], row["run_id"])
