"""What Alembic runs: the migrations, inside the transaction that the caller holds open."""

from __future__ import annotations

from alembic import context

from worker.ledger.schema import metadata

# SQLite can undo table definitions, but only says so when the driver doesn't begin transactions by itself, as here.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
