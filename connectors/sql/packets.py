"""Reading the rows that a MariaDB server sends: PyMySQL, with many rows taken out of its buffer at a time.

PyMySQL is written in Python and needs no compiler. It asks its buffer twice for every row and makes an object for every packet, which costs
as much as all that is done with the row afterwards. What is done here instead: one row is read by PyMySQL, and then the whole rows that
already lie in its buffer are taken out in one go. Whatever is not a plain row (the end, an error, a packet out of turn, one that has not
arrived whole) is left in the buffer and read by PyMySQL itself, so the protocol stays its matter.

That rests on names that PyMySQL calls its own. Where a release has others, or uses them in other places, all is read by PyMySQL itself, row
by row: slower, and the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any

from pymysql import connections
from pymysql.connections import Connection
from pymysql.cursors import SSCursor

Decoder = Callable[[bytes], Any]

_HEAD = Struct("<HBBB")
"""The length of a packet in three bytes, its number, and its first byte."""
_HEAD_BYTES = 4
_END = 0xFE
_BUFFER_BYTES = 16_384
_NOTHING, _TWO_BYTES, _THREE_BYTES = 0xFB, 0xFC, 0xFD


RELIED_ON: Mapping[str, Mapping[str, frozenset[str]]] = {
    "Connection": {
        "_read_packet": frozenset({"_next_seq_id"}),
        "_read_bytes": frozenset({"_rfile"}),
        "_read_query_result": frozenset({"_result", "init_unbuffered_query", "read", "server_status", "affected_rows"}),
        "_create_ssl_ctx": frozenset({"create_default_context", "verify_mode"}),
        "connect": frozenset({"_sock", "_rfile", "makefile"}),
        "_force_close": frozenset(),
    },
    "MySQLResult": {
        "__init__": frozenset({"connection", "unbuffered_active"}),
        "_get_descriptions": frozenset({"converters"}),
        "_read_rowdata_packet": frozenset({"_read_packet", "_check_packet_is_eof", "_read_row_from_packet", "affected_rows", "rows"}),
        "_check_packet_is_eof": frozenset(),
        "_read_row_from_packet": frozenset({"converters"}),
    },
    "SSCursor": {
        "fetchmany": frozenset({"_check_executed", "read_next", "rownumber"}),
        "read_next": frozenset({"_result"}),
    },
}
"""The methods of PyMySQL's classes that are called or replaced here, each with the names that it uses as they are used here."""


def is_known(classes: Mapping[str, Any]) -> bool:
    """Whether a release of PyMySQL is laid out as this module needs it. classes -- its `Connection`, `MySQLResult` and `SSCursor`."""
    for name, methods in RELIED_ON.items():
        for method, used in methods.items():
            code = getattr(getattr(classes.get(name), method, None), "__code__", None)
            if code is None or not used.issubset(code.co_names):
                return False
    return True


_Base: Any = getattr(connections, "MySQLResult", object)
KNOWN = is_known({"Connection": Connection, "MySQLResult": _Base, "SSCursor": SSCursor})
"""Whether this is so for the release that is installed."""


def plain_rows(data: bytes, number: int, decoders: Sequence[Decoder], most: int) -> tuple[list[tuple[Any, ...]], int, int]:
    """Return (rows, how many bytes they take, the number of the packet after them) of the plain rows that lie whole in a buffer.

    number -- the one that the first packet has to have; decoders -- one per column; most -- so many rows at the most.
    """
    rows: list[tuple[Any, ...]] = []
    begin, end = 0, len(data)
    unpack_head = _HEAD.unpack_from
    try:
        while end - begin > _HEAD_BYTES and len(rows) < most:
            low, high, place, first = unpack_head(data, begin)
            at = begin + _HEAD_BYTES
            after = at + (high << 16) + low
            if after > end or place != number or first >= _END or after == at:
                break
            row: list[Any] = []
            for decode in decoders:
                size = data[at]
                at += 1
                if size >= _NOTHING:
                    if size == _NOTHING:
                        row.append(None)
                        continue
                    width = 2 if size == _TWO_BYTES else 3 if size == _THREE_BYTES else 8
                    size = int.from_bytes(data[at : at + width], "little")
                    at += width
                row.append(decode(data[at : at + size]))
                at += size
            if at != after:
                # Fewer columns than were described, or more: PyMySQL knows what that means.
                break
            rows.append(tuple(row))
            begin = after
            number = (number + 1) & 0xFF
    except IndexError:
        # A packet that ends within a value.
        pass
    return rows, begin, number


class _PageCursor(SSCursor):
    """A cursor that leaves the rows with the server until they are fetched, page by page."""

    _check_executed: Callable[[], None]
    _result: Any

    def fetchmany(self, size: int | None = None) -> Any:
        """Return the next rows, so many at the most; none at the end."""
        self._check_executed()
        wanted = self.arraysize if size is None else size
        rows: list[tuple[Any, ...]] = []
        while len(rows) < wanted:
            row = self.read_next()
            if row is None:
                self.warning_count = self._result.warning_count
                break
            rows.append(row)
            rows += self._result.waiting(wanted - len(rows))
        self.rownumber += len(rows)
        return rows or ()


_unverified: list[Any] = []
"""The context of connections of which nothing is said, once it was made."""


class _FastConnection(Connection):
    """A connection whose results are read many rows at a time."""

    def connect(self, sock: Any = None) -> None:
        super().connect(sock)
        # Every answer so far was read to its end, so nothing lies in the buffer that is exchanged for one in which many rows have room.
        small: Any = self._rfile
        self._rfile: Any = self._sock.makefile("rb", _BUFFER_BYTES)  # type: ignore[attr-defined]
        small.close()

    def _read_query_result(self, unbuffered: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyMySQL's own
        self._result = None
        result = _Result(self)
        if not unbuffered:
            result.read()
        else:
            try:
                result.init_unbuffered_query()
            except BaseException:
                result.unbuffered_active = False
                result.connection = None
                raise
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        # Where nothing is said of certificates none is looked at, and reading those that the machine trusts costs as much as all the rest
        # of a connection. What is made of it can be shared.
        if sslp:
            return super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        if not _unverified:
            _unverified.append(super()._create_ssl_ctx(sslp))  # type: ignore[misc]
        return _unverified[0]

    def _force_close(self) -> None:
        super()._force_close()  # type: ignore[misc]
        if self._result is not None:
            # Nothing is left to be read away, which a cursor would try when it is closed.
            self._result.unbuffered_active = False


class _Result(_Base):  # type: ignore[misc]
    """A result whose rows are taken out of the buffer many at a time."""

    connection: Any
    converters: Sequence[tuple[str | None, Decoder | None]]
    _check_packet_is_eof: Callable[[Any], bool]
    _read_row_from_packet: Callable[[Any], tuple[Any, ...]]
    decoders: Sequence[Decoder] = ()

    def _get_descriptions(self) -> None:
        super()._get_descriptions()
        self.decoders = [_decoder(encoding, converter) for encoding, converter in self.converters]

    def _read_rowdata_packet(self) -> None:
        rows: list[tuple[Any, ...]] = []
        while True:
            packet = self.connection._read_packet()  # noqa: SLF001 - these two classes of PyMySQL's are one
            if self._check_packet_is_eof(packet):
                self.connection = None
                break
            rows.append(self._read_row_from_packet(packet))
            rows += self.waiting(sys.maxsize)
        self.affected_rows = len(rows)
        self.rows = tuple(rows)

    def waiting(self, most: int) -> list[tuple[Any, ...]]:
        """Return plain rows that arrived behind one that was just read, so many at the most."""
        connection = self.connection
        if not most:
            return []
        try:
            data = connection._rfile.peek()  # noqa: SLF001
        except OSError:
            # The connection is broken, which PyMySQL finds and says as soon as it reads on.
            return []
        rows, taken, connection._next_seq_id = plain_rows(data, connection._next_seq_id, self.decoders, most)  # noqa: SLF001
        connection._rfile.read(taken)  # noqa: SLF001 - out of the buffer, nothing is waited for
        return rows


FastConnection: type[Connection] = _FastConnection if KNOWN else Connection
"""What connects: with results that are read many rows at a time, where that is known to be right."""
PageCursor: type[SSCursor] = _PageCursor if KNOWN else SSCursor
"""What leaves rows with the server until they are fetched."""


def _decoder(encoding: str | None, converter: Decoder | None) -> Decoder:
    """Return what makes a value out of its bytes, as PyMySQL would."""
    if converter is int:
        return int
    if encoding is None:
        return converter or bytes
    # What is in ASCII is in UTF-8 too, and that is decoded without looking for a codec by its name.
    decode: Decoder = bytes.decode if encoding in ("utf8", "ascii") else partial(_decoded, encoding=encoding)
    return decode if converter is None else partial(_converted, decode=decode, converter=converter)


def _decoded(data: bytes, encoding: str) -> str:
    return data.decode(encoding)


def _converted(data: bytes, decode: Decoder, converter: Callable[[Any], Any]) -> Any:
    return converter(decode(data))
