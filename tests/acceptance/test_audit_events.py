"""What the audit trail says and to whom: on standard output too, about one record, about one person, about what was not done."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import DUE, NOON, Firm
from worker.audit.lines import files
from worker.audit.read import check, read

WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")


def about(firm: Firm, *args: str, typed: str) -> list[tuple[str, str | None]]:
    """Return (event, what became of it) of what `audit` finds, in no order: the clock of these tests stands still."""
    said = firm("audit", *args, "--json", typed=typed)
    assert 0 == said.code, said.err
    assert "firm.example" not in said.out + said.err
    return [(str(each["event"]["event.action"]).removeprefix("retention."), each["became"]) for each in said.json]


@pytest.fixture
def applied(firm: Firm) -> Firm:
    """Return the firm after its first run; one planned record was held after the plan."""
    plan = firm.approved()
    assert 0 == firm("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "5", *WHO).code
    assert 0 == firm("apply", plan).code
    return firm


class TestFind:
    """An auditor who knows a key or an address finds what was done, and nobody else's."""

    def test_a_record_that_is_gone(self, applied: Firm) -> None:
        """Its deletion is found by its key, with what became of the batch; a record that is kept has none."""
        found = about(applied, "find", "--source", "contacts", "--key", "-", typed="3")
        assert [("child_deleted", "done"), ("record_deleted", "done")] == sorted(found)
        assert [] == about(applied, "find", "--source", "contacts", "--key", "-", typed="30")
        assert [("child_deleted", "done")] == about(applied, "find", "--source", "contacts.notes", "--key", "-", typed="3")

    def test_a_person_who_is_gone(self, applied: Firm) -> None:
        """By address, however it is written, over all sources; other people are not in it."""
        found = about(applied, "subject", "-", typed=" Q3@firm.EXAMPLE \n")
        assert [("child_deleted", "done"), ("record_deleted", "done")] == sorted(found)
        assert [("record_deleted", "done")] == about(applied, "subject", "-", typed="q21@firm.example")
        assert [] == about(applied, "subject", "-", typed="nobody@firm.example")

    def test_what_kept_a_record(self, applied: Firm) -> None:
        """A hold on a record is found with the record that it kept, and its release; the run names record and hold."""
        hold = applied.events("retention.hold_placed")[0]["retention.hold"]
        assert 0 == applied("hold", "release", hold).code
        expected = [("hold_placed", None), ("record_held", None), ("hold_released", None)]
        assert sorted(expected) == sorted(about(applied, "find", "--source", "contacts", "--key", "-", typed="5"))
        assert [[hold]] == [each["retention.holds"] for each in applied.events("retention.record_held")]
        assert sorted(expected) == sorted(about(applied, "subject", "-", typed="q5@firm.example"))

    def test_a_request_and_its_answer(self, firm: Firm) -> None:
        """What a person asked for, what came of it, and its end are one story; the deletion names the request."""
        asked = firm(
            "request",
            "add",
            "--kind",
            "erase",
            "--subject",
            "-",
            "--verified-by",
            "B",
            "--received-on",
            "2026-06-20",
            typed="q30@firm.example",
        )
        identifier = asked.out.split()[1]
        assert 0 == firm("apply", firm.approved()).code
        assert 0 == firm("request", "close", identifier, "--outcome", "erased").code
        found = about(firm, "subject", "-", typed="q30@firm.example")
        assert {("request_added", None), ("request_closed", None), ("record_deleted", "done"), ("child_deleted", "done")} == set(found)
        assert 2 == found.count(("record_deleted", "done"))
        named = [each["retention.requests"] for each in firm.events("retention.record_deleted") if "retention.requests" in each]
        assert [[identifier]] * 2 == named

    @pytest.mark.parametrize(
        ("ending", "pack"),
        [(".1", bytes), (".gz", gzip.compress), (".1.gz", gzip.compress), ("-20260630.bz2", bz2.compress), (".xz", lzma.compress)],
    )
    def test_in_files_that_were_rotated_or_compressed(self, applied: Firm, ending: str, pack: Callable[[bytes], bytes]) -> None:
        """What was done a year ago may lie there compressed: it is found, proven, compared and read back like the rest, once."""
        run = applied("runs", "--json").json[0]["run_id"]
        before = about(applied, "subject", "-", typed="q3@firm.example")
        for path in files(applied.audit):
            path.with_name(path.name + ending).write_bytes(pack(path.read_bytes()))
            if ending != ".gz":
                path.unlink()
        assert before == about(applied, "subject", "-", typed="q3@firm.example")
        for path in files(applied.audit):
            if path.with_name(path.name + ending).exists():
                path.unlink()
        assert before == about(applied, "subject", "-", typed="q3@firm.example")
        packed = [path for path in applied.audit.iterdir() if path.name.endswith(ending)]
        assert sorted(before) == sorted(about(applied, "subject", "-", *map(str, packed), typed="q3@firm.example"))
        assert "They agree." in applied("audit", "reconcile").out
        assert 0 == applied("verify", run).code
        proof = applied.folder / "proof.json"
        assert 0 == applied("audit", "prove", "--subject", "-", "-o", proof, typed="q3@firm.example").code
        public = applied("audit", "key").out.strip()
        assert 0 == applied("audit", "verify", proof, "--key", public).code
        anchor = applied.folder / "anchor.note"
        assert 0 == applied("audit", "anchor", "-o", anchor).code
        assert all(path.name.split("-")[2][:32] in anchor.read_text() for path in packed)

    @pytest.mark.parametrize(
        ("ending", "content", "said"),
        [
            (".zst", b"\x28\xb5\x2f\xfd rest", "is compressed with Zstandard, so decompress it first"),
            (".gz", gzip.compress(b"x" * 9999)[:40], "can't be decompressed: it is damaged, or ends too early"),
            (".xz", lzma.compress(b"x" * 9999)[:40], "can't be decompressed: it is damaged, or ends too early"),
            (".gz", b"no gzip at all", "is not compressed as its name says"),
        ],
        # A packed file holds the second at which it was packed: as a name it would be another one in each process that collects the tests.
        ids=["zst", "gz cut off", "xz cut off", "no gz"],
    )
    def test_a_compressed_file_that_can_not_be_read(self, applied: Firm, ending: str, content: bytes, said: str) -> None:
        """It is named, and never taken for a trail that says nothing."""
        path = files(applied.audit)[0]
        path.with_name(path.name + ending).write_bytes(content)
        path.unlink()
        found = applied("audit", "find", "--source", "contacts", "--key", "-", typed="3")
        assert (True, True) == (found.code != 0, said in found.err.replace("\n", " ")), found.err
        assert path.name in found.err.replace("\n", "")

    def test_what_another_program_made_of_it(self, applied: Firm, tmp_path: Path) -> None:
        """A journal is for `audit verify`; here it is refused in words that say so."""
        (tmp_path / "journal.log").write_text("Jun 30 host retention[1]: hello\n")
        said = applied("audit", "find", "--source", "contacts", "--key", "-", str(tmp_path / "journal.log"), typed="3")
        assert said.code != 0
        assert "only `retention audit verify` reads what other programs made of one" in said.err.replace("\n", " ")

    def test_a_batch_that_came_to_nothing(self, applied: Firm, tmp_path: Path) -> None:
        """Without its closing event an intent is open, and it is never shown as done."""
        folder = tmp_path / "part"
        folder.mkdir()
        for path in files(applied.audit):
            lines = path.read_bytes().splitlines(keepends=True)
            closing = next((place for place, line in enumerate(lines) if b"retention.batch_closed" in line), len(lines))
            (folder / path.name).write_bytes(b"".join(lines[:closing]))
        found = about(applied, "find", "--source", "contacts", "--key", "-", str(folder), typed="3")
        assert {("record_deleted", "open"), ("child_deleted", "open")} == set(found)

    def test_other_years_have_other_references(self, applied: Firm) -> None:
        """The key of every year is tried: what was deleted last year is found, beside what was said this year."""
        later = NOON.replace(year=2027)
        hold = ("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "3", *WHO[:-1], "2027-12-01")
        assert 0 == applied(*hold, now=later).code
        assert 3 == len(about(applied, "find", "--source", "contacts", "--key", "-", typed="3"))
        records = {each["retention.record"] for each in applied.events("retention.hold_placed")}
        assert records.isdisjoint({each["retention.record"] for each in applied.events("retention.record_deleted")})

    def test_what_cannot_be_looked_for(self, applied: Firm) -> None:
        """A source or a file that is not there is told with what is; a table is for people."""
        for args, hint in (
            (("--source", "contact"), "contacts"),
            (("--source", "contacts.note"), "notes"),
            (("--source", "contacts", "nowhere.jsonl"), "nowhere.jsonl"),
        ):
            said = applied("audit", "find", "--key", "-", *args, typed="3")
            assert (2, True) == (said.code, hint in said.err), said.err
        assert "record_deleted" in applied("audit", "find", "--source", "contacts", "--key", "3").out
        assert "says nothing" in applied("audit", "subject", "-", typed="nobody@firm.example").out


class TestEvents:
    """What the events carry."""

    def test_a_deletion_says_what_decided(self, applied: Firm) -> None:
        """The policy and its version, the purpose that ended, its due day, the deadline, and the reason in words."""
        event = applied.events("retention.record_deleted")[0]
        assert {
            "rule.id": "contacts",
            "retention.purposes": ["contact"],
            "retention.due": "2024-03-02",
            "retention.deadline": "2024-03-09",
            "retention.level": "permanent",
        }.items() <= event.items()
        assert 1 == len(event["retention.subjects"])

    def test_a_treatment_says_what_happened_to_which_field(self, firm: Firm) -> None:
        """Fields and treatments in one order."""
        firm.rewrite('source = "contacts"\ndisposition = "delete"', 'source = "contacts"\ndisposition = "pseudonymise"')
        assert 0 == firm("apply", firm.approved()).code
        events = firm.events("retention.record_pseudonymised")
        assert DUE == len(events)
        assert {"name": "clear", "email": "pseudonym"} == dict(
            zip(events[0]["retention.fields"], events[0]["retention.treatments"], strict=True)
        )

    def test_a_released_hold_moves_the_deadline(self, firm: Firm) -> None:
        """The deadline is the later of the old one and release and window, and the event names the hold."""
        placed = firm("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "3", *WHO)
        assert 0 == firm("hold", "release", placed.out.split()[1]).code
        assert 0 == firm("apply", firm.approved()).code
        moved = [each for each in firm.events("retention.record_deleted") if "retention.holds" in each]
        assert [("2024-03-04", "2026-07-07")] == [(each["retention.due"], each["retention.deadline"]) for each in moved]

    def test_the_negatives_are_counted_in_a_plan(self, firm: Firm) -> None:
        """So many are kept by a hold or a request, so many can't be decided and why; once a plan, and not again by its run."""
        firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id IN (40, 41)")
        firm("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "3", *WHO)
        firm("request", "add", "--kind", "restrict", "--subject", "-", typed="q7@firm.example\n")
        plan = firm.approved()
        held = firm.events("retention.records_held")
        assert [1, 1] == [each["retention.count"] for each in held]
        assert ["hold", "request"] == sorted(name for each in held for name in ("hold", "request") if f"retention.{name}" in each)
        assert 4 == firm("apply", plan).code
        found = firm.events("retention.finding")
        assert [("undetermined", 2)] == [(each["retention.finding_kind"], each["retention.count"]) for each in found]
        assert "last_contact_at" in found[0]["event.reason"]

    def test_what_a_plan_for_another_day_found_is_said_by_its_run(self, firm: Firm) -> None:
        """A look at another day says nothing about now; when it is carried out all the same, nothing of it stays unsaid."""
        firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id IN (40, 41)")
        plan = firm.approved("--as-of", "2026-06-29")
        assert [] == firm.events("retention.finding")
        assert 4 == firm("apply", plan).code
        (found,) = firm.events("retention.finding")
        assert ("undetermined", 2) == (found["retention.finding_kind"], found["retention.count"])
        assert "retention.run" in found

    def test_every_refusal_is_said(self, firm: Firm, tmp_path: Path) -> None:
        """A plan that was changed, that its maker may not approve, that nobody approved: each with its reason, and without a path."""
        plan = firm.plan()
        changed = tmp_path / "jan-jansen.jsonl"
        changed.write_bytes(plan.read_bytes().replace(b"delete", b"treat ", 1))
        assert 3 == firm("approve", changed).code
        assert 3 == firm("approve", plan, env={"RETENTION_FOUR_EYES": "true"}).code
        assert 3 == firm("apply", plan).code
        reasons = [each["event.reason"] for each in firm.events("retention.plan_refused")]
        beginnings = ("FILE was changed", "Nobody has approved", "This plan was made")
        assert all(map(str.startswith, sorted(reasons), beginnings)), reasons
        assert "jansen" not in "".join(reasons)
        assert str(plan) not in "".join(reasons)

    def test_every_key_that_is_made_is_said(self, firm: Firm) -> None:
        """Also by a command that says nothing else: its family and its id."""
        firm("explain", "--subject", "-", typed="q3@firm.example")
        assert "match" in {each["retention.key_family"] for each in firm.events("retention.key_created")}

    def test_the_schema_is_printed(self, firm: Firm) -> None:
        """The same as the file that is shipped."""
        shipped = Path(__file__).parents[2] / "docs" / "audit-events.schema.json"
        assert shipped.read_text(encoding="utf-8") == firm("audit", "schema").out


def streams_in(text: str) -> dict[str, list[str]]:
    """Return the lines of every stream out of a log with other lines between, in order."""
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    for line in text.splitlines(keepends=True):
        if not line.startswith('{"n":'):
            continue
        waiting.append(line)
        value: dict[str, Any] = json.loads(line)
        if "seal" in value:
            found.setdefault(value["seal"]["stream"], []).extend(waiting)
            waiting = []
    return found


class TestStandardOutput:
    """A container has a log and no folder that lasts."""

    @pytest.mark.parametrize("choice", ["both", "stdout"])
    def test_the_log_holds_whole_streams(self, firm: Firm, tmp_path: Path, choice: str) -> None:
        """The lines on standard output are byte for byte those of the files, and a stream out of them is whole."""
        firm.environ["RETENTION_AUDIT_OUTPUT"] = choice
        assert 0 == firm("apply", firm.approved()).code
        streams = streams_in("".join(firm.everything))
        folder = tmp_path / "picked"
        folder.mkdir()
        for path in files(firm.audit):
            stream = next(read(path)).stream
            (folder / path.name).write_text("".join(streams[stream]), encoding="ascii")
            assert path.read_bytes() == (folder / path.name).read_bytes()
        assert 3 == len(streams)
        assert [] == list(check(folder))

    def test_files_alone_by_default(self, firm: Firm) -> None:
        """Nothing of the trail is on standard output unless somebody asks for it."""
        assert 0 == firm("apply", firm.approved()).code
        assert {} == streams_in("".join(firm.everything))
