"""Contacts in Zoho CRM: the policy that the documentation shows, carried out by the command on a fake, on good days and bad."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import FaultProxy, Request
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.test_zoho_contract import writes_records
from tests.vendors.zoho import ORIGIN, Zoho, field
from worker.audit.outcomes import outcomes

PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "zoho.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: zoho_crm -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOW = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
PEOPLE, DUE = 300, 40
INVOICED = 5
_REFRESH = itertools.count()
CONTACTS = [
    field("First_Name"),
    field("Last_Name", system_mandatory=True),
    field("Email", "email", unique={"case_sensitive": False}),
    field("Phone", "phone"),
    field("Mobile", "phone"),
    field("Papers", "fileupload"),
    field("Since", "date"),
    field("Code", length=10),
    field("Description", "textarea"),
    field("Last_Contact", "date"),
    field("Modified_Time", "datetime", operation_type={"api_update": False, "api_create": False, "web_update": False, "web_create": False}),
]
LOOKUP = [field("Contact_Name", "lookup"), field("Subject")]


@dataclass
class Office:
    """An office with its CRM, and the command."""

    zoho: Zoho
    proxy: FaultProxy
    command: Installation

    @property
    def left(self) -> set[int]:
        """The numbers of the contacts that are left."""
        return {key - ORIGIN for key in self.zoho.modules["Contacts"]}


def made(zoho: Zoho) -> None:
    """Fill the CRM: of three hundred contacts forty are due, five of them with an invoice; every tenth has a note and a file."""
    contacts: dict[int, dict[str, Any]] = {}
    for number in range(1, PEOPLE + 1):
        day = dt.date(2023, 1, 1) if number <= DUE else dt.date(2025, 9, 1)
        contacts[ORIGIN + number] = {
            "First_Name": f"{WORD}first{number}",
            "Last_Name": f"{WORD}last{number}",
            "Email": f"{WORD}{number}@post.example",
            "Phone": f"0909137135790{number:03}",
            "Description": f"{WORD} said {number}",
            "Last_Contact": day + dt.timedelta(days=number),
            "Modified_Time": NOW,
        }
    zoho.put("Contacts", contacts)

    def of(number: int) -> dict[str, str]:
        return {"id": str(ORIGIN + number), "name": f"{WORD}{number}"}

    zoho.put("Invoices", {ORIGIN + 1_000 + number: {"Contact_Name": of(number)} for number in range(1, INVOICED + 1)}, whole=False)
    zoho.put(
        "Deals", {ORIGIN + 2_000 + number: {"Contact_Name": of(number), "Subject": f"{WORD}"} for number in range(1, 60, 3)}, whole=False
    )
    when = {"Created_Time": NOW.isoformat(), "Modified_Time": NOW.isoformat()}
    zoho.notes = {ORIGIN + 3_000 + n: {"Note_Content": f"{WORD} note", "Parent_Id": of(n), **when} for n in range(10, PEOPLE, 10)}
    zoho.attachments = {ORIGIN + 4_000 + n: {"File_Name": f"{WORD}.pdf", "Parent_Id": of(n), **when} for n in range(10, PEOPLE, 10)}


@pytest.fixture
def zoho() -> Iterator[Zoho]:
    """Return the office's CRM; a test fails for what is not as described, and for a workflow that heard of anything."""
    with Zoho({"Contacts": CONTACTS, "Invoices": LOOKUP, "Deals": LOOKUP}).running() as running:
        made(running)
        yield running
    assert [] == running.fired


@pytest.fixture
def office(zoho: Zoho, tmp_path: Path) -> Iterator[Office]:
    """Return the office."""
    with FaultProxy(zoho.url, writes_records).running() as proxy:
        zoho.domain = proxy.url
        yield office_in(zoho, proxy, tmp_path)


def office_in(zoho: Zoho, proxy: FaultProxy, folder: Path, policies: str = POLICIES, **options: str) -> Office:
    """Return an office in a folder, with some options of its connection."""
    (folder / "policies.toml").write_text(policies, encoding="utf-8")
    said = {
        "client_id": "1000.CLIENT",
        "client_secret": "client-secret",
        "refresh_token": f"1000.refresh-office-{next(_REFRESH)}",
        "wait": "0.02",
        "attempts": "4",
        **options,
    }
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__CONTACTS__URL": proxy.url,
        **{f"RETENTION_SOURCES__CONTACTS__OPTIONS__{name.upper()}": value for name, value in said.items()},
    }
    return Office(zoho, proxy, Installation(folder, environ, now=NOW))


def test_two_nights(office: Office) -> None:
    """On a bad day all is done but for the record that Zoho refuses; the next night does that, and the one after finds nothing.

    A contact with an invoice stays, deals stay without their contact, nothing lies in the bin, and nothing personal was written or printed.
    """
    zoho, command = office.zoho, office.command
    assert 0 == command("policies", "check").code
    assert 0 == command("sources", "check").code
    zoho.locked = {ORIGIN + 30}
    plan = command.approved()
    office.proxy.reading(429, headers={"Retry-After": "0"}, after=9, times=2)
    office.proxy.writing(None, applied=True, after=2, times=1)
    office.proxy.writing(503, after=6, times=1)
    applied = command("apply", plan)
    assert 5 == applied.code, applied.err
    kept = {*range(1, INVOICED + 1), 30, *range(DUE + 1, PEOPLE + 1)}
    assert kept == office.left
    (said,) = command.events("retention.record_skipped")
    assert ("failed", "HTTP 200 RECORD_LOCKED") == (said["event.reason"], said["retention.answer"])
    assert {} == zoho.bin
    zoho.locked = set()
    office.proxy.heal()
    assert command("run").code in (0, 4)
    assert kept - {30} == office.left
    assert {n for n in range(10, PEOPLE, 10) if n > DUE} == {key - ORIGIN - 3_000 for key in zoho.notes}
    assert {n for n in range(10, PEOPLE, 10) if n > DUE} == {key - ORIGIN - 4_000 for key in zoho.attachments}
    deals = {key - ORIGIN - 2_000: deal["Contact_Name"] for key, deal in zoho.modules["Deals"].items()}
    assert {n: n in kept - {30} for n in range(1, 60, 3)} == {n: said is not None for n, said in deals.items()}
    third = command("plan", "--json", "-o", command.folder / "third.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == third.json["sources"]["contacts"]["actions"]
    for run in command("runs", "--json").json:
        verified = command("verify", "--json", run["run_id"])
        assert 0 == verified.code, verified.err
    assert len(list(outcomes(command.audit)))
    assert [] == wrong_events(command.folder)
    assert [] == found_under(command.state)
    assert set() == found_in("".join(command.everything).encode())
    assert "client-secret" not in "".join(command.everything)
    assert [] == zoho.unused()


def test_a_contact_that_stays_under_a_pseudonym(office: Office) -> None:
    """What is due in a record that stays is changed, nothing else of it is, and the next night finds it treated."""
    text = re.sub(r"\[sources\.contacts\.children\.(\w+)\]\n(?:\w+ = .*\n)+", "", POLICIES)
    text = text.replace('disposition = "delete"', 'disposition = "pseudonymise"').replace(
        'type = "email", treatment = "clear"', 'type = "email", treatment = "pseudonym", domain = "people"'
    )
    office = office_in(office.zoho, office.proxy, office.command.folder, text)
    before = {key: dict(values) for key, values in office.zoho.modules["Contacts"].items()}
    plan = office.command.approved()
    office.proxy.writing(None, applied=True, after=3, times=1)
    office.proxy.writing(500, after=7, times=2)
    applied = office.command("apply", plan)
    assert 0 == applied.code, applied.err
    for key, values in office.zoho.modules["Contacts"].items():
        if key - ORIGIN > DUE:
            assert before[key] == values
            continue
        assert (None, "removed", None) == (values["First_Name"], values["Last_Name"], values["Phone"])
        assert values["Email"].startswith("p1-")
        assert (before[key]["Description"], before[key]["Last_Contact"]) == (values["Description"], values["Last_Contact"])
    again = office.command("plan", "--json", "-o", office.command.folder / "again.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == again.json["sources"]["contacts"]["actions"]
    assert {} == office.zoho.bin


def test_what_it_costs(office: Office) -> None:
    """Without children a deletion costs as many of Zoho's credits as the page says: three."""
    text = re.sub(r"\[sources\.contacts\.children\.(\w+)\]\n(?:\w+ = .*\n)+", "", POLICIES)
    office = office_in(office.zoho, office.proxy, office.command.folder, text)
    plan = office.command.approved()
    before = office.zoho.credits
    assert 0 == office.command("apply", plan).code
    assert {*range(DUE + 1, PEOPLE + 1)} == office.left
    # What a run asks besides: fields, the bin, and pages of its one batch.
    assert office.zoho.credits - before <= 3 * DUE + 10


def test_a_budget_ends_a_run_between_two_records(office: Office) -> None:
    """A run that has used up its credits leaves nothing half done, says what is left, and later runs do that."""
    small = office_in(office.zoho, office.proxy, office.command.folder, credits="160")
    plan = small.command.approved()
    said = small.command("apply", plan)
    assert 5 == said.code, said.err
    assert {} == office.zoho.bin
    left = len(office.left)
    assert PEOPLE - DUE + INVOICED < left < PEOPLE
    assert office_in(office.zoho, office.proxy, office.command.folder).command("run").code in (0, 4)
    assert PEOPLE - DUE + INVOICED == len(office.left)


def test_a_night_that_ends_between_the_halves_of_a_deletion(office: Office) -> None:
    """What is in the recycle bin when everything stops is never said to be gone: reading back finds it there, and the check counts it."""
    command, dead = office.command, False

    def stopped(request: Request) -> bool:
        nonlocal dead
        number = sum(each.method == "DELETE" and "/recycle_bin/" in each.path for each, _ in office.proxy.seen)
        # Contacts 6 to 9, the note and the file of the tenth are out of the bin by then.
        dead = dead or (number == 6 and request.method == "DELETE" and "/recycle_bin/" in request.path)
        return dead

    plan = command.approved()
    office.proxy.any(None).on = stopped
    assert command("apply", plan).code not in (0, 4)
    (binned,) = (key for key, (module, _) in office.zoho.bin.items() if module == "Contacts")
    office.proxy.heal()
    assert command("run").code in (0, 4)
    assert {*range(1, INVOICED + 1), *range(DUE + 1, PEOPLE + 1)} == office.left
    assert [binned] == list(office.zoho.bin)
    gone = [each for each in outcomes(command.audit) if each.action == "retention.record_deleted"]
    assert DUE - INVOICED - 1 == len(gone)
    said = command("sources", "check")
    assert "1 records of Contacts lie in the recycle bin" in " ".join((said.out + said.err).split())


class TestCheck:
    """What `sources check` says about a module and an account."""

    def test_all_is_well(self, office: Office) -> None:
        """With all rights nothing is wrong; what is not declared and what lies in the bin is said."""
        office.zoho.bin[ORIGIN + 9_000] = ("Contacts", {"Last_Name": f"{WORD}binned"})
        said = office.command("sources", "check")
        assert 0 == said.code, said.out + said.err
        printed = " ".join((said.out + said.err).split())
        assert "1 records of Contacts lie in the recycle bin" in printed
        assert "(Mobile)" in printed
        assert set() == found_in(printed.encode())

    @pytest.mark.parametrize(
        ("lacking", "words", "codes"),
        [
            ("settings/recycle_bin", "ZohoCRM.settings.recycle_bin.READ", (2, 5)),
            ("settings/modules", "ZohoCRM.settings.modules.READ", (0,)),
            ("settings/fields", "OAUTH_SCOPE_MISMATCH", (2, 5)),
            ("coql", "OAUTH_SCOPE_MISMATCH", (2, 5)),
        ],
    )
    def test_a_scope_that_is_missing(self, office: Office, lacking: str, words: str, codes: tuple[int, ...]) -> None:
        """A scope that the token lacks is said, and no new token is asked for because of it."""
        office.zoho.lacking = lacking
        said = office.command("sources", "check")
        assert said.code in codes, said.out + said.err
        assert words in " ".join((said.out + said.err).split())
        assert 1 == len(office.zoho.tokens)

    def test_a_right_that_is_missing(self, office: Office) -> None:
        """A user who may not delete is a problem before the night."""
        office.zoho.may = {"deletable": False}
        said = office.command("sources", "check")
        assert said.code not in (0, 4)
        assert "may not delete Contacts" in said.out + said.err

    @pytest.mark.parametrize("options", [{"client_id": "1000.OTHER"}, {"refresh_token": "revoked"}])
    def test_a_sign_in_that_is_refused(self, office: Office, options: dict[str, str]) -> None:
        """A wrong client or a revoked token is said with what to set, though Zoho answers with HTTP 200; no secret is shown."""
        command = office_in(office.zoho, office.proxy, office.command.folder, **options).command
        for args in (("sources", "check"), ("plan",)):
            said = command(*args)
            assert said.code not in (0, 4)
            assert "refused the sign-in" in " ".join((said.out + said.err).split())
            assert "client-secret" not in said.out + said.err

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("First_Name", "First_Nam", "Did you mean 'First_Name'?"),
            ('{ constant = "removed" }', '"clear"', "mandatory"),
            (
                'treatment = "clear" }\nlast_name',
                'treatment = "clear" }\nchanged = { column = "Modified_Time", type = "timestamp", timezone = "UTC" }\nlast_name',
                "moves with every change",
            ),
            ('table = "Contacts"', 'table = "Contacts; drop"', "API name of a module"),
            (
                'match = { Contact_Name = "id" }\non_delete = "keep_parent"',
                'match = { Contact = "id" }\non_delete = "keep_parent"',
                "Invoices has no field 'Contact'",
            ),
            ('"First_Name", treatment = "clear"', '"Modified_Time", treatment = "clear"', "can't be written"),
            ('type = "email", treatment = "clear"', 'type = "email", treatment = { constant = "x@example.org" }', "is unique"),
            ('"First_Name", treatment', '"Papers", treatment', "which no query gives"),
            ('"Phone", type = "phone", treatment = "clear"', '"Since", treatment = { constant = "x" }', "of the kind date"),
            ('key = "id"\nsubject', 'key = "id"\noptions = { delete = "bin" }\nsubject', "restores from for 60 days"),
            (
                '"Phone", type = "phone", treatment = "clear"',
                '"Code", type = "phone", treatment = "pseudonym", domain = "people"',
                "a pseudonym needs",
            ),
            (
                'on_delete = "delete"\n[sources.contacts.children.att',
                'on_delete = "detach"\n[sources.contacts.children.att',
                "can't be detached",
            ),
            ('key = "id"\nsubject', 'key = "Subject"\nsubject', "the key of a record is its id"),
            ('key = "id"\nsubject', 'key = "id"\noptions = { delete = "trash" }\nsubject', '"permanent" or "bin"'),
        ],
    )
    def test_a_declaration(self, office: Office, old: str, new: str, words: str) -> None:
        """What Zoho would refuse at night, and what a person should know, is said by day."""
        assert old in POLICIES
        said = office_in(office.zoho, office.proxy, office.command.folder, POLICIES.replace(old, new, 1)).command("sources", "check")
        assert words in " ".join((said.out + said.err).split())
