"""The trail's own retention as an installation sees it: a night drops what is old, an auditor finds everything else as it was."""

from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import NOON, Firm, Installation, Said
from tests.acceptance.killing import Killer, killed
from worker.audit.broken import Damage
from worker.audit.pruning import PRUNE_POINTS
from worker.audit.read import check

LATER = NOON + dt.timedelta(days=366)


@pytest.fixture
def keeping(firm: Firm) -> Firm:
    """Return a firm that keeps its trail for a year, has one run behind it, and does without a run for as long."""
    firm.policies.write_text(firm.policies.read_text("utf-8") + '\n[audit]\nkeep = "P1Y"\n', "utf-8")
    firm.environ["RETENTION_MAX_CLOCK_LEAP"] = "P2Y"
    assert 0 == firm("apply", firm.approved()).code
    return firm


@pytest.fixture
def auditor(tmp_path: Path) -> Installation:
    """Return somebody with the program and nothing else."""
    (tmp_path / "auditor").mkdir()
    return Installation(tmp_path / "auditor", {})


def verified(firm: Firm, auditor: Installation, note: str) -> Said:
    """Let the auditor verify all files against an anchor."""
    key = firm("audit", "key", now=LATER).out.strip()
    (auditor.folder / "note").write_text(note)
    return auditor("audit", "verify", *sorted(firm.audit.glob("*.jsonl")), "--key", key, "--anchor", auditor.folder / "note", "--json")


def test_a_night_drops_what_is_old_and_older_anchors_still_hold(keeping: Firm, auditor: Installation) -> None:
    """After `run` the old records are in no file; the anchor of the year before is met, and what was dropped is counted, not blamed."""
    note = keeping("audit", "anchor").out
    references = {each["retention.record"] for each in keeping.events("retention.record_deleted")}
    assert references
    night = keeping("run", "--json", now=LATER)
    assert night.code in (0, 4), night.err
    assert night.json["audit_pruned"]["events"] > len(references)
    content = b"".join(path.read_bytes() for path in keeping.audit.iterdir())
    assert [] == [each for each in references if each.encode() in content]
    said = verified(keeping, auditor, note)
    assert (0, True, []) == (said.code, said.json["whole"], said.json["findings"])
    assert night.json["audit_pruned"]["events"] == sum(each["dropped"] for each in said.json["streams"])


def test_dropping_by_hand_is_shown_before_it_is_done(keeping: Firm) -> None:
    """`audit prune` only shows; `--yes` does it; afterwards there is nothing left to do."""
    before = {path: path.read_bytes() for path in keeping.audit.iterdir()}
    shown = keeping("audit", "prune", "--json", now=LATER)
    assert (0, None) == (shown.code, shown.json["done"])
    assert before == {path: path.read_bytes() for path in before}
    assert "Nothing was dropped yet" in keeping("audit", "prune", now=LATER).err
    done = keeping("audit", "prune", "--yes", now=LATER)
    assert 0 == done.code
    assert f"{sum(each['events'] for each in shown.json['files'])} events of" in done.out
    assert "no longer needed" in keeping("audit", "prune", "--yes", now=LATER).out


def test_without_a_declared_period_nothing_can_be_dropped(firm: Firm) -> None:
    """Asking for it is a mistake of configuration that says what to declare."""
    said = firm("audit", "prune", "--yes")
    assert 2 == said.code
    assert '[audit] keep = "P7Y"' in said.err


@pytest.mark.parametrize("point", PRUNE_POINTS)
def test_killed_while_dropping(keeping: Firm, auditor: Installation, point: str) -> None:
    """SIGKILL between the steps: the trail is whole, and the next time ends as an unhurt one."""
    note = keeping("audit", "anchor").out
    assert signal.SIGKILL == killed(keeping, Killer(point), "audit", "prune", "--yes", now=LATER)
    assert set() == {each.kind for each in check(keeping.audit)} - {Damage.UNCLOSED}, "only its own file has no end"
    assert 0 == keeping("audit", "prune", "--yes", now=LATER).code
    assert [] == list(check(keeping.audit))
    assert [] == [path.name for path in keeping.audit.iterdir() if path.name.startswith(".")]
    assert [] == keeping.events("retention.record_deleted")
    said = verified(keeping, auditor, note)
    assert (0, []) == (said.code, said.json["findings"])


def test_a_damaged_file_is_left_alone_and_said(keeping: Firm) -> None:
    """Exit code 5, and the file with the reason; a night ends the same way."""
    path = next(each for each in sorted(keeping.audit.glob("*.jsonl")) if b"record_deleted" in each.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"retention.level":"permanent"', b'"retention.level":"soft"', 1))
    content = path.read_bytes()
    said = keeping("audit", "prune", "--yes", now=LATER)
    assert 5 == said.code
    assert path.name in said.err
    night = keeping("run", now=LATER)
    assert 5 == night.code
    assert path.name in night.err
    assert content == path.read_bytes()


def test_looking_for_a_person_says_that_older_events_are_gone(keeping: Firm) -> None:
    """Whoever looks for somebody is told how far back the trail can answer."""
    said = keeping("audit", "subject", "-", typed="q1@firm.example\n")
    assert "record_deleted" in said.out or "deleted" in said.out
    keeping("audit", "prune", "--yes", now=LATER)
    said = keeping("audit", "subject", "-", typed="q1@firm.example\n", now=LATER)
    assert "The trail says nothing about it." in said.out
    assert "kept for P1Y" in said.err


def test_the_dashboard_says_what_was_dropped(keeping: Firm) -> None:
    """The page is drawn from a pruned trail, whole, and says how much of it no longer speaks."""
    keeping("audit", "prune", "--yes", now=LATER)
    for lang, words in (("en", "was dropped after its time"), ("nl", "na zijn termijn gewist")):
        page = keeping.folder / f"page-{lang}.html"
        assert 0 == keeping("dashboard", keeping.audit, "-o", page, "--lang", lang, now=LATER).code
        assert words in page.read_text("utf-8")


def test_a_proof_made_before_still_holds_and_one_made_after_says_what_is_left(keeping: Firm, auditor: Installation) -> None:
    """A bundle has its own salts and payloads, so dropping takes nothing from it; of what was dropped none can be made any more."""
    bundle, later = auditor.folder / "proof.json", auditor.folder / "later.json"
    made = keeping("audit", "prove", "--subject", "-", "-o", bundle, typed="q1@firm.example\n")
    assert made.code in (0, 5), made.err
    assert "retention.record_deleted" in bundle.read_text("ascii")
    key = keeping("audit", "key").out.strip()
    before = auditor("audit", "verify", bundle, "--key", key).code
    assert 0 == keeping("audit", "prune", "--yes", now=LATER).code
    assert before == auditor("audit", "verify", bundle, "--key", key).code
    keeping("audit", "prove", "--subject", "-", "-o", later, typed="q1@firm.example\n", now=LATER)
    assert not later.exists() or "retention.record_deleted" not in later.read_text("ascii")
