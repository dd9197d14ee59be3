"""Days of records that were disposed of, which facts over several sources go on to count.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.String(27)


def upgrade() -> None:
    """Make the table: one blob per batch and field, never a row per record."""
    op.create_table(
        "high_water",
        sa.Column("high_water_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("field", sa.String(length=200), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_high_water_batch_id")),
        sa.PrimaryKeyConstraint("high_water_id", name=op.f("pk_high_water")),
        sa.UniqueConstraint("batch_id", "source", "field", name=op.f("uq_high_water_batch_id_source_field")),
    )
    op.create_index("ix_high_water_source_field_high_water_id", "high_water", ["source", "field", "high_water_id"], unique=False)


def downgrade() -> None:
    """Refuse: an older ledger would let the clock of what was disposed of move back."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
