"""Findings of two more kinds: waiting (for an event, longer than its own period) and review (overdue).

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

KINDS = "kind IN ('undetermined', 'uncovered', 'unreadable', 'overdue', 'failed', 'hold_review', 'changed', 'waiting', 'review')"


def upgrade() -> None:
    """Allow the new kinds.

    SQLite changes a constraint by copying the table, and drops the old one only when nothing refers to its rows: acceptances are taken out
    and put back, in the one transaction that all of this is.
    """
    accepted = sa.Table("accepted_findings", sa.MetaData(), autoload_with=op.get_bind())
    kept = [dict(row) for row in op.get_bind().execute(sa.select(accepted)).mappings()]
    op.execute(sa.delete(accepted))
    with op.batch_alter_table("findings") as findings:
        findings.drop_constraint(op.f("ck_findings_kind_known"), type_="check")
        findings.create_check_constraint(op.f("ck_findings_kind_known"), KINDS)
    if kept:
        op.bulk_insert(accepted, kept)
