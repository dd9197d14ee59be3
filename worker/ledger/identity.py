"""Whose ledger this is, and which keys its values were made with."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import insert, select, update

from worker.errors import ConfigurationError, Problem, Problems
from worker.ledger import schema
from worker.ledger.connect import Store, put

_LOSSES = {
    "audit-ref": "references to records in that year's audit trail can no longer be resolved",
    "match": "holds, requests and tombstones no longer recognise the people and records they were made for",
    "pseudonym": "the same person gets another pseudonym than before, and old ones can't be attributed",
    "seal": "plans and unfinished batches that were made with it can't be opened; make the plans again",
    "plan-mac": "plans that were made with it can't be trusted any more; make them again",
    "sign": "auditors who hold its public half would not believe anything that is signed from now on; what was signed stays provable",
}


class Identity(Store):
    """Named values of the installation, and checks of its keys."""

    def get_meta(self, name: str) -> str | None:
        """Return a named value, or None when it was never set."""
        with self._read() as connection:
            return connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).scalar()

    def set_meta(self, name: str, value: str) -> None:
        """Set a named value."""
        with self._write() as connection:
            put(connection, schema.meta, {"name": name, "value": value})

    def knows_keys(self) -> bool:
        """Were values made with keys before? Then a missing key file is a lost one, and none may be made silently."""
        with self._read() as connection:
            known = select(schema.key_checks.c.key_id).where(schema.key_checks.c.retired_at.is_(None)).limit(1)
            return connection.execute(known).first() is not None

    def confirm_keys(self, checks: Mapping[str, str]) -> None:
        """Compare the keys with those the ledger knows and remember new ones. checks -- see `Keyring.checks`.

        Call it at the start, and again after keys were made. Raises ConfigurationError when a known key is lost or
        has become another one, saying what that means; then nothing is remembered.
        """
        table = schema.key_checks
        with self._write() as connection:
            known = {
                row.key_id: row.check_value
                for row in connection.execute(select(table).where(table.c.retired_at.is_(None)).order_by(table.c.key_id))
            }
            problems = [
                _problem(key_id, known_check, "lost" if key_id not in checks else "changed")
                for key_id, known_check in known.items()
                if checks.get(key_id) != known_check
            ]
            if problems:
                raise Problems(
                    "The key file doesn't hold the keys this ledger was written with. Put the right key file back from "
                    "your backup, or point RETENTION_KEYS at it:",
                    problems,
                )
            at = self._now()
            for key_id in sorted(set(checks) - set(known)):
                row = {"key_id": key_id, "check_value": checks[key_id], "seen_at": at}
                if not put(connection, table, row, replace=False):
                    raise ConfigurationError(
                        f"The key {key_id} was retired and is in the key file again. Remove it there, or put the file "
                        "back that belongs to this ledger."
                    )

    def retire_key(self, key_id: str, by: str) -> None:
        """Stop missing a key, because a person decided to destroy it."""
        table = schema.key_checks
        with self._write() as connection:
            retired = {"retired_at": self._now(), "retired_by": by}
            if connection.execute(update(table).where(table.c.key_id == key_id).values(retired)).rowcount == 0:
                connection.execute(insert(table).values(key_id=key_id, check_value="", seen_at=retired["retired_at"], **retired))


def _problem(key_id: str, known_check: str, what: str) -> Problem:
    family = known_check.rpartition(":")[0]
    meaning = _LOSSES.get(family.partition("/")[0], "what was made with it can't be used any more")
    return Problem(f"key {key_id} ({family})", f"{what}: without it, {meaning}.")
