"""Values in SQLite, where every value has a type of its own and a date is a text that somebody wrote.

A text date compares as text. That is right for the form everybody writes (`2026-01-31`, `2026-01-31 22:30:00`, with `T`, fractions,
`Z` or an offset) and the border between two days is exact for it; what else is read as a day (after leading white space) lies in
ranges of its own, which an index finds empty.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import ClassVar, assert_never

import sqlalchemy as sa

from connectors.sql.expressions import WHITESPACE, Exact, Expression, either, every, ordered, value
from connectors.sql.moments import Border, border, shifted
from connectors.sql.storage import Summary, Value
from connectors.sql.tables import ColumnInfo
from worker.core.conditions import Compare, Op, Truth, compare
from worker.core.facts import PLACEHOLDERS, FieldType, Known, Reading
from worker.core.sources import Field, Identifier, TreatmentKind

IS_TRUNCATED = "retention_is_truncated"
"""The SQL function, registered on our connections, that says whether an IP address is truncated already."""

IS_GENERALISED = "retention_is_generalised"
"""The SQL function that says whether a value is as coarse as a treatment (its `coarse` and its `size`) makes it."""

TELLS_SOMETHING = "retention_tells_something"
"""The SQL function that says whether a text may hold something that its form gives away."""

_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_CLOCK = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_FRACTIONS = ("", "." + "[0-9]" * 3, "." + "[0-9]" * 6)
_UTC = ("Z", "+00:00")
_OFFSET = "[-+][01][0-9]:[0-5][0-9]"
_BEFORE_TEXT = "!"  # Every ASCII white space sorts before it, and it is no number that a column's affinity could convert.
_BEHIND_DIGITS = ":"  # What starts with a digit sorts before it; other white space and garbage after it.
_LARGEST = 2**63 - 1


class DynamicStorage:
    """SQLite's answers; the methods without a docstring keep the protocol's promise."""

    doubtful_as_a_group: ClassVar[bool] = True

    def blank(self, column: Expression, info: ColumnInfo) -> Expression:  # noqa: ARG002, D102
        spaces = sa.func.trim(column, value(WHITESPACE)) == value("")
        return sa.or_(column.is_(None), sa.and_(column < value(_BEFORE_TEXT), spaces), sa.and_(column >= value(_BEHIND_DIGITS), spaces))

    def on_or_before(self, each: Value, day: dt.date) -> Expression:  # noqa: D102
        column = each.column
        if each.reading.type is FieldType.DATE:
            next_day = shifted(day, 1)
            if next_day == day:
                return column.is_not(None)
            return sa.or_(column < value(next_day.isoformat()), column >= value(_BEHIND_DIGITS))
        edge = border(each.reading, day)
        if edge is None:
            return column.is_not(None)
        first, last = _first_day(edge), shifted(edge.high.date(), 3)
        near = sa.and_(column >= value(first.isoformat()), column < value(last.isoformat()), sa.not_(_is_later(column, edge)))
        return either([column < value(first.isoformat()), near, column >= value(_BEHIND_DIGITS)])

    def on_or_after(self, each: Value, day: dt.date) -> Expression:  # noqa: D102
        # An offset in the value and the organisation's own can move the day by three at most.
        first = day if each.reading.type is FieldType.DATE else shifted(day, -3)
        led_by_space = sa.and_(each.column < value(_BEFORE_TEXT), sa.func.typeof(each.column) == value("text"))
        return sa.or_(each.column >= value(first.isoformat()), led_by_space)

    def surely_after(self, each: Value, day: dt.date) -> Expression:  # noqa: D102
        if each.reading.type is FieldType.DATE:
            next_day = shifted(day, 1)
            later = each.column >= value(next_day.isoformat())
            return sa.and_(later, each.column.op("GLOB")(value(_DATE))) if next_day != day else sa.false()
        edge = border(each.reading, day)
        if edge is None:
            return sa.false()
        return sa.and_(each.column >= value(_first_day(edge).isoformat()), _is_later(each.column, edge))

    def doubtful(self, each: Value, today: dt.date) -> Expression:  # noqa: D102
        column = each.column
        kind = sa.func.typeof(column)
        match each.reading.type:
            case FieldType.TEXT:
                return sa.false()
            case FieldType.NUMBER:
                strange = sa.or_(column.op("GLOB")(value("*[^0-9]*")), column == value(""))
                endless = sa.and_(kind == value("real"), sa.func.abs(column) > value(1e308))
                return sa.or_(sa.and_(kind == value("text"), strange), kind == value("blob"), endless)
            case FieldType.BOOLEAN:
                whole = sa.and_(kind == value("integer"), sa.or_(column == value(0), column == value(1)))
                return sa.and_(column.is_not(None), sa.not_(whole))
            case FieldType.DATE | FieldType.TIMESTAMP:
                pass
        reading = each.reading
        parts = [
            sa.not_(_is_readable(column, reading)),
            self.on_or_before(each, shifted(reading.earliest, -1)),
            column >= value("9999-12-28"),
        ]
        parts.extend(
            sa.and_(column >= value(shifted(day, -2).isoformat()), column < value(shifted(day, 3).isoformat())) for day in PLACEHOLDERS[:-1]
        )
        if not reading.planned:
            parts.append(self.on_or_after(each, shifted(today, 1)))
        # Being empty is no doubt: a table of people who are still employed would be read whole every night. An empty blob is no empty text.
        empty = sa.and_(kind != value("blob"), sa.func.trim(column, value(WHITESPACE)) == value(""))
        return sa.and_(column.is_not(None), either(parts), sa.not_(empty))

    def satisfies(self, each: Value, comparison: Compare) -> Expression:  # noqa: D102
        column, kind, there = each.column, sa.func.typeof(each.column), each.column.is_not(None)
        match each.reading.type:
            case FieldType.NUMBER:
                compared = _numbers(column, comparison)
                if compared is None:
                    return there
                return sa.or_(sa.and_(sa.or_(kind == value("integer"), kind == value("real")), compared), kind == value("text"))
            case FieldType.BOOLEAN:
                wanted = [truth for truth in (True, False) if compare(comparison, Known(truth)) is not Truth.FALSE]
                if len(wanted) != 1:
                    return there if wanted else sa.false()
                return sa.or_(sa.and_(kind == value("integer"), column == value(int(wanted[0]))), kind == value("text"))
            case FieldType.TEXT if all(isinstance(constant, str) for constant in comparison.values):
                return sa.or_(_texts(column, comparison), *_not_text(each.info, column))
            case _:
                return there

    def untreated(self, column: Expression, info: ColumnInfo, field: Field) -> Expression:  # noqa: D102
        there = column.is_not(None)
        treatment = field.treatment
        if treatment is None:
            return there
        match treatment.kind:
            case TreatmentKind.CLEAR:
                return there
            case TreatmentKind.CONSTANT:
                return sa.and_(there, sa.or_(Exact(column) != value(treatment.value), *_not_text(info, column)))
            case TreatmentKind.TRUNCATE:
                is_truncated = sa.func.coalesce(getattr(sa.func, IS_TRUNCATED)(column), 0)
                return sa.and_(there, column != value(""), is_truncated == sa.literal_column("0"))
            case TreatmentKind.PSEUDONYM:
                return sa.and_(there, column != value(""), sa.not_(_is_pseudonym(column, field, treatment.domain)))
            case TreatmentKind.GENERALISE:
                coarse = treatment.coarse.value if treatment.coarse is not None else ""
                is_coarse = getattr(sa.func, IS_GENERALISED)(column, value(coarse), value(treatment.size))
                return sa.and_(there, is_coarse == sa.literal_column("0"))
            case TreatmentKind.RANDOM:
                return sa.and_(there, column != value(""), sa.not_(_is_token(column, field, treatment.domain)))
            case TreatmentKind.SCRUB:
                return sa.and_(there, column != value(""), getattr(sa.func, TELLS_SOMETHING)(column) == sa.literal_column("1"))
            case _:
                assert_never(treatment.kind)

    def is_one_of(self, column: Expression, info: ColumnInfo, values: tuple[str | int | bool, ...]) -> Expression:  # noqa: ARG002, D102
        parts: list[Expression] = []
        for constant in values:
            if isinstance(constant, int):
                parts.append(column == value(int(constant)))
            parts.append(sa.collate(sa.cast(column, sa.Text), "BINARY") == value(str(constant)))
        return either(parts)

    def can_be(self, info: ColumnInfo, constant: str | int | bool) -> bool:  # noqa: ARG002, D102, FBT001
        return True

    def differs(self, one: Expression, other: Expression) -> Expression:  # noqa: D102
        return Exact(one).is_distinct_from(Exact(other))

    def shown(self, each: Value) -> Expression:  # noqa: D102
        return each.column

    def summary(self, each: Value) -> Summary:  # noqa: D102
        column, readable = each.column, _is_readable(each.column, each.reading)
        empty = sa.func.coalesce(sa.func.sum(sa.case((self.blank(column, each.info), 1), else_=0)), 0)
        if each.reading.type is FieldType.DATE:
            plain: Expression = sa.case((readable, column))
            mixed: Expression = sa.literal_column("0")
        else:
            zoned = sa.and_(readable, _has_offset(column))
            in_utc = sa.func.strftime(value("%Y-%m-%d %H:%M:%f+00:00"), column)
            plain = sa.case((zoned, in_utc), (readable, sa.func.replace(column, value("T"), value(" "))))
            count = sa.func.sum(sa.case((zoned, 1), else_=0))
            # Instants and wall-clock times can't be compared as texts: such a group is unreadable.
            mixed = sa.case((sa.and_(count > 0, count < sa.func.count(plain)), 1), else_=0)
        unreadable = sa.func.count() - empty - sa.func.count(plain) + mixed
        return Summary(empty, unreadable, sa.func.min(plain), sa.func.max(plain))


def _first_day(edge: Border) -> dt.date:
    """Return the day before which every text date in a usual form is surely not after the border."""
    return min(edge.low.date(), (edge.naive_low or edge.low).date())


def _parts(column: Expression) -> tuple[Expression, Expression, Expression, Expression]:
    """Return day, separator, clock and the rest of a timestamp's text."""
    text = sa.func.substr
    return text(column, 1, 10), text(column, 11, 1), text(column, 12, 8), text(column, 20)


def _one_of(column: Expression, patterns: list[str]) -> Expression:
    """Return whether a text has one of some forms."""
    return either(column == value(each) if "[" not in each else column.op("GLOB")(value(each)) for each in patterns)


def _is_later(column: Expression, edge: Border) -> Expression:
    """Whether a text in a usual form lies behind a border between days."""
    day, separator, clock, rest = _parts(column)
    moment = day.op("||")(value(" ")).op("||")(clock)
    in_utc = sa.and_(
        _one_of(rest, [fraction + zone for fraction in _FRACTIONS for zone in _UTC]),
        moment >= value(f"{edge.high.replace(tzinfo=None)}"[:19]),
    )
    plain = _one_of(rest, list(_FRACTIONS))
    if edge.naive_high is not None:
        plain = sa.and_(plain, moment >= value(f"{edge.naive_high}"[:19]))
    return every(
        [
            sa.or_(separator == value(" "), separator == value("T")),
            moment.op("GLOB")(value(f"{_DATE} {_CLOCK}")),
            sa.or_(in_utc, plain),
        ]
    )


def _is_readable(column: Expression, reading: Reading) -> Expression:
    """Whether a text is a day or moment that exists, in a usual form; never NULL for a value."""
    is_text = sa.func.typeof(column) == value("text")
    if reading.type is FieldType.DATE:
        return sa.and_(is_text, sa.func.coalesce(_same_day(column) == column, 0))
    day, separator, clock, rest = _parts(column)
    zones = [*_UTC, _OFFSET] + ([""] if reading.stored_zone is not None else [])
    with_clock = every(
        [
            sa.or_(separator == value(" "), separator == value("T")),
            sa.func.coalesce(sa.func.time(clock, value("+0 days")) == clock, 0),
            _one_of(rest, [fraction + zone for fraction in _FRACTIONS for zone in zones]),
        ]
    )
    general = sa.and_(sa.func.coalesce(_same_day(day) == day, 0), with_clock)
    if reading.stored_zone is None:
        return sa.and_(is_text, general)
    # What nearly every value looks like comes first: one call instead of ten.
    usual = sa.func.coalesce(sa.func.datetime(column, value("+0 days")) == column, 0)
    alone = sa.and_(sa.func.length(column) == 10, sa.func.coalesce(_same_day(column) == column, 0))
    return sa.and_(is_text, sa.or_(usual, alone, general))


def _same_day(column: Expression) -> Expression:
    """Return a text date after SQLite has counted with it: 30 February has become another day, which it does not without counting."""
    return sa.func.date(column, value("+0 days"))


def _has_offset(column: Expression) -> Expression:
    """Whether a readable timestamp says its own offset."""
    rest = sa.func.substr(column, 20)
    return rest.op("GLOB")(value("*[-+Z]*"))


def _not_text(info: ColumnInfo, column: Expression) -> list[Expression]:
    """Return the catch-all for values that are no texts: a text column turns numbers into texts, but bytes stay what they are."""
    declared, kind = info.declared.upper(), sa.func.typeof(column)
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")) and "INT" not in declared:
        return [kind == value("blob")]
    return [sa.and_(kind != value("text"), kind != value("null"))]


def _texts(column: Expression, comparison: Compare) -> Expression:
    """Return the comparison of a text, code point by code point."""
    exact, values = Exact(column), comparison.values
    match comparison.op:
        case Op.EQ | Op.IN:
            return either(exact == value(each) for each in values)
        case Op.NE | Op.NOT_IN:
            return sa.and_(column.is_not(None), *(exact != value(each) for each in values))
        case _:
            return ordered(exact, comparison.op, values[0])


def _numbers(column: Expression, comparison: Compare) -> Expression | None:
    """Return the comparison of a number; None when a constant is no number that SQLite can hold."""
    constants: list[int | float] = []
    for each in comparison.values:
        if not isinstance(each, int | Decimal):
            return None
        number = Decimal(each)
        if abs(number) > _LARGEST:
            return None
        constants.append(int(number) if number == int(number) else float(number))
    match comparison.op:
        case Op.EQ | Op.IN:
            return either(column == value(each) for each in constants)
        case Op.NE | Op.NOT_IN:
            return every(column != value(each) for each in constants)
        case _:
            return ordered(column, comparison.op, constants[0])


def _is_pseudonym(column: Expression, field: Field, domain: str) -> Expression:
    """Whether a text is surely one of this field's pseudonyms: SQLite has no regular expressions, so it is said in parts."""
    tail = f"@{domain}.invalid" if field.identifier is Identifier.EMAIL else ""
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in tail)
    # With the hyphen behind it. Looking for a letter takes a step for every one there is, so no more is looked at than is left.
    key_id = sa.func.substr(column, len("p1-") + 1, sa.func.length(column) - len("p1-") - 26 - len(tail))
    return every(
        [
            column.op("GLOB")(value("p1-[a-z0-9]*-" + "[a-z2-7]" * 26 + escaped)),
            sa.not_(key_id.op("GLOB")(value("*[^-a-z0-9]*"))),
            sa.func.instr(key_id, value("--")) == value(0),
        ]
    )


def _is_token(column: Expression, field: Field, domain: str) -> Expression:
    """Whether a text is surely one of this field's random tokens."""
    tail = f"@{domain}.invalid" if field.identifier is Identifier.EMAIL else ""
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in tail)
    return column.op("GLOB")(value("r1-" + "[a-z2-7]" * 26 + escaped))
