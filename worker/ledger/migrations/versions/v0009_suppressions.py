"""The keyed suppression list, and the kind of finding that somebody on it is there again.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)
DAY = sa.String(10)
KINDS = (
    "kind IN ('undetermined', 'uncovered', 'unreadable', 'overdue', 'failed', 'hold_review', 'changed', 'waiting', 'review', 'returned', "
    "'suppressed')"
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
        "suppressions",
        sa.Column("suppression_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("ends_on", DAY, nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("still", sa.LargeBinary(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_suppressions_batch_id")),
        sa.PrimaryKeyConstraint("suppression_id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint("batch_id", "source", name=op.f("uq_suppressions_batch_id_source")),
    )
    op.create_index(op.f("ix_suppressions_ends_on"), "suppressions", ["ends_on"], unique=False)
    op.create_index("ix_suppressions_source_suppression_id", "suppressions", ["source", "suppression_id"], unique=False)


def downgrade() -> None:
    """Refuse: an older ledger would forget whom no import may bring back."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
