"""Rotating keys, as far as it is the ledger's: putting every token it keeps under one more key, in one transaction.

Tokens are compared and never opened, so nobody can make them anew from what they stand for. Instead each is hashed once more under the
new key (`worker.core.refs.again`), wherever it stands: holds, requests, marks, aliases, high-water marks, tombstones, the suppression list,
observations. From then on whoever has only the old key can test nobody against this ledger, and a look-up costs as much as before, because
there is one form of every token and not one per key. A copy of the ledger from before is under the old key alone.

Threat model. Half of the tokens under another key would be holds that no batch finds. So all of it is one transaction, together with which
keys are in force; nothing else says that. Nobody may have a run open meanwhile, and whoever read the keys before is told to start again
(`Identity.confirm_keys_in_use`). Memory: one blob at a time, which is what a batch or a source keeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, select, update

from worker.core.refs import REFERENCE_BYTES, again
from worker.ledger import schema
from worker.ledger.identity import Identity

_ROTATING = "key_being_rotated"
_TOKEN = REFERENCE_BYTES
_BLOBS = (
    (schema.aliases, "blob", _TOKEN),
    (schema.high_water, "blob", _TOKEN + 4),
    (schema.tombstones, "blob", _TOKEN),
    (schema.tombstones, "still", _TOKEN),
    (schema.suppressions, "blob", _TOKEN),
    (schema.suppressions, "still", _TOKEN),
)
"""Where tokens are packed, and every how many bytes one begins."""
_OBSERVED = _TOKEN + 3


@dataclass(frozen=True, slots=True)
class Rotation:
    """A family whose key a person decided to rotate, the id of the key that was in use, and who."""

    family: str
    old: str
    by: str


class Rekeying(Identity):
    """Rotations of keys."""

    def begin_rotation(self, rotation: Rotation) -> None:
        """Remember that a rotation is under way."""
        self.set_meta(_ROTATING, json.dumps({"family": rotation.family, "old": rotation.old, "by": rotation.by}))

    def rotation_begun(self) -> Rotation | None:
        """Return the rotation that nobody ended, because a crash came between."""
        said = self.get_meta(_ROTATING)
        return Rotation(**json.loads(said)) if said else None

    def rotation_ended(self) -> None:
        """Remember that a rotation is done, and said."""
        self.set_meta(_ROTATING, "")

    def use_new_key(self) -> None:
        """Have whoever read the keys before start again."""
        with self._write() as connection:
            self._use_keys(connection)

    def put_under(self, match: Sequence[str], secret: bytes) -> None:
        """Put all tokens under one more key. match -- the ids of all keys they are under then, the new one last; secret -- of that."""
        with self._write() as connection:
            _rows(connection, match[-1], lambda token: again(secret, token))
            for table, column, every in _BLOBS:
                _blobs(connection, table, column, partial(_packed, every, secret))
            _blobs(connection, schema.observations, "blob", partial(_ordered, secret))
            connection.execute(update(schema.standing).values(version=schema.standing.c.version + 1))
            self._use_keys(connection, match)


def packed_tokens() -> list[tuple[Table, str]]:
    """Return every table and column in which tokens are packed."""
    return [*((table, column) for table, column, _ in _BLOBS), (schema.observations, "blob")]


def _rows(connection: Connection, key_id: str, renewed: Callable[[bytes], bytes]) -> None:
    """Renew the tokens that stand in rows of their own: of holds, requests and marks, which people type."""
    holds, requests, marks = schema.holds, schema.requests, schema.marks
    for hold in connection.execute(select(holds.c.hold_id, holds.c.token).where(holds.c.token.is_not(None))).all():
        changed = {"token": renewed(bytes.fromhex(hold.token)).hex(), "key_id": key_id}
        connection.execute(update(holds).where(holds.c.hold_id == hold.hold_id).values(changed))
    for request in connection.execute(select(requests.c.request_id, requests.c.tokens)).all():
        tokens = [renewed(bytes.fromhex(each)).hex() for each in request.tokens]
        connection.execute(update(requests).where(requests.c.request_id == request.request_id).values(tokens=tokens, key_id=key_id))
    for token in connection.execute(select(marks.c.record_token).distinct()).scalars().all():
        changed = {"record_token": renewed(bytes.fromhex(token)).hex()}
        connection.execute(update(marks).where(marks.c.record_token == token).values(changed))


def _blobs(connection: Connection, table: Table, column: str, renewed: Callable[[bytes], bytes]) -> None:
    """Renew a column of packed tokens, one row at a time."""
    keys = list(table.primary_key)
    for key in connection.execute(select(*keys)).all():
        this = [own == value for own, value in zip(keys, key, strict=True)]
        blob = connection.execute(select(table.c[column]).where(*this)).scalar()
        if blob:
            changed: dict[str, Any] = {column: renewed(bytes(blob))}
            connection.execute(update(table).where(*this).values(changed))


def _packed(every: int, secret: bytes, blob: bytes) -> bytes:
    """Return packed entries with the token at the beginning of each put under one more key."""
    return b"".join(again(secret, entry[:_TOKEN]) + entry[_TOKEN:] for entry in _parts(every, blob))


def _ordered(secret: bytes, blob: bytes) -> bytes:
    """Return packed observations under one more key, in the order of their tokens, in which they are searched."""
    return b"".join(sorted(_parts(_OBSERVED, _packed(_OBSERVED, secret, blob))))


def _parts(every: int, blob: bytes) -> Iterator[bytes]:
    return (blob[start : start + every] for start in range(0, len(blob), every))
