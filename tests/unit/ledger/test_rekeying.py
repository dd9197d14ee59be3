"""Putting the ledger's tokens under one more key: all of them, wherever they are kept, or none."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from sqlalchemy import LargeBinary

from tests.unit.ledger.conftest import Rows
from worker.core.observations import FirstSeen, packed
from worker.core.refs import NOBODY, again, token
from worker.errors import ConfigurationError
from worker.ledger import HighWater, Intent, Ledger, Suppressed, Tombstones, schema
from worker.ledger.rekeying import Rotation, packed_tokens

DAY = dt.date(2026, 3, 1)
OLD, NEW = b"o" * 32, b"n" * 32


def before(name: str) -> bytes:
    return token(OLD, "identifier", name)


def after(name: str) -> bytes:
    return token((OLD, NEW), "identifier", name)


def test_a_token_under_two_keys_is_the_old_one_put_under_the_new() -> None:
    """Whoever doesn't know what a token is made of can bring it to where somebody who does makes it anew."""
    assert after("ada") == again(NEW, before("ada"))
    assert token((OLD, NEW, OLD), "a", "b") == again(OLD, again(NEW, token(OLD, "a", "b")))
    assert token((OLD,), "a", "b") == token(OLD, "a", "b")
    assert NOBODY == again(NEW, NOBODY)
    assert 4 == len({before("ada"), after("ada"), token(NEW, "identifier", "ada"), token((NEW, OLD), "identifier", "ada")})


def test_every_place_where_tokens_are_kept(ledger: Ledger, rows: Rows) -> None:
    """Holds, requests, marks, aliases, high-water marks, tombstones and what stayed, observations; the rest of each is as it was."""
    ledger.add_hold(dataclasses.replace(rows.hold(), scope="subject", token=before("ada").hex()))
    ledger.add_request(dataclasses.replace(rows.request(), tokens=[before("ada").hex(), before("bea").hex()]))
    ledger.set_mark("crm", before("r1").hex(), "left_on", DAY, "clerk")
    ledger.set_mark("crm", before("r1").hex(), "born_on", DAY, "clerk")
    ledger.start_run(rows.run())
    ledger.add_batches("run-1", [rows.batch(1)])
    water = HighWater("crm", "met_on", before("a") + b"\x00\x00\x00\x01" + before("b") + b"\x80\x00\x00\x02")
    stones = Tombstones("crm", ("email",), erasure=False, day=DAY, ends_on=DAY, records=1, blob=before("k") + before("f") + NOBODY)
    away = Suppressed("crm", DAY, DAY, 1, before("k") + before("p"))
    ledger.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "ab" * 32, before("r") + before("i"), (water,), (stones,), (away,)))
    ledger.close_batch("run-1-crm-1", "committed", {"delete": 1}, "ab" * 32)
    ledger.keep_still(next(iter(ledger.tombstones("crm", DAY))), before("s") + before("t"))
    ledger.keep_still_there(next(iter(ledger.suppressed("crm", DAY))), before("u"))
    seen = {before(str(number)): DAY + dt.timedelta(days=number) for number in range(50)}
    ledger.keep_observations("crm", {"contact": packed(seen.items())})
    version = ledger.standing_version()

    ledger.put_under(("m-000001", "m-000002"), NEW)

    assert [(after("ada").hex(), "m-000002")] == [(each.token, each.key_id) for each in ledger.holds()]
    assert [[after("ada").hex(), after("bea").hex()]] == [each.tokens for each in ledger.requests()]
    assert {(after("r1").hex(), "born_on"), (after("r1").hex(), "left_on")} == {(each.record_token, each.name) for each in ledger.marks()}
    assert [after("r") + after("i")] == list(ledger.aliases("crm"))
    assert [after("a") + b"\x00\x00\x00\x01" + after("b") + b"\x80\x00\x00\x02"] == list(ledger.high_water("crm", "met_on"))
    (stone,) = ledger.tombstones("crm", DAY)
    assert (after("k") + after("f") + NOBODY, after("s") + after("t")) == (stone.blob, stone.still)
    (away,) = ledger.suppressed("crm", DAY)
    assert (after("k") + after("p"), after("u")) == (away.blob, away.still)
    noted = FirstSeen(ledger.observations("crm")["contact"])
    assert [seen[before(str(number))] for number in range(50)] == [noted.get(after(str(number))) for number in range(50)]
    assert version < ledger.standing_version()
    assert ("m-000001", "m-000002") == ledger.settle_on_keys().match


def test_no_place_is_forgotten() -> None:
    """Whoever adds a column with tokens says how they are put under another key. What is sealed is not looked up, so it is none."""
    sealed = {("parcels", "body")}
    blobs = {(table.name, column.name) for table in schema.metadata.tables.values() for column in table.c if _is_blob(column.type)}
    assert blobs - sealed == {(table.name, column) for table, column in packed_tokens()}
    texts = {(table.name, each.name) for table in schema.metadata.tables.values() for each in table.c if "token" in each.name}
    # The token of a lease is a number.
    assert {("holds", "token"), ("requests", "tokens"), ("marks", "record_token"), ("work", "token")} == texts


def _is_blob(kind: object) -> bool:
    return isinstance(kind, LargeBinary)


def test_another_process_notices(ledger: Ledger, url: str, rows: Rows) -> None:
    """What it would keep under the old keys is refused, until it has settled on the new ones."""
    with Ledger.open(url, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) as other:
        other.settle_on_keys()
        assert not other.keys_changed()
        ledger.put_under(("m-000001", "m-000002"), NEW)
        assert other.keys_changed()
        with pytest.raises(ConfigurationError, match="start it again"), other.standing_exclusive():
            pass
        with pytest.raises(ConfigurationError, match="start it again"), other.standing_shared():
            pass
        with pytest.raises(ConfigurationError, match="start it again"):
            other.start_run(rows.run())
        other.settle_on_keys()
        other.start_run(rows.run())
    assert not ledger.keys_changed()


def test_a_rotation_is_remembered_until_it_ended(ledger: Ledger) -> None:
    """With the family, the key it began with and who."""
    assert ledger.rotation_begun() is None
    ledger.begin_rotation(Rotation("seal", "s-000001", "dora"))
    assert Rotation("seal", "s-000001", "dora") == ledger.rotation_begun()
    ledger.rotation_ended()
    assert ledger.rotation_begun() is None
