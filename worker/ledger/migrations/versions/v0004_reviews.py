"""Reasons for marks, declared reviews that were done, and the days on which states were first seen to have ended.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)
DAY = sa.String(10)


def upgrade() -> None:
    """Add what reviews and state rules keep."""
    op.add_column("marks", sa.Column("reason", sa.Text(), nullable=True))
    op.create_table(
        "done_reviews",
        sa.Column("done_id", sa.Integer(), nullable=False),
        sa.Column("declaration", sa.String(length=200), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("done_id", name=op.f("pk_done_reviews")),
    )
    op.create_table(
        "observations",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "purpose", name=op.f("pk_observations")),
    )


def downgrade() -> None:
    """Refuse: an older ledger would forget holds."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
