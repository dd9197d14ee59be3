"""Plans from the outside: what may be applied, what is refused, and that a plan is carried out exactly and once."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import DUE, NOON, PEOPLE, TODAY, Firm
from worker import planfile
from worker.errors import ConfigurationError, LedgerUnreachable
from worker.ledger.ledger import Ledger
from worker.usecases import applying, starting
from worker.usecases.machine import Machine
from worker.usecases.starting import Wanted

DAY = dt.timedelta(days=1)
HEADER = planfile.Header("0123456789abcdef", NOON, "tester", TODAY, NOON + 7 * DAY, {}, {}, "a-012345")


def test_plan_approve_apply_verify(firm: Firm) -> None:
    """The ordinary way, with the figures at every step; children that go along are counted and gone."""
    planned = firm("plan", "--json", "-o", firm.folder / "plan.jsonl")
    assert 0 == planned.code, planned.err
    assert {"due": DUE, "kept": PEOPLE - DUE, "total": PEOPLE} == {
        name: planned.json["sources"]["contacts"][name] for name in ("due", "kept", "total")
    }
    assert 0 == firm("approve", firm.folder / "plan.jsonl").code
    applied = firm("apply", firm.folder / "plan.jsonl", "--json")
    assert 0 == applied.code, applied.err
    assert {"acted": DUE, "delete": DUE, "children": DUE} == applied.json["sources"]["contacts"]
    assert list(range(DUE + 1, PEOPLE + 1)) == firm.contacts()
    assert [(PEOPLE - DUE,)] == firm.sql("SELECT count(*) FROM notes")
    assert 0 == firm("verify", applied.json["run"]).code
    assert "done" == firm("runs", "--json").json[0]["state"]


def test_a_plan_changes_nothing(firm: Firm) -> None:
    """A dry run writes to no source: the database is the same, byte for byte."""
    firm.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = firm.database.read_bytes()
    assert 0 == firm("plan", "--full").code
    assert before == firm.database.read_bytes()


def test_applying_twice_equals_applying_once(firm: Firm) -> None:
    """What a plan did is not done again, and the second call says so without an error."""
    plan = firm.approved()
    assert 0 == firm("apply", plan).code
    left = firm.contacts()
    again = firm("apply", plan, "--json")
    assert 0 == again.code, again.err
    assert left == firm.contacts()
    assert len(firm.events("retention.record_deleted")) == DUE + 2


def test_an_unapproved_plan_is_refused(firm: Firm) -> None:
    """Nothing is done that nobody said yes to."""
    said = firm("apply", firm.plan())
    assert 3 == said.code
    assert "Nobody has approved this plan" in said.err
    assert PEOPLE == len(firm.contacts())


def test_an_expired_plan_is_refused(firm: Firm) -> None:
    """An approval is for now: a plan older than P7D is neither applied nor approved."""
    plan = firm.approved()
    for verb in ("apply", "approve"):
        said = firm(verb, plan, now=NOON + 8 * DAY)
        assert (3, True) == (said.code, "expired" in said.err)
    assert PEOPLE == len(firm.contacts())
    assert 0 == firm("apply", plan, now=NOON + 6 * DAY).code


def test_a_plan_from_the_future_is_refused(firm: Firm) -> None:
    """Neither a plan whose clock was ahead nor one that decides for a day to come is carried out."""
    ahead = firm.approved(now=NOON + 3 * DAY)
    assert 3 == firm("apply", ahead, now=NOON).code
    to_come = firm.plan("--as-of", "2026-07-05")
    assert 3 == firm("approve", to_come).code
    assert PEOPLE == len(firm.contacts())


def test_a_tampered_plan_is_refused(firm: Firm) -> None:
    """One changed byte anywhere, a line cut off, or a plan of another installation: refused."""
    plan = firm.approved()
    whole = plan.read_bytes()
    begins = whole.index(b'"body":"') + len(b'"body":"')
    for changed in (
        whole[:begins] + (b"B" if whole[begins : begins + 1] == b"A" else b"A") + whole[begins + 1 :],
        whole[: len(whole) // 2],
        whole.replace(b'"made_by":"tester"', b'"made_by":"somebod"'),
    ):
        assert changed != whole
        plan.write_bytes(changed)
        said = firm("apply", plan)
        assert 3 == said.code, said.err
    assert PEOPLE == len(firm.contacts())
    plan.write_bytes(whole)
    assert 0 == firm("apply", plan).code


def test_a_plan_of_an_older_version_is_refused(firm: Firm) -> None:
    """It is named, with what to do, and nothing is touched."""
    plan = firm.approved()
    plan.write_bytes(plan.read_bytes().replace(b"retention-plan/3", b"retention-plan/1"))
    said = firm("apply", plan)
    assert (2, True) == (said.code, "a plan of another version (retention-plan/1): make a new one with `retention plan`" in said.err)
    assert PEOPLE == len(firm.contacts())


def test_a_changed_policy_makes_the_plan_invalid_and_a_comment_does_not(firm: Firm) -> None:
    """The digest is over what a policy means: a comment or a description changes nothing, a period does."""
    plan = firm.approved()
    firm.rewrite('"Keeping in touch."', '"Keeping in touch with people." # a comment')
    assert 0 == firm("plan", "show", plan).code
    original = firm.policies.read_text(encoding="utf-8")
    firm.rewrite('keep = "P2Y"', 'keep = "P3Y"')
    said = firm("apply", plan)
    assert (3, True) == (said.code, "contacts have changed" in said.err)
    assert PEOPLE == len(firm.contacts())
    firm.policies.write_text(original, encoding="utf-8")
    assert 0 == firm("apply", plan).code


def test_four_eyes(firm: Firm) -> None:
    """Where two are asked for, the maker can't approve; somebody else can."""
    env = {"RETENTION_FOUR_EYES": "true"}
    plan = firm.plan()
    assert 3 == firm("approve", plan, env=env).code
    assert 0 == firm("approve", plan, "--by", "somebody else", env=env).code
    assert 0 == firm("apply", plan, env=env).code


def test_a_yes_is_to_the_plan_that_was_looked_at(firm: Firm) -> None:
    """A file that holds another plan by the time of the yes is refused, and says so; what was shown names the command that is sure."""
    file = firm.folder / "plan.jsonl"
    firm.plan("-o", file)
    shown = firm("plan", "show", file)
    looked_at = firm("plan", "show", file, "--json").json["plan"]
    sure = ("approve", file, "--plan", looked_at)
    assert f"Plan {looked_at}, made by tester" in shown.out
    assert f"`retention {' '.join(map(str, sure))}`" in shown.err
    file.unlink()
    firm.plan("-o", file)
    said = firm(*sure)
    assert (3, True) == (said.code, "another plan" in said.err), said.err
    assert firm.events("retention.plan_refused")[-1]["retention.plan"] == firm("plan", "show", file, "--json").json["plan"]
    assert 3 == firm("apply", file).code
    assert PEOPLE == len(firm.contacts())
    assert 0 == firm("approve", file, "--plan", firm("plan", "show", file, "--json").json["plan"]).code
    assert "Next:" not in firm("plan", "show", file).err


def test_what_changed_since_the_plan_is_left_and_said(firm: Firm) -> None:
    """A record that changed after it was decided is never acted on; the others are, and the exit code asks for a look."""
    plan = firm.approved()
    firm.sql("UPDATE contacts SET last_contact_at = '2022-03-30 12:00:00' WHERE id = 3")
    firm.sql("UPDATE contacts SET last_contact_at = '2026-06-01 12:00:00' WHERE id = 4")
    said = firm("apply", plan, "--json")
    assert 4 == said.code, said.err
    assert {3, 4} == set(firm.contacts()) & set(range(1, DUE + 1))
    assert {("changed", "contacts")} == {(each["kind"], each["source"]) for each in said.json["findings"]}


def test_a_backlog_is_worked_off_in_tranches(firm: Firm) -> None:
    """One approval, several calls: each stops after the batch that reaches the number, and says what is left."""
    env = {"RETENTION_BATCH_SIZE": "2"}
    plan = firm.approved("--source", "contacts", env=env)
    left = []
    for _ in range(4):
        said = firm("apply", plan, "--at-most", 4, "--json", env=env)
        assert 0 == said.code, said.err
        left.append((said.json["left"], len(firm.contacts())))
    assert [(6, PEOPLE - 4), (2, PEOPLE - 8), (0, PEOPLE - 10), (0, PEOPLE - 10)] == left


def test_plan_show_says_what_happens_to_which_fields(firm: Firm) -> None:
    """A plan can be looked at later: counts, actions with their due days, who made it, whether it is approved."""
    plan = firm.plan()
    shown = firm("plan", "show", plan)
    assert "Nobody has approved it yet." in shown.out
    firm("approve", plan, "--by", "A. Officer")
    said = firm("plan", "show", plan, "--json").json
    assert "A. Officer" == said["approved"]["by"]
    assert {("contacts", "delete", DUE), ("members", "delete", 2)} == {
        (each["source"], each["action"], each["records"]) for each in said["actions"]
    }


def test_a_sample_is_shown_on_a_terminal_only(firm: Firm) -> None:
    """Personal data goes to a person's eyes, not to a file or a pipe; and nothing of it is kept anywhere."""
    refused = firm("plan", "sample", 3)
    assert (2, "") == (refused.code, refused.out)
    shown = firm("plan", "sample", 3, "--source", "contacts", interactive=True)
    assert 0 == shown.code, shown.err
    assert 3 == shown.out.count("@firm.example")
    kept = b"".join(path.read_bytes() for path in firm.state.rglob("*") if path.is_file())
    assert b"firm.example" not in kept


def test_progress_is_shown_on_a_terminal_and_only_on_standard_error(firm: Firm) -> None:
    """A bar for the person who waits; the results stay clean."""
    plan = firm.approved()
    ours, theirs = pty.openpty()
    environ = {**os.environ, **firm.environ, "TERM": "xterm", "COLUMNS": "120", "RETENTION_PLAN_EXPIRES": "P100Y"}
    code = (
        "import datetime as dt, sys\nfrom worker.cli.main import run\nfrom worker.cli.session import Session\n"
        f"sys.exit(run(['apply', {str(plan)!r}, '--json'], Session(now=lambda: dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC))))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environ, check=False, timeout=60)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:
        # The other end of a pseudo-terminal that closed reads as an error.
        pass
    os.close(ours)
    assert 0 == done.returncode, seen
    assert "done" == json.loads(done.stdout)["state"]
    assert b"Applying contacts" in seen


def test_one_source_that_is_down_does_not_stop_the_others(firm: Firm, tmp_path: Path) -> None:
    """The others are planned and applied, and the exit code says that it is not the whole."""
    other = {"RETENTION_SOURCES__MEMBERS__URL": "postgresql+psycopg://nobody:none@127.0.0.1:9/none"}
    plan = tmp_path / "part.jsonl"
    said = firm("plan", "-o", plan, env=other)
    assert 5 == said.code, said.err
    assert "members" in said.err
    assert "members could not be read" in said.err
    assert 0 == firm("approve", plan, env=other).code
    applied = firm("apply", plan, "--json", env=other)
    assert 5 == applied.code, applied.err
    assert DUE == applied.json["sources"]["contacts"]["acted"]
    assert "members" in applied.json["failed"]
    assert PEOPLE - DUE == len(firm.contacts())


def test_a_plan_that_was_refused_is_not_approved(firm: Firm) -> None:
    """A source that looks different by now refuses the whole yes: the plan can't be applied to any, and the trail has the refusal."""
    plan = firm.plan()
    firm.sql("ALTER TABLE members ADD COLUMN phone TEXT")
    assert 3 == firm("approve", plan).code
    said = firm("apply", plan)
    assert (3, True) == (said.code, "Nobody has approved this plan" in said.err)
    assert PEOPLE == len(firm.contacts())
    said_yes = ("plan_approved", "policy_approved", "source_approved")
    assert [] == [event for each in said_yes for event in firm.events(f"retention.{each}")]
    assert any("members has other columns" in each["event.reason"] for each in firm.events("retention.plan_refused"))


@pytest.mark.parametrize("broken", ["approve_plan", "approve_policy"])
def test_an_approval_that_was_cut_short_is_none(firm: Firm, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """What the ledger can't keep is not carried out, and nothing is carried out that the trail doesn't know as approved."""
    plan = firm.plan()

    def full(*_: object) -> None:
        raise LedgerUnreachable("The ledger can't be reached or is busy: database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, broken, full)
        assert 1 == firm("approve", plan).code
    assert 3 == firm("apply", plan).code
    assert PEOPLE == len(firm.contacts())
    assert 0 == firm("approve", plan).code
    assert 0 == firm("apply", plan).code


@pytest.mark.parametrize("how", ["replaced", "edited", "gone"])
def test_what_is_read_again_is_what_was_checked(firm: Firm, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Whatever takes the plan's place between its check and its carrying out is not carried out under its approval: nothing is."""
    plan, other = firm.approved(), firm.folder / "other.jsonl"
    firm.sql("UPDATE contacts SET last_contact_at = '2022-01-01 00:00:00' WHERE id > 50")
    assert 0 == firm("plan", "-o", other).code
    prepare = starting.begin

    def begin(machine: Machine, wanted: Wanted) -> Callable[[], None]:
        begun = prepare(machine, wanted)
        if how == "replaced":
            other.replace(plan)
        elif how == "edited":
            lines = plan.read_text().splitlines(keepends=True)
            plan.write_text("".join([lines[0], *lines[2:]]))
        else:
            plan.unlink()
        return begun

    monkeypatch.setattr(applying, "begin", begin)
    said = firm("apply", plan)
    assert (2 if how == "gone" else 3) == said.code, said.err
    assert PEOPLE == len(firm.contacts())
    assert [("failed", {})] == [(each["state"], each["counts"]) for each in firm("runs", "--json").json]


def test_a_disk_that_is_full_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    """No half plan stays behind, and the operator reads what is wrong and not that it is a fault of the program."""
    plan = tmp_path / "plan.jsonl"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = planfile.PlanWriter(plan, HEADER, b"secret")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(ConfigurationError, match="written: File too large"), writer:
            writer.finish(planfile.Summary({}, []))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert [] == [*tmp_path.iterdir()]


def test_a_sample_of_what_is_undetermined(firm: Firm) -> None:
    """Whoever has to mend a day is shown whose it is, why, and what stands there; on a terminal only, and nothing that is due."""
    firm.sql("UPDATE contacts SET last_contact_at = '31-01-2021' WHERE id = 20")
    firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = 21")
    refused = firm("plan", "sample", 9, "--undetermined")
    assert (2, "") == (refused.code, refused.out)
    shown = firm("plan", "sample", 9, "--undetermined", "--source", "contacts", interactive=True)
    found = {line.split()[0]: line for line in shown.out.splitlines() if "contact:" in line}
    assert ["20", "21"] == list(found)
    assert ("31-01-2021" in found["20"], "q20@firm.example" in found["20"]) == (True, True)
    assert "last_contact_at: not a timestamp" in shown.out
    assert "last_contact_at: empty" in shown.out
    assert "members: nothing is undetermined." in firm("plan", "sample", 9, "--undetermined", "--source", "members", interactive=True).err
