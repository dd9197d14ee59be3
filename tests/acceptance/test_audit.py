"""What an auditor gets, and what they find: the key, the anchor, the files, and one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Firm, Installation, Said, make_firm
from worker.audit.read import check, read


@pytest.fixture
def firm(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    return make_firm(tmp_path_factory.mktemp("firm"))


@pytest.fixture
def auditor(tmp_path: Path) -> Installation:
    """Return somebody with the program and nothing else: no policies, ledger, keys or trail."""
    return Installation(tmp_path, {})


def test_an_auditor_verifies_a_run_and_finds_what_was_taken_away(firm: Firm, auditor: Installation) -> None:
    """Every stream of the firm is signed to its end, the anchor knows them all, and verifying needs none of the firm's settings."""
    assert 0 == firm("apply", firm.approved()).code
    key, note = auditor.folder / "retention.pub", auditor.folder / "anchor.note"
    key.write_text(firm("audit", "key").out)
    assert 0 == firm("audit", "anchor", "-o", note).code
    files = sorted(firm.audit.glob("*.jsonl"))
    assert [] == list(check(firm.audit))
    for path in files:
        actions = [entry.payload["event.action"] for entry in read(path) if entry.payload]
        assert ["retention.checkpoint", "retention.stream_closed"] == actions[-2:]
    assert 1 == len(firm.events("retention.anchored"))
    assert len(files) == firm.events("retention.anchored")[0]["retention.streams"]

    def verified(*paths: Path) -> Said:
        return auditor("audit", "verify", *paths, "--key", key, "--anchor", note, "--json")

    said = verified(*reversed(files))
    assert (0, True, []) == (said.code, said.json["whole"], said.json["findings"])
    said = verified(*files[1:])
    assert (1, ["absent"]) == (said.code, [each["kind"] for each in said.json["findings"]])
    # One record that was deleted, taken out of the log.
    path = next(each for each in files if b"record_deleted" in each.read_bytes())
    lines = path.read_bytes().splitlines(keepends=True)
    index = next(place for place, line in enumerate(lines) if b"record_deleted" in line)
    path.write_bytes(b"".join(lines[:index] + lines[index + 1 :]))
    said = verified(*files)
    assert (1, [("removed", index + 1)]) == (said.code, [(each["kind"], each["line"]) for each in said.json["findings"]])
    shown = auditor("audit", "verify", *files, "--key", key.read_text().strip())
    assert f"{path}:{index + 1}: removed: " in shown.out
    assert "Without an anchor" in shown.err


def test_the_anchor_goes_to_standard_output_and_into_the_trail(firm: Firm, auditor: Installation) -> None:
    """Without a file the note is all that is printed, so that it can be piped on; it opens with the key that is printed."""
    note = firm("audit", "anchor").out
    assert note.startswith("retention-worker/anchor\n1\n")
    key = firm("audit", "key").out.strip()
    (auditor.folder / "note").write_text(note)
    files = sorted(firm.audit.glob("*.jsonl"))
    assert 0 == auditor("audit", "verify", *files, "--key", key, "--anchor", auditor.folder / "note").code


def test_a_folder_stands_for_the_files_in_it(firm: Firm, auditor: Installation) -> None:
    """An auditor gets a folder: what is in it counts as if it had been named, and a file of it that is gone is missed; none is no proof."""
    assert 0 == firm("apply", firm.approved()).code
    key, note = auditor.folder / "retention.pub", auditor.folder / "anchor.note"
    key.write_text(firm("audit", "key").out)
    assert 0 == firm("audit", "anchor", "-o", note).code
    files = sorted(firm.audit.glob("*.jsonl"))
    said = auditor("audit", "verify", firm.audit, files[0], "--key", key, "--anchor", note, "--json")
    assert (0, len(files)) == (said.code, said.json["files"])
    files[1].unlink()
    said = auditor("audit", "verify", firm.audit, "--key", key, "--anchor", note, "--json")
    assert (1, ["absent"]) == (said.code, [each["kind"] for each in said.json["findings"]])
    said = auditor("audit", "verify", auditor.folder, "--key", key)
    assert (2, True) == (said.code, "There is no file of an audit trail" in said.err)


def test_what_can_not_be_verified_is_a_mistake_of_the_caller(firm: Firm, auditor: Installation) -> None:
    """A mistyped key, a note by somebody else, a file that holds no trail: exit code 2, and words that say what to do."""
    firm("audit", "anchor")
    key = firm("audit", "key").out.strip()
    other = auditor.folder / "other.txt"
    other.write_text("nothing\n")
    path = next(firm.audit.glob("*.jsonl"))
    for args, words in (
        ((path, "--key", "nothing+1+1"), "no verifier key"),
        ((path, "--key", auditor.folder / "none"), "can't be read"),
        ((path, "--key", key, "--anchor", other), "The anchor can't be used"),
        ((other, "--key", key), "nothing was verified"),
    ):
        said = auditor("audit", "verify", *args)
        assert 2 == said.code
        assert words in said.err


def test_an_anchor_that_can_not_be_written_is_no_event(firm: Firm) -> None:
    """The trail says that a note was made only when it was."""
    assert 2 == firm("audit", "anchor", "-o", firm.folder / "none" / "anchor.note").code
    assert [] == firm.events("retention.anchored")
