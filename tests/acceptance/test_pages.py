"""The dashboard, the page of a plan and the status, from the outside: each says what happened, and nothing about anybody."""

from __future__ import annotations

import datetime as dt
import re

from tests.acceptance.conftest import DUE, NOON, PEOPLE, Firm

DAY = dt.timedelta(days=1)


def test_the_dashboard_needs_the_log_alone(firm: Firm) -> None:
    """No settings, no ledger, no keys: whoever has the files draws the page."""
    assert 0 == firm("apply", firm.approved()).code
    firm.policies.unlink()
    (firm.state / "ledger.sqlite").unlink()
    page = firm.folder / "page.html"
    said = firm("dashboard", firm.audit, "-o", page)
    assert (0, "") == (said.code, said.out), said.err
    assert f'<th scope="row">30 June 2026</th><td class="n">{DUE + 2}</td>' in page.read_text(encoding="utf-8")
    assert firm("dashboard", *sorted(firm.audit.iterdir()), "--lang", "nl").out.startswith('<!doctype html>\n<html lang="nl">')


def test_a_damaged_log(firm: Firm) -> None:
    """The page is drawn, says where the damage is, and the exit code says that it is not the whole."""
    assert 0 == firm("apply", firm.approved()).code
    path = max(firm.audit.iterdir(), key=lambda each: each.stat().st_size)
    path.write_bytes(path.read_bytes().replace(b'"retention.level":"permanent"', b'"retention.level":"soft"', 1))
    said = firm("dashboard", firm.audit)
    assert 5 == said.code
    assert path.name in said.err
    assert f"<code>{path.name}</code>" in said.out


def test_no_log(firm: Firm) -> None:
    """What is no audit log is refused with what one looks like; a file that was named is judged and never passed over."""
    (firm.folder / "empty").mkdir()
    assert "audit-*.jsonl" in firm("dashboard", firm.folder / "empty").err
    assert (2, 5) == (firm("dashboard", firm.folder / "empty").code, firm("dashboard", firm.policies).code)


def test_the_page_of_a_plan_names_nobody(firm: Firm) -> None:
    """Counts, reasons and the command, and not one value of any record."""
    plan = firm.plan()
    page = firm("plan", "show", plan, "--html").out
    assert f"{DUE + 2} records are deleted" in page
    assert re.search(rf"retention approve {re.escape(str(plan))} --plan [0-9a-f]{{16}} --by", page)
    values = {str(value) for row in firm.sql("SELECT name, email FROM contacts") for value in row}
    assert PEOPLE <= len(values)
    assert not [value for value in values if value in page]
    assert not re.search(r"[\w.]+@[\w.]+", page.replace("@media", "").replace("@page", ""))
    assert 0 == firm("approve", plan).code
    assert "Goedgekeurd door tester" in firm("plan", "show", plan, "--html", "--lang", "nl").out


def test_options_that_do_not_go_together(firm: Firm) -> None:
    """An option that would be ignored is refused."""
    plan = firm.plan()
    assert [2, 2, 2] == [firm("plan", "show", plan, *each).code for each in (("--html", "--json"), ("--lang", "nl"), ("-o", "x"))]


def test_status_for_monitoring(firm: Firm) -> None:
    """5 before the first run and when one is missed, 4 while something is overdue or found, 0 when all is well."""
    never = firm("status", "--json")
    assert (5, {True}) == (never.code, {each["missed"] for each in never.json["sources"].values()})
    plan = firm.approved()
    assert 0 == firm("apply", plan, "--at-most", "1").code
    partly = firm("status", "--json")
    assert (4, [0, 2]) == (partly.code, [partly.json["sources"][name]["overdue"] for name in ("contacts", "members")])
    assert 0 == firm("apply", plan).code
    well = firm("status", "--json")
    assert (0, 0) == (well.code, well.json["sources"]["contacts"]["overdue"]), well.out
    assert "Open findings: 0" in firm("status").out
    assert [0, 5] == [firm("status", now=NOON + days * DAY).code for days in (2, 3)]
    assert [0, 5, 2] == [firm("status", "--within", within, now=NOON + 3 * DAY).code for within in ("P3D", "P1D", "soon")]


def test_status_of_findings_and_look_aheads(firm: Firm) -> None:
    """A finding that nobody accepted is 4; a plan for another day is no state of affairs."""
    firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = ?", PEOPLE)
    assert 4 == firm("apply", firm.approved()).code
    assert (4, 1) == ((said := firm("status", "--json")).code, said.json["new_findings"])
    assert 4 == firm("plan", "--as-of", "2030-01-01").code
    assert 0 == firm("status", "--json").json["sources"]["contacts"]["overdue"]
    found = firm("findings", "list", "--json").json[0]["id"]
    assert 0 == firm("findings", "accept", found, "--owner", "A", "--reason", "known", "--until", "2026-12-31").code
    assert 0 == firm("status").code
