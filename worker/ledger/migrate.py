"""Bringing a ledger to the schema this version of the worker knows, and refusing one that is ahead of it."""

from __future__ import annotations

from importlib.resources import as_file, files

from sqlalchemy import Connection, inspect, text

from worker.errors import ConfigurationError
from worker.ledger.schema import HEAD

_VERSIONS = "alembic_version"
# Two processes that start at once must not both migrate; any number will do that nothing else in this database uses.
_MIGRATION_LOCK = 7_302_665_181_102_433


def migrate(connection: Connection) -> None:
    """Run the missing migrations inside the given write transaction: all of them or none.

    Raises ConfigurationError when the ledger was made by a newer version of the worker, or the database is not a
    ledger but holds other tables.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    looked = inspect(connection)
    found = connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalar() if looked.has_table(_VERSIONS) else None
    if found == HEAD:
        return
    if found is None and looked.get_table_names():
        raise ConfigurationError(
            "The database of the ledger holds other tables and no ledger. The ledger is never kept with a source: give "
            "it a file or a database of its own with RETENTION_LEDGER."
        )
    # Imported only when there is something to migrate: it takes longer to load than the ledger takes to open.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    with as_file(files("worker.ledger") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise ConfigurationError(
                f"The ledger was made by a newer version of the worker (schema {found}, this one knows {HEAD}). "
                "Install that version again; a ledger is never taken back to an older schema."
            )
        command.upgrade(config, "head")
