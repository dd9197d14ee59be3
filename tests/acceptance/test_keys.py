"""Destroying the key of a year: said before, confirmed by its id, refused while it is needed, safe against crashes and old backups."""

from __future__ import annotations

import datetime as dt
import json
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import NOON, Firm
from tests.acceptance.killing import Killer, killed
from worker.usecases.keykeeping import KEY_POINTS

NEXT_YEAR = NOON + dt.timedelta(days=366)


@pytest.fixture
def later(firm: Firm) -> Firm:
    """Return a firm that did a run and is in the year after it."""
    firm.environ["RETENTION_MAX_CLOCK_LEAP"] = "P2Y"
    assert 0 == firm("apply", firm.approved()).code
    firm.now = NEXT_YEAR
    return firm


def file_of(firm: Firm) -> Path:
    return Path(firm.environ["RETENTION_KEYS"])


def root_of(firm: Firm) -> Path:
    return file_of(firm).with_suffix(".root")


def in_file(firm: Firm) -> dict[str, str]:
    """Return the ids of the keys in the file by family."""
    return {each["family"]: each["id"] for each in json.loads(file_of(firm).read_text())["keys"]}


def destroyed(firm: Firm) -> list[tuple[str, str, str]]:
    return [(each["retention.key"], each["retention.key_family"], each["retention.by"]) for each in firm.events("retention.key_destroyed")]


def test_nobody_can_find_a_record_of_that_year_any_more(later: Firm) -> None:
    """The key leaves the file, the trail says who destroyed it, the list too, and nothing misses it."""
    key = in_file(later)["audit-ref/2026"]
    assert "deleted" in later("audit", "find", "--source", "contacts", "--key", "1").out
    said = later("keys", "destroy", "audit-ref/2026", "--confirm", key)
    assert 0 == said.code, said.err
    assert "audit-ref/2026" not in in_file(later)
    assert [(key, "audit-ref/2026", "tester")] == destroyed(later)
    assert "The trail says nothing about it." in later("audit", "find", "--source", "contacts", "--key", "1").out
    listed = {each["key"]: each for each in later("keys", "list", "--json").json}
    assert (False, "tester") == (listed[key]["in_file"], listed[key]["destroyed_by"])
    assert "by tester" in later("keys", "list").out
    assert later("run").code in (0, 4)


@pytest.mark.parametrize("confirm", [(), ("--confirm", "a-000000"), ("--confirm", "yes")])
def test_without_its_id_nothing_is_destroyed(later: Firm, confirm: tuple[str, ...]) -> None:
    """Exit code 3, and the id to type; the file is as it was."""
    before = file_of(later).read_bytes()
    said = later("keys", "destroy", "audit-ref-2026", *confirm)
    assert 3 == said.code
    assert in_file(later)["audit-ref/2026"] in said.err
    assert before == file_of(later).read_bytes()
    assert [] == destroyed(later)


@pytest.mark.parametrize(
    "family", ["match", "sign", "audit-ref", "audit-ref/26", "audit-ref/1999", "pseudonym", "pseudonym/", "pseudonym/nobody"]
)
def test_other_keys_can_not_be_destroyed(later: Firm, family: str) -> None:
    """What holds, pseudonyms and signatures need is no key of a year, and a year without a key is a mistake."""
    before = file_of(later).read_bytes()
    assert 2 == later("keys", "destroy", family, "--confirm", in_file(later)["match"]).code
    assert before == file_of(later).read_bytes()


def refused(firm: Firm, *, now: dt.datetime | None = None) -> str:
    """Try to destroy the year's key, be refused, and return why."""
    said = firm("keys", "destroy", "audit-ref/2026", "--confirm", in_file(firm)["audit-ref/2026"], now=now)
    assert 3 == said.code, said.out
    assert "audit-ref/2026" in in_file(firm)
    assert [] == destroyed(firm)
    return said.err


def test_what_still_needs_a_key_keeps_it(later: Firm) -> None:
    """The present year's stays, that of a plan that can be applied, of an open hold on somebody and of an open request; it is said why."""
    assert "the clock" in refused(later, now=NEXT_YEAR + 10 * dt.timedelta(days=366))
    assert "references of 2026" in refused(later, now=NOON)
    midnight = dt.datetime(2026, 12, 31, 20, tzinfo=dt.UTC)
    plan = later.plan(now=midnight)
    assert "the plan " in refused(later, now=midnight + dt.timedelta(days=1))
    assert plan.exists()
    hold = ("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", "--owner", "x", "--reason", "y")
    added = later(*hold, "--review-on", "2028-01-01", typed="q30@firm.example\n", now=midnight).out
    assert added.split()[1] in refused(later)
    assert 0 == later("hold", "release", added.split()[1]).code
    asked = later("request", "add", "--kind", "object", "--subject", "-", typed="q30@firm.example\n", now=midnight).out
    assert asked.split()[1] in refused(later)
    assert 0 == later("request", "close", asked.split()[1], "--outcome", "answered").code
    assert 0 == later("keys", "destroy", "audit-ref/2026", "--confirm", in_file(later)["audit-ref/2026"]).code


def test_a_run_that_nobody_ended_keeps_the_key(firm: Firm) -> None:
    """What a crash left open is read back by the references of its key."""
    firm.environ["RETENTION_MAX_CLOCK_LEAP"] = "P2Y"
    plan = firm.approved()
    assert signal.SIGKILL == killed(firm, Killer("after_intent"), "apply", plan)
    firm.now = NEXT_YEAR
    assert "isn't ended" in refused(firm)
    assert 0 == firm("reconcile").code
    assert 0 == firm("keys", "destroy", "audit-ref/2026", "--confirm", in_file(firm)["audit-ref/2026"]).code


@pytest.mark.parametrize("point", KEY_POINTS)
def test_killed_while_destroying(later: Firm, point: str) -> None:
    """SIGKILL between the steps: whatever is called next ends it, and the trail says it."""
    key = in_file(later)["audit-ref/2026"]
    assert signal.SIGKILL == killed(later, Killer(point), "keys", "destroy", "audit-ref/2026", "--confirm", key)
    assert 0 == later("hold", "list").code
    assert "audit-ref/2026" not in in_file(later)
    assert {(key, "audit-ref/2026", "tester")} == {*destroyed(later)}
    count = len(destroyed(later))
    assert 0 == later("hold", "list").code
    assert count == len(destroyed(later))


def test_a_key_that_comes_back_from_a_backup_is_refused_and_can_be_destroyed_again(later: Firm) -> None:
    """An old key file alone opens nothing. With its root it is said what to do, and nothing is done; doing that mends it."""
    backup, root = file_of(later).read_bytes(), root_of(later).read_bytes()
    key = in_file(later)["audit-ref/2026"]
    assert 0 == later("keys", "destroy", "audit-ref/2026", "--confirm", key).code
    kept = in_file(later)
    file_of(later).write_bytes(backup)
    for command in (("run",), ("keys", "list"), ("keys", "destroy", "audit-ref/2026", "--confirm", key)):
        said = later(*command)
        assert 2 == said.code
        assert "doesn't open any more" in said.err
    root_of(later).write_bytes(root)
    for command in (("run",), ("audit", "find", "--source", "contacts", "--key", "1")):
        said = later(*command)
        assert 2 == said.code
        assert "retention keys destroy audit-ref/2026" in said.err
    assert "in the key file again" in later("keys", "list").out
    assert 0 == later("keys", "destroy", "audit-ref/2026", "--confirm", key).code
    assert kept == in_file(later)
    assert root not in root_of(later).read_bytes()
    assert 2 == len(destroyed(later))
    assert later("run").code in (0, 4)


def test_drafts_of_the_key_file_go_with_the_key(later: Firm) -> None:
    """What a crash left of writing the file holds the key too."""
    draft = file_of(later).with_name(".keys.json.0011223344556677.draft")
    draft.write_bytes(file_of(later).read_bytes())
    assert 0 == later("keys", "destroy", "audit-ref/2026", "--confirm", in_file(later)["audit-ref/2026"]).code
    assert not draft.exists()
