"""Red Rocket Online's demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from typing import Any

from tests.acceptance.schedules.office import Night, Plan, Record, Sidecar, Sql, command, request

FACTS = {"ended": "procedure_ended_on", "given": "future_use_given_on", "withdrawn": "future_use_withdrawn_on"}
WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2027-06-01")


def applicant(key: str, *expected: str, rule: str = "RR-1", **facts: Any) -> Record:
    """Return an application file; `ended`, `given` and `withdrawn` are those of the procedure and of the consent to later use."""
    known = {FACTS.get(name, name): value for name, value in facts.items()}
    values = {"name": f"Person {key}", "email": f"{key}@applicants.example", "phone": "0612345678", "applied_on": "2026-02-02", **known}
    return Record(rule, "applications", key, values, expected)


def freelancer(key: int, *expected: str, rule: str = "RR-4", engaged_on: str) -> Record:
    """Return somebody who worked for the firm."""
    person = {"name": f"Free {key}", "email": f"f{key}@free.example", "account": f"NL{key}"}
    return Record(rule, "freelancers", key, {**person, "engaged_on": engaged_on}, expected)


def bill(key: int, *expected: str, issued_on: str, **sender: int) -> Record:
    """Return a bill of a freelancer or a supplier."""
    return Record("RR-8", "bills", key, {**sender, "payee_name": "Whoever sent it", "issued_on": issued_on}, expected)


def supplier(key: int, *expected: str, **facts: str) -> Record:
    """Return a supplier."""
    return Record("RR-6", "suppliers", key, {"name": f"Shop {key}", "email": f"s{key}@shops.example", **facts}, expected)


def invoice(key: int, *expected: str, contact_id: int, issued_on: str) -> Record:
    """Return an invoice to a customer."""
    return Record("RR-8", "invoices", key, {"contact_id": contact_id, "billing_name": "Customer", "issued_on": issued_on}, expected)


def guest(key: int, *expected: str, rule: str = "RR-7", **facts: str | None) -> Record:
    """Return a visit."""
    return Record(rule, "visits", key, {"name": f"Guest {key}", "email": f"g{key}@guests.example", **facts}, expected)


def reader(key: int, *expected: str, rule: str = "RR-11", unsubscribed_at: str | None = None) -> Record:
    """Return a subscriber to the newsletter."""
    person = {"name": f"Reader {key}", "email": f"r{key}@readers.example", "subscribed_at": "2020-01-01 08:00:00"}
    return Record(rule, "members", key, {**person, "unsubscribed_at": unsubscribed_at}, expected)


def answer(key: int, *expected: str, answered_on: str) -> Record:
    """Return an answer to questions."""
    return Record("RR-13", "answers", key, {"respondent": f"a{key}@answers.example", "answered_on": answered_on}, expected)


def lead(key: int, *expected: str, rule: str = "RR-14", email: str = "", campaign_ended_on: str | None) -> Record:
    """Return a person in a customer's campaign."""
    person = {"name": f"Lead {key}", "email": email or f"l{key}@leads.example"}
    return Record(rule, "leads", key, {**person, "campaign_ended_on": campaign_ended_on}, expected)


def employee(key: int, *expected: str, ended: str | None) -> Record:
    """Return an employee."""
    person = {"name": f"Worker {key}", "email": f"w{key}@rocket.example", "address": "1 Quay", "wage_tax_statement": "scan"}
    return Record("RR-3", "employees", key, {**person, "employment_ended_on": ended}, expected)


def contact(
    key: int, *expected: str, rule: str = "RR-5", kind: str = "customer", status: str | None = "former", ended: str | None
) -> Record:
    """Return a contact of a customer."""
    person = {"name": f"Contact {key}", "email": f"c{key}@customers.example", "phone": "020 1234567"}
    return Record(rule, "contacts", key, {**person, "kind": kind, "status": status, "relation_ended_on": ended}, expected)


RECORDS = (
    # --- Applicants: the procedure, eight weeks -----------------------------------------------------------------------------------------
    applicant("anna", "deleted 2026-06-29", ended="2026-05-04", hired=False),
    applicant("bram", "kept", "deleted 2026-06-30", ended="2026-05-05", hired=False),
    # Open: kept. Eight weeks after they applied somebody has to look, for as long as it stays open.
    applicant("cleo", "kept", "kept", "review", applied_on="2026-06-01"),
    applicant("dirk", "undetermined", ended="2026-03-02"),
    applicant("mees", "uncovered", ended="2026-03-02", hired=True),
    applicant("nora", "undetermined", ended="2026-03-02", hired=False),
    # --- Applicants: with consent -------------------------------------------------------------------------------------------------------
    applicant("ella", "kept", rule="RR-2", ended="2026-05-04", hired=False, given="2026-04-20"),
    applicant(
        "finn",
        "deleted 2026-06-29",
        rule="RR-2",
        ended="2026-05-04",
        hired=False,
        given="2026-04-20",
        withdrawn="2026-05-10",
    ),
    # Withdrawn in August, in the file (gina) and by a request (hugo).
    applicant(
        "gina",
        "kept",
        "kept",
        "deleted 2026-08-20",
        rule="RR-2",
        ended="2026-05-04",
        hired=False,
        given="2026-04-20",
    ),
    applicant(
        "hugo",
        "kept",
        "kept",
        "deleted 2026-08-21",
        rule="RR-2",
        ended="2026-05-04",
        hired=False,
        given="2026-04-20",
    ),
    # A day too late, and just in time.
    applicant("iris", "deleted 2026-06-29", rule="RR-2", ended="2026-05-04", hired=False, given="2026-06-30"),
    applicant("jan", "kept", rule="RR-2", ended="2026-05-04", hired=False, given="2026-06-29"),
    # On one day the withdrawal wins; given again after it, the consent stands.
    applicant(
        "kim",
        "deleted 2026-06-29",
        rule="RR-2",
        ended="2026-05-04",
        hired=False,
        given="2026-05-10",
        withdrawn="2026-05-10",
    ),
    applicant(
        "lars",
        "kept",
        rule="RR-2",
        ended="2026-05-04",
        hired=False,
        given="2026-05-20",
        withdrawn="2026-05-10",
    ),
    # --- Employees ----------------------------------------------------------------------------------------------------------------------
    employee(1, "kept", ended=None),
    employee(2, "treated 2025-12-31: wage_tax_statement", "uncovered", ended="2020-05-31"),
    employee(3, "uncovered", "uncovered", "uncovered", "treated 2026-12-31: wage_tax_statement", ended="2021-01-15"),
    # --- Freelancers and suppliers, and what they sent ----------------------------------------------------------------------------------
    freelancer(1, "deleted 2025-12-31", engaged_on="2018-01-02"),
    freelancer(2, "kept", "kept", "kept", "deleted 2026-12-31", engaged_on="2018-01-02"),
    # Never sent a bill: seven fiscal years after the engagement somebody looks.
    freelancer(3, "review", engaged_on="2018-01-02"),
    freelancer(4, "kept", engaged_on="2025-01-02"),
    bill(1, "deleted 2025-12-31", freelancer_id=1, issued_on="2018-03-01"),
    bill(2, "deleted 2025-12-31", freelancer_id=1, issued_on="2018-06-30"),
    bill(3, "deleted 2025-12-31", freelancer_id=2, issued_on="2018-12-31"),
    bill(4, "kept", "kept", "kept", "deleted 2026-12-31", freelancer_id=2, issued_on="2019-01-01"),
    bill(5, "undetermined", supplier_id=2, issued_on="1970-01-01"),
    supplier(1, "kept", status="possible"),
    # Every year again, and not in the time for which a person answered.
    supplier(2, "review 2026-05-31", "kept", "kept", "review 2026-12-31", status="former", relation_ended_on="2026-05-31"),
    # --- Contacts of customers ----------------------------------------------------------------------------------------------------------
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
    invoice(1, "kept", contact_id=5, issued_on="2020-02-01"),
    invoice(2, "deleted 2025-12-31", contact_id=6, issued_on="2018-06-30"),
    invoice(3, "kept", contact_id=11, issued_on="2024-02-01"),
    # --- Visitors -----------------------------------------------------------------------------------------------------------------------
    guest(1, "deleted 2026-06-29", visited_on="2025-12-29"),
    guest(2, "kept", "deleted 2026-06-30", visited_on="2025-12-30"),
    guest(3, "deleted 2026-02-28", visited_on="2025-08-31"),
    guest(4, "undetermined", visited_on=None),
    guest(5, "held 2025-07-10", "held 2025-07-10", "deleted 2025-07-10", rule="RR-10", visited_on="2025-01-10", case_number="2026-7"),
    # --- Newsletter ---------------------------------------------------------------------------------------------------------------------
    reader(1, "kept", rule="RR-15"),
    reader(2, "deleted 2026-06-01", unsubscribed_at="2026-05-31 22:30:00"),
    reader(3, "kept", "kept", "deleted 2026-08-01"),
    # Restriction: only stored until a person closes the request.
    reader(4, "held 2026-06-01", "held 2026-06-01", "deleted 2026-06-01", unsubscribed_at="2026-06-01 08:00:00"),
    # --- Pseudonymised answers ----------------------------------------------------------------------------------------------------------
    answer(1, "pseudonymised 2026-06-01: respondent", "kept", answered_on="2026-06-01"),
    answer(2, "deleted 2026-06-29", answered_on="2025-06-29"),
    answer(3, "pseudonymised 2025-06-30: respondent", "deleted 2026-06-30", answered_on="2025-06-30"),
    # --- Customers' data ----------------------------------------------------------------------------------------------------------------
    lead(1, "held 2026-06-29", "deleted 2026-06-29", campaign_ended_on="2025-12-29"),
    # The same person as contact 11: the erasure is passed on here, and not carried out.
    lead(2, "kept", email="c11@customers.example", campaign_ended_on=None),
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
                command(
                    "hold",
                    "add",
                    "--kind",
                    "dispute",
                    "--scope",
                    "subject",
                    "--subject",
                    "-",
                    *WHO,
                    typed="c9@customers.example",
                    name="person",
                ),
                command("hold", "add", "--kind", "legal", "--scope", "case", "--case", "2026-7", *WHO, name="case"),
                command("hold", "add", "--kind", "legal", "--scope", "category", "--category", "customer-data", *WHO, name="category"),
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
                    typed="c11@customers.example",
                ),
                request("restrict", "r4@readers.example", name="restriction"),
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
                    "request",
                    "add",
                    "--kind",
                    "withdraw",
                    "--consent",
                    "future-use",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-08-21",
                    typed="hugo@applicants.example",
                ),
                command(
                    "request",
                    "add",
                    "--kind",
                    "object",
                    "--marketing",
                    "--subject",
                    "-",
                    "--received-on",
                    "2026-08-01",
                    typed="r3@readers.example",
                ),
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
