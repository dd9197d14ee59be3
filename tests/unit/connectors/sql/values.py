"""Values that stand in columns, readings of them, and selections that ask about them, for property tests on any database."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from connectors.contract.cases import TODAY
from worker.core.conditions import Compare, Op
from worker.core.facts import Empty, FieldType, Reading
from worker.core.select import Absent, Compares, Holding, OnOrBefore, Selection, Suspect
from worker.core.sources import Coarse, Field, Identifier, Scrubbing, Source, Treatment, TreatmentKind

ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Pacific/Kiritimati", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia")
DAYS = (
    dt.date(2024, 2, 29),
    dt.date(2024, 3, 31),
    dt.date(2024, 10, 27),
    dt.date(2025, 12, 31),
    dt.date(2017, 10, 15),
    dt.date(2011, 12, 30),
    dt.date(1970, 1, 1),
    TODAY,
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.builds(lambda day, more: day + dt.timedelta(days=more), st.sampled_from(DAYS), st.integers(-3, 3))
clocks = st.sampled_from(
    [
        dt.time(0, 0),
        dt.time(23, 59, 59),
        dt.time(22, 0),
        dt.time(22, 30),
        dt.time(23, 0),
        dt.time(1, 0),
        dt.time(2, 30),
        dt.time(10, 0),
        dt.time(14, 0),
    ]
)
moments = st.builds(
    lambda day, clock, more: dt.datetime.combine(day, clock) + dt.timedelta(seconds=more),
    days,
    clocks,
    st.sampled_from([-1, 0, 0, 0, 1, 3600]),
)
_forms = st.sampled_from(
    ["{0:%Y-%m-%d %H:%M:%S}"] * 4
    + [
        "{0:%Y-%m-%dT%H:%M:%S}",
        "{0:%Y-%m-%d %H:%M:%S}.123",
        "{0:%Y-%m-%dT%H:%M:%S}.999999",
        "{0:%Y-%m-%dT%H:%M:%S}Z",
        "{0:%Y-%m-%d %H:%M:%S}+00:00",
        "{0:%Y-%m-%d %H:%M:%S}.250Z",
        "{0:%Y-%m-%dT%H:%M:%S}+02:00",
        "{0:%Y-%m-%dT%H:%M:%S}-11:30",
        "{0:%Y-%m-%d %H:%M:%S}+14:00",
        "{0:%Y-%m-%d %H:%M:%S}+23:59",
        "{0:%Y-%m-%d %H:%M:%S}-23:59",
        "{0:%Y-%m-%d}",
        "{0:%Y-%m-%d %H:%M}",
        "{0:%Y-%m-%dT%H}",
        "{0:%Y%m%d}",
        "{0:%Y%m%dT%H%M%S}",
        "{0:%G-W%V-%u}",
        " {0:%Y-%m-%d %H:%M:%S}",
        "\t{0:%Y-%m-%d}",
        "\xa0{0:%Y-%m-%d}",
        "\u3000{0:%Y-%m-%d %H:%M:%S}\n",
        "{0:%Y-%m-%d %H:%M:%S} ",
        "{0:%Y-%m-%d}x%H",
    ]
)
_garbage = st.sampled_from(
    [
        None, "", " ", "\xa0", "\u2003 ", "yesterday",
        "0000-00-00", "0000-00-00 00:00:00", "2024-13-01", "2024-02-30", "2023-02-29 10:00:00",
        "2024-02-28 24:00:00", "2024-02-28 23:59:60",
        "2024-02-28 99:00:00", "now", "9999-12-31", "9999-12-31 23:59:59",
        "1900-01-01", "1970-01-01",
        "1970-01-01 00:00:00",
        "1899-12-31",
        "-0044-03-15", "12024-01-01", "2024", "!", ":", "~", "é", "２０２４-01-01", 0, 20240101, 1719700000,
        2460000.5, b"2024-01-01", float("inf"),
    ]
)  # fmt: skip
text_dates = st.one_of(st.builds(str.format, _forms, moments), st.builds(str.format, _forms, moments), _garbage)
texts = st.sampled_from(
    [
        None, "", " ", "\xa0", "open", "OPEN", "open ", " open", "Open", "öpen", "o\u0308pen", "closed", "removed", "REMOVED", "removed ",
        "p1-k1-" + "a" * 26, "p1-k1-" + "A" * 26, "p1-k-1-" + "b" * 26,
        "p1--" + "b" * 26, "p1-x y-" + "b" * 26, "p1-k1-" + "1" * 26,
        "p1-k1-" + "a" * 27, "p1-k1-" + "a" * 26 + "@people.invalid", "p1-k1-" + "a" * 26 + "@PEOPLE.invalid", "p1-k1-" + "a" * 26 + "\n",
        "p1-k1-" + "a" * 26 + "@other.invalid", "P1-k1-" + "a" * 26, "someone@example.example",
        "p1-k1-" + "a" * 26 + "@people_invalid",
        "192.0.2.0", "192.0.2.77", "999.1.1.0", "01.2.3.0", "1.2.3.0 ", "1.2.3.0\n", "2001:db8::", "2001:db8::1", "0.0.0.0",
        "::ffff:1.2.3.0",
        "p1-%-" + "_" * 26, "a%", "0", "1", "5",
        "r1-" + "a" * 26, "r1-" + "A" * 26, "r1-" + "a" * 27, "r1-" + "1" * 26, "r1-" + "a" * 26 + "@people.invalid",
        "r1-" + "a" * 26 + "\n",
        "1234 AB", "12", "1234", "NL-1234", "ab", "AB", "é1", "1 2", "*", "Ada", "ada wrote", "Ada B. Lovelace", "B. ada LOVELACE, said",
        "call 06-12345678", "0612345678", "order 20240517123", "[e-mail]", "mail ada@example.example", "bsn 123456782", "at 10.0.0.77:8",
        "NL91ABNA0417164300", "pay NL91 ABNA 0417 1643 00 now", "fe80::1", "std::vector", "12:30:45", "1:2:3:4:5:6:7:8",
    ]
)  # fmt: skip
numbers = st.sampled_from([None, 0, 1, -1, 4, 5, 7, 10**15, -(10**15)])


@st.composite
def readings(draw: st.DrawFn, kind: FieldType, *, zoned: bool = False) -> Reading:
    """Return how a column is read; a timestamp with the zone it is stored in, unless it may carry its own."""
    stored = None
    if kind is FieldType.TIMESTAMP and not (zoned and draw(st.booleans())):
        stored = draw(zones)
    earliest = draw(st.sampled_from([dt.date(1900, 1, 2), dt.date(1900, 1, 2), dt.date(1850, 1, 1), dt.date(2011, 12, 30)]))
    return Reading(kind, draw(st.sampled_from(list(Empty))), draw(zones), stored, earliest, draw(st.booleans()))


def source_of(kinds: dict[str, Reading]) -> Source:
    """Return a source with a field per reading, texts with a treatment each, and values that are made coarser."""
    plain = Reading(FieldType.TEXT, Empty.UNKNOWN, ZoneInfo("UTC"))
    treated = {
        "cleared": Treatment(TreatmentKind.CLEAR),
        "constant": Treatment(TreatmentKind.CONSTANT, value="removed"),
        "address": Treatment(TreatmentKind.TRUNCATE),
        "person": Treatment(TreatmentKind.PSEUDONYM, domain="people"),
        "region": Treatment(TreatmentKind.GENERALISE, coarse=Coarse.REGION, size=2),
        "token": Treatment(TreatmentKind.RANDOM, domain="people"),
        "alone": Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(countries=("NL",))),
        "remarks": Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(("person", "mail", "cleared", "open_name"), countries=("NL",))),
    }
    coarse = {
        "month": (FieldType.DATE, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.MONTH)),
        "year": (FieldType.DATE, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.YEAR)),
        "moment": (FieldType.TIMESTAMP, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.MONTH)),
        "instant": (FieldType.TIMESTAMP, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.YEAR)),
        "tens": (FieldType.NUMBER, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.RANGE, size=10)),
        "price": (FieldType.NUMBER, Treatment(TreatmentKind.GENERALISE, coarse=Coarse.RANGE, size=7)),
    }
    mail = Field("mail", "mail", plain, treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people"), identifier=Identifier.EMAIL)
    fields = (
        *(Field(name, name, reading) for name, reading in kinds.items()),
        *(Field(name, name, plain, treatment=treatment) for name, treatment in treated.items()),
        mail,
        Field("posted", "posted", plain, treatment=Treatment(TreatmentKind.RANDOM, domain="people"), identifier=Identifier.EMAIL),
        Field("open_name", "open_name", plain),
        *(
            Field(name, name, Reading(kind, Empty.UNKNOWN, ZoneInfo("UTC"), ZoneInfo("UTC")), treatment=treatment)
            for name, (kind, treatment) in coarse.items()
        ),
    )
    return Source("things", "sql", "things", ("id",), fields)


TREATED = ("cleared", "constant", "address", "person", "mail", "region", "token", "alone", "remarks", "posted", "open_name")
"""Texts with a treatment, and one that stands beside them without any."""

COARSE_DAYS, COARSE_MOMENTS, COARSE_NUMBERS = ("month", "year"), ("moment", "instant"), ("tens", "price")
COARSE = (*COARSE_DAYS, *COARSE_MOMENTS, *COARSE_NUMBERS)
"""Values that are made coarser, by what they are."""

first_days = st.one_of(days, days.map(lambda day: day.replace(day=1)), days.map(lambda day: day.replace(day=1, month=1)), st.none())
first_moments = st.builds(lambda day, clock: day and dt.datetime.combine(day, clock), first_days, st.one_of(st.just(dt.time(0, 0)), clocks))
amounts = st.sampled_from([None, 0, 7, 10, 31, 70, -1, -7, -10, 10**15])


@st.composite
def leaves(draw: st.DrawFn, source: Source) -> Selection:
    """Return a question about one field."""
    field = draw(st.sampled_from([each for each in source.fields if each.name not in (*TREATED, *COARSE) or each.name == "person"]))
    kind = field.reading.type
    if draw(st.integers(0, 4)) == 0:
        return Holding(draw(st.sampled_from([each for each in (*TREATED, *COARSE) if each != "open_name"])))
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([Absent(field.name), Suspect(field.name, TODAY), Suspect(field.name, TODAY)]))
    ops = st.sampled_from([op for op in Op if op is not Op.EXISTS])
    constants: st.SearchStrategy[object] = st.sampled_from(["open", "closed", "5", ""])
    match kind:
        case FieldType.DATE | FieldType.TIMESTAMP:
            if draw(st.booleans()):
                return OnOrBefore(field.name, draw(days))
            constants = days
        case FieldType.NUMBER:
            constants = st.sampled_from([0, 1, 5, 10**15, Decimal("0.1"), Decimal("4.5")])
        case FieldType.BOOLEAN:
            constants = st.booleans()
    op = draw(ops)
    several = op in (Op.IN, Op.NOT_IN)
    chosen = draw(st.lists(constants, min_size=1, max_size=3 if several else 1))
    return Compares(Compare(field.name, op, tuple(chosen)))  # type: ignore[arg-type]
