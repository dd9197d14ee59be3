"""Objections that a person decided for the subject.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)


def upgrade() -> None:
    """Add when and by whom an objection was upheld."""
    op.add_column("requests", sa.Column("upheld_at", INSTANT, nullable=True))
    op.add_column("requests", sa.Column("upheld_by", sa.Text(), nullable=True))


def downgrade() -> None:
    """Refuse: an older ledger would forget holds."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
