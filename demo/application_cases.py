"""The awkward application files, each with what a decision should come to on the default as-of date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from demo import documents
from demo.applications import WEEK, Cabinet, Facts
from demo.cases import Case
from demo.crm_cases import EVERYWHERE
from demo.people import person, years_before

_SHARED_TEXTS = ("vacancy", "assignment", "group-interview")
_DUE = "due: eight weeks after the procedure are over"


def add(cabinet: Cabinet, as_of: date) -> dict[str, Case]:
    """Add every awkward dossier and the shared files, and return the cases by name; to be called first."""
    cases: dict[str, Case] = {}
    ended = as_of - 12 * WEEK
    for name in _SHARED_TEXTS:
        text = documents.pdf(f"Vacature: {name}", ("Wij zoeken een collega.",))
        cabinet.put(f"shared/{name}.pdf", text, years_before(as_of, 3))

    def past() -> Facts:
        return Facts(person(4100 + cabinet.count), as_of - 20 * WEEK, ended)

    def case(name: str, facts: Facts, why: str, expected: str, sidecar: bytes | None = None) -> None:
        cases[name] = Case("applications", cabinet.dossier(facts, sidecar=sidecar), why, expected)

    kept = "kept: a year, with consent"
    everywhere = replace(past(), who=EVERYWHERE, procedure_ended_on=as_of - 10 * WEEK)
    case("everywhere_application", everywhere, "also a contact, a member and a commenter", _DUE)
    for name, days, expected in (
        ("application_due_yesterday", -1, _DUE),
        ("application_due_today", 0, "kept: through the whole of today"),
        ("application_due_tomorrow", 1, "kept: through tomorrow"),
    ):
        facts = replace(past(), procedure_ended_on=as_of - 8 * WEEK + timedelta(days=days))
        case(name, facts, "eight weeks around the as-of date", expected)
    case("application_hired", replace(past(), hired=True), "this one got the job", "kept: not a rejected application")
    unknown = replace(past(), hired=None)
    case("application_hired_unknown", unknown, "nobody filled in who got it", "undetermined: hired is missing")
    still = "kept: the procedure is still open"
    case("application_open", replace(past(), procedure_ended_on=None, hired=None), "no end date", still)
    case("application_open_empty", replace(past(), procedure_ended_on="", hired=None), "an empty end date", still)
    waiting = Facts(person(4190), years_before(as_of, 3), None, None)
    case("application_open_for_years", waiting, "open for three years", f"{still}, and a person should look")
    future = replace(past(), procedure_ended_on=as_of + 2 * WEEK)
    case("application_ends_in_future", future, "ends after the as-of date", "undetermined: in the future")
    zero = replace(past(), procedure_ended_on="0000-00-00")
    case("application_zero_date", zero, "zeroes for a date", "undetermined: not a date")
    leap = replace(past(), received_on=date(2024, 1, 8), procedure_ended_on=date(2024, 2, 29))
    case("application_leap_day", leap, "ended on 29 February", _DUE)
    case("application_consent", replace(past(), consent_given_on=ended), "consent to keep it", kept)
    long_ago = years_before(as_of, 1) - WEEK
    expired = Facts(person(4192), long_ago - 8 * WEEK, long_ago, consent_given_on=long_ago)
    case("application_consent_expired", expired, "consent, over a year ago", "due: the year is over")
    late = replace(past(), consent_given_on=ended + 9 * WEEK)
    case("application_consent_too_late", late, "consent after the eight weeks", "due: consent revives nothing")
    withdrawn = replace(past(), consent_given_on=ended, consent_withdrawn_on=ended + 10 * WEEK)
    case("application_consent_withdrawn", withdrawn, "consent, then withdrawn", "due: since the withdrawal")
    same_day = replace(past(), consent_given_on=ended, consent_withdrawn_on=ended)
    case("application_consent_same_day", same_day, "given and withdrawn in one day", "due: the withdrawal wins")
    awkward = replace(person(4191), name="Zoë 'de' \"Wilge\" \\ 🌻")
    case("application_awkward_name", replace(past(), who=awkward), "quotation marks and a backslash in a name", _DUE)
    _shared(cabinet, cases, past)
    _unreadable(cabinet, cases, past)
    return cases


def _shared(cabinet: Cabinet, cases: dict[str, Case], past: Callable[[], Facts]) -> None:
    def both(name: str, file: str, other: Facts, why: str, expected: str) -> None:
        attachments = (f"../shared/{file}.pdf",)
        first = cabinet.dossier(replace(past(), attachments=attachments))
        second = cabinet.dossier(replace(other, attachments=attachments))
        cases[name] = Case("applications", first, why, expected, (("applications", second),))

    both("shared_file_all_due", "assignment", past(), "two dossiers share a file", f"{_DUE}, the file with the last one")
    still_open = replace(past(), procedure_ended_on=None, hired=None)
    why = "shares a file with a dossier that stays"
    both("shared_file_still_needed", "group-interview", still_open, why, f"{_DUE}, the shared file stays")
    missing = replace(past(), attachments=("../shared/never-scanned.pdf",))
    name = cabinet.dossier(missing)
    cases["shared_file_missing"] = Case("applications", name, "names a file that isn't there", _DUE)


def _unreadable(cabinet: Cabinet, cases: dict[str, Case], past: Callable[[], Facts]) -> None:
    for name, text, why in (
        ("sidecar_broken", b'{"name": "', "the sidecar breaks off"),
        ("sidecar_not_text", b"\xff\xfe\x00\x01", "the sidecar is no text"),
        ("sidecar_missing", b"", "there is no sidecar"),
    ):
        key = cabinet.dossier(past(), sidecar=text)
        cases[name] = Case("applications", key, why, "unreadable: kept and reported")
    empty = cabinet.empty_dossier(past().received_on)
    cases["dossier_empty"] = Case("applications", empty, "a folder with nothing in it", "unreadable: kept and reported")
