"""A right policy file that uses most words, which tests change; and the complaints about one."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.periods import FiscalYear
from worker.errors import Problems
from worker.policyfile import loads

VALID = """\
version = 1

[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
country = "NL"
fiscal_year_ends = "06-30"
window = "P7D"

[sources.customers]
connector = "crm"
table = "contacts"
key = ["id", "branch"]
subject = ["email", "phone"]
options = { schema = "public" }

[sources.customers.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym", domain = "people" }
phone = { type = "phone", treatment = "clear", column = "tel" }
ip = { treatment = "truncate" }
note = { treatment = { constant = "removed" }, follows = "record" }
last_contact_at = { type = "timestamp", timezone = "UTC", earliest = 2000-01-01, planned = true }
closed_on = { type = "date", empty = "not_yet" }
status = {}
score = { type = "number" }
vip = { type = "boolean" }

[sources.customers.children.invoices]
table = "invoices"
key = "id"
match = { contact_id = "id" }
on_delete = "keep_parent"
source = "invoices"

[sources.customers.children.invoices.children.lines]
table = "lines"
key = ["invoice", "number"]
match = { invoice = "id" }
on_delete = "delete"
on_pseudonymise = "delete"

[sources.customers.parents.branch]
table = "branches"
key = "id"
match = { id = "branch" }
recount = { customers = { status = ["a", "b"] } }

[sources.customers.facts]
invoice_count = { count = "invoices", where = { status = ["open", "paid"], kind = 1 }, differs = { email = "email" } }
has_branch = { exists = "branch" }
last_invoice_on = { latest = "invoices.issued_on", type = "date", none = "not_applicable", empty = "not_yet" }

[[policies]]
source = "customers"
disposition = [
  { do = "pseudonymise", when = { vip = true }, then = [{ do = "delete", after = "P1Y" }] },
  { do = "delete" },
]
window = "P30D"
clause = "4"
categories = ["contacts"]

[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "phone", "ip"]
start = { latest_of = ["last_contact_at", "closed_on"] }
keep = "P2Y"

[[policies.purposes]]
id = "invoices"
basis = "legal-obligation"
fields = ["name"]
when = { invoice_count = { gt = 0, le = 10 }, status = ["a", "b"], any = [{ vip = false }, { not = { score = 1.5 } }] }
start = { end_of_fiscal_year = "last_invoice_on" }
keep = "P7Y"
bound = "floor"

[[policies.examples]]
given = { last_contact_at = 2024-03-01, closed_on = 2024-02-01, invoice_count = 0, vip = true, status = "a", score = 1 }
due = 2026-03-01
outcome = "pseudonymise"

[[policies.examples]]
given = { last_contact_at = 2024-03-01, closed_on = 2024-02-01, invoice_count = 0, vip = true, status = "a", score = 1 }
due = 2027-03-01
outcome = "delete"

[[policies.examples]]
given = { last_contact_at = 2014-03-01, closed_on = 2014-02-01, invoice_count = 1, last_invoice_on = 2018-06-30, vip = false, status = "a" }
today = 2021-01-01
outcome = "partly"

[sources.invoices]
connector = "crm"
table = "invoices"
key = "id"
subject = ["billing_name"]
processor = true

[sources.invoices.fields]
billing_name = {}
issued_on = { type = "date" }

[[policies]]
source = "invoices"
disposition = "delete"

[[policies.purposes]]
id = "administration"
basis = "legal-obligation"
fields = ["billing_name"]
start = { end_of_calendar_year = { all_of = ["issued_on"] } }
keep = "tax"
was = [{ keep = "P5Y", through = 2000-12-31 }]
stretch = true
bound = "floor"

[[policies.examples]]
given = { issued_on = 2018-06-30 }
due = 2025-12-31

[periods]
tax = { keep = "P7Y", description = "Seven years." }
short = "P8W"

[[organisation.fiscal_years]]
first = 2001-01-01
last = 2002-06-30
"""

YEAR = FiscalYear(6, 30, ((dt.date(2001, 1, 1), dt.date(2002, 6, 30)),))


def line_of(text: str, fragment: str) -> int:
    """Return the 1-based line on which a fragment first stands."""
    return text[: text.index(fragment)].count("\n") + 1


def complaints(text: str) -> list[tuple[int | None, str]]:
    """Return line and text of every problem."""
    with pytest.raises(Problems) as caught:
        loads(text, "policies.toml")
    return [(problem.line, str(problem)) for problem in caught.value.problems]


def second_example() -> str:
    """Return the example that asks for the second step of the chain."""
    end = VALID.index("[sources.invoices]")
    return VALID[VALID.rindex("[[policies.examples]]", 0, end) : end]
