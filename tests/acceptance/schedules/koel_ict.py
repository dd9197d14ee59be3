"""Koel ICT's demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from tests.acceptance.schedules.office import Night, Plan, Record, Sql, command, request


def contact(
    key: int, *expected: str, rule: str = "KI-1", email: str | None = None, phone: str | None = None, seen: str | None = None
) -> Record:
    """Return a relation in the CRM; `seen` is the last contact that the CRM itself knows of."""
    values = {
        "name": f"Relation {key}",
        "email": email or f"k{key}@relations.example",
        "phone": phone,
        "address": "2 Lane",
        "last_contact_at": seen,
    }
    return Record(rule, "contacts", key, values, expected)


def mail(key: int, *expected: str, address: str, at: str, kind: str | None = "personal", rule: str = "KI-1") -> Record:
    """Return a mail; `kind` is what the mail program calls it."""
    return Record(rule, "mails", key, {"address": address, "subject_line": "Your website", "sent_at": at, "kind": kind}, expected)


def call(key: int, *expected: str, number: str, at: str) -> Record:
    """Return a call in a telephone's list."""
    return Record("KI-1", "calls", key, {"number": number, "called_at": at}, expected)


def sign_up(key: int, *expected: str, email: str, at: str) -> Record:
    """Return what somebody filled in on the website."""
    return Record("KI-1", "sign_ups", key, {"name": "Visitor", "email": email, "signed_up_at": at}, expected)


def invoice(key: int, *expected: str, email: str, on: str) -> Record:
    """Return an invoice."""
    return Record("KI-1", "invoices", key, {"billing_name": "Relation", "email": email, "issued_on": on}, expected)


RECORDS = (
    # Nobody heard of them since 29 June 2024, in any system: gone from all of them in the same night. The invoice stays.
    contact(1, "deleted 2026-06-29", seen="2024-01-10 09:00:00"),
    mail(1, "deleted 2026-06-29", address="K1@relations.example", at="2024-06-29 12:00:00"),
    sign_up(1, "deleted 2026-06-29", email="k1@relations.example", at="2023-05-01 12:00:00"),
    invoice(1, "kept", email="k1@relations.example", on="2023-06-30"),
    # The last mail is a day younger.
    contact(2, "kept", "deleted 2026-06-30", seen="2024-01-10 09:00:00"),
    mail(2, "kept", "deleted 2026-06-30", address="k2@relations.example", at="2024-06-30 12:00:00"),
    # Old in the CRM and in the mail program, and on the telephone last year. The call goes after its own year, and still counts as contact.
    contact(3, "kept", "kept", "kept", "deleted 2027-06-20", phone="+31 6 1234 0003", seen="2020-01-10 09:00:00"),
    mail(3, "kept", "kept", "kept", "deleted 2027-06-20", address="k3@relations.example", at="2021-03-01 12:00:00"),
    call(3, "deleted 2026-06-20", number="06-1234 0003", at="2025-06-20 12:00:00"),
    # Bulk mail is no contact, nor is an automatic message; both go with the relation they were sent to. An answer is one.
    contact(4, "deleted 2022-03-01", seen="2020-03-01 09:00:00"),
    mail(4, "deleted 2022-03-01", address="k4@relations.example", at="2026-05-01 12:00:00", kind="bulk"),
    mail(10, "deleted 2022-03-01", address="k4@relations.example", at="2026-06-01 12:00:00", kind="automatic"),
    contact(10, "kept", "kept", "deleted 2026-12-31", seen="2020-03-01 09:00:00"),
    mail(11, "kept", "kept", "deleted 2026-12-31", address="k10@relations.example", at="2024-12-31 12:00:00", kind="reply"),
    mail(12, "kept", "kept", "deleted 2026-12-31", address="k10@relations.example", at="2025-06-01 12:00:00", kind="newsletter"),
    # Who got nothing else was never in touch, as far as anybody knows; a mail of an unknown kind may be the last contact.
    mail(13, "undetermined", address="nobody@relations.example", at="2020-05-01 12:00:00", kind="bulk"),
    contact(14, "undetermined", seen="2020-03-01 09:00:00"),
    mail(14, "undetermined", address="k14@relations.example", at="2020-05-01 12:00:00", kind=None),
    # No contact that counts, anywhere: nobody knows when it was.
    contact(5, "uncovered", seen=None),
    # One member of the fact can't be right: unknown for everything about that person.
    contact(6, "undetermined", seen="2020-03-01 09:00:00"),
    mail(6, "undetermined", address="k6@relations.example", at="1970-01-01 00:00:00"),
    # Objects to direct marketing: the orders still need the record. Asks for erasure: nothing does.
    contact(7, "kept", rule="KI-6", seen="2026-03-01 09:00:00"),
    contact(8, "kept", "deleted 2026-06-30", rule="KI-6", seen="2026-03-01 09:00:00"),
    mail(8, "kept", "deleted 2026-06-30", address="k8@relations.example", at="2026-03-01 09:00:00", rule="KI-6"),
    # The telephone puts the contact back that went in the first night: it is as old as it was, and goes again.
    contact(9, "deleted 2022-03-01", "deleted 2022-03-01", rule="KI-4", seen="2020-03-01 09:00:00"),
    # The bookkeeping.
    invoice(2, "deleted 2025-12-31", email="k9@relations.example", on="2018-06-30"),
    invoice(3, "kept", "kept", "deleted 2026-12-31", email="k9@relations.example", on="2019-01-01"),
)

PLAN = Plan(
    "koel-ict",
    """
    CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, address TEXT, last_contact_at TIMESTAMP);
    CREATE TABLE mails (id INTEGER PRIMARY KEY, address TEXT, subject_line TEXT, sent_at TIMESTAMP, kind TEXT);
    CREATE TABLE calls (id INTEGER PRIMARY KEY, number TEXT, called_at TIMESTAMP);
    CREATE TABLE sign_ups (id INTEGER PRIMARY KEY, name TEXT, email TEXT, signed_up_at TIMESTAMP);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, billing_name TEXT, email TEXT, issued_on DATE);
    """,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (request("object", "k7@relations.example", "", "--marketing"),),
        ),
        Night(
            "2026-07-01",
            (
                Sql("INSERT INTO contacts VALUES (9, 'Relation 9', 'k9@relations.example', NULL, '2 Lane', '2020-03-01 09:00:00')"),
                command(
                    "request",
                    "add",
                    "--kind",
                    "erase",
                    "--subject",
                    "-",
                    "--verified-by",
                    "The owner",
                    "--received-on",
                    "2026-06-30",
                    typed="k8@relations.example",
                ),
            ),
        ),
        Night("2027-01-01"),
        Night("2027-06-21"),
    ),
)
