"""Deletions of notes, files and looked-up records of Zoho CRM that come half way: into the recycle bin, and not out of it.

What could go wrong, each a test: the process dies between the halves; Zoho refuses the second one; nobody can ask any more; a person
restores what lies in the bin, or empties it; a hold is placed before the next run; a row has a policy of its own; the same batch is ended
twice; what a person deleted is taken for ours; a key stands readable in the ledger; what was kept is never dropped.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.contract import Request
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.test_zoho import DUE, INVOICED, NOW, PEOPLE, POLICIES, Office, office, office_in, zoho
from tests.vendors.zoho import ORIGIN, field
from worker.audit.outcomes import outcomes

__all__ = ["office", "zoho"]

DONE = {*range(1, INVOICED + 1), *range(DUE + 1, PEOPLE + 1)}
NOTE, FILE, DEAL, OTHERS = ORIGIN + 3_010, ORIGIN + 4_010, ORIGIN + 2_010, ORIGIN + 9_001
TAKEN = POLICIES.replace('on_delete = "detach"', 'on_delete = "delete"')
OF_THEIR_OWN = (
    TAKEN.replace('on_delete = "delete"\n\n[[pol', 'on_delete = "delete"\nsource = "deals"\n\n[[pol', 1)
    + """
[sources.deals]
connector = "zoho_crm"
table = "Deals"
key = "id"
[sources.deals.fields]
subject = { column = "Subject", treatment = "clear" }
closed_on = { column = "Closed_On", type = "date" }
[[policies]]
source = "deals"
disposition = "delete"
[[policies.purposes]]
id = "deal"
basis = "legitimate-interests"
bound = "ceiling"
fields = ["subject"]
start = "closed_on"
keep = "P2Y"
"""
)


def purges(key: int) -> Callable[[Request], bool]:
    """Return whether a request takes a record out of the recycle bin."""
    return lambda request: request.method == "DELETE" and request.path.endswith(f"/recycle_bin/{key}")


def killed_at(office: Office, at: Callable[[Request], bool], *args: object) -> int:
    """Call the command in a process of its own that is killed when a request arrives, which is not carried out; return the signal."""
    child = os.fork()
    if not child:
        try:
            office.command(*args)
        finally:
            os._exit(1)

    def die(request: Request) -> bool:
        if at(request):
            os.kill(child, signal.SIGKILL)
            return True
        return False

    office.proxy.any(None).on = die
    ended = os.waitpid(child, 0)[1]
    office.proxy.heal()
    return os.WTERMSIG(ended)


def effects(command: Installation) -> Counter[str]:
    """Return how often each action took effect, as the trail tells it."""
    return Counter(each.action.removeprefix("retention.") for each in outcomes(command.audit))


def kept(command: Installation) -> int:
    """Return of how many batches the ledger keeps what was begun."""
    with sqlite3.connect(command.state / "ledger.sqlite") as ledger:
        return int(ledger.execute("SELECT count(*) FROM begun").fetchone()[0])


def has_in_clear(folder: Path, key: int) -> list[str]:
    """Return the files beneath a folder in which an id stands."""
    return [each.name for each in folder.rglob("*") if each.is_file() and str(key).encode() in each.read_bytes()]


def finished(office: Office, **counted: int) -> None:
    """Check that all that was due is gone, out of the bin too but for what a person put there, and was told exactly once."""
    assert DONE == office.left
    assert {OTHERS} & set(office.zoho.bin) == set(office.zoho.bin)
    assert {n for n in range(10, PEOPLE, 10) if n > DUE} == {key - ORIGIN - 3_000 for key in office.zoho.notes}
    assert {n for n in range(10, PEOPLE, 10) if n > DUE} == {key - ORIGIN - 4_000 for key in office.zoho.attachments}
    told = list(outcomes(office.command.audit))
    assert len(told) == len({(each.action, each.payload["retention.source"], each.payload["retention.record"]) for each in told})
    found = effects(office.command)
    assert {"record_deleted": DUE - INVOICED, "child_deleted": 8, **counted} == {
        name: found[name] for name in ("record_deleted", "child_deleted", *counted)
    }
    assert [] == wrong_events(office.command.folder)


class TestCrash:
    """A process that is killed between the halves."""

    @pytest.mark.parametrize("child", [NOTE, FILE])
    def test_the_next_run_ends_it(self, office: Office, child: int) -> None:
        """The row is not said to be gone while it lies in the bin, its record doesn't go without it, and the next run takes it out, once.

        What a person deleted stays in the bin, and no id stands readable in what the worker keeps.
        """
        zoho, command = office.zoho, office.command
        zoho.bin[OTHERS] = ("Notes", {"Parent_Id": {"id": str(ORIGIN + 50)}})
        assert signal.SIGKILL == killed_at(office, purges(child), "apply", command.approved())
        assert {child, OTHERS} == set(zoho.bin)
        assert (10 in office.left, 1) == (True, kept(command))
        assert [] == has_in_clear(command.state, child)
        assert command("reconcile").code in (0, 4, 5)
        assert {child, OTHERS} == set(zoho.bin)
        assert (0 if child == NOTE else 1) == effects(command)["child_deleted"]
        assert command("reconcile").code in (0, 4, 5)
        assert command("run").code in (0, 4)
        finished(office)
        assert {OTHERS} == set(zoho.bin)
        assert command("run").code in (0, 4)
        assert 0 == kept(command)

    def test_of_two_rows_one_went_whole(self, office: Office) -> None:
        """Of two notes of one contact the first is said to be gone and the second isn't, before the next run and after it."""
        second = ORIGIN + 3_510
        office.zoho.notes[second] = dict(office.zoho.notes[NOTE])
        assert signal.SIGKILL == killed_at(office, purges(second), "apply", office.command.approved())
        assert office.command("reconcile").code in (0, 4, 5)
        assert 1 == effects(office.command)["child_deleted"]
        assert {second} == set(office.zoho.bin)
        assert office.command("run").code in (0, 4)
        finished(office, child_deleted=9)

    def test_a_record_of_another_module(self, office: Office) -> None:
        """A looked-up record, which Zoho doesn't take along out of the bin, is ended too, and others are cut loose or stay."""
        office = office_in(office.zoho, office.proxy, office.command.folder, TAKEN)
        assert signal.SIGKILL == killed_at(office, purges(DEAL), "apply", office.command.approved())
        assert {DEAL} == set(office.zoho.bin)
        assert office.command("run").code in (0, 4)
        finished(office, child_deleted=8 + sum(n > INVOICED for n in range(1, DUE + 1, 3)))
        assert {} == office.zoho.bin

    def test_rows_of_rows(self, office: Office) -> None:
        """A note that hangs on a record that goes along is ended as well, before both."""
        text = TAKEN.replace(
            "[[policies]]",
            """[sources.contacts.children.deals.children.notes]
table = "Notes"
key = "id"
match = { Parent_Id = "id" }
on_delete = "delete"

[[policies]]""",
            1,
        )
        note = ORIGIN + 3_777
        office.zoho.notes[note] = {**office.zoho.notes[NOTE], "Parent_Id": {"id": str(DEAL), "name": "x"}}
        office = office_in(office.zoho, office.proxy, office.command.folder, text)
        assert signal.SIGKILL == killed_at(office, purges(note), "apply", office.command.approved())
        assert {note} == set(office.zoho.bin)
        assert office.command("run").code in (0, 4)
        finished(office, child_deleted=9 + sum(n > INVOICED for n in range(1, DUE + 1, 3)))
        assert {} == office.zoho.bin

    def test_what_it_costs_to_find_out(self, office: Office) -> None:
        """Of the rows that are listed with their record nobody asks the bin: what a small budget let a run begin it lets a run find out."""
        for number in range(500):
            office.zoho.notes[ORIGIN + 5_000 + number] = {
                **office.zoho.notes[ORIGIN + 3_040],
                "Parent_Id": {"id": str(ORIGIN + 20 + number % 20), "name": "x"},
            }
        assert signal.SIGKILL == killed_at(office, purges(NOTE), "apply", office.command.approved())
        before = office.zoho.credits
        assert office.command("reconcile").code in (0, 4, 5)
        assert office.zoho.credits - before < 150
        assert {NOTE} == set(office.zoho.bin)

    def test_detached_rows(self, office: Office) -> None:
        """Cutting loose is one request: after a crash behind it the row is loose, and said to be so, once."""
        at: Callable[[Request], bool] = lambda r: r.method == "DELETE" and f"/Contacts/{ORIGIN + 10}?" in r.path  # noqa: E731
        assert signal.SIGKILL == killed_at(office, at, "apply", office.command.approved())
        assert {} == office.zoho.bin
        assert office.command("run").code in (0, 4)
        finished(office, child_detached=sum(n > INVOICED for n in range(1, DUE + 1, 3)))

    def test_it_was_restored(self, office: Office) -> None:
        """A note that a person restores before the next run hangs on its contact as before, and goes with it."""
        assert signal.SIGKILL == killed_at(office, purges(NOTE), "apply", office.command.approved())
        office.zoho.notes[NOTE] = office.zoho.bin.pop(NOTE)[1]
        assert office.command("run").code in (0, 4)
        finished(office)
        assert {} == office.zoho.bin

    def test_the_bin_was_emptied(self, office: Office) -> None:
        """A note that a person takes out of the bin keeps nothing: its contact goes, and nothing is kept of it any more."""
        assert signal.SIGKILL == killed_at(office, purges(NOTE), "apply", office.command.approved())
        del office.zoho.bin[NOTE]
        assert office.command("run").code in (0, 4)
        finished(office)
        assert 0 == kept(office.command)

    def test_a_hold(self, office: Office) -> None:
        """A hold that is placed before the next run keeps the contact, and what of it lies in the bin; that is said."""
        command = office.command
        assert signal.SIGKILL == killed_at(office, purges(NOTE), "apply", command.approved())
        person = str(office.zoho.modules["Contacts"][ORIGIN + 10]["Email"])
        who = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")
        placed = command("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *who, typed=f"{person}\n")
        assert 0 == placed.code, placed.err
        assert command("run").code in (0, 4)
        assert DONE | {10} == office.left
        assert {NOTE} == set(office.zoho.bin)
        assert "1 rows that were to go with their records lie half way" in " ".join(command("sources", "check").err.split())
        assert 0 == command("hold", "release", placed.out.split()[1]).code
        assert command("run").code in (0, 4)
        finished(office)

    def test_a_row_with_a_policy_of_its_own(self, office: Office) -> None:
        """What lies in the bin can't be decided on: its record stays and is told, until the bin holds it no more."""
        zoho = office.zoho
        zoho.fields["Deals"]["Closed_On"] = field("Closed_On", "date")
        for deal in zoho.modules["Deals"].values():
            deal["Closed_On"] = NOW.date().replace(year=2022)
        text = OF_THEIR_OWN
        office = office_in(zoho, office.proxy, office.command.folder, text)
        for name in [each for each in office.command.environ if "__CONTACTS__" in each]:
            office.command.environ[name.replace("__CONTACTS__", "__DEALS__")] = office.command.environ[name]
        plan = office.command.approved("--source", "contacts")
        assert signal.SIGKILL == killed_at(office, purges(DEAL), "apply", plan)
        said = office.command("run", "--source", "contacts")
        assert said.code in (0, 4, 5), said.err
        assert DONE | {10} == office.left
        assert {DEAL} == set(zoho.bin)
        zoho.bin.clear()
        assert office.command("run", "--source", "contacts").code in (0, 4)
        assert DONE == office.left


class TestRefused:
    """The process lives, and Zoho doesn't let go of a row."""

    @pytest.mark.parametrize("child", [NOTE, FILE])
    def test_night_after_night(self, office: Office, child: int) -> None:
        """As long as the row lies in the bin its contact stays and every run says so; when Zoho lets go the next run ends it."""
        zoho, command = office.zoho, office.command
        zoho.kept = {child}
        for args in (("apply", command.approved()), ("run",)):
            assert 5 == command(*args).code
            assert DONE | {10} == office.left
            assert {child} == set(zoho.bin)
            assert "HTTP 200 CANNOT_DELETE, in the recycle bin" == command.events("retention.record_skipped")[-1]["retention.answer"]
        assert [] == has_in_clear(command.state, child)
        zoho.kept = set()
        assert command("run").code in (0, 4)
        finished(office)
        assert {} == zoho.bin

    def test_the_answer_to_the_rest_is_lost(self, office: Office) -> None:
        """When the second run's request is carried out and its answer is lost, the row is gone by that run, told once."""
        office.zoho.kept = {NOTE}
        assert 5 == office.command("apply", office.command.approved()).code
        office.zoho.kept = set()
        office.proxy.any(None, applied=True, times=1).on = purges(NOTE)
        before = len(office.proxy.seen)
        assert office.command("run").code in (0, 4)
        assert 1 == sum(purges(NOTE)(request) for request, _ in office.proxy.seen[before:])
        finished(office)

    def test_nobody_can_be_asked(self, office: Office) -> None:
        """When Zoho is gone for good between the halves the batch stays open, and the next run ends all of it."""
        dead = False

        def stopped(request: Request) -> bool:
            nonlocal dead
            dead = dead or purges(NOTE)(request)
            return dead

        plan = office.command.approved()
        office.proxy.any(None).on = stopped
        assert office.command("apply", plan).code not in (0, 4)
        office.proxy.heal()
        assert {NOTE} == set(office.zoho.bin)
        assert office.command("run").code in (0, 4)
        finished(office)
        assert {} == office.zoho.bin


def test_a_lookup_that_was_not_emptied(office: Office) -> None:
    """A success that changed nothing is read back: the deal isn't said to be loose, its contact stays, and the next run does both."""
    deal = ORIGIN + 2_007
    told = {"code": "SUCCESS", "details": {"id": str(deal)}, "message": "m", "status": "success"}
    office.proxy.about(lambda r: r.method == "PUT" and f"/{deal}" in r.path, 200, body=json.dumps({"data": [told]}).encode())
    assert 5 == office.command("apply", office.command.approved()).code
    assert DONE | {7} == office.left
    assert ["HTTP 200 ignored"] == [each["retention.answer"] for each in office.command.events("retention.record_skipped")]
    office.proxy.heal()
    assert office.command("run").code in (0, 4)
    finished(office, child_detached=sum(n > INVOICED for n in range(1, DUE + 1, 3)))


@pytest.mark.parametrize("code", ["NO_CONTENT", "NO_RECORDS_FOUND"])
def test_a_bin_that_says_that_it_is_empty(office: Office, code: str) -> None:
    """Where Zoho says with a word and HTTP 200 that a list is empty it is, as with 204; any other word there is an error."""
    body = json.dumps({"code": code, "details": {}, "message": "nothing", "status": "error"}).encode()
    is_listing: Callable[[Request], bool] = lambda r: r.path.split("?")[0].endswith("/deleted")  # noqa: E731
    office.proxy.any(200, body=body).on = is_listing
    assert 0 == office.command("sources", "check").code
    office.proxy.heal()
    office.proxy.any(200, body=body.replace(code.encode(), b"INVALID_MODULE")).on = is_listing
    assert office.command("sources", "check").code not in (0, 4)
