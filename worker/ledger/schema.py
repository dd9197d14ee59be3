"""The tables of the ledger. Per batch at most, never per record; no personal data.

Instants are stored as ISO 8601 text in UTC of one fixed width, so that SQLite and PostgreSQL order and compare them
alike. A column has the name of the field it is read into.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from worker.ledger import rows

HEAD = "0011"
"""The newest migration: what `alembic_version` says when the ledger needs none. A test compares the two."""

UNFINISHED = text("state IN ('pending', 'intended')")
"""Literal, because SQLite uses a partial index only for a condition that it can compare while it plans."""


class Instant(TypeDecorator[dt.datetime]):
    """An aware datetime, kept as `2026-03-01T02:00:00.000000Z`. Raises ValueError for a naive one."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text that is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger keeps aware instants only")
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Return the instant, aware, in UTC."""
        return None if value is None else dt.datetime.fromisoformat(value)


class Day(TypeDecorator[dt.date]):
    """A local day of the organisation, kept as `2026-03-01`."""

    impl = String(10)
    cache_ok = True

    def process_bind_param(self, value: dt.date | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text that is stored."""
        return None if value is None else value.isoformat()

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.date | None:  # noqa: ARG002
        """Return the day."""
        return None if value is None else dt.date.fromisoformat(value)


class Document(TypeDecorator[Any]):
    """A small JSON document, kept as text with sorted keys."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text that is stored."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the document."""
        return None if value is None else json.loads(value)


def _one_of(column: str, words: Any) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in get_args(words))
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

meta = Table("meta", metadata, Column("name", String(100), primary_key=True), Column("value", Text, nullable=False))

standing = Table(
    "standing",
    metadata,
    Column("single", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("single = 1", name="one_row"),
)

key_checks = Table(
    "key_checks",
    metadata,
    Column("key_id", String(40), primary_key=True),
    Column("check_value", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("retired_at", Instant),
    Column("retired_by", Text),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("digest", String(128), primary_key=True),
    Column("seen_at", Instant, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Instant),
)

shapes = Table(
    "shapes",
    metadata,
    Column("shape_id", Integer, primary_key=True),
    Column("source", String(200), nullable=False, index=True),
    Column("digest", String(128), nullable=False),
    Column("listing", Document, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", String(64), primary_key=True),
    Column("made_at", Instant, nullable=False, index=True),
    Column("made_by", Text, nullable=False),
    Column("as_of", Day, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("mac", Text, nullable=False),
    Column("policies", Document, nullable=False),
    Column("counts", Document, nullable=False),
    Column("path", Text, nullable=False),
    Column("ref_key_id", String(40), nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Instant),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("plan_id", String(64), ForeignKey("plans.plan_id")),
    Column("kind", String(20), nullable=False),
    Column("logical_date", Day, nullable=False),
    Column("started_at", Instant, nullable=False, index=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("state", String(30), nullable=False, index=True),
    Column("ended_at", Instant),
    Column("counts", Document, nullable=False),
    Column("exit_code", Integer),
    _one_of("kind", rows.RunKind),
    _one_of("state", rows.RunState),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("run_id", String(64), ForeignKey("runs.run_id"), nullable=False),
    Column("source", String(200), nullable=False),
    Column("policy", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sealed_range", Text, nullable=False),
    Column("planned", Integer, nullable=False),
    Column("state", String(30), nullable=False),
    Column("witness", Document),
    Column("stream", String(64)),
    Column("first", BigInteger),
    Column("count", BigInteger),
    Column("root", String(128)),
    Column("intended_at", Instant),
    Column("effects", Document),
    Column("digest", String(128)),
    Column("closed_at", Instant),
    Column("intended", Document),
    _one_of("state", rows.BatchState),
    # The order in which a run's batches are walked. Attempts and parts of one planned batch share its number.
    Index("ix_batches_walk", "run_id", "source", "policy", "number", "batch_id"),
    # Batches in a final state stay for years and are never looked for by state.
    Index("ix_batches_unfinished", "run_id", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
)

orders = Table(
    "orders",
    metadata,
    Column("run_id", String(64), ForeignKey("runs.run_id"), primary_key=True),
    Column("phase", String(20), nullable=False),
    Column("spread", Boolean, nullable=False),
    Column("owner", String(100), nullable=False),
    Column("at_most", Integer),
    Column("acted", Integer, nullable=False),
    Column("said", Document, nullable=False),
    _one_of("phase", rows.Phase),
)

run_sources = Table(
    "run_sources",
    metadata,
    Column("run_id", String(64), ForeignKey("orders.run_id"), primary_key=True),
    Column("source", String(200), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("lanes", Integer, nullable=False),
    Column("after", Document, nullable=False),
    Column("planned", Integer, nullable=False),
    Column("failed", Text),
)

work = Table(
    "work",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("batch_id", String(64), primary_key=True),
    Column("source", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("planned", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("token", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("worker", String(100)),
    Column("leased_until", Instant),
    Column("outcome", Document),
    _one_of("state", rows.WorkState),
    ForeignKeyConstraint(["run_id", "source"], ["run_sources.run_id", "run_sources.source"]),
    # The order in which a source's batches are taken.
    Index("ix_work_turn", "run_id", "source", "state", "number"),
)

# What a batch holds stands apart from who has it: the one is large and never changes, the other is small and changes all the time.
parcels = Table(
    "parcels",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("batch_id", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    ForeignKeyConstraint(["run_id", "batch_id"], ["work.run_id", "work.batch_id"]),
)

nights = Table(
    "nights",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("logical_date", Day, primary_key=True),
    Column("owner", String(100), nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("run_id", String(64)),
    Column("outcome", Text),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("scope", String(20), nullable=False),
    Column("source", String(200)),
    Column("token", Text),
    Column("key_id", String(40)),
    Column("case", Text),
    Column("category", Text),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("review_on", Day, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("released_at", Instant),
    Column("released_by", Text),
    _one_of("kind", rows.HoldKind),
    _one_of("scope", rows.HoldScope),
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("tokens", Document, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("consent", Text),
    Column("marketing", Boolean, nullable=False),
    Column("verified_by", Text),
    Column("received_on", Day, nullable=False),
    Column("answer_by", Day, nullable=False),
    Column("received_by", Text, nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Column("outcome", Text),
    Column("upheld_at", Instant),
    Column("upheld_by", Text),
    _one_of("kind", rows.RequestKind),
)

run_locks = Table(
    "run_locks",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("since", Instant, nullable=False),
)

stops = Table(
    "stops",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("source", String(200), nullable=False),
    Column("policy", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("gone_at", Instant),
    _one_of("kind", rows.FindingKind),
)

accepted_findings = Table(
    "accepted_findings",
    metadata,
    Column("digest", String(64), ForeignKey("findings.digest"), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_on", Day, nullable=False),
    Column("max_count", Integer, nullable=False),
    Column("at", Instant, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("alias_id", Integer, primary_key=True),
    Column("batch_id", String(64), ForeignKey("batches.batch_id"), nullable=False, unique=True),
    Column("source", String(200), nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_aliases_source_alias_id", "source", "alias_id"),
)

high_water = Table(
    "high_water",
    metadata,
    Column("high_water_id", Integer, primary_key=True),
    Column("batch_id", String(64), ForeignKey("batches.batch_id"), nullable=False),
    Column("source", String(200), nullable=False),
    Column("field", String(200), nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("batch_id", "source", "field"),
    Index("ix_high_water_source_field_high_water_id", "source", "field", "high_water_id"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("tombstone_id", Integer, primary_key=True),
    Column("batch_id", String(64), ForeignKey("batches.batch_id"), nullable=False),
    Column("source", String(200), nullable=False),
    Column("facts", Document, nullable=False),
    Column("erasure", Boolean, nullable=False),
    Column("day", Day, nullable=False),
    Column("ends_on", Day, nullable=False, index=True),
    Column("records", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("still", LargeBinary),
    Column("at", Instant, nullable=False),
    UniqueConstraint("batch_id", "source", "erasure"),
    Index("ix_tombstones_source_tombstone_id", "source", "tombstone_id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("suppression_id", Integer, primary_key=True),
    Column("batch_id", String(64), ForeignKey("batches.batch_id"), nullable=False),
    Column("source", String(200), nullable=False),
    Column("day", Day, nullable=False),
    Column("ends_on", Day, nullable=False, index=True),
    Column("records", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("still", LargeBinary),
    Column("at", Instant, nullable=False),
    UniqueConstraint("batch_id", "source"),
    Index("ix_suppressions_source_suppression_id", "source", "suppression_id"),
)

begun = Table(
    "begun",
    metadata,
    Column("batch_id", String(64), ForeignKey("batches.batch_id"), primary_key=True),
    Column("source", String(200), nullable=False, index=True),
    Column("sealed", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("record_token", String(200), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("day", Day, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", Text),
)

done_reviews = Table(
    "done_reviews",
    metadata,
    Column("done_id", Integer, primary_key=True),
    Column("declaration", String(200), nullable=False),
    Column("day", Day, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text),
    Column("at", Instant, nullable=False),
)

observations = Table(
    "observations",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("purpose", String(200), primary_key=True),
    Column("blob", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)
