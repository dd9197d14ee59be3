"""The awkward records of the CRM, each with what a decision should come to on the default as-of date."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import date, timedelta

from demo.cases import Case
from demo.crm import Crm
from demo.people import Person, person, utc, years_before

EVERYWHERE = replace(person(1), name="Marijke Zomeroord", email="marijke.zomeroord@kantoor.example.com")
IDN = replace(person(2), name="Jörg Bücherhoven", email="jörg@bücher.example")
IDN_ENCODED = replace(IDN, email="jörg@xn--bcher-kva.example")

_IMPLAUSIBLE = {
    "zero_date": ("0000-00-00 00:00:00", "no date at all, written as zeroes"),
    "date_1900": ("1900-01-01 00:00:00", "the first day of a spreadsheet"),
    "date_1970": ("1970-01-01 00:00:00", "the first second of a computer's clock"),
    "date_9999": ("9999-12-31 23:59:59", "the last day a database can hold"),
    "unparsable_last_contact": ("voorjaar 2019", "somebody typed a season"),
}
_INSTANTS = {
    "leap_day": ("2024-02-29 12:00:00", "29 February", "due: kept through 2026-02-28"),
    "month_end_31_august": ("2023-08-31 12:00:00", "the last day of a long month", "due: kept through 2025-08-31"),
    "month_end_28_february": ("2022-02-28 12:00:00", "28 February, before a leap year", "due: kept through 2024-02-28"),
    "month_end_22_30_utc": ("2024-06-30 22:30:00", "it is 1 July in Amsterdam", "kept: through 2026-07-01"),
    "late_evening_utc": ("2024-06-29 22:30:00", "it is 30 June in Amsterdam", "kept: through 2026-06-30"),
    "month_end_winter_22_30_utc": ("2024-01-31 22:30:00", "it is still 31 January", "due: kept through 2026-01-31"),
}
_NAMES = {
    "name_with_apostrophes": ("D'Arcy van 't Zandveld-O’Wilgen", "both kinds of apostrophe"),
    "name_with_emoji": ("Lotte 🌻👩‍🚀 Veneveld", "signs outside the basic plane, joined"),
    "name_right_to_left": ("\u200fליאור דמיוני\u200f", "written from right to left, with marks"),
    "name_very_long": ("Wolf" + "gang" * 250 + " Lindesloot", "a thousand letters"),
    "name_with_control_characters": ("Ruben\x1b[31m Essene\thorst\r\n", "signs that would colour a terminal"),
    "name_that_is_a_formula": ('=HYPERLINK("https://example.com","Sanne")', "a spreadsheet would execute it"),
}


def add(crm: Crm, as_of: date) -> dict[str, Case]:
    """Add every awkward record and return them by name; to be called before the ordinary contacts are added."""
    cases: dict[str, Case] = {}
    _dates(crm, as_of, cases)
    _relations(crm, as_of, cases)
    _invoices(crm, as_of, cases)
    _people(crm, as_of, cases)
    return cases


def _dates(crm: Crm, as_of: date, cases: dict[str, Case]) -> None:
    def contact(name: str, last_contact_at: str | None, why: str, expected: str) -> None:
        key = crm.contact(person(10 + len(crm.contacts)), last_contact_at, years_before(as_of, 8))
        cases[name] = Case("contacts", str(key), why, expected)

    contact("empty_last_contact", None, "nobody wrote down a contact", "undetermined: the last contact is empty")
    future = utc(as_of + timedelta(days=45))
    contact("future_last_contact", future, "a contact that has not been yet", "undetermined: in the future")
    for name, (value, why) in _IMPLAUSIBLE.items():
        contact(name, value, why, "undetermined: not a date anybody can rely on")
    for name, (value, why, expected) in _INSTANTS.items():
        contact(name, value, why, expected)
    border = years_before(as_of, 2)
    for name, days, expected in (
        ("due_yesterday", -1, "due: the due day was yesterday"),
        ("due_today", 0, "kept: through the whole of today"),
        ("due_tomorrow", 1, "kept: through tomorrow"),
    ):
        contact(name, utc(border + timedelta(days=days)), "two years around the as-of date", expected)


def _relations(crm: Crm, as_of: date, cases: dict[str, Case]) -> None:
    def contact(years: int) -> tuple[int, Person]:
        who = person(10 + len(crm.contacts))
        return crm.contact(who, utc(years_before(as_of, years)), years_before(as_of, years + 2)), who

    key, who = contact(3)
    invoice = crm.invoice(key, who, years_before(as_of, 3))
    cases["contact_outlived_by_invoice"] = Case(
        "contacts",
        str(key),
        "last contact three years ago, an invoice inside seven fiscal years",
        "partly due: what only the contact needs; name, address and city stay with the invoice",
        (("invoices", str(invoice)),),
    )
    key, who = contact(8)
    invoice = crm.invoice(key, who, date(2018, 3, 1))
    cases["contact_with_old_invoice_only"] = Case(
        "contacts",
        str(key),
        "last contact and last invoice are both long ago",
        "due: the invoice was kept through 2025-12-31 and goes too",
        (("invoices", str(invoice)),),
    )
    for name, ended, why, expected in (
        ("agreement_still_open", None, "still open", "kept: for the running agreement, however old the contact"),
        ("agreement_ended_recently", 4, "ended four years ago", "kept: for the agreement, five years"),
        ("agreement_ended_long_ago", 6, "ended six years ago", "due: nothing needs the contact any more"),
    ):
        key, who = contact(6)
        signed = years_before(as_of, 8)
        agreement = crm.agreement(key, signed, years_before(as_of, ended) if ended else None)
        why = f"last contact more than five years ago, the agreement {why}"
        cases[name] = Case("contacts", str(key), why, expected, (("agreements", str(agreement)),))
    key, who = contact(3)
    quotes = [("quotes", str(crm.quote(key, who, years_before(as_of, years)))) for years in (5, 4)]
    cases["quotes_only"] = Case("contacts", str(key), "quotes, never an agreement", "due: contact and quotes are both past", tuple(quotes))
    key, who = contact(3)
    quote = crm.quote(key, who, years_before(as_of, 1))
    cases["quote_after_last_contact"] = Case(
        "contacts",
        str(key),
        "the quote is younger than the last contact",
        "kept: for the quote, two years from the later of the two",
        (("quotes", str(quote)),),
    )
    key, who = contact(1)
    quote = crm.quote(key, who, "0000-00-00")
    cases["quote_zero_date"] = Case("quotes", str(quote), "a quote dated with zeroes", "undetermined: not a date")


def _invoices(crm: Crm, as_of: date, cases: dict[str, Case]) -> None:
    def invoice(name: str, issued_on: date | str | None, why: str, expected: str, *, gone: bool = False) -> None:
        who = person(10 + len(crm.contacts))
        contact = None if gone else crm.contact(who, utc(years_before(as_of, 1)), years_before(as_of, 9))
        cases[name] = Case("invoices", str(crm.invoice(contact, who, issued_on)), why, expected)

    due, kept = "due: kept through 2025-12-31", "kept: through 2026-12-31"
    invoice("invoice_2018_06_30", date(2018, 6, 30), "seven fiscal years after 2018 are over", due)
    invoice("invoice_last_day_of_2018", date(2018, 12, 31), "the last day of its fiscal year", due)
    invoice("invoice_first_day_of_2019", date(2019, 1, 1), "the first day of a fiscal year", kept)
    invoice("invoice_leap_day", date(2020, 2, 29), "29 February, counted from the end of the year", "kept: to 2027")
    invoice("invoice_of_gone_contact", date(2017, 5, 4), "its contact was removed", due.replace("2025", "2024"), gone=True)
    invoice("young_invoice_of_gone_contact", date(2023, 5, 4), "its contact was removed", "kept: to 2030", gone=True)
    invoice("invoice_without_date", None, "nobody filled in the day", "undetermined: the day is empty")
    invoice("invoice_date_1970", "1970-01-01", "the first day of a computer's clock", "undetermined: implausible")
    invoice("invoice_in_future", as_of + timedelta(days=20), "dated ahead", "undetermined: in the future")


def _people(crm: Crm, as_of: date, cases: dict[str, Case]) -> None:
    stale, fresh = utc(years_before(as_of, 3)), utc(as_of - timedelta(days=90))

    def contact(who: Person | None, last_contact_at: str) -> int:
        return crm.contact(who, last_contact_at, years_before(as_of, 6) if who else None)

    def pair(name: str, one: Person, other: Person, why: str) -> None:
        old, new = contact(one, stale), contact(other, fresh)
        expected = "due: by its own date, though the same person is also a live contact"
        cases[name] = Case("contacts", str(old), why, expected, (("contacts", str(new)),))

    cases["everywhere_contact"] = Case(
        "contacts",
        str(contact(EVERYWHERE, stale)),
        "also a member, a commenter and an applicant",
        "due: by this source alone",
    )
    who = person(20)
    composed = replace(who, name="René Veldhoven", email="rené.veldhoven@post.example.org")
    decomposed = replace(
        composed,
        name=unicodedata.normalize("NFD", composed.name),
        email=unicodedata.normalize("NFD", composed.email),
    )
    shouted = replace(who, email=who.email.upper())
    padded = replace(person(21), email=f"  {person(21).email} ")
    pair("duplicate_other_case", who, shouted, "the same e-mail address in capitals")
    pair("duplicate_other_normal_form", composed, decomposed, "the same e-mail address in two Unicode forms")
    pair("duplicate_idn", IDN, IDN_ENCODED, "the same internationalised domain, written out and encoded")
    pair("duplicate_with_spaces", person(21), padded, "the same e-mail address between spaces")
    for name, (full_name, why) in _NAMES.items():
        key = contact(replace(person(10 + len(crm.contacts)), name=full_name), stale)
        cases[name] = Case("contacts", str(key), why, "due: names don't matter to a period")
    key = contact(None, stale)
    cases["everything_empty"] = Case("contacts", str(key), "no personal value at all", "due: or nothing left to treat")
    key = contact(Person("", "", "", "", ""), stale)
    cases["empty_texts"] = Case("contacts", str(key), "empty texts instead of NULL", "due: or nothing left to treat")
    who = person(22)
    key = contact(who, stale)
    body = f"Gesprek met {who.name} ({who.email}). " * 4000
    cases["very_long_note"] = Case(
        "notes", str(crm.note(key, stale, body)), "a long text full of personal data", "due: goes with its contact"
    )
    key = contact(person(23), fresh)
    cases["note_without_text"] = Case("notes", str(crm.note(key, None, None)), "no text, no time", "kept: with its contact")
