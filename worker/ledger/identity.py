"""Whose ledger this is, and which keys its values were made with."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

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


_DESTROYING = "keys_being_destroyed"
_IN_USE = "keys_in_use"
_ROOT = "root/"


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """Which keys the ledger goes by.

    number -- grows whenever a key takes another's place or is taken away, so that a process which began before notices; match -- the ids of
    the keys under which its tokens are, the first one first; empty while there was never more than one.
    """

    number: int = 0
    match: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destruction:
    """Keys of one family that a person decided to destroy, and who. root -- the id of the root they were wrapped with then, or empty."""

    family: str
    key_ids: tuple[str, ...]
    by: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that the ledger knows; never its value. destroyed_at -- None while it must be in the key file."""

    key_id: str
    family: str
    seen_at: dt.datetime
    destroyed_at: dt.datetime | None
    destroyed_by: str | None


class Identity(Store):
    """Named values of the installation, and checks of its keys."""

    _settled: KeysInUse | None = None

    def settle_on_keys(self) -> KeysInUse:
        """Return which keys are in use, and remember that this process goes by them. Call it before the key file is read."""
        with self._read() as connection:
            self._settled = keys_in_use(connection)
        return self._settled

    def keys_changed(self) -> bool:
        """Whether keys were rotated or destroyed since this process settled on them."""
        with self._read() as connection:
            return self._settled is not None and self._settled != keys_in_use(connection)

    def confirm_keys_in_use(self) -> None:
        """Raise ConfigurationError when keys were rotated or destroyed since this process read them.

        What it would keep could not be recognised any more, and it would not recognise what others kept since.
        """
        if self.keys_changed():
            raise ConfigurationError(
                "Keys were rotated or destroyed after this command had read them. Nothing was done with the old ones: start it again."
            )

    def _use_keys(self, connection: Connection, match: Sequence[str] | None = None) -> None:
        """Keep that keys changed; match -- those that are in force from now on, where they are others."""
        before = keys_in_use(connection)
        now = KeysInUse(before.number + 1, before.match if match is None else tuple(match))
        put(connection, schema.meta, {"name": _IN_USE, "value": json.dumps({"number": now.number, "match": list(now.match)})})
        self._settled = now

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
                    family = checks[key_id].rpartition(":")[0]
                    raise ConfigurationError(
                        f"The key {key_id} ({family}) was destroyed and is in the key file again, perhaps out of a backup. Nothing is done "
                        f"while it is there: `retention keys destroy {family}` destroys it again."
                    )

    def retire_keys(self, family: str, key_ids: Sequence[str], by: str, root: str = "") -> None:
        """Stop missing keys, because a person decided to destroy them, and remember that this is under way. root -- see `Destruction`."""
        table, at = schema.key_checks, self._now()
        with self._write() as connection:
            for key_id in key_ids:
                retired = {"retired_at": at, "retired_by": by}
                if connection.execute(update(table).where(table.c.key_id == key_id).values(retired)).rowcount == 0:
                    connection.execute(insert(table).values(key_id=key_id, check_value=f"{family}:", seen_at=at, **retired))
            if not family.startswith("audit-ref/"):
                # What is still made with a year's key, nobody makes any more.
                self._use_keys(connection)
            said = json.dumps({"family": family, "key_ids": list(key_ids), "by": by, "root": root})
            put(connection, schema.meta, {"name": _DESTROYING, "value": said})

    def keys_being_destroyed(self) -> Destruction | None:
        """Return what `retire_keys` began and nobody ended, because a crash came between."""
        said = self.get_meta(_DESTROYING)
        if not said:
            return None
        found = json.loads(said)
        return Destruction(found["family"], tuple(found["key_ids"]), found["by"], found.get("root", ""))

    def keys_destroyed(self) -> None:
        """Remember that what `retire_keys` began is done: the keys are gone, and the trail says so."""
        self.set_meta(_DESTROYING, "")

    def note_root(self, root: str) -> None:
        """Remember since when there is a root, by its id; what is known already stays."""
        if self.root_since(root) is None:
            self.set_meta(_ROOT + root, self._now().isoformat())

    def root_since(self, root: str) -> dt.datetime | None:
        """Return since when this ledger knows a root, or None."""
        said = self.get_meta(_ROOT + root)
        return None if said is None else dt.datetime.fromisoformat(said)

    def known_keys(self) -> list[KnownKey]:
        """Return every key there was, in the order in which they were first seen."""
        table = schema.key_checks
        with self._read() as connection:
            return [
                KnownKey(row.key_id, row.check_value.rpartition(":")[0], row.seen_at, row.retired_at, row.retired_by)
                for row in connection.execute(select(table).order_by(table.c.seen_at, table.c.key_id))
            ]


def keys_in_use(connection: Connection) -> KeysInUse:
    """Return which keys the ledger goes by."""
    said = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == _IN_USE)).scalar()
    if not said:
        return KeysInUse()
    found = json.loads(said)
    return KeysInUse(int(found["number"]), tuple(found["match"]))


def _problem(key_id: str, known_check: str, what: str) -> Problem:
    family = known_check.rpartition(":")[0]
    meaning = _LOSSES.get(family.partition("/")[0], "what was made with it can't be used any more")
    return Problem(f"key {key_id} ({family})", f"{what}: without it, {meaning}.")
