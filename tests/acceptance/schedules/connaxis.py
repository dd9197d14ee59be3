"""Connaxis' demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from typing import Any

from tests.acceptance.schedules.office import Night, Plan, Record, Sql, command, request

FACTS = {
    "ended": "procedure_ended_on",
    "given": "future_use_given_on",
    "withdrawn": "future_use_withdrawn_on",
    "taken_back": "application_withdrawn_on",
    "left": "employment_ended_on",
}


def recipient(key: int, *expected: str, assignment_id: int) -> Record:
    """Return somebody who gets a client's campaign."""
    values = {"email": f"t{key}@targets.example", "interests": "boats", "assignment_id": assignment_id}
    return Record("CX-3", "campaign_recipients", key, values, expected)


def evaluation(key: int, *expected: str, closed_on: str | None) -> Record:
    """Return an evaluation of a project."""
    values = {"email": f"e{key}@clients.example", "remarks": "late twice", "closed_on": closed_on}
    return Record("CX-4", "evaluations", key, values, expected)


def peer(key: int, *expected: str, rule: str = "CX-5", **facts: str) -> Record:
    """Return an entry of the address book."""
    person = {"name": f"Peer {key}", "email": f"p{key}@peers.example", "employer": "A firm", "remarks": "plays chess"}
    return Record(rule, "address_book", key, {**person, **facts}, expected)


def client(key: int, *expected: str, rule: str = "CX-1") -> Record:
    """Return a client."""
    person = {
        "name": f"Client {key}",
        "email": f"c{key}@clients.example",
        "phone": "020 7654321",
        "account_number": "NL0",
        "specifications": "a shop",
    }
    return Record(rule, "clients", key, person, expected)


def agreement(key: int, of: int, *expected: str, ended: str | None) -> Record:
    """Return an agreement of a client."""
    return Record("CX-2", "agreements", key, {"client_id": of, "signed_by": f"Client {of}", "ended_on": ended}, expected)


def invoice(key: int, of: int, *expected: str, on: str | None) -> Record:
    """Return an invoice of a client."""
    return Record("CX-2", "invoices", key, {"client_id": of, "billing_name": f"Client {of}", "issued_on": on}, expected)


def applicant(key: str, *expected: str, rule: str = "CX-6", **facts: Any) -> Record:
    """Return an application file; `ended` is the procedure's, `given` and `withdrawn` the later use's, `left` the job's."""
    known = {FACTS.get(name, name): value for name, value in facts.items()}
    person = {"name": f"Person {key}", "email": f"{key}@applicants.example", "circumstances": "two children"}
    return Record(rule, "applications", key, {**person, "applied_on": "2026-02-02", **known}, expected)


def employee(key: int, *expected: str, ended: str | None) -> Record:
    """Return an employee."""
    person = {
        "name": f"Worker {key}",
        "email": f"w{key}@work.example",
        "cv": "ten years",
        "payroll_number": "7",
        "wage_tax_statement": "scan",
    }
    return Record("CX-7", "employees", key, {**person, "employment_ended_on": ended}, expected)


RECORDS = (
    # --- Clients: the agreement runs; ended yesterday; ended long ago; ended, and another one runs --------------------------------------
    client(1, "kept"),
    agreement(1, 1, "kept", ended=None),
    client(2, "treated 2026-06-29: specifications", "kept"),
    agreement(2, 2, "kept", ended="2026-06-29"),
    invoice(2, 2, "kept", on="2026-05-01"),
    # A day later, and never invoiced: the account number goes, too.
    client(3, "kept", "treated 2026-06-30: account_number specifications", "kept"),
    agreement(3, 3, "kept", ended="2026-06-30"),
    client(4, "kept"),
    agreement(4, 4, "deleted 2025-12-31", ended="2018-06-30"),
    agreement(5, 4, "kept", ended=None),
    # The last invoice is over, too: they go together.
    client(5, "deleted 2025-12-31"),
    agreement(6, 5, "deleted 2024-12-31", ended="2017-03-31"),
    invoice(5, 5, "deleted 2025-12-31", on="2018-12-31"),
    # Ends next year by agreement: it still runs.
    client(6, "kept"),
    agreement(7, 6, "kept", ended="2027-06-30"),
    # No agreement and no invoice: no purpose covers it.
    client(7, "uncovered"),
    # The end of the agreement can't be read.
    client(8, "undetermined"),
    agreement(8, 8, "undetermined", ended="1900-01-01"),
    # Asks for erasure while the agreement runs: it is needed. After it ended the administration keeps its part.
    client(9, "kept", rule="CX-8"),
    agreement(9, 9, "kept", ended=None),
    # --- Campaigns for clients ----------------------------------------------------------------------------------------------------------
    recipient(1, "kept", assignment_id=1),
    recipient(2, "review 2026-05-31", "deleted 2026-05-31", assignment_id=2),
    # Asked us to be forgotten: passed on to the client, which decides.
    recipient(3, "kept", assignment_id=1),
    # --- Quality ------------------------------------------------------------------------------------------------------------------------
    evaluation(1, "kept", closed_on=None),
    evaluation(2, "review 2026-05-31", "kept", "kept", closed_on="2026-05-31"),
    evaluation(3, "review 2026-05-31", closed_on="2026-05-31"),
    # --- The address book ---------------------------------------------------------------------------------------------------------------
    peer(1, "kept", entered_on="2020-01-01", confirmed_on="2026-01-10"),
    peer(2, "review 2026-06-29", entered_on="2025-06-29"),
    peer(3, "kept", "review 2026-06-30", entered_on="2026-05-01"),
    # Any other objection stops use and deletes nothing, until a person decides.
    peer(4, "held 2026-06-29", rule="CX-8", entered_on="2025-06-29"),
    # --- Applicants ---------------------------------------------------------------------------------------------------------------------
    applicant("anna", "deleted 2026-06-29", ended="2026-06-01", hired=False),
    applicant("bram", "kept", "deleted 2026-06-30", ended="2026-06-02", hired=False),
    applicant("cleo", "kept", "kept", "review", applied_on="2026-06-20"),
    applicant("dirk", "undetermined", ended="2026-03-02"),
    applicant("ella", "kept", ended="2026-03-02", hired=False, given="2026-03-05"),
    applicant(
        "finn",
        "deleted 2026-03-30",
        ended="2026-03-02",
        hired=False,
        given="2026-03-05",
        withdrawn="2026-03-12",
    ),
    applicant(
        "gina",
        "deleted 2026-03-12",
        ended="2026-03-02",
        hired=False,
        given="2026-03-05",
        taken_back="2026-03-12",
    ),
    # By a request: only the later use, and everything.
    applicant("hugo", "kept", "deleted 2026-06-30", ended="2026-03-02", hired=False, given="2026-03-05"),
    applicant("iris", "kept", "deleted 2026-06-30", ended="2026-06-10", hired=False, given="2026-06-12"),
    applicant("jan", "kept", "kept", "deleted 2026-07-08", ended="2026-06-10", hired=False, given="2026-06-12"),
    # Open, and the application is taken back: nothing waits for the end of the procedure.
    applicant("kim", "deleted 2026-06-10", taken_back="2026-06-10"),
    applicant("lars", "deleted 2026-06-29", ended="2019-03-02", hired=True, left="2024-06-29", rule="CX-7"),
    applicant("mees", "kept", ended="2019-03-02", hired=True, rule="CX-7"),
    # --- Employees ----------------------------------------------------------------------------------------------------------------------
    employee(1, "kept", ended=None),
    employee(2, "treated 2026-06-29: email cv", "kept", ended="2024-06-29"),
    employee(3, "deleted 2025-12-31", ended="2020-02-29"),
    employee(4, "treated 2023-03-15: email cv", "kept", "kept", "deleted 2026-12-31", ended="2021-03-15"),
)

PLAN = Plan(
    "connaxis",
    """
    CREATE TABLE clients (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, account_number TEXT, specifications TEXT);
    CREATE TABLE agreements (id INTEGER PRIMARY KEY, client_id INTEGER REFERENCES clients (id), signed_by TEXT, ended_on DATE);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, client_id INTEGER REFERENCES clients (id), billing_name TEXT, issued_on DATE);
    CREATE TABLE assignments (id INTEGER PRIMARY KEY, agreement_ended_on DATE, deletion_instructed_on DATE);
    CREATE TABLE campaign_recipients (
      id INTEGER PRIMARY KEY, email TEXT, interests TEXT, assignment_id INTEGER REFERENCES assignments (id));
    CREATE TABLE evaluations (id INTEGER PRIMARY KEY, email TEXT, remarks TEXT, closed_on DATE);
    CREATE TABLE address_book (
      id INTEGER PRIMARY KEY, name TEXT, email TEXT, employer TEXT, remarks TEXT, entered_on DATE, confirmed_on DATE);
    CREATE TABLE employees (
      id INTEGER PRIMARY KEY, name TEXT, email TEXT, cv TEXT, payroll_number TEXT, wage_tax_statement TEXT, employment_ended_on DATE);
    """,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (
                command(
                    "request",
                    "add",
                    "--kind",
                    "erase",
                    "--subject",
                    "-",
                    "--verified-by",
                    "B. Clerk",
                    "--received-on",
                    "2026-06-29",
                    typed="c9@clients.example",
                ),
                command(
                    "request",
                    "add",
                    "--kind",
                    "erase",
                    "--subject",
                    "-",
                    "--verified-by",
                    "B. Clerk",
                    "--received-on",
                    "2026-06-29",
                    typed="t3@targets.example",
                ),
                request("object", "p4@peers.example"),
            ),
        ),
        Night(
            "2026-07-01",
            (
                Sql("UPDATE assignments SET deletion_instructed_on = '2026-06-30' WHERE id = 2"),
                command("reviews", "keep", "evaluations", "2", "--for", "P1Y", "--by", "Q. Lead", "--reason", "still used in training"),
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
                    typed="p3@peers.example",
                ),
                command(
                    "request",
                    "add",
                    "--kind",
                    "withdraw",
                    "--consent",
                    "future-use",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-06-30",
                    typed="hugo@applicants.example",
                ),
                request("withdraw", "iris@applicants.example", "2026-06-30"),
                command(
                    "request",
                    "add",
                    "--kind",
                    "withdraw",
                    "--consent",
                    "future-use",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-06-30",
                    typed="jan@applicants.example",
                ),
            ),
        ),
        Night("2026-09-01"),
        Night("2027-01-01"),
    ),
    folders={"applications": "application.json"},
    more=(
        ("assignments", {"id": 1, "agreement_ended_on": None}),
        ("assignments", {"id": 2, "agreement_ended_on": "2026-05-31"}),
    ),
)
