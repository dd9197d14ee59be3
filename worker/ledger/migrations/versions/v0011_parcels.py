"""What planned batches hold, in a table of its own: writing down who has a batch wrote all of it anew.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and bring over what open runs have left to do."""
    op.create_table(
        "parcels",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id", "batch_id"], ["work.run_id", "work.batch_id"], name=op.f("fk_parcels_run_id")),
        sa.PrimaryKeyConstraint("run_id", "batch_id", name=op.f("pk_parcels")),
    )
    op.execute("INSERT INTO parcels (run_id, batch_id, body) SELECT run_id, batch_id, body FROM work WHERE length(body) > 0")
    op.drop_column("work", "body")


def downgrade() -> None:
    """Refuse: an older version would look for them elsewhere."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
