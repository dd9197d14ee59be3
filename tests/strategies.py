"""Random policies, facts, raw rows, standing and days for property tests, and the narrowest reading of a selection.

The facts of a random policy fit its declarations (a fact is *not applicable* only where emptiness is declared to mean that), because a
selection is compiled from the declarations.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.calendars import periods, terms
from tests.thoroughness import examples
from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op, Truth, compare
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Raw, Reading, Unknown
from worker.core.model import SEEN, Combine, Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, StateEnd, Step
from worker.core.periods import NO_TIME, Period
from worker.core.select import Absent, Compares, Holding, Intersection, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import (
    ANSWERED,
    Aggregate,
    Coarse,
    Consent,
    Field,
    Function,
    Identifier,
    Mark,
    Scrubbing,
    Source,
    Treatment,
    TreatmentKind,
)
from worker.core.standing import Hold, HoldKind, Request, RequestKind, Standing
from worker.core.treatments import PseudonymKey

RULE = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How hard a property over whole policies is tried; no deadline, because build servers stall."""

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "Europe/Amsterdam",
        "UTC",
        "America/New_York",
        "America/St_Johns",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Asia/Beirut",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "Australia/Lord_Howe",
        "America/Havana",
        "America/Asuncion",
    )
)
"""Zones with half and quarter hours, days that were skipped, and clocks that change at midnight or a minute after it."""

KEYS = {"people": PseudonymKey("p-00ff00", b"\x07" * 32)}
ORGANISATION = "Office"

_EDGES = tuple(dt.date(*parts) for parts in ((2024, 2, 29), (2024, 2, 28), (2023, 2, 28), (2021, 2, 28), (2022, 12, 31), (2023, 1, 31)))
days = st.one_of(st.sampled_from(_EDGES), st.dates(dt.date(2018, 1, 1), dt.date(2026, 12, 31)))
"""Start days, month ends and leap days among them."""
todays = st.one_of(st.sampled_from(_EDGES), st.dates(dt.date(2022, 1, 1), dt.date(2027, 1, 31)))
"""Days on which decisions are made."""

STARTS = ("left_on", "contacted_at", "quoted_on", "ends_on", "last_invoice_on", "marked_on")
"""The facts that may start a period."""
_PERSONAL = ("name", "email", "phone", "ip")
_TEXTS = ("open", "won", "lost")


_NEWS = Consent("news", "agreed_on", "withdrew_on")
_CONSENTS = ((), (_NEWS,), (_NEWS,), (_NEWS, Consent("future-use", "contacted_at")), (Consent("future-use", "agreed_on", "ends_on"),))


@st.composite
def sources(draw: st.DrawFn, *, zone: ZoneInfo | None = None) -> Source:
    """Draw a source whose fields have fixed names and types, and random meanings of emptiness."""
    where = zone or draw(st.sampled_from(ZONES))
    empty = st.sampled_from(Empty)

    def fact(name: str, kind: FieldType, stored: ZoneInfo | None = None, *, planned: bool = False) -> Field:
        return Field(name, name, Reading(kind, draw(empty), where, stored, planned=planned))

    text = Reading(FieldType.TEXT, Empty.NOT_APPLICABLE, where)
    clear = Treatment(TreatmentKind.CLEAR)
    known = Treatment(TreatmentKind.PSEUDONYM, domain="people")
    region = Treatment(TreatmentKind.GENERALISE, coarse=Coarse.REGION, size=2)
    token = Treatment(TreatmentKind.RANDOM, domain="people")
    scrub = Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(("name", "email"), countries=("NL",)))
    truncate = Treatment(TreatmentKind.TRUNCATE)
    return Source(
        "contacts",
        "crm",
        "contacts",
        ("id",),
        (
            fact("left_on", FieldType.DATE),
            fact("contacted_at", FieldType.TIMESTAMP, draw(st.sampled_from((ZoneInfo("UTC"), ZoneInfo("America/New_York"))))),
            fact("quoted_on", FieldType.DATE),
            fact("ends_on", FieldType.DATE, planned=True),
            fact("agreed_on", FieldType.DATE, planned=draw(st.booleans())),
            fact("withdrew_on", FieldType.DATE, planned=draw(st.booleans())),
            fact("status", FieldType.TEXT),
            fact("hired", FieldType.BOOLEAN),
            fact("amount", FieldType.NUMBER),
            Field("name", "name", text, personal=True, treatment=draw(st.sampled_from((clear, token)))),
            Field("email", "email", text, personal=True, treatment=known, identifier=Identifier.EMAIL),
            Field("phone", "phone", text, personal=True, treatment=draw(st.sampled_from((None, clear, region)))),
            Field(
                "ip",
                "ip",
                text,
                personal=True,
                treatment=draw(st.sampled_from((truncate, truncate, scrub))),
                follows_record=draw(st.booleans()),
            ),
        ),
        (
            Aggregate("invoice_count", "invoices", Function.COUNT),
            Aggregate("has_replies", "replies", Function.EXISTS),
            Aggregate(
                "last_invoice_on",
                "invoices",
                draw(st.sampled_from((Function.LATEST, Function.EARLIEST))),
                "sent_on",
                Reading(FieldType.DATE, draw(empty), where),
                draw(empty),
            ),
        ),
        controller=draw(st.sampled_from((True, True, True, False))),
        consents=draw(st.sampled_from(_CONSENTS)),
        marks=(Mark("marked_on", "marked", Reading(FieldType.DATE, draw(empty), where)),),
    )


def _comparisons() -> st.SearchStrategy[Condition]:
    """Return comparisons whose constants fit the type of their fact."""
    order = st.sampled_from((Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE))
    truth = st.booleans().map(lambda value: (value,))
    one_number = st.sampled_from((0, 1, Decimal("2.5"))).map(lambda value: (value,))
    return st.one_of(
        st.builds(Compare, st.sampled_from(("amount", "invoice_count")), order, one_number),
        st.builds(Compare, st.sampled_from(STARTS), order, days.map(lambda value: (value,))),
        st.builds(Compare, st.just("status"), st.sampled_from((Op.EQ, Op.NE)), st.sampled_from(_TEXTS).map(lambda value: (value,))),
        st.builds(Compare, st.just("status"), st.sampled_from((Op.IN, Op.NOT_IN)), st.just(_TEXTS[:2])),
        st.builds(Compare, st.sampled_from(("hired", "has_replies")), st.sampled_from((Op.EQ, Op.NE)), truth),
        st.builds(Compare, st.sampled_from(("left_on", "amount", "quoted_on", "last_invoice_on", "hired")), st.just(Op.EXISTS), truth),
    )


conditions: st.SearchStrategy[Condition] = st.recursive(
    _comparisons(),
    lambda part: st.one_of(
        st.builds(Every, st.lists(part, max_size=3).map(tuple)),
        st.builds(Either, st.lists(part, max_size=3).map(tuple)),
        st.builds(Negated, part),
    ),
    max_leaves=3,
)
"""Random conditions over the facts of `sources`."""


@st.composite
def purposes(draw: st.DrawFn, name: str = "purpose") -> Purpose:
    """Draw one purpose."""
    start = st.builds(
        StartEvent, st.lists(st.sampled_from(STARTS), min_size=1, max_size=3, unique=True).map(tuple), st.sampled_from(Combine)
    )
    state = st.builds(StateEnd, conditions, st.just(f"{SEEN}{name}"), st.sampled_from((None, *STARTS)), periods)
    endless = draw(st.integers(0, 5)) == 0
    basis = draw(st.sampled_from((*LegalBasis, LegalBasis.CONSENT, LegalBasis.CONSENT)))
    rests = basis is LegalBasis.CONSENT
    return Purpose(
        name,
        basis,
        tuple(draw(st.lists(st.sampled_from(_PERSONAL), min_size=1, max_size=4, unique=True))) if draw(st.booleans()) else _PERSONAL,
        None if endless and draw(st.booleans()) else draw(st.one_of(start, start, state)),
        None if endless else draw(terms),
        draw(st.one_of(st.none(), conditions)),
        consents=draw(st.sampled_from(((), ("news",), ("news",), ("future-use",), ("news", "future-use")))) if rests else (),
        marketing=draw(st.booleans()),
        legal_claim=draw(st.integers(0, 3)) == 0,
        since=None if endless else draw(st.sampled_from((None, "quoted_on", "last_invoice_on"))),
        waits=draw(st.one_of(st.none(), periods)),
    )


_CHAINS = (
    (Step(DispositionKind.DELETE),),
    (Step(DispositionKind.DELETE),),
    (Step(DispositionKind.PSEUDONYMISE),),
    (Step(DispositionKind.REVIEW),),
    (Step(DispositionKind.REVIEW), Step(DispositionKind.DELETE, Period(years=1))),
    (Step(DispositionKind.PSEUDONYMISE), Step(DispositionKind.DELETE, Period(years=1))),
    (Step(DispositionKind.PSEUDONYMISE, Period(weeks=2)), Step(DispositionKind.REVIEW, Period(months=6))),
)


@st.composite
def policies(draw: st.DrawFn, *, zone: ZoneInfo | None = None) -> Policy:
    """Draw a policy with one to three purposes, of which consents extend earlier ones, and one or two dispositions."""
    chosen = st.sampled_from(_CHAINS)
    dispositions = [Disposition(draw(chosen), draw(conditions))] if draw(st.booleans()) else []
    if draw(st.integers(0, 5)):
        dispositions.append(Disposition(draw(chosen)))
    source = draw(sources(zone=zone))
    listed: list[Purpose] = []
    for number in range(draw(st.integers(1, 3))):
        each = draw(purposes(f"purpose-{number}"))
        extended = draw(st.sampled_from((None, *(other.id for other in listed)))) if each.consents else None
        listed.append(replace(each, extends=extended))
    return Policy(
        source,
        tuple(listed),
        tuple(dispositions),
        window=Period(days=7),
        zone=source.fields[0].reading.zone,
        effective=draw(st.sampled_from((None, None, None, dt.date(2024, 2, 29)))),
    )


def _absences(*meanings: Empty) -> tuple[Fact, ...]:
    """Return what absence can be, by the declared meanings."""
    found: dict[Empty, Fact] = {Empty.UNKNOWN: Unknown("empty"), Empty.NOT_YET: NotYet(), Empty.NOT_APPLICABLE: NotApplicable()}
    return (Unknown("not a date"), *(found[meaning] for meaning in meanings))


@st.composite
def facts_for(draw: st.DrawFn, policy: Policy, today: dt.date) -> dict[str, Fact]:
    """Draw the facts of one record that fit the declarations of a policy's source; days lie ahead only where that is planned."""
    past = days.map(lambda value: Known(min(value, today)))

    def ahead(name: str) -> st.SearchStrategy[Fact]:
        return days.map(Known) if policy.source.field(name).reading.planned else past

    values: dict[str, st.SearchStrategy[Fact]] = {
        "left_on": past,
        "contacted_at": past,
        "quoted_on": past,
        "last_invoice_on": past,
        "marked_on": past,
        "ends_on": days.map(Known),
        "agreed_on": ahead("agreed_on"),
        "withdrew_on": ahead("withdrew_on"),
        "status": st.sampled_from(_TEXTS).map(Known),
        "hired": st.booleans().map(Known),
        "has_replies": st.booleans().map(Known),
        "amount": st.sampled_from((0, 1, 2, Decimal("2.5"))).map(Known),
        "invoice_count": st.integers(0, 2).map(Known),
    }
    found: dict[str, Fact] = {}
    for name in policy.deciding:
        if name == ANSWERED or name.startswith(SEEN):
            found[name] = draw(st.one_of(st.just(NotApplicable()), days.map(Known) if name == ANSWERED else past))
            continue
        absent: tuple[Fact, ...] = (Unknown("not counted"),)
        for field in (*policy.source.fields, *policy.source.marks):
            if field.name == name:
                absent = _absences(field.reading.empty)
        for aggregate in policy.source.aggregates:
            if aggregate.name == name and aggregate.reading is not None:
                absent = _absences(aggregate.reading.empty, aggregate.none)
        found[name] = draw(st.sampled_from(absent)) if draw(st.integers(0, 4)) == 0 else draw(values[name])
    return found


@st.composite
def waiting_records(draw: st.DrawFn) -> tuple[Policy, dict[str, Fact], dt.date]:
    """Draw a policy, the facts of a record for which its first purpose waits, mostly for too long, and a day: rare among all others."""
    policy, today = draw(policies()), draw(todays)
    fields = [
        replace(each, reading=replace(each.reading, empty=Empty.NOT_YET)) if each.name == "left_on" else each
        for each in policy.source.fields
    ]
    waits = replace(
        policy.purposes[0],
        start=StartEvent(("left_on", "quoted_on"), draw(st.sampled_from((*Combine, Combine.LATEST_OF)))),
        term=draw(terms),
        when=None,
        consents=(),
        extends=None,
        waits=draw(st.sampled_from((None, NO_TIME, Period(weeks=2), Period(years=1)))),
    )
    policy = replace(policy, source=replace(policy.source, fields=tuple(fields)), purposes=(waits, *policy.purposes[1:]))
    known = draw(days.map(lambda value: min(value, today)))
    return policy, draw(facts_for(policy, today)) | {"left_on": NotYet(), "quoted_on": Known(known)}, today


holds = st.builds(
    Hold, st.sampled_from(("hold-1", "hold-2")), st.sampled_from(HoldKind), st.sampled_from((None, None, dt.date(2024, 5, 1)))
)
requests = st.builds(
    Request,
    st.sampled_from(("request-1", "request-2")),
    st.sampled_from(RequestKind),
    st.dates(dt.date(2021, 1, 1), dt.date(2026, 12, 31)),
    st.booleans(),
    st.sampled_from((None, "news", "future-use")),
    st.booleans(),
    st.booleans(),
)
standings = st.builds(Standing, st.lists(holds, max_size=2).map(tuple), st.lists(requests, max_size=2).map(tuple))
"""Holds and requests of every kind, none among them."""

untreated_fields = st.one_of(st.none(), st.frozensets(st.sampled_from(_PERSONAL)))
blocking_relations = st.sampled_from(((), (), ("invoices",)))

# --- Raw values -----------------------------------------------------------------------------------------------------------------------

_CLOCK = st.sampled_from(("00:00:00", "22:00:00", "22:30:00", "21:59:59", "03:29:59", "02:31:00", "23:59:59", "99:99:99", "night!!!"))
garbage: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.decimals(allow_nan=True),
    st.binary(max_size=6),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=1),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from(ZONES)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.sampled_from(
        (
            "0000-00-00",
            "0000-00-00 00:00:00",
            "1970-01-01 00:00:00",
            "1970-01-01",
            "9999-12-31",
            "9999-12-31 23:59:59",
            "2024-W09-4",
            "20240229",
            "2024-02-30",
            " 2024-02-29 ",
            "yes",
            "N",
            "1.0",
            "1e3",
            "NaN",
            "",
            "  ",
            b"2024-02-29",
            object(),
            Decimal("sNaN"),
            dt.datetime.min,
            dt.datetime.max,
            dt.datetime.max.replace(tzinfo=dt.UTC),
        )
    ),
)
"""Values of every type that a driver, a JSON file or a spreadsheet may answer, and of some that none should."""

timestamps: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda day, clock: f"{day} {clock}", days, _CLOCK),
    st.builds(lambda day, clock: f"{day}T{clock}Z", days, _CLOCK),
    st.builds(lambda day, clock: f"{day} {clock}.250000", days, _CLOCK),
    st.datetimes(dt.datetime(2018, 1, 1), dt.datetime(2027, 1, 1)),
    st.datetimes(dt.datetime(2018, 1, 1), dt.datetime(2027, 1, 1), timezones=st.sampled_from(ZONES)),
    garbage,
)
"""Timestamps as they are stored, several on one day, and garbage."""


@st.composite
def rows_for(draw: st.DrawFn, policy: Policy, columns: tuple[str, ...], count: int) -> list[tuple[Raw, ...]]:
    """Draw raw rows of a policy's source in which values are often repeated."""
    dates = st.one_of(days, days.map(str), st.none(), garbage)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "left_on": dates,
        "quoted_on": dates,
        "marked_on": dates,
        ANSWERED: st.one_of(st.none(), days),
        "ends_on": dates,
        "agreed_on": dates,
        "withdrew_on": dates,
        "contacted_at": timestamps,
        "status": st.one_of(st.sampled_from(_TEXTS), garbage),
        "hired": st.one_of(st.sampled_from((0, 1, 1.0, True, False, "yes", None)), garbage),
        "amount": st.one_of(st.sampled_from((0, 1, 1.0, "1", Decimal("1.00"), True)), garbage),
        "invoice_count": st.one_of(st.integers(0, 2), garbage),
        "has_replies": st.one_of(st.integers(0, 1), st.booleans(), garbage),
        "last_invoice_on": st.one_of(
            st.builds(lambda first, last: (2, 0, 0, min(first, last), max(first, last)), days, days),
            st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), dates, dates),
            garbage,
        ),
        "ip": st.sampled_from((None, "", "192.0.2.7", "192.0.2.0", "::1", "Ada wrote", "nobody wrote")),
    }
    kinds.update(dict.fromkeys((name for name in columns if name.startswith(SEEN)), kinds[ANSWERED]))
    few = {name: draw(st.lists(kinds.get(name, st.sampled_from((None, "Ada"))), min_size=1, max_size=3)) for name in columns}
    return [tuple(draw(st.sampled_from(few[name])) for name in columns) for _ in range(count)]


# --- What a selection selects ---------------------------------------------------------------------------------------------------------


def selects(selection: Selection, facts: Mapping[str, Fact], untreated: Collection[str]) -> bool:
    """Whether a selection holds a record, read as narrowly as its words allow: whoever reads it wider only selects more."""
    match selection:
        case Union(of):
            return any(selects(part, facts, untreated) for part in of)
        case Intersection(of):
            return all(selects(part, facts, untreated) for part in of)
        case OnOrBefore(name, day):
            fact = facts[name]
            return isinstance(fact, Known) and isinstance(fact.value, dt.date) and fact.value <= day
        case Absent(name):
            return facts[name] in (NotYet(), NotApplicable(), Unknown("empty"))
        case Suspect(name):
            return isinstance(facts[name], Unknown)
        case Compares(comparison):
            return isinstance(facts[comparison.fact], Known) and compare(comparison, facts[comparison.fact]) is Truth.TRUE
        case Holding(name):
            return name in untreated
        case _:
            assert_never(selection)


def plain_policy(*purposes: Purpose, source: Source, steps: tuple[Step, ...] = (Step(DispositionKind.DELETE, NO_TIME),)) -> Policy:
    """Return a policy with one unconditional disposition."""
    return Policy(source, purposes, (Disposition(steps),), zone=AMSTERDAM)
