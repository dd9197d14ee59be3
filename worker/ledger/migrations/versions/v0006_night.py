"""Stops: what a person said no run may go on with.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)


def upgrade() -> None:
    """Add the stops."""
    op.create_table(
        "stops",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_stops")),
    )


def downgrade() -> None:
    """Refuse: an older ledger would forget holds."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
