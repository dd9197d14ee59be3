"""Tombstones of deleted records, and the kind of finding that a record came back.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)
DAY = sa.String(10)
KINDS = (
    "kind IN ('undetermined', 'uncovered', 'unreadable', 'overdue', 'failed', 'hold_review', 'changed', 'waiting', 'review', 'returned')"
)


def upgrade() -> None:
    """Make the table, one blob per batch and never a row per record, and allow the new kind.

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
    op.create_table(
        "tombstones",
        sa.Column("tombstone_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("erasure", sa.Boolean(), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("ends_on", DAY, nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("still", sa.LargeBinary(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_tombstones_batch_id")),
        sa.PrimaryKeyConstraint("tombstone_id", name=op.f("pk_tombstones")),
        sa.UniqueConstraint("batch_id", "source", "erasure", name=op.f("uq_tombstones_batch_id_source_erasure")),
    )
    op.create_index(op.f("ix_tombstones_ends_on"), "tombstones", ["ends_on"], unique=False)
    op.create_index("ix_tombstones_source_tombstone_id", "tombstones", ["source", "tombstone_id"], unique=False)


def downgrade() -> None:
    """Refuse: an older ledger would forget which records were deleted."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
