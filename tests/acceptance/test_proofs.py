"""What one person gets: a file that proves what was done with their data, checked without the log, and a page that says it in words."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import NOON, Firm, Installation, Said, make_firm
from tests.acceptance.test_crash import Killer
from worker.ports import AFTER_COMMIT

WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")


@pytest.fixture
def stranger(tmp_path: Path) -> Installation:
    """Return somebody with the program, and nothing of the firm's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Installation(folder, {})


def proven(firm: Firm, *args: object, typed: str = "q3@firm.example", code: int = 0) -> Path:
    """Make a proof about somebody and return its file."""
    path = firm.folder / f"proof-{len(list(firm.folder.glob('proof-*')))}.json"
    said = firm("audit", "prove", *(args or ("--subject", "-")), "-o", path, typed=typed)
    assert code == said.code, said.err
    assert "firm.example" not in said.out + said.err + path.read_text()
    return path


def verified(stranger: Installation, firm: Firm, path: Path, *args: object) -> Said:
    """Check a proof with nothing but the firm's public key."""
    return stranger("audit", "verify", path, "--key", firm("audit", "key").out.strip(), *args)


def test_a_person_proves_it_without_the_log(firm: Firm, stranger: Installation) -> None:
    """The deletion, what closed and read back its batch, and nobody else's; accepted by anybody who has the public key."""
    assert 0 == firm("apply", firm.approved()).code
    path = proven(firm)
    for log in firm.audit.iterdir():
        log.unlink()
    said = verified(stranger, firm, path)
    assert (0, True) == (said.code, "Accepted: everything" in said.out), said.out
    assert "Small firm proves 2 events about one person" in said.out
    assert "contact ended on 2024-03-04" in said.out
    found = verified(stranger, firm, path, "--json").json
    assert 4 == len(found["told"])
    assert (True, False, {"done": 2}) == (found["accepted"], found["partial"], found["became"])
    roles = [each["role"] for each in json.loads(path.read_text())["events"]]
    assert ["about", "about", "closing", "read-back"] == sorted(roles)


def test_it_goes_to_standard_output_and_about_one_record(firm: Firm, stranger: Installation) -> None:
    """Without a file the proof is all that is printed; a record and rows that go along are asked for by their key."""
    assert 0 == firm("apply", firm.approved()).code
    said = firm("audit", "prove", "--source", "contacts", "--key", "-", typed="3")
    (stranger.folder / "proof").write_text(said.out)
    assert 0 == verified(stranger, firm, stranger.folder / "proof").code
    assert 4 == len(json.loads(said.out)["events"])
    path = proven(firm, "--source", "contacts.notes", "--key", "-", typed="3")
    assert "1 events about one record" in verified(stranger, firm, path).out


def test_what_was_asked_and_what_kept_it(firm: Firm, stranger: Installation) -> None:
    """Holds and requests about the person are in it with their ends; those of others are not."""
    for number in (3, 4):
        asked = firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B", typed=f"q{number}@firm.example")
        placed = firm("hold", "add", "--kind", "dispute", "--scope", "subject", "--subject", "-", *WHO, typed=f"q{number}@firm.example")
        assert 0 == firm("request", "close", asked.out.split()[1], "--outcome", "done").code
        assert 0 == firm("hold", "release", placed.out.split()[1]).code
    path = proven(firm)
    actions = [json.loads(each["event"])["event.action"].removeprefix("retention.") for each in json.loads(path.read_text())["events"]]
    assert sorted(["hold_placed", "hold_released", "request_added", "request_closed"]) == sorted(actions)
    assert 0 == verified(stranger, firm, path).code


def test_every_year_has_references_of_its_own(firm: Firm, stranger: Installation) -> None:
    """The person's references under the key of every year are in the proof, each with the key's id; no two are alike."""
    assert 0 == firm("apply", firm.approved()).code
    later = NOON.replace(year=2027)
    assert 0 == firm("request", "add", "--kind", "export", "--subject", "-", typed="q3@firm.example", now=later).code
    references = json.loads((path := proven(firm)).read_text())["references"]
    assert {(year, source) for year in (2026, 2027) for source in ("contacts", "members", "*")} == {
        (each["year"], each["source"]) for each in references
    }
    assert (6, 2) == (len({each["reference"] for each in references}), len({each["key"] for each in references}))
    assert "3 events" in verified(stranger, firm, path).out


def test_what_is_not_accepted(firm: Firm, stranger: Installation) -> None:
    """A changed proof, one checked with another firm's key, and one that lost its end: exit code 1, each with its word."""
    assert 0 == firm("apply", firm.approved()).code
    path = proven(firm)
    content = path.read_bytes()
    other = make_firm(stranger.folder)("audit", "key").out.strip()
    assert "other key" in stranger("audit", "verify", path, "--key", other).out
    for made, word in ((content.replace(b"2024-03-04", b"2024-03-05"), "edited"), (content[:-99], "truncated")):
        path.write_bytes(made)
        said = verified(stranger, firm, path)
        assert (1, True) == (said.code, f": {word}: " in said.out), said.out
        assert not verified(stranger, firm, path, "--json").json["accepted"]


def test_a_proof_stands_alone(firm: Firm, stranger: Installation) -> None:
    """Together with logs, other proofs or an anchor it is refused, and told why; of another version it is no proof."""
    assert 0 == firm("apply", firm.approved()).code
    path, key = proven(firm), firm("audit", "key").out.strip()
    log = next(firm.audit.iterdir())
    assert 0 == firm("audit", "anchor", "-o", stranger.folder / "anchor").code
    for more in ((log,), (proven(firm),), ("--anchor", stranger.folder / "anchor")):
        said = stranger("audit", "verify", path, *more, "--key", key)
        assert (2, True) == (said.code, "stands alone" in said.err), said.err
    path.write_bytes(path.read_bytes().replace(b"retention-proof/1", b"retention-proof/2", 1))
    assert "another version" in verified(stranger, firm, path).out


def test_nothing_to_prove(firm: Firm, stranger: Installation) -> None:
    """Of somebody of whom the trail says nothing there is no proof, and one without events is none; a mistyped address looks the same."""
    assert 0 == firm("apply", firm.approved()).code
    said = firm("audit", "prove", "--subject", "-", "-o", firm.folder / "proof", typed="nobody@firm.example")
    assert (2, True, False) == (said.code, "nothing to prove" in said.err, (firm.folder / "proof").exists())
    page = firm.folder / "page.html"
    assert 0 == firm("audit", "prove", "--subject", "-", "--html", page, typed="q30@firm.example").code
    assert "no proof comes with this page" in page.read_text()
    assert "<h3>contacts</h3>" in page.read_text()
    assert 5 == firm("audit", "prove", "--subject", "-", "--html", page, "-o", firm.folder / "proof", typed="q30@firm.example").code


def test_options(firm: Firm) -> None:
    """What doesn't go together, or would be ignored, is refused."""
    for args in ((), ("--source", "contacts"), ("--key", "3"), ("--subject", "-", "--source", "contacts", "--key", "3")):
        assert 2 == firm("audit", "prove", *args, typed="q3@firm.example").code
    assert "--lang goes with --html" in firm("audit", "prove", "--subject", "-", "--lang", "nl", typed="x@y.example").err
    assert 2 == firm("audit", "prove", "--subject", "-", "nowhere", typed="x@y.example").code


def test_a_crash_leaves_it_open(firm: Firm, stranger: Installation) -> None:
    """Intents of which nobody knows what came of them, and that nobody signed, are said to be that: exit code 5, here and there."""
    plan = firm.approved()
    child = os.fork()
    if not child:
        try:
            firm("apply", plan, faults=Killer(AFTER_COMMIT, 1))
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    path = proven(firm, code=5)
    said = verified(stranger, firm, path)
    assert (5, True, True) == (said.code, "Accepted in part" in said.out, "Of 2 intents no event says" in said.err), said.err
    assert "of its events come after the last checkpoint" in said.err
    assert 0 == firm("apply", plan).code
    # The next process found out what had become of them, recorded the end of the stream that broke off, and signed that.
    said = verified(stranger, firm, proven(firm))
    assert (0, True) == (said.code, "Accepted: everything" in said.out), said.err


def test_a_log_that_was_changed(firm: Firm) -> None:
    """Nothing is proven out of it: the damage is told instead."""
    assert 0 == firm("apply", firm.approved()).code
    path = next(each for each in firm.audit.iterdir() if b"record_deleted" in each.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"retention.level":"permanent"', b'"retention.level":"soft"', 1))
    said = firm("audit", "prove", "--subject", "-", typed="q3@firm.example")
    assert (1, "", True) == (said.code, said.out, "not those that were sealed" in said.err)


class TestPage:
    """The page for the person."""

    def page(self, firm: Firm, *args: object, typed: str = "q3@firm.example", code: int = 0) -> str:
        path = firm.folder / "page.html"
        said = firm("audit", "prove", *(args or ("--subject", "-")), "-o", firm.folder / "p.json", "--html", path, typed=typed)
        assert code == said.code, said.err
        return path.read_text(encoding="utf-8")

    def test_what_was_done_and_what_stays(self, firm: Firm) -> None:
        """One of the person's records went, another stays for a purpose that lasts; neither is named."""
        firm.rewrite("[sources.contacts]\n", '[sources.contacts]\nbackups = "P30D"\n')
        firm.sql("UPDATE contacts SET email = 'Q3@Firm.example' WHERE id = 30")
        assert 0 == firm("apply", firm.approved()).code
        page = self.page(firm)
        assert "<h3>Deleted on 30 June 2026</h3>" in page
        assert "<dd>Until 30 July 2026 at the latest.</dd>" in page
        assert "everything of this batch was done" in page
        assert "<strong>Keeping in touch</strong> (in our legitimate interest): name and email. Until 3 March 2028" in page
        assert "In these, people can" not in page
        assert not re.search(r"[\w.]+@[\w.]+", page.replace("@media", "").replace("@page", ""))
        assert "Quirine" not in page
        assert '<html lang="nl">' in self.page(firm, "--subject", "-", "--lang", "nl")

    def test_a_record_that_is_gone_and_one_that_is_not(self, firm: Firm) -> None:
        """Of a record too; what can't be asked about is said and never taken for nothing."""
        assert 0 == firm("apply", firm.approved()).code
        assert "there is no record" in self.page(firm, "--source", "contacts", "--key", "-", typed="3")
        assert "contacts, notes" in self.page(firm, "--source", "contacts.notes", "--key", "-", typed="3")

    def test_a_system_that_can_not_be_read(self, firm: Firm) -> None:
        """The page names it, says nothing about what is in it, and the exit code is 5."""
        assert 0 == firm("apply", firm.approved()).code
        firm.sql("ALTER TABLE members RENAME TO elsewhere")
        page = self.page(firm, code=5)
        assert "These systems could not be read" in page
        assert "members" in page
        firm.database.unlink()
        page = self.page(firm, code=5)
        assert "contacts, members" in page
        assert "Deleted on 30 June 2026" in page

    def test_a_policy_that_changed(self, firm: Firm) -> None:
        """What decided then is told in the words of then."""
        assert 0 == firm("apply", firm.approved()).code
        firm.rewrite('keep = "P2Y"', 'keep = "P3Y"')
        assert "The rule has changed since" in self.page(firm)
