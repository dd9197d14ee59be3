"""Values in databases whose columns have types: PostgreSQL and MariaDB.

A day is compared as `column < constant`, without a function around the column, so that an index serves.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import ClassVar, assert_never

import sqlalchemy as sa

from connectors.sql.expressions import Exact, Expression, either, every, ordered, value
from connectors.sql.moments import border, shifted
from connectors.sql.storage import Summary, Value
from connectors.sql.tables import ColumnInfo, Kind
from worker.core.conditions import Compare, Op, Truth, compare
from worker.core.facts import PLACEHOLDERS, FieldType, Known
from worker.core.scrubbing import TELLS
from worker.core.sources import Coarse, Field, Treatment, TreatmentKind

_TIMES = (Kind.NAIVE, Kind.AWARE)
_FIRST_DAY, _LAST_DAY = dt.date(1, 1, 1), dt.date(9999, 12, 29)
_BOOLEAN_TEXTS = {True: ("1", "true", "t", "yes", "y"), False: ("0", "false", "f", "no", "n")}
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = "[1-9a-f][0-9a-f]{0,3}"
_TRUNCATED = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.0|(?!2002:){_GROUP}(:{_GROUP}|:(0|{_GROUP}):{_GROUP})?::"
"""Addresses that are surely truncated: without their last octet, or of 48 bits in the one form that is written (6to4 keeps fewer bits)."""


class TypedStorage:
    """What PostgreSQL and MariaDB have in common; the methods without a docstring keep the protocol's promise."""

    doubtful_as_a_group: ClassVar[bool] = False

    def blank(self, column: Expression, info: ColumnInfo) -> Expression:  # noqa: D102
        empty = column.is_(None)
        return sa.or_(empty, self.only_spaces(column)) if info.kind is Kind.TEXT else empty

    def only_spaces(self, column: Expression) -> Expression:
        """Whether a text holds nothing but white space, as `str.strip` understands it."""
        raise NotImplementedError

    def matches(self, column: Expression, pattern: str) -> Expression:
        """Whether the whole of a text matches a regular expression, case-sensitively."""
        raise NotImplementedError

    def contains(self, column: Expression, pattern: str) -> Expression:
        """Whether a part of a text matches a regular expression, case-sensitively; also where the server gave up looking."""
        raise NotImplementedError

    def on_or_before(self, value: Value, day: dt.date) -> Expression:  # noqa: D102
        return self._compared(value, day, lower=True, sure=False)

    def on_or_after(self, value: Value, day: dt.date) -> Expression:  # noqa: D102
        return self._compared(value, shifted(day, -1), lower=False, sure=False)

    def surely_after(self, value: Value, day: dt.date) -> Expression:  # noqa: D102
        return self._compared(value, day, lower=False, sure=True)

    def _compared(self, each: Value, day: dt.date, *, lower: bool, sure: bool) -> Expression:
        """Return the comparison with the end of a day: before it (`lower`) or after it; `sure` moves a doubtful border out of the way."""
        column = each.column
        if each.info.kind is Kind.DATE or (each.info.kind is Kind.NAIVE and each.reading.type is FieldType.DATE):
            next_day = shifted(day, 1)
            if next_day == day:
                return sa.true() if lower or not sure else sa.false()
            return column < value(next_day) if lower else column >= value(next_day)
        edge = border(each.reading, day)
        high = lower or sure
        limit = None
        if edge is not None and each.info.kind is Kind.AWARE:
            limit = edge.high if high else edge.low
        elif edge is not None and each.info.kind is Kind.NAIVE:
            limit = edge.naive_high if high else edge.naive_low
        if limit is None:
            return sa.false() if sure else column.is_not(None)
        return column < value(limit) if lower else column >= value(limit)

    def doubtful(self, value: Value, today: dt.date) -> Expression:  # noqa: D102
        match value.reading.type:
            case FieldType.TEXT:
                return sa.false()
            case FieldType.NUMBER:
                return self._no_number(value)
            case FieldType.BOOLEAN:
                return self._no_boolean(value)
            case FieldType.DATE | FieldType.TIMESTAMP:
                return self._no_day(value, today)

    def _no_number(self, each: Value) -> Expression:
        """Whether a value may be no finite number."""
        if each.info.kind in (Kind.NUMBER, Kind.APPROXIMATE):
            return self.not_finite(each.column)
        return sa.false() if each.info.kind is Kind.BOOLEAN else each.column.is_not(None)

    def not_finite(self, column: Expression) -> Expression:  # noqa: ARG002
        """Whether a numeric column holds something that is no finite number."""
        return sa.false()

    def _no_boolean(self, each: Value) -> Expression:
        """Whether a value may be no boolean."""
        if each.info.kind is Kind.BOOLEAN:
            return sa.false()
        if each.info.kind is Kind.NUMBER:
            return every([each.column != value(0), each.column != value(1)])
        known = [text for texts in _BOOLEAN_TEXTS.values() for text in texts]
        return sa.and_(each.column.is_not(None), *(Exact(each.column) != value(text) for text in known))

    def _no_day(self, each: Value, today: dt.date) -> Expression:
        """Whether a value may be no plausible day."""
        column, kind, reading = each.column, each.info.kind, each.reading
        mistyped = kind is Kind.AWARE if reading.type is FieldType.DATE else kind is Kind.DATE
        if (
            kind not in (Kind.DATE, *_TIMES)
            or mistyped
            or (kind is Kind.NAIVE and reading.type is FieldType.TIMESTAMP and not reading.stored_zone)
        ):
            return column.is_not(None)
        parts = [self.on_or_before(each, shifted(reading.earliest, -1)), column >= value(_LAST_DAY)]
        # A moment is a placeholder when its day is one as it was written, in UTC or in the organisation's zone.
        around = 0 if reading.type is FieldType.DATE else 2
        parts.extend(sa.and_(column >= value(shifted(day, -around)), column < value(shifted(day, around + 1))) for day in PLACEHOLDERS[:-1])
        if not reading.planned:
            parts.append(self.on_or_after(each, shifted(today, 1)))
        odd = self.odd_day(each)
        return either(parts if odd is None else [*parts, odd])

    def odd_day(self, each: Value) -> Expression | None:
        """Whether a value is no day although its type says so; None where that can't happen."""
        if each.info.kind is Kind.NAIVE and each.reading.type is FieldType.DATE:
            return self.has_time(each.column)
        return None

    def has_time(self, column: Expression) -> Expression:
        """Whether a timestamp is not midnight."""
        raise NotImplementedError

    def satisfies(self, value: Value, comparison: Compare) -> Expression:  # noqa: D102
        there = value.column.is_not(None)
        match value.reading.type:
            case FieldType.NUMBER if value.info.kind is Kind.NUMBER:
                return _numbers(value.column, comparison)
            case FieldType.BOOLEAN:
                return self._booleans(value, comparison)
            case FieldType.TEXT if value.info.kind is Kind.TEXT and not value.info.padded:
                return self._texts(value.column, comparison)
            case _:
                return there

    def _booleans(self, each: Value, comparison: Compare) -> Expression:
        """Return the comparison of a boolean: the truth values for which it is true."""
        wanted = [truth for truth in (True, False) if compare(comparison, Known(truth)) is not Truth.FALSE]
        if len(wanted) != 1:
            return each.column.is_not(None) if wanted else sa.false()
        if each.info.kind is Kind.BOOLEAN:
            return each.column.is_(wanted[0])
        if each.info.kind is Kind.NUMBER:
            return each.column == value(int(wanted[0]))
        return each.column.is_not(None)

    def _texts(self, column: Expression, comparison: Compare) -> Expression:
        """Return the comparison of a text; the plain one for the index, the exact one because collations are generous."""
        values = comparison.values
        if not all(isinstance(each, str) for each in values):
            return column.is_not(None)
        exact = Exact(column)
        match comparison.op:
            case Op.EQ | Op.IN:
                return either(sa.and_(self.plainly_equal(column, each), exact == value(each)) for each in values)
            case Op.NE | Op.NOT_IN:
                return sa.and_(column.is_not(None), *(exact != value(each) for each in values))
            case _:
                return ordered(exact, comparison.op, values[0])

    def plainly_equal(self, column: Expression, constant: object) -> Expression:
        """Return the comparison that an index can serve."""
        return column == value(constant)

    def untreated(self, column: Expression, info: ColumnInfo, field: Field) -> Expression:  # noqa: D102
        treatment = field.treatment
        there = column.is_not(None)
        if treatment is None or treatment.kind is TreatmentKind.CLEAR:
            return there
        if treatment.kind is TreatmentKind.GENERALISE:
            return sa.and_(there, self._is_fine(column, info, treatment))
        if info.kind is not Kind.TEXT or info.padded:
            return there
        exact = Exact(column)
        match treatment.kind:
            case TreatmentKind.CONSTANT:
                return sa.and_(there, exact != value(treatment.value))
            case TreatmentKind.TRUNCATE:
                return sa.and_(there, exact != value(""), sa.not_(self.matches(column, _TRUNCATED)))
            case TreatmentKind.PSEUDONYM:
                pattern = r"p1-[a-z0-9]+(-[a-z0-9]+)*-[a-z2-7]{26}(@[a-z0-9.-]+\.invalid)?"
                return sa.and_(there, exact != value(""), sa.not_(self.matches(column, pattern)))
            case TreatmentKind.RANDOM:
                pattern = r"r1-[a-z2-7]{26}(@[a-z0-9.-]+\.invalid)?"
                return sa.and_(there, exact != value(""), sa.not_(self.matches(column, pattern)))
            case TreatmentKind.SCRUB:
                return sa.and_(there, exact != value(""), self.contains(column, TELLS))
            case _:
                assert_never(treatment.kind)

    def _is_fine(self, column: Expression, info: ColumnInfo, treatment: Treatment) -> Expression:
        """Whether a value may be finer than `generalise` leaves it."""
        match treatment.coarse:
            case Coarse.MONTH | Coarse.YEAR if info.kind in (Kind.DATE, *_TIMES):
                parts = [sa.extract("day", column) != value(1), sa.not_(column.between(value(_FIRST_DAY), value(_LAST_DAY)))]
                if treatment.coarse is Coarse.YEAR:
                    parts.append(sa.extract("month", column) != value(1))
                if info.kind is not Kind.DATE:
                    parts.append(self.has_time(column))
                # A day that is no day has no parts.
                return sa.func.coalesce(either(parts), sa.true())
            case Coarse.REGION if info.kind is Kind.TEXT and not info.padded:
                return sa.and_(Exact(column) != value(""), sa.not_(self.matches(column, f"[0-9A-Z]{{1,{treatment.size}}}")))
            case Coarse.RANGE if info.kind is Kind.NUMBER:
                size: Expression = sa.literal_column(str(int(treatment.size)))
                return sa.or_(sa.func.floor(column / size) * size != column, self.not_finite(column))
            case _:
                return sa.true()

    def is_one_of(self, column: Expression, info: ColumnInfo, values: tuple[str | int | bool, ...]) -> Expression:  # noqa: D102
        if info.kind is Kind.BOOLEAN:
            wanted = {truth for each in values for truth, texts in _BOOLEAN_TEXTS.items() if str(each).lower() in texts}
            return either(column.is_(truth) for truth in wanted)
        if info.kind in (Kind.NUMBER, Kind.APPROXIMATE):
            return either(column == value(number) for each in values if (number := _number(each)) is not None)
        if info.kind is Kind.UUID:
            return either(Exact(column) == value(str(each).lower()) for each in values)
        return either(Exact(column) == value(str(each)) for each in values)

    def can_be(self, info: ColumnInfo, constant: str | int | bool) -> bool:  # noqa: D102, FBT001 - a constant of the policy file
        match info.kind:
            case Kind.BOOLEAN:
                return any(str(constant).lower() in texts for texts in _BOOLEAN_TEXTS.values())
            case Kind.NUMBER | Kind.APPROXIMATE:
                return _number(constant) is not None
            case _:
                return not isinstance(constant, bool)

    def differs(self, one: Expression, other: Expression) -> Expression:  # noqa: D102
        return Exact(one).is_distinct_from(Exact(other))

    def summary(self, value: Value) -> Summary:  # noqa: D102
        odd = self.odd_day(value)
        unreadable = None if odd is None else sa.func.coalesce(sa.func.sum(sa.case((odd, 1), else_=0)), 0)
        blanks = sa.func.count() - sa.func.count(value.column)
        lowest, highest = (self.shown(Value(end(value.column), value.info, value.reading)) for end in (sa.func.min, sa.func.max))
        return Summary(blanks, unreadable, lowest, highest)

    def shown(self, each: Value) -> Expression:  # noqa: D102
        if each.info.kind is not Kind.NAIVE or each.reading.type is not FieldType.DATE:
            return each.column
        # Moments come as texts, and a text with a clock in it is no day: midnight is left out.
        day = sa.cast(sa.cast(each.column, sa.Date), sa.Text)
        return sa.case((self.has_time(each.column), sa.cast(each.column, sa.Text)), else_=day)


def _numbers(column: Expression, comparison: Compare) -> Expression:
    """Return the comparison of a number; a constant that is none leaves it open."""
    values = comparison.values
    if not all(isinstance(each, int | Decimal) for each in values):
        return column.is_not(None)
    match comparison.op:
        case Op.EQ | Op.IN:
            return either(column == value(each) for each in values)
        case Op.NE | Op.NOT_IN:
            return every(column != value(each) for each in values)
        case _:
            return ordered(column, comparison.op, values[0])


def _number(constant: str | int | bool) -> int | Decimal | None:  # noqa: FBT001 - a constant of the policy file
    """Return a constant as the number it is, or None."""
    if isinstance(constant, int):
        return int(constant)
    try:
        return Decimal(constant)
    except ArithmeticError:
        return None
