"""Deletions of several steps that were begun and may not have ended.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)


def upgrade() -> None:
    """Make the table: one sealed blob per batch, and only while something of it is begun."""
    op.create_table(
        "begun",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_begun_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_begun")),
    )
    op.create_index(op.f("ix_begun_source"), "begun", ["source"], unique=False)


def downgrade() -> None:
    """Refuse: an older ledger would forget what has to be ended."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
