"""Nothing personal gets out: canaries in every field of every source, the whole of the work, and a search of every byte that was written.

Shown on the terminal, and only there, are values (`plan sample`) and keys (`explain`, `upcoming --records`, `reviews list --records`): to
whoever may look into the systems anyway. Everything else that the command prints may end in a mail or a log and holds neither.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo import office
from demo.__main__ import POLICIES, environment
from tests.acceptance.canaries import DIGITS, WORD, Failing, Watcher, found_in, found_under, plant_dossiers, plant_tables, planted
from tests.acceptance.conftest import Demonstration, Installation, Said
from tests.acceptance.schedules.office import SCHEDULES, Office, build, spend
from tests.acceptance.test_crash import Killer
from tests.events import wrong_events
from tests.plans import deleting
from worker.audit.events import Action
from worker.audit.lines import files
from worker.audit.vocabulary import RESERVED
from worker.policyfile import load
from worker.ports import AFTER_COMMIT, AFTER_WRITE

ROOT = Path(__file__).parents[2]
TODAY = dt.datetime.combine(office.AS_OF, dt.time(10), dt.UTC)
DAY = dt.timedelta(days=1)
WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")

SHOWN = (("plan", "sample"), ("explain",), ("upcoming", "--records"), ("reviews", "list", "--records"))
"""The calls that may show what a record holds, or its key, to the person at the terminal."""

ELSEWHERE = {
    Action.CHILD_DETACHED: "tests/contract: no source of these offices cuts rows loose",
    Action.AUDIT_PRUNED: "tests/acceptance/test_audit_upkeep.py",
    Action.KEY_DESTROYED: "tests/acceptance/test_keys.py",
    Action.SUPPRESSION_ENDED: "tests/acceptance/test_suppression.py",
    Action.SUPPRESSION_RELEASED: "tests/acceptance/test_suppression.py",
    Action.KEY_ROTATED: "tests/acceptance/test_key_rotation.py",
    Action.BATCH_DEFERRED: "tests/acceptance/test_stopping.py",
    Action.RUN_PAUSED: "tests/unit/usecases/test_pacing.py",
    Action.MARK_SET: "tests/acceptance/test_marks.py",
    Action.MARK_REMOVED: "tests/acceptance/test_marks.py",
}
"""The events that the two offices have no occasion for, and where they are written and checked."""


@dataclass
class Life:
    """What one office printed and kept. shown -- by the calls that may show values; leaked -- by the others, with the call."""

    installation: Installation
    shown: set[str] = field(default_factory=set)
    leaked: list[str] = field(default_factory=list)

    def call(self, *args: object, code: int | tuple[int, ...] = (0, 4), **options: object) -> Said:
        """Call the command, and look at what it says."""
        said = self.installation(*args, **options)  # type: ignore[arg-type]
        assert said.code in (code if isinstance(code, tuple) else (code,)), (args, said.code, said.err)
        found = found_in((said.out + said.err).encode())
        if any(set(each) <= {str(arg) for arg in args} for each in SHOWN):
            self.shown |= found_in(said.out.encode())
            found = found_in(said.err.encode())
        if found:
            self.leaked.append(f"{' '.join(map(str, args[:2]))}: {min(found)}")
        return said

    def actions(self) -> set[Action]:
        """Return the actions of all events that were written."""
        lines = (line for path in files(self.installation.audit) for line in path.read_text(errors="replace").splitlines())
        payloads = (line.partition(',"event":')[2][:-1] for line in lines)
        return {Action(json.loads(each)["event.action"]) for each in payloads if each.endswith("}")}


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder of our own in which everything temporary is made."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("SQLITE_TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder


def planted_demonstration(folder: Path) -> Demonstration:
    """Return a demonstration office in which every personal value is a canary, dates that can't be read too."""
    built = office.build(folder / "office")
    sources = load(POLICIES).sources
    by_file = {
        "crm.sqlite": ("contacts", "quotes", "agreements", "invoices"),
        "mailing_list.sqlite": ("members",),
        "comments.sqlite": ("comments",),
    }
    for name, of in by_file.items():
        plant_tables(built.folder / name, {each: sources[each] for each in of})
        with closing(sqlite3.connect(built.folder / name)) as connection, connection:
            for source in of:
                for each in sources[source].fields:
                    if each.name.endswith(("_at", "_on")):
                        row = f"(SELECT max(rowid) FROM {source} WHERE {each.column} IS NOT NULL AND {each.column} NOT LIKE '{WORD}%')"
                        connection.execute(f"UPDATE {source} SET {each.column} = '{WORD}-{each.name}' WHERE rowid = {row}")
    plant_dossiers(built.applications)
    return Demonstration(folder, environment(built, folder), TODAY, built=built)


def first(installation: Demonstration, question: str) -> str:
    """Return the first value that the CRM answers with."""
    assert installation.built is not None
    with closing(sqlite3.connect(installation.built.folder / "crm.sqlite")) as connection:
        return str(connection.execute(question).fetchone()[0])


def killed(firm: Installation, *args: object) -> None:
    """Call the command in a process that dies in the middle."""
    child = os.fork()
    if not child:
        try:
            firm(*args, faults=Killer(AFTER_COMMIT, 2))
        finally:
            os._exit(1)
    os.waitpid(child, 0)


@pytest.fixture(scope="module")
def office_life(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Life:
    """Return what the demonstration office printed and kept in a year of work in which everything goes wrong once."""
    firm = planted_demonstration(tmp_path_factory.mktemp("life"))
    assert firm.built is not None
    life, call = Life(firm), None
    call = life.call
    watcher = Watcher()
    folder, plan, other = firm.folder, firm.folder / "plan.jsonl", firm.folder / "other.toml"
    other.write_text(POLICIES.read_text(encoding="utf-8").replace('window = "P7D"', 'window = "P14D"'), encoding="utf-8")
    due = "SELECT id FROM contacts WHERE last_contact_at BETWEEN '2018-01-01' AND '2024-01-01' AND email <> ''" + "".join(
        f" AND id NOT IN (SELECT contact_id FROM {table} WHERE contact_id NOT NULL)" for table in ("invoices", "agreements", "quotes")
    )
    held, asked, trapped = (first(firm, f"{due} ORDER BY id LIMIT 1 OFFSET {number}") for number in (0, 3, 6))

    with closing(sqlite3.connect(firm.built.folder / "crm.sqlite")) as connection:
        backup = connection.execute(f"SELECT * FROM contacts WHERE id = {asked}").fetchone()

    # What is looked at before anything is done.
    call("policies", "check")
    call("sources", "check", code=(0, 2))
    call("run", code=3)
    call("forecast", "--months", 3)
    call("upcoming")
    call("upcoming", "--records", interactive=True)
    call("policies", "diff", POLICIES, other)
    for form in ("statement", "register"):
        call("policies", form, "-o", folder / f"{form}.md")
    call("plan", "sample", 5, interactive=True)
    call("plan", "sample", 5, interactive=False, code=2)
    call("plan", "sample", 5, "--undetermined", interactive=True)
    call("plan", "sample", 5, "--undetermined", interactive=False, code=2)

    # What people say, by what identifies a person.
    mail = first(firm, f"SELECT email FROM contacts WHERE id = {held}")
    call("hold", "add", "--kind", "dispute", "--scope", "subject", "--subject", "-", *WHO, typed=f"{mail}\n")
    release = call("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "-", *WHO, typed=f"{asked}\n")
    request = call(
        "request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B. Clerk", "--received-on", "2026-06-20",
        typed=first(firm, f"SELECT email FROM contacts WHERE id = {asked}"),
    )  # fmt: skip
    gone = first(firm, f"SELECT email FROM contacts WHERE id = {first(firm, f'{due} ORDER BY id LIMIT 1 OFFSET 5')}")
    restriction = first(firm, f"{due} ORDER BY id LIMIT 1 OFFSET 4")
    call(
        "request", "add", "--kind", "restrict", "--subject", "-", typed=first(firm, f"SELECT email FROM contacts WHERE id = {restriction}")
    )
    for listed in (("hold", "list"), ("request", "list", "--json"), ("reviews", "list"), ("findings", "list"), ("settings",)):
        call(*listed)
    listed_records = call("reviews", "list", "--records", interactive=True)
    call("explain", "--subject", "-", typed=mail)
    dossier = max(each.name for each in firm.built.applications.iterdir() if WORD in each.name)
    call("explain", "applications", "-", typed=dossier)
    call("explain", "applications", "-", typed=f"{WORD}-nobody", code=2)
    waiting = listed_records.out.partition("applications: ")[2].splitlines()[0].split(", ")[0]
    call("reviews", "keep", "applications", "-", "--for", "P1M", "--by", "B", "--reason", "later", typed=waiting)
    call("reviews", "keep", "applications", "-", "--for", "P1M", "--by", "B", "--reason", "later", typed=dossier, code=2)

    # A plan that nobody approved, one that was changed, and the plan; a hold that comes after it.
    call("plan", "-o", plan, "--full")
    call("apply", plan, code=3)
    changed = folder / "changed.jsonl"
    changed.write_text("".join(deleting(each) for each in plan.read_text(encoding="utf-8").splitlines(keepends=True)), encoding="utf-8")
    call("approve", changed, code=3)
    call("plan", "show", plan)
    call("approve", plan)
    findings = call("findings", "list", "--json").json
    call("findings", "accept", findings[0]["id"], "--owner", "A", "--reason", "known", "--until", "2026-12-31")
    call("hold", "release", release.out.split()[1])
    later = first(firm, f"{due} ORDER BY id LIMIT 1 OFFSET 8")
    call("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "-", *WHO, typed=later)

    # A crash of the process, an error nobody foresaw, a record that the system refuses to give up, and a system that is away.
    with closing(sqlite3.connect(firm.built.folder / "crm.sqlite")) as connection, connection:
        refusing = f"SELECT RAISE(ABORT, '{WORD} in a refusal')"
        connection.execute(f"CREATE TRIGGER trap BEFORE DELETE ON contacts WHEN old.id = {trapped} BEGIN {refusing}; END")
    killed(firm, "apply", plan)
    torn = files(firm.audit)[-1]
    torn.write_bytes(torn.read_bytes() + b'{"n":')
    killed(firm, "apply", plan)
    call("apply", plan, code=1, faults=Failing(AFTER_WRITE))
    members = firm.built.folder / "mailing_list.sqlite"
    kept = members.read_bytes()
    members.write_bytes(f"{WORD} is no database".encode() * 100)
    call("apply", plan, code=5, faults=watcher)
    call("plan", code=2)
    with closing(sqlite3.connect(firm.built.folder / "crm.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER trap")
    call("plan", code=5)
    members.write_bytes(kept)
    # The next day everything is there again; a run by night works within its limits, and looks at the clock first.
    firm.now = TODAY + DAY
    for source in load(POLICIES).sources:
        call("sources", "approve", source)
    # Somebody stops everything, and lets it go on; a night without any time ends early.
    call("stop", "--why", "moving house")
    call("run", code=3)
    call("status", code=5)
    call("resume")
    call("apply", firm.approved(), code=5, env={"RETENTION_MAX_MINUTES": "0"})
    call("run", "--json", code=(0, 3, 4, 5), faults=watcher)
    done = call("apply", firm.approved(), "--json", code=(0, 4, 5), faults=watcher)
    call("verify", done.json["run"], code=(0, 5))
    call("reconcile")
    call("runs", "--json")
    call("status", "--textfile", firm.folder / "status.prom", code=(0, 4, 5))
    call("sources", "grants")
    call("audit", "key")
    call("audit", "anchor")
    call("audit", "reconcile", code=(0, 4))
    call("audit", "reconcile", "--json", code=(0, 4))
    call("dashboard", firm.state / "audit")
    firm.now = TODAY + 400 * DAY
    call("run", code=3)
    firm.now = TODAY + DAY
    call("request", "close", request.out.split()[1], "--outcome", "erased")

    # What was erased comes back by a restore, under its own number and another one, and goes again; a year later nobody looks any more.
    with closing(sqlite3.connect(firm.built.folder / "crm.sqlite")) as connection, connection:
        places = ", ".join("?" * len(backup))
        connection.execute(f"INSERT INTO contacts VALUES ({places})", backup)
        connection.execute(f"INSERT INTO contacts VALUES ({places})", (999_999, *backup[1:]))
    firm.now = TODAY + 2 * DAY
    call("plan", code=4)
    call("audit", "reconcile", code=4)
    again = Path(call("replay", "--json").json["file"])
    call("plan", "show", again)
    call("approve", again)
    assert 2 == call("apply", again, "--json", faults=watcher).json["sources"]["contacts"]["delete"]
    assert [] == [each for each in call("plan", "--json").json["findings"] if each["kind"] == "returned"]
    firm.now = TODAY + 400 * DAY
    call("apply", firm.approved(), code=(0, 4, 5), faults=watcher)
    assert "No source has tombstones" in call("replay").out
    firm.now = TODAY + 3 * DAY
    call("audit", "find", "--source", "contacts", "--key", "-", typed=asked)
    call("audit", "subject", "-", "--json", typed=mail)
    # What is handed to a person: about one who is gone, one whose records stay, one record with a name for a key.
    for number, whom in enumerate((mail, gone)):
        for lang in ("nl", "en"):
            page = folder / f"person-{number}.{lang}.html"
            call(
                "audit", "prove", "--subject", "-", "-o", folder / f"proof-{number}.json", "--html", page, "--lang", lang, typed=whom,
                code=(0, 5),
            )  # fmt: skip
            assert page.is_file()
        call("audit", "verify", folder / f"proof-{number}.json", "--key", call("audit", "key").out.strip(), code=(0, 5))
    assert "retention.record_deleted" in (folder / "proof-1.json").read_text(encoding="ascii")
    call("audit", "prove", "--source", "applications", "--key", "-", "--html", folder / "dossier.html", typed=dossier, code=(0, 5))
    assert watcher.seen > 20
    assert set() == watcher.leaks

    # A process of its own, with everything logged and a database that breaks under it.
    broken = {"RETENTION_SOURCES__CONTACTS__URL": f"sqlite:///{members}"}
    for env in ({}, {**broken, "RETENTION_LOG_FORMAT": "json"}):
        said = subprocess.run(
            [sys.executable, "-m", "worker.cli.main", "-v", "plan", "--as-of", "2026-06-30"],
            cwd=ROOT, env={**os.environ, **firm.environ, **env}, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        found = found_in(said.stdout + said.stderr)
        life.leaked += [f"a process of its own: {each}" for each in found]
    return life


@pytest.fixture(scope="module")
def schedule_life(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Life:
    """Return what the office of a schedule with sources of every connector printed and kept in its nights."""
    folder = tmp_path_factory.mktemp("schedule")
    plan = importlib.import_module("tests.acceptance.schedules.vip_online_services").PLAN
    firm: Office = build(planted(plan, SCHEDULES / f"{plan.schedule}.toml"), folder)
    assert found_in(firm.database.read_bytes())
    wrong = spend(firm)
    assert [] == wrong, "\n".join(wrong)
    life = Life(firm)
    declared = firm("reviews", "list", "--json").json
    ids = [each["id"] for each in declared["declared"]] if "declared" in declared else []
    for each in ids[:1]:
        life.call("reviews", "done", each, "--by", "B. Editor", "--note", "looked at")
    life.leaked += [f"output: {each}" for each in found_in("".join(firm.everything).encode())]
    return life


@pytest.mark.parametrize("which", ["office_life", "schedule_life"])
def test_no_canary_is_in_any_byte(which: str, request: pytest.FixtureRequest, temporary: Path) -> None:
    """Logs, errors, tracebacks, ledger, plans, audit trail, papers, temporary files, and the names of all files."""
    life: Life = request.getfixturevalue(which)
    assert [] == life.leaked
    own = [path for path in life.installation.folder.iterdir() if path.name not in ("office", "office.sqlite", "files")]
    kept = [path for path in own if path.is_dir()]
    assert {"state", "keys"} <= {path.name for path in kept}
    assert [] == found_under(*kept, temporary)
    assert [] == [path.name for path in own if path.is_file() and found_in(path.name.encode() + path.read_bytes())]


def test_what_may_be_shown_is_shown(office_life: Life) -> None:
    """The search finds what is there: the calls that may show values or keys did, with an address, a number and the name of a dossier."""
    assert any(DIGITS in each for each in office_life.shown)
    assert len([each for each in office_life.shown if WORD in each.lower()]) > 5


@pytest.mark.parametrize("form", [WORD.upper(), f"0x{WORD.encode().hex()}", DIGITS, "2001:DB8:C4:FE::1a"])
def test_the_search_finds_every_form(form: str) -> None:
    """In capitals, in hexadecimal digits, as a number, as an address; in base 64 wherever it begins."""
    assert found_in(f"before {form} after".encode())


def test_every_event_has_its_form(office_life: Life, schedule_life: Life) -> None:
    """What two offices had written down is what the schema of the events promises."""
    assert [] == wrong_events(office_life.installation.state)
    assert [] == wrong_events(schedule_life.installation.state)


def test_every_event_is_written(office_life: Life, schedule_life: Life) -> None:
    """There is an occasion for every event of the closed set, but for those that nothing writes yet."""
    assert set(Action) - RESERVED - set(ELSEWHERE) == (office_life.actions() | schedule_life.actions()) - set(ELSEWHERE)
