"""Alsjelieft's demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from typing import Any

from tests.acceptance.schedules.office import Night, Plan, Record, Sql, command, request


def row(rule: str, source: str, key: int, *expected: str, **values: Any) -> Record:
    """Return a row of a table."""
    return Record(rule, source, key, values, expected)


def member(key: int, *expected: str, rule: str = "AL-1", on: str | None = "2020-01-01 08:00:00", off: str | None = None) -> Record:
    """Return a member of the newsletter's list."""
    values = {"email": f"c{key}@customers.example", "name": f"Reader {key}", "subscribed_at": on, "unsubscribed_at": off}
    return Record(rule, "members", key, values, expected)


def showcase(key: int, *expected: str) -> Record:
    """Return work that is shown."""
    values = {"client_name": f"Client {key}", "client_email": f"p{key}@clients.example"}
    return Record("AL-10", "showcases", key, values, expected)


def contact(key: int, *expected: str, rule: str, last: str | None, offers: str | None = None) -> Record:
    """Return a contact; `last` is the day of the last contact."""
    person = {"name": f"Customer {key}", "email": f"c{key}@customers.example", "phone": "0612345678", "address": "3 Street"}
    at = f"{last} 10:00:00" if last else None
    return Record(rule, "contacts", key, {**person, "last_contact_at": at, "marketing_since": offers}, expected)


def account(key: int, *expected: str, rule: str = "AL-7", ground: str | None = "contract", **facts: str) -> Record:
    """Return an account."""
    values = {"username": f"user{key}", "email": f"u{key}@accounts.example", "phone": "0687654321", "ground": ground, **facts}
    return Record(rule, "accounts", key, values, expected)


def log(name: str, day: str, *expected: str, at: str) -> Record:
    """Return the lines of one local day of a log file; `at` is when the first was written, as the log says it."""
    line = f'198.51.100.23 - - [{at}] "GET /day-{day} HTTP/1.1" 200 5\n'
    return Record("AL-11", "site_logs", f"{name},{day}", {"lines": line * 3}, expected)


RECORDS = (
    # --- The newsletter: only the membership goes (contact 1 is the same person as member 1) --------------------------------------------
    member(1, "deleted 2026-06-29", off="2026-06-29 08:00:00"),
    member(2, "kept", "deleted 2026-06-30", off="2026-06-29 22:30:00"),
    member(3, "kept", on="2026-03-01 08:00:00", off="2024-02-01 08:00:00"),
    member(4, "uncovered", on=None),
    # --- Service mail -------------------------------------------------------------------------------------------------------------------
    row("AL-2", "service_recipients", 1, "kept", email="s1@services.example", needed_until=None),
    row("AL-2", "service_recipients", 2, "deleted 2026-05-31", email="s2@services.example", needed_until="2026-05-31"),
    row(
        "AL-2",
        "service_recipients",
        3,
        "kept",
        "kept",
        "kept",
        "deleted 2026-12-31",
        email="s3@services.example",
        needed_until="2026-12-31",
    ),
    # --- Contact ------------------------------------------------------------------------------------------------------------------------
    contact(1, "kept", rule="AL-1", last="2026-03-01"),
    contact(2, "deleted 2026-06-29", rule="AL-3", last="2024-06-29"),
    contact(3, "kept", "deleted 2026-06-30", rule="AL-3", last="2024-06-30"),
    contact(4, "deleted 2026-02-28", rule="AL-3", last="2024-02-29"),
    contact(5, "undetermined", rule="AL-3", last=None),
    # --- Quotes: without an agreement the later of quote and contact; with one, the agreement -------------------------------------------
    contact(6, "deleted 2026-05-01", rule="AL-4", last="2023-01-10"),
    row("AL-4", "quotes", 6, "deleted 2026-05-01", contact_id=6, contact_name="Customer 6", quoted_on="2024-05-01", agreement_id=None),
    contact(7, "kept", rule="AL-4", last="2025-01-10"),
    row("AL-4", "quotes", 7, "kept", contact_id=7, contact_name="Customer 7", quoted_on="2020-05-01", agreement_id=None),
    # --- Agreements: running; ended five years ago, with an invoice of 2019 that holds on to name and address; all over -----------------
    contact(8, "kept", rule="AL-5", last="2015-01-10"),
    row("AL-5", "agreements", 8, "kept", contact_id=8, signed_by="Customer 8", ended_on=None),
    contact(9, "treated 2026-06-29: email phone", "kept", "kept", "deleted 2026-12-31", rule="AL-5", last="2021-01-10"),
    row("AL-5", "agreements", 9, "deleted 2026-06-29", contact_id=9, signed_by="Customer 9", ended_on="2021-06-29"),
    row("AL-4", "quotes", 9, "deleted 2026-06-29", contact_id=9, contact_name="Customer 9", quoted_on="2018-01-10", agreement_id=9),
    row(
        "AL-6", "invoices", 9, "kept", "kept", "kept", "deleted 2026-12-31", contact_id=9, billing_name="Customer 9", issued_on="2019-01-01"
    ),
    contact(10, "deleted 2025-12-31", rule="AL-6", last="2018-01-10"),
    row("AL-6", "invoices", 10, "deleted 2025-12-31", contact_id=10, billing_name="Customer 10", issued_on="2018-06-30"),
    # --- Direct marketing: five years from the day it began; our own mailings are no contact; an objection ends it ----------------------
    contact(11, "treated 2024-03-01: phone address", "kept", rule="AL-9", last="2022-03-01", offers="2022-03-01"),
    contact(12, "treated 2024-03-01: phone address", "deleted 2026-06-30", rule="AL-9", last="2022-03-01", offers="2022-03-01"),
    contact(13, "deleted 2026-03-01", rule="AL-9", last="2020-03-01", offers="2021-03-01"),
    # --- Accounts -----------------------------------------------------------------------------------------------------------------------
    account(1, "kept"),
    account(2, "deleted 2026-06-29", agreement_ended_on="2021-06-29", account_deleted_on="2020-03-01"),
    account(3, "deleted 2026-06-29", agreement_ended_on="2020-03-01", account_deleted_on="2021-06-29"),
    # Still open: on the review list five years after the agreement, and not before.
    account(4, "review", agreement_ended_on="2021-06-29"),
    account(5, "kept", "review", agreement_ended_on="2021-06-30"),
    account(6, "deleted 2026-06-29", ground="consent", account_deleted_on="2021-06-29"),
    account(7, "kept", ground="interest"),
    account(8, "undetermined", ground=None),
    # The user took the number off. For the account it is gone; the same person's contact (1) keeps its own.
    account(9, "treated 2026-06-10: phone", "kept", rule="AL-8", phone_removed_on="2026-06-10"),
    # Consent to the account is withdrawn by a request.
    account(10, "kept", "deleted 2026-06-30", ground="consent"),
    # --- Portfolio ----------------------------------------------------------------------------------------------------------------------
    showcase(1, "kept"),
    # Objected, and it was not upheld.
    showcase(2, "kept"),
    # Taken down by ourselves; the client of the last one objects too, and while that is looked into it is only stored.
    showcase(3, "kept", "deleted 2026-06-30"),
    showcase(5, "kept", "held 2026-06-30", "deleted 2026-06-30"),
    # Objected: when it is upheld the work may not be shown since the day of the objection.
    showcase(4, "kept", "kept", "deleted 2026-06-29"),
    # --- Security -----------------------------------------------------------------------------------------------------------------------
    row("AL-11", "access_log", 1, "deleted 2026-06-29", ip_address="198.51.100.7", logged_at="2025-06-29 21:59:59"),
    row("AL-11", "access_log", 2, "kept", "deleted 2026-06-30", ip_address="198.51.100.8", logged_at="2025-06-29 22:00:00"),
    row("AL-11", "access_log", 3, "undetermined", ip_address="198.51.100.9", logged_at="0000-00-00 00:00:00"),
    # The same in files, in one that was rotated and in one that was compressed; times are local ones.
    log("access.log.1", "2025-06-30", "kept", "deleted 2026-06-30", at="30/Jun/2025:00:00:00 +0200"),
    log("access.log.1", "2025-07-01", "kept", "kept", "deleted 2026-07-01", at="01/Jul/2025:23:59:59 +0200"),
    log("access.log.2.gz", "2025-06-29", "deleted 2026-06-29", at="29/Jun/2025:23:59:59 +0200"),
    log("access.log.2.gz", "2025-12-01", "kept", "kept", "kept", "deleted 2026-12-01", at="30/Nov/2025:23:30:00 +0000"),
    # --- Rights: a restriction while somebody looks into it -----------------------------------------------------------------------------
    contact(14, "held 2026-06-29", "held 2026-06-29", "deleted 2026-06-29", rule="AL-12", last="2024-06-29"),
)

PLAN = Plan(
    "alsjelieft",
    """
    CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT, name TEXT, subscribed_at TIMESTAMP, unsubscribed_at TIMESTAMP);
    CREATE TABLE service_recipients (id INTEGER PRIMARY KEY, email TEXT, needed_until DATE);
    CREATE TABLE contacts (
      id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, address TEXT, last_contact_at TIMESTAMP, marketing_since DATE);
    CREATE TABLE agreements (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), signed_by TEXT, ended_on DATE);
    CREATE TABLE quotes (
      id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), agreement_id INTEGER REFERENCES agreements (id),
      contact_name TEXT, quoted_on DATE);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), billing_name TEXT, issued_on DATE);
    CREATE TABLE accounts (
      id INTEGER PRIMARY KEY, username TEXT, email TEXT, phone TEXT, phone_removed_on DATE, ground TEXT, agreement_ended_on DATE,
      account_deleted_on DATE);
    CREATE TABLE showcases (id INTEGER PRIMARY KEY, client_name TEXT, client_email TEXT);
    CREATE TABLE access_log (id INTEGER PRIMARY KEY, ip_address TEXT, logged_at TIMESTAMP);
    """,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (
                request("restrict", "c14@customers.example", name="restriction"),
                request("object", "p2@clients.example", name="declined"),
                request("object", "p4@clients.example", "2026-06-29", name="objection"),
                request("object", "p5@clients.example", name="late"),
            ),
        ),
        Night(
            "2026-07-01",
            (
                command(
                    "request",
                    "add",
                    "--kind",
                    "object",
                    "--marketing",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-06-30",
                    typed="c12@customers.example",
                ),
                command(
                    "request",
                    "add",
                    "--kind",
                    "withdraw",
                    "--consent",
                    "account",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-06-30",
                    typed="u10@accounts.example",
                ),
                command("mark", "set", "showcases", "3", "taken-down", "--on", "2026-06-30"),
                command("mark", "set", "showcases", "5", "taken-down", "--on", "2026-06-30"),
                # Our own mailing to contact 11 is written down where it is no contact.
                Sql("UPDATE contacts SET address = NULL WHERE id = 11"),
            ),
        ),
        Night(
            "2026-09-01",
            (
                command("request", "close", "{restriction}", "--outcome", "the address was right after all"),
                command("request", "uphold", "{objection}", "--by", "S. Tudio"),
                command("request", "close", "{declined}", "--outcome", "not upheld: what we show names nobody"),
                command("request", "close", "{late}", "--outcome", "taken down already"),
            ),
        ),
        Night("2027-01-01", (command("request", "close", "{objection}", "--outcome", "upheld, and gone"),)),
    ),
    logs=frozenset({"site_logs"}),
)
