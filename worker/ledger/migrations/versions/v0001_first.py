"""The first schema of the ledger.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

# As the schema's own types keep them; a migration never imports the present schema, because that will change.
INSTANT = sa.String(27)
DAY = sa.String(10)


def upgrade() -> None:
    """Make every table, and the one row that counts changes of holds and requests."""
    op.create_table(
        "findings",
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
        sa.CheckConstraint(
            "kind IN ('undetermined', 'uncovered', 'unreadable', 'overdue', 'failed', 'hold_review', 'changed')",
            name=op.f("ck_findings_kind_known"),
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_findings")),
    )
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("key_id", sa.String(length=40), nullable=True),
        sa.Column("case", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("review_on", DAY, nullable=False),
        sa.Column("placed_at", INSTANT, nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("released_at", INSTANT, nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('legal', 'dispute', 'restriction')", name=op.f("ck_holds_kind_known")),
        sa.CheckConstraint("scope IN ('record', 'subject', 'case', 'category', 'source')", name=op.f("ck_holds_scope_known")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_holds")),
    )
    op.create_table(
        "key_checks",
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("check_value", sa.Text(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.Column("retired_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_checks")),
    )
    op.create_table(
        "marks",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("record_token", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "record_token", "name", name=op.f("pk_marks")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(length=64), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("as_of", DAY, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("ref_key_id", sa.String(length=40), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
    )
    op.create_index(op.f("ix_plans_made_at"), "plans", ["made_at"], unique=False)
    op.create_table(
        "policy_versions",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("source", "digest", name=op.f("pk_policy_versions")),
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("consent", sa.Text(), nullable=True),
        sa.Column("marketing", sa.Boolean(), nullable=False),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("received_on", DAY, nullable=False),
        sa.Column("answer_by", DAY, nullable=False),
        sa.Column("received_by", sa.Text(), nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('erase', 'restrict', 'object', 'withdraw', 'export')", name=op.f("ck_requests_kind_known")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_requests")),
    )
    op.create_table(
        "run_locks",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_run_locks")),
    )
    op.create_table(
        "shapes",
        sa.Column("shape_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("listing", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("shape_id", name=op.f("pk_shapes")),
    )
    op.create_index(op.f("ix_shapes_source"), "shapes", ["source"], unique=False)
    op.create_table(
        "standing",
        sa.Column("single", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("single = 1", name=op.f("ck_standing_one_row")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_standing")),
    )
    op.create_table(
        "accepted_findings",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_on", DAY, nullable=False),
        sa.Column("max_count", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["findings.digest"], name=op.f("fk_accepted_findings_digest")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_accepted_findings")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("plan_id", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("logical_date", DAY, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind IN ('apply', 'run')", name=op.f("ck_runs_kind_known")),
        sa.CheckConstraint(
            "state IN ('running', 'done', 'partial', 'failed', 'refused', 'findings', 'resolved_after_crash')",
            name=op.f("ck_runs_state_known"),
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name=op.f("fk_runs_plan_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"], unique=False)
    op.create_index(op.f("ix_runs_state"), "runs", ["state"], unique=False)
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("policy", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed_range", sa.Text(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("witness", sa.Text(), nullable=True),
        sa.Column("stream", sa.String(length=64), nullable=True),
        sa.Column("first", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("root", sa.String(length=128), nullable=True),
        sa.Column("intended_at", INSTANT, nullable=True),
        sa.Column("effects", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(length=128), nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'intended', 'committed', 'rolled_back', 'resolved_after_crash', 'presumed')",
            name=op.f("ck_batches_state_known"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_batches_run_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    op.create_index("ix_batches_walk", "batches", ["run_id", "source", "policy", "number", "batch_id"], unique=False)
    op.create_index(
        "ix_batches_unfinished",
        "batches",
        ["run_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'intended')"),
        postgresql_where=sa.text("state IN ('pending', 'intended')"),
    )
    op.create_table(
        "aliases",
        sa.Column("alias_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_aliases_batch_id")),
        sa.PrimaryKeyConstraint("alias_id", name=op.f("pk_aliases")),
        sa.UniqueConstraint("batch_id", name=op.f("uq_aliases_batch_id")),
    )
    op.create_index(op.f("ix_aliases_source_alias_id"), "aliases", ["source", "alias_id"], unique=False)
    op.execute("INSERT INTO standing (single, version) VALUES (1, 0)")


def downgrade() -> None:
    """Refuse: an older ledger would forget holds."""
    raise NotImplementedError("a ledger is never taken back to an older schema")
