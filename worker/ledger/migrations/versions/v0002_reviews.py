"""Reasons for marks, declared reviews that were done, and the days on which states were first seen to have ended.

Revision ID: 0002r
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002r"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)
DAY = sa.String(10)
FINDING_KINDS = "kind IN ('undetermined', 'uncovered', 'unreadable', 'overdue', 'failed', 'hold_review', 'changed', 'review')"


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
    if op.get_context().dialect.name == "sqlite":
        _rebuild_findings()
    else:
        op.drop_constraint(op.f("ck_findings_kind_known"), "findings", type_="check")
        op.create_check_constraint(op.f("ck_findings_kind_known"), "findings", sa.text(FINDING_KINDS))


def _rebuild_findings() -> None:
    """Give the findings another check: SQLite can't change one, and what refers to the table has to be made anew with it."""
    op.create_table(
        "findings_new",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.Column("last_seen", INSTANT, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("gone_at", INSTANT, nullable=True),
        sa.CheckConstraint(FINDING_KINDS, name=op.f("ck_findings_kind_known")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_findings")),
    )
    op.create_table(
        "accepted_new",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_on", DAY, nullable=False),
        sa.Column("max_count", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["findings_new.digest"], name=op.f("fk_accepted_findings_digest")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_accepted_findings")),
    )
    op.execute("INSERT INTO findings_new SELECT * FROM findings")
    op.execute("INSERT INTO accepted_new SELECT * FROM accepted_findings")
    op.drop_table("accepted_findings")
    op.drop_table("findings")
    op.rename_table("findings_new", "findings")
    op.rename_table("accepted_new", "accepted_findings")


def downgrade() -> None:
    """Refuse: an older ledger would forget holds."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
