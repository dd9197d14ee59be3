"""Rows are taken out of the driver's buffer whole or not at all, and mean what the driver would have made of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sql.packets import plain_rows

_TEXT = (bytes.decode, bytes.decode)
Rows = list[tuple[str | None, str | None]]

values = st.none() | st.text(max_size=12) | st.integers(240, 300).map("x".__mul__) | st.just("é" * 40_000)
tables = st.lists(st.tuples(values, values), max_size=12)


def _value(value: str | None) -> bytes:
    """Return a value as the protocol has it, by the protocol's description (length-encoded strings)."""
    if value is None:
        return b"\xfb"
    data = value.encode()
    if len(data) < 251:
        return bytes([len(data)]) + data
    return (b"\xfc" + len(data).to_bytes(2, "little") if len(data) < 1 << 16 else b"\xfd" + len(data).to_bytes(3, "little")) + data


def _packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number % 256]) + body


def _sent(rows: Rows, number: int) -> list[bytes]:
    return [_packet(number + place, b"".join(map(_value, row))) for place, row in enumerate(rows)]


@settings(deadline=None)  # up to a megabyte for one example; the clock of a busy machine says nothing about it
@given(tables, st.integers(0, 255), st.data())
def test_rows_that_arrived_whole_are_read_and_no_byte_of_the_next(rows: Rows, number: int, data: st.DataObject) -> None:
    """Wherever the buffer ends, what is taken are the rows before that, and what is left begins with the first that is not whole."""
    packets = _sent(rows, number)
    cut = data.draw(st.integers(0, sum(map(len, packets))))
    whole = 0
    while whole < len(packets) and sum(map(len, packets[: whole + 1])) <= cut:
        whole += 1

    found, taken, after = plain_rows(b"".join(packets)[:cut], number, _TEXT, 1000)

    assert (rows[:whole], sum(map(len, packets[:whole])), (number + whole) % 256) == (found, taken, after)


@given(tables, st.integers(0, 13))
def test_no_more_rows_are_taken_than_were_asked_for(rows: Rows, most: int) -> None:
    """A page of a cursor that streams has its size, and the rest waits."""
    found, taken, _ = plain_rows(b"".join(_sent(rows, 0)), 0, _TEXT, most)

    assert rows[:most] == found
    assert sum(map(len, _sent(rows, 0)[:most])) == taken


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(b"\xfe\x00\x00\x02\x00", id="end"),
        pytest.param(b"\xff\x45\x04#HY000gone", id="error"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01a", id="too few columns"),
        pytest.param(b"\x01a\x01b\x01c", id="too many columns"),
        pytest.param(b"\x01a\x05b", id="a value that is longer than its packet"),
    ],
)
def test_what_is_no_plain_row_is_left_to_the_driver(strange: bytes) -> None:
    """The end of a result, errors and what nobody expects stay in the buffer, with all that comes behind."""
    before = _sent([("a", "b")], 3)[0]
    buffer = before + _packet(4, strange) + b"".join(_sent([("c", "d")], 5))

    assert ([("a", "b")], len(before), 4) == plain_rows(buffer, 3, _TEXT, 1000)


def test_a_packet_out_of_turn_is_left_to_the_driver() -> None:
    """A lost or repeated packet is the driver's to find: it ends the connection."""
    buffer = b"".join([*_sent([("a", "b")], 255), *_sent([("c", "d")], 7)])

    assert ([("a", "b")], len(_sent([("a", "b")], 255)[0]), 0) == plain_rows(buffer, 255, _TEXT, 1000)
