"""`audit reconcile` as a user calls it: the whole agrees, and each kind of damage is told apart from the others."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import Firm
from tests.acceptance.killing import Killer, killed
from tests.acceptance.test_crash import killed_at
from worker.audit.accounts import accounts
from worker.audit.lines import EVENT_LINE, files
from worker.cli.session import Session
from worker.core import merkle
from worker.errors import LedgerUnreachable
from worker.keys import Keyring
from worker.ledger.ledger import Ledger
from worker.ports import AFTER_COMMIT
from worker.usecases.agreeing import Comparing, Known, known_to

Found = list[tuple[str, str, int]]
"""Kind, source and number of every finding."""


def ledger(firm: Firm, statement: str, *values: object) -> None:
    """Change the ledger behind the worker's back."""
    with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as connection, connection:
        connection.execute(statement, values)


def compared(firm: Firm, *args: object, code: int) -> Found:
    """Compare, and return what was found."""
    said = firm("audit", "reconcile", "--json", *args)
    assert code == said.code, said.out + said.err
    return [(each["kind"], each["source"], each["count"]) for each in said.json["findings"]]


def rewrite(path: Path, change: Sequence[tuple[bytes, bytes]]) -> None:
    """Change bytes of an audit file."""
    content = path.read_bytes()
    for old, new in change:
        assert old in content
        content = content.replace(old, new, 1)
    path.write_bytes(content)


@pytest.fixture
def done(firm: Firm) -> Firm:
    """Return a firm that deleted ten contacts in five batches, with their notes, and pseudonymised two members."""
    firm.rewrite('email = { type = "email" }\nstatus', 'email = { type = "email", treatment = "pseudonym", domain = "people" }\nstatus')
    firm.rewrite('source = "members"\ndisposition = "delete"', 'source = "members"\ndisposition = "pseudonymise"')
    firm.environ["RETENTION_BATCH_SIZE"] = "2"
    # A process of its own for each step, so that the run has a file of its own.
    said = firm("apply", firm.approved())
    assert 0 == said.code, said.err
    return firm


def run_file(firm: Firm) -> Path:
    """Return the audit file that holds the run's intents."""
    return next(path for path in files(firm.audit) if b"retention.record_deleted" in path.read_bytes())


def test_an_undamaged_installation_agrees(done: Firm) -> None:
    """Every effect has its intent and closing event, the counts agree, and the systems hold what was reported; that is an event."""
    said = done("audit", "reconcile", "--json")
    assert 0 == said.code, said.out
    contacts, members = said.json["sources"]["contacts"], said.json["sources"]["members"]
    assert (5, 20, 20, 10) == tuple(contacts[each] for each in ("batches", "ledger", "log", "absent"))
    assert (1, 2, 2, 2) == tuple(members[each] for each in ("batches", "ledger", "log", "treated"))
    assert {"rows that have no source of their own": 10} == contacts["incomparable"]
    assert ["success"] == [each["event.outcome"] for each in done.events("retention.agreement_checked")]
    table = done("audit", "reconcile")
    assert "They agree." in table.out
    assert [] == compared(done, done.audit, code=0)


def test_nothing_done_agrees(firm: Firm) -> None:
    """An installation that never ran has nothing to disagree about."""
    firm.plan()
    assert [] == compared(firm, code=0)


def test_a_file_that_was_taken_away(done: Firm) -> None:
    """The ledger knows where the intents stood: the file is missing, and nothing else is wrong."""
    run_file(done).unlink()
    assert [("no intents", "contacts", 4)] * 5 + [("no intents", "members", 2)] == compared(done, code=4)
    assert "the file of stream" in done("audit", "reconcile").out


def test_a_line_that_was_edited(done: Firm) -> None:
    """The damage has its file and line; the batches that stood behind it are said to be in the damaged part."""
    rewrite(run_file(done), [(b"contact ended", b"CONTACT ended")])
    found = compared(done, "--no-systems", code=4)
    assert ("log damaged", "*", 1) == found[0]
    assert {("no intents", "contacts", 4), ("no intents", "members", 2)} == set(found[1:])
    assert "damaged part" in done("audit", "reconcile").out


def test_a_batch_that_was_taken_out_of_the_ledger(done: Firm) -> None:
    """The trail has effects of a batch that the ledger doesn't know, and the run's counts no longer add up."""
    ledger(done, "DELETE FROM batches WHERE source = 'members'")
    assert {("not in the ledger", "members", 2), ("counts differ", "members", 1)} == set(compared(done, code=4))


def test_a_run_that_was_taken_out_of_the_ledger(done: Firm) -> None:
    """Its batches, and that it ran, stand in the trail; the systems are still compared with what it did."""
    ledger(done, "DELETE FROM batches")
    ledger(done, "DELETE FROM runs")
    done.sql("INSERT INTO contacts VALUES (1, 'Quirine 1', 'q1@firm.example', '2022-03-02 12:00:00')")
    found = compared(done, code=4)
    assert 6 == found.count(("not in the ledger", "contacts", 4)) + found.count(("not in the ledger", "members", 2))
    assert {("not in the ledger", "*", 1), ("there again", "contacts", 1)} <= set(found)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE batches SET effects = '{\"delete\":3,\"children\":2}' WHERE number = 1 AND source = 'contacts'", "log and ledger differ"),
        ("UPDATE batches SET root = substr(root, 2) || 'f' WHERE number = 1 AND source = 'contacts'", "log and ledger differ"),
        ("UPDATE batches SET first = first + 1 WHERE number = 1 AND source = 'contacts'", "log and ledger differ"),
        ("UPDATE batches SET state = 'rolled_back', effects = '{}' WHERE number = 1 AND source = 'contacts'", "log and ledger differ"),
        ("UPDATE runs SET counts = replace(counts, '\"delete\":10', '\"delete\":9')", "counts differ"),
        ("UPDATE runs SET counts = replace(counts, '\"acted\":10', '\"acted\":11')", "counts differ"),
    ],
)
def test_counts_that_were_edited(done: Firm, statement: str, expected: str) -> None:
    """A figure of the ledger that was changed disagrees with the trail."""
    ledger(done, statement)
    kinds = {kind for kind, _, _ in compared(done, "--no-systems", code=4)}
    assert expected in kinds
    assert kinds <= {"log and ledger differ", "counts differ"}


def test_a_closing_event_that_is_missing(done: Firm, tmp_path: Path) -> None:
    """Intents whose end the trail doesn't say: told apart from intents that are missing."""
    content = run_file(done).read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(content) if b"retention.batch_closed" in line)
    run_file(done).write_bytes(b"".join(content[:last]))
    assert ("no closing event", "members", 2) in compared(done, "--no-systems", code=4)


def test_a_record_that_is_there_again(done: Firm) -> None:
    """It was read back as gone, so it came back; the output names no key."""
    done.sql("INSERT INTO contacts VALUES (3, 'Quirine 3', 'q3@firm.example', '2022-03-04 12:00:00')")
    assert [("there again", "contacts", 1)] == compared(done, code=4)
    assert [] == compared(done, "--no-systems", code=0)


def test_a_deletion_that_was_half_applied(firm: Firm) -> None:
    """A system that keeps a record it said it had deleted: nobody ever saw it gone."""
    firm.rewrite('table = "contacts"\nkey = "id"\n', 'table = "contacts"\nkey = "id"\noptions = { triggers = "accepted" }\n')
    again = "INSERT INTO contacts VALUES (old.id, old.name, old.email, old.last_contact_at)"
    firm.sql(f"CREATE TRIGGER undead AFTER DELETE ON contacts WHEN old.id = 3 BEGIN {again}; END")
    assert 5 == firm("apply", firm.approved()).code
    assert [("still there", "contacts", 1)] == compared(firm, code=4)


def test_a_treated_field_that_holds_something_again(done: Firm) -> None:
    """A restored address in a record that was pseudonymised."""
    done.sql("UPDATE members SET email = 'q21@firm.example' WHERE id = 1")
    assert [("not treated", "members", 1)] == compared(done, code=4)


def test_dropped_payloads_are_no_damage(done: Firm) -> None:
    """Payloads that were dropped after their time can't be compared, which is said and no finding; roots and counts still are."""
    path = run_file(done)
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        found = EVENT_LINE.fullmatch(line)
        if found is not None and b"retention.record_" in line:
            leaf = merkle.leaf_hash(bytes.fromhex(found[2].decode()), found[3])
            lines[number] = json.dumps({"n": int(found[1]), "leaf": leaf.hex()}, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    said = done("audit", "reconcile", "--json")
    assert (0, []) == (said.code, said.json["findings"])
    assert 10 == said.json["sources"]["contacts"]["incomparable"]["payloads were dropped"]


def test_a_key_that_was_destroyed(done: Firm) -> None:
    """Without the year's key no record can be compared any more: said, and no finding."""
    file = Path(done.environ["RETENTION_KEYS"])
    keys = Keyring.open(file, file.with_suffix(".root"))
    years = {year: key.id for year, key in keys.audit_ref_years()}
    for each in keys.destroy([years[2026]]).gone:
        ledger(done, "UPDATE key_checks SET retired_at = '2026-06-30T10:00:00.000000Z', retired_by = 'tester' WHERE key_id = ?", each)
    said = done("audit", "reconcile", "--json")
    assert (0, []) == (said.code, said.json["findings"]), said.err
    assert 10 == said.json["sources"]["contacts"]["incomparable"]["the key of their year is gone"]


@pytest.mark.parametrize("point", ["after_intent", "after_commit", "after_close"])
def test_what_a_crash_left_open_is_no_disagreement(firm: Firm, point: str) -> None:
    """A batch that is still open has intents without an end, which is said as open; after `reconcile` all agrees."""
    firm.environ["RETENTION_BATCH_SIZE"] = "2"
    plan = firm.folder / "plan.jsonl"
    firm.approved().rename(plan)
    assert signal.SIGKILL == killed_at(firm, point, 2)
    said = firm("audit", "reconcile", "--json")
    assert [] == said.json["findings"]
    assert (1 if point != "after_close" else 0) == said.json["sources"]["contacts"]["open"]
    assert 0 == firm("reconcile").code
    assert [] == compared(firm, code=0)
    assert 0 == firm("apply", plan).code
    assert [] == compared(firm, code=0)


def test_a_system_that_cant_be_read_is_partial(done: Firm) -> None:
    """The others are compared; the exit code says that it is not the whole."""
    done.environ["RETENTION_SOURCES__MEMBERS__URL"] = f"sqlite:///{done.folder / 'elsewhere.sqlite'}"
    done.sql("INSERT INTO contacts VALUES (3, 'Quirine 3', 'q3@firm.example', '2022-03-04 12:00:00')")
    said = done("audit", "reconcile", "--json")
    assert 5 == said.code
    assert ["members"] == list(said.json["failed"])
    assert ["there again"] == [each["kind"] for each in said.json["findings"]]


def test_only_runs_since_a_day(done: Firm) -> None:
    """What was before is left out, its damage too; a later run is compared by itself."""
    ledger(done, "UPDATE runs SET counts = '{}'")
    done.now += timedelta(days=1)
    done.sql("UPDATE contacts SET last_contact_at = '2022-03-04 12:00:00' WHERE id = 20")
    assert 0 == done("apply", done.approved()).code
    assert 4 == done("audit", "reconcile").code
    said = done("audit", "reconcile", "--since", "2026-07-01", "--json")
    assert (0, 1, 1) == (said.code, said.json["sources"]["contacts"]["batches"], said.json["sources"]["contacts"]["absent"])
    assert 0 == done("audit", "reconcile", "--since", "2027-01-01").code


def test_a_policy_that_is_gone(done: Firm) -> None:
    """Of a source that no policy is about any more trail and ledger are compared, and that the system isn't is said."""
    text = done.policies.read_text(encoding="utf-8")
    done.policies.write_text(text[: text.index("[sources.members]")], encoding="utf-8")
    said = done("audit", "reconcile", "--json")
    assert (0, []) == (said.code, said.json["findings"]), said.err
    assert {"no policy is about their source any more": 2} == said.json["sources"]["members"]["incomparable"]


def test_it_writes_nothing_else(done: Firm) -> None:
    """Systems and ledger are as they were, and nothing is left in the state folder."""
    before = done.database.read_bytes(), {path.name for path in done.state.iterdir()}
    assert 0 == done("audit", "reconcile").code
    assert before == (done.database.read_bytes(), {path.name for path in done.state.iterdir()})
    assert 2 == done("audit", "reconcile", done.folder / "nowhere").code


def test_what_ends_while_it_is_compared_is_no_disagreement(done: Firm) -> None:
    """The ledger is read first: batches that were open then, or not there yet, and have ended by the time the trail is read."""
    with Session(done.environ, lambda: done.now, folder=done.folder).machine() as machine:
        told = accounts(files(done.audit))
        known = known_to(machine, None)
        opened = {
            each.batch_id: replace(each, state="pending", effects=None, stream=None, first=None, count=None, root=None)
            for each in list(known.batches.values())[:3]
        }
        missing = list(known.batches)[3]
        batches = {key: opened.get(key, each) for key, each in known.batches.items() if key != missing}
        runs = {key: replace(each, state="running", counts={}, exit_code=None, ended_at=None) for key, each in known.runs.items()}
        compared = Comparing(machine, Known(runs, batches, known.earlier), told, None).compare()
    assert [] == compared.found
    assert 0 == compared.sides["contacts"].open


def test_a_run_whose_end_the_ledger_could_not_keep(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the very end: the trail has the end that the run said and the one that its successor says, whichever is read first."""
    plan = firm.approved()

    def full(*_: object) -> None:
        raise LedgerUnreachable("The ledger can't be reached or is busy: database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "end_run", full)
        assert 1 == firm("apply", plan).code
    assert 0 == firm("apply", plan, now=firm.now + timedelta(minutes=1)).code
    run = next(each["run_id"] for each in firm("runs", "--json").json if each["state"] == "resolved_after_crash")
    found = files(firm.audit)
    assert [None, None] == [accounts(each).runs[run].totals for each in (found, found[::-1])]
    assert 0 == firm("audit", "reconcile").code


@pytest.mark.parametrize("state", ["committed", "rolled_back"])
def test_a_batch_that_was_left_open_and_closed_by_hand(firm: Firm, state: str) -> None:
    """Whoever closes it in the ledger, so that a run may go on, leaves intents of which nobody ever said what became."""
    plan = firm.approved()
    assert signal.SIGKILL == killed(firm, Killer(AFTER_COMMIT, 1), "apply", plan)
    ledger(firm, f"UPDATE batches SET state = '{state}' WHERE state = 'intended'")
    ledger(firm, "UPDATE runs SET state = 'failed', ended_at = started_at WHERE state = 'running'")
    assert ("no closing event", "contacts", 20) in compared(firm, "--no-systems", code=4)
