"""Red Rocket Online's demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from typing import Any

from tests.acceptance.schedules.office import Night, Plan, Record, Sidecar, Sql, command

WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2027-06-01")


def applicant(key: str, *expected: str, rule: str = "RR-1", **facts: Any) -> Record:
    """Return an application file."""
    values = {"name": f"Person {key}", "email": f"{key}@applicants.example", "phone": "0612345678", "applied_on": "2026-02-02", **facts}
    return Record(rule, "applications", key, values, expected)


def row(rule: str, source: str, key: int, expected: str | tuple[str, ...], **values: Any) -> Record:
    """Return a row of a table."""
    return Record(rule, source, key, values, (expected,) if isinstance(expected, str) else expected)


def employee(key: int, *expected: str, ended: str | None) -> Record:
    """Return an employee."""
    person = {"name": f"Worker {key}", "email": f"w{key}@rocket.example", "address": "1 Quay", "wage_tax_statement": "scan"}
    return Record("RR-3", "employees", key, {**person, "employment_ended_on": ended}, expected)


def contact(key: int, *expected: str, rule: str = "RR-5", kind: str = "customer", status: str | None = "former", ended: str | None) -> Record:
    """Return a contact of a customer."""
    person = {"name": f"Contact {key}", "email": f"c{key}@customers.example", "phone": "020 1234567"}
    return Record(rule, "contacts", key, {**person, "kind": kind, "status": status, "relation_ended_on": ended}, expected)


RECORDS = (
    # --- Applicants: the procedure, eight weeks -----------------------------------------------------------------------------------------
    applicant("anna", "deleted 2026-06-29", procedure_ended_on="2026-05-04", hired=False),
    applicant("bram", "kept", "deleted 2026-06-30", procedure_ended_on="2026-05-05", hired=False),
    # Open: kept. Eight weeks after they applied somebody has to look, for as long as it stays open.
    applicant("cleo", "kept", "kept", "review", applied_on="2026-06-01"),
    applicant("dirk", "undetermined", procedure_ended_on="2026-03-02"),
    applicant("mees", "uncovered", procedure_ended_on="2026-03-02", hired=True),
    applicant("nora", "undetermined", procedure_ended_on="2026-03-02", hired=False),
    # --- Applicants: with consent ---------------------------------------------------------------------------------------------------------
    applicant("ella", "kept", rule="RR-2", procedure_ended_on="2026-05-04", hired=False, future_use_given_on="2026-04-20"),
    applicant(
        "finn",
        "deleted 2026-06-29",
        rule="RR-2",
        procedure_ended_on="2026-05-04",
        hired=False,
        future_use_given_on="2026-04-20",
        future_use_withdrawn_on="2026-05-10",
    ),
    # Withdrawn in August, in the file (gina) and by a request (hugo).
    applicant("gina", "kept", "kept", "deleted 2026-08-20", rule="RR-2", procedure_ended_on="2026-05-04", hired=False, future_use_given_on="2026-04-20"),
    applicant("hugo", "kept", "kept", "deleted 2026-08-21", rule="RR-2", procedure_ended_on="2026-05-04", hired=False, future_use_given_on="2026-04-20"),
    # A day too late, and just in time.
    applicant("iris", "deleted 2026-06-29", rule="RR-2", procedure_ended_on="2026-05-04", hired=False, future_use_given_on="2026-06-30"),
    applicant("jan", "kept", rule="RR-2", procedure_ended_on="2026-05-04", hired=False, future_use_given_on="2026-06-29"),
    # On one day the withdrawal wins; given again after it, the consent stands.
    applicant(
        "kim",
        "deleted 2026-06-29",
        rule="RR-2",
        procedure_ended_on="2026-05-04",
        hired=False,
        future_use_given_on="2026-05-10",
        future_use_withdrawn_on="2026-05-10",
    ),
    applicant(
        "lars",
        "kept",
        rule="RR-2",
        procedure_ended_on="2026-05-04",
        hired=False,
        future_use_given_on="2026-05-20",
        future_use_withdrawn_on="2026-05-10",
    ),
    # --- Employees --------------------------------------------------------------------------------------------------------------------------
    employee(1, "kept", ended=None),
    employee(2, "treated 2025-12-31: wage_tax_statement", "uncovered", ended="2020-05-31"),
    employee(3, "uncovered", "uncovered", "uncovered", "treated 2026-12-31: wage_tax_statement", ended="2021-01-15"),
    # --- Freelancers and suppliers, and what they sent ----------------------------------------------------------------------------------------
    row("RR-4", "freelancers", 1, "deleted 2025-12-31", name="Free 1", email="f1@free.example", account="NL1", engaged_on="2018-01-02"),
    row("RR-4", "freelancers", 2, ("kept", "kept", "kept", "deleted 2026-12-31"), name="Free 2", email="f2@free.example", account="NL2", engaged_on="2018-01-02"),
    # Never sent a bill: seven fiscal years after the engagement somebody looks.
    row("RR-4", "freelancers", 3, "review", name="Free 3", email="f3@free.example", account="NL3", engaged_on="2018-01-02"),
    row("RR-4", "freelancers", 4, "kept", name="Free 4", email="f4@free.example", account="NL4", engaged_on="2025-01-02"),
    row("RR-8", "bills", 1, "deleted 2025-12-31", freelancer_id=1, payee_name="Free 1", issued_on="2018-03-01"),
    row("RR-8", "bills", 2, "deleted 2025-12-31", freelancer_id=1, payee_name="Free 1", issued_on="2018-06-30"),
    row("RR-8", "bills", 3, "deleted 2025-12-31", freelancer_id=2, payee_name="Free 2", issued_on="2018-12-31"),
    row("RR-8", "bills", 4, ("kept", "kept", "kept", "deleted 2026-12-31"), freelancer_id=2, payee_name="Free 2", issued_on="2019-01-01"),
    row("RR-8", "bills", 5, "undetermined", supplier_id=2, payee_name="Shop 2", issued_on="1970-01-01"),
    row("RR-6", "suppliers", 1, "kept", name="Shop 1", email="s1@shops.example", status="possible"),
    # Every year again, and not in the time for which a person answered.
    row("RR-6", "suppliers", 2, ("review 2026-05-31", "kept", "kept", "review 2026-05-31"), name="Shop 2", email="s2@shops.example", status="former", relation_ended_on="2026-05-31"),
    # --- Contacts of customers --------------------------------------------------------------------------------------------------------------
    contact(1, "kept", status="active", ended=None),
    contact(2, "deleted 2026-06-28", ended="2026-06-28"),
    # First seen over on the first night; a month to settle.
    contact(3, "kept", "kept", "deleted 2026-07-30", ended=None),
    # Came back before the month was over, left again: seen anew on the third night.
    contact(4, "kept", "kept", "kept", "deleted 2026-10-01", ended=None),
    # An invoice of 2020 holds on to the name through 2027, one of June 2018 no longer does.
    contact(5, "treated 2026-06-28: email phone", "kept", ended="2026-06-28"),
    contact(6, "deleted 2025-12-31", ended="2020-01-01"),
    contact(7, "uncovered", rule="RR-5b", kind="potential", status=None, ended=None),
    contact(8, "undetermined", status=None, ended=None),
    contact(9, "held 2026-06-28", "held 2026-06-28", "deleted 2026-06-28", rule="RR-10", ended="2026-06-28"),
    contact(10, "kept", ended=None),
    # Erasure: what the tax office may ask for stays.
    contact(11, "treated 2026-06-29: email phone", "kept", rule="RR-11", status="active", ended=None),
    row("RR-8", "invoices", 1, "kept", contact_id=5, billing_name="Contact 5", issued_on="2020-02-01"),
    row("RR-8", "invoices", 2, "deleted 2025-12-31", contact_id=6, billing_name="Contact 6", issued_on="2018-06-30"),
    row("RR-8", "invoices", 3, "kept", contact_id=11, billing_name="Contact 11", issued_on="2024-02-01"),
    # --- Visitors -----------------------------------------------------------------------------------------------------------------------------
    row("RR-7", "visits", 1, "deleted 2026-06-29", name="Guest 1", email="g1@guests.example", visited_on="2025-12-29"),
    row("RR-7", "visits", 2, ("kept", "deleted 2026-06-30"), name="Guest 2", email="g2@guests.example", visited_on="2025-12-30"),
    row("RR-7", "visits", 3, "deleted 2026-02-28", name="Guest 3", email="g3@guests.example", visited_on="2025-08-31"),
    row("RR-7", "visits", 4, "undetermined", name="Guest 4", email="g4@guests.example", visited_on=None),
    row("RR-10", "visits", 5, ("held 2025-07-10", "held 2025-07-10", "deleted 2025-07-10"), name="Guest 5", email="g5@guests.example", visited_on="2025-01-10", case_number="2026-7"),
    # --- Newsletter ---------------------------------------------------------------------------------------------------------------------------
    row("RR-15", "members", 1, "kept", name="Reader 1", email="r1@readers.example", subscribed_at="2020-01-01 08:00:00"),
    row("RR-11", "members", 2, "deleted 2026-06-01", name="Reader 2", email="r2@readers.example", subscribed_at="2020-01-01 08:00:00", unsubscribed_at="2026-05-31 22:30:00"),
    row("RR-11", "members", 3, ("kept", "kept", "deleted 2026-08-01"), name="Reader 3", email="r3@readers.example", subscribed_at="2020-01-01 08:00:00"),
    # Restriction: only stored until a person closes the request.
    row("RR-11", "members", 4, ("held 2026-06-01", "held 2026-06-01", "deleted 2026-06-01"), name="Reader 4", email="r4@readers.example", subscribed_at="2020-01-01 08:00:00", unsubscribed_at="2026-06-01 08:00:00"),
    # --- Pseudonymised answers ------------------------------------------------------------------------------------------------------------------
    row("RR-13", "answers", 1, ("pseudonymised 2026-06-01: respondent", "kept"), respondent="a1@answers.example", answered_on="2026-06-01"),
    row("RR-13", "answers", 2, "deleted 2026-06-29", respondent="a2@answers.example", answered_on="2025-06-29"),
    row("RR-13", "answers", 3, ("pseudonymised 2025-06-30: respondent", "deleted 2026-06-30"), respondent="a3@answers.example", answered_on="2025-06-30"),
    # --- Customers' data ------------------------------------------------------------------------------------------------------------------------
    row("RR-14", "leads", 1, ("held 2026-06-29", "deleted 2026-06-29"), name="Lead 1", email="l1@leads.example", campaign_ended_on="2025-12-29"),
    # The same person as contact 11: the erasure is passed on here, and not carried out.
    row("RR-14", "leads", 2, "kept", name="Contact 11", email="c11@customers.example", campaign_ended_on=None),
)

PLAN = Plan(
    "red-rocket-online",
    """
    CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT, email TEXT, address TEXT, wage_tax_statement TEXT, employment_ended_on DATE);
    CREATE TABLE freelancers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, account TEXT, engaged_on DATE);
    CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, status TEXT, relation_ended_on DATE);
    CREATE TABLE bills (
      id INTEGER PRIMARY KEY, freelancer_id INTEGER REFERENCES freelancers (id), supplier_id INTEGER REFERENCES suppliers (id),
      payee_name TEXT, issued_on DATE);
    CREATE TABLE contacts (
      id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, kind TEXT, status TEXT, relation_ended_on DATE);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), billing_name TEXT, issued_on DATE);
    CREATE TABLE projects (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), state TEXT);
    CREATE TABLE visits (id INTEGER PRIMARY KEY, name TEXT, email TEXT, visited_on DATE, case_number TEXT);
    CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT, name TEXT, subscribed_at TIMESTAMP, unsubscribed_at TIMESTAMP);
    CREATE TABLE answers (id INTEGER PRIMARY KEY, respondent TEXT, answered_on DATE);
    CREATE TABLE leads (id INTEGER PRIMARY KEY, name TEXT, email TEXT, campaign_ended_on DATE);
    """,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (
                command("hold", "add", "--kind", "dispute", "--scope", "subject", "--subject", "-", *WHO, typed="c9@customers.example", name="person"),
                command("hold", "add", "--kind", "legal", "--scope", "case", "--case", "2026-7", *WHO, name="case"),
                command("hold", "add", "--kind", "legal", "--scope", "category", "--category", "customer-data", *WHO, name="category"),
                command(
                    "request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B. Clerk", "--received-on", "2026-06-29",
                    typed="c11@customers.example",
                ),
                command("request", "add", "--kind", "restrict", "--subject", "-", typed="r4@readers.example", name="restriction"),
            ),
            {"SELECT contact_id FROM projects ORDER BY id": [(10,)]},
        ),
        Night(
            "2026-07-01",
            (
                command("hold", "release", "{category}"),
                command("reviews", "keep", "suppliers", "2", "--until", "2026-12-31", "--by", "O. Manager", "--reason", "one more order"),
                Sql("UPDATE contacts SET status = 'active' WHERE id = 4"),
            ),
        ),
        Night(
            "2026-09-01",
            (
                Sidecar("applications", "gina", {"future_use_withdrawn_on": "2026-08-20"}),
                command(
                    "request", "add", "--kind", "withdraw", "--consent", "future-use", "--subject", "-", "--received-on", "2026-08-21",
                    typed="hugo@applicants.example",
                ),
                command("request", "add", "--kind", "object", "--marketing", "--subject", "-", "--received-on", "2026-08-01", typed="r3@readers.example"),
                command("hold", "release", "{person}"),
                command("hold", "release", "{case}"),
                command("request", "close", "{restriction}", "--outcome", "the address was right after all"),
                Sql("UPDATE contacts SET status = 'former' WHERE id = 4"),
            ),
        ),
        Night("2027-01-01"),
    ),
    folders={"applications": "application.json"},
    more=(("projects", {"id": 1, "contact_id": 6, "state": "done"}), ("projects", {"id": 2, "contact_id": 10, "state": "open"})),
    damaged=frozenset({"applications/nora"}),
)
