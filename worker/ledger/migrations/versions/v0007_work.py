"""Runs that any process can go on with: what a run has to know, its sources, its planned batches with their leases, and the nights.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

INSTANT = sa.String(27)


def upgrade() -> None:
    """Make the tables. A row per planned batch of an open run, gone when the run has ended; never a row per record."""
    op.create_table(
        "orders",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("phase", sa.String(length=20), nullable=False),
        sa.Column("spread", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=True),
        sa.Column("acted", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.CheckConstraint("phase IN ('preparing', 'open', 'closing', 'ended')", name=op.f("ck_orders_phase_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_orders_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_orders")),
    )
    op.create_table(
        "run_sources",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lanes", sa.Integer(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["orders.run_id"], name=op.f("fk_run_sources_run_id")),
        sa.PrimaryKeyConstraint("run_id", "source", name=op.f("pk_run_sources")),
    )
    op.create_table(
        "work",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=True),
        sa.Column("leased_until", INSTANT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'leased', 'done', 'left', 'set_aside')", name=op.f("ck_work_state_known")),
        sa.ForeignKeyConstraint(["run_id", "source"], ["run_sources.run_id", "run_sources.source"], name=op.f("fk_work_run_id")),
        sa.PrimaryKeyConstraint("run_id", "batch_id", name=op.f("pk_work")),
    )
    op.create_index("ix_work_turn", "work", ["run_id", "source", "state", "number"], unique=False)
    op.create_table(
        "nights",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("logical_date", sa.String(length=10), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("begun_at", INSTANT, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", "logical_date", name=op.f("pk_nights")),
    )
    op.add_column("batches", sa.Column("intended", sa.Text(), nullable=True))


def downgrade() -> None:
    """Refuse: an older version would not know that a run is still being worked on."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
