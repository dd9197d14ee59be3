"""A demonstration office for one schedule: its records with what has to become of each, and the nights that are held against that.

An expectation is one text a night; the last one counts for the nights that follow, and `gone` follows a deletion by itself:

    kept | undetermined | uncovered         nothing happens
    review DAY | held DAY | waiting DAY     it was due on that day, and nothing happens
    review                                  a person has to look although nothing is due (an event that is waited for too long)
    deleted DAY                             due on that day, and gone after the night
    treated DAY: a b                        some fields were due on that day: these columns hold something else, the rest of it is as it was
    pseudonymised DAY: a b                  the same for a whole record that stays
    gone                                    it is not there

DAY is the due day, the last day of keeping. For every day in the table the worker is also asked what it would have done on that very day:
the same thing then would be a day early.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.acceptance.conftest import Installation, Said
from worker.bootstrap import machine
from worker.errors import ConfigurationError
from worker.settings import load
from worker.usecases.explaining import Explanation, explain_record

SCHEDULES = Path(__file__).parents[3] / "deploy" / "schedules"
_ZONE = ZoneInfo("Europe/Amsterdam")
_WORDS = {"deleted": "due", "pseudonymised": "due", "treated": "partly"}
_CHANGES = ("deleted", "pseudonymised", "treated")


@dataclass(frozen=True)
class Record:
    """One record: the rules it shows, where it is, what is in it, and what has to become of it, night by night."""

    rule: str
    source: str
    key: str | int
    values: Mapping[str, Any]
    expected: Sequence[str]

    def on(self, night: int) -> Expected:
        """Return what is expected on a night."""
        texts = list(self.expected)
        while len(texts) <= night:
            texts.append("gone" if texts[-1].startswith("deleted") else texts[-1])
        return Expected.parse(texts[night])


@dataclass(frozen=True)
class Expected:
    """One expectation: the word, the due day and the columns that change."""

    word: str
    due: dt.date | None
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Expected:
        """Return what a text of the table says."""
        match = re.fullmatch(r"([a-z]+)(?: (\d{4}-\d\d-\d\d))?(?:: ([a-z_ ]+))?", text)
        assert match is not None, text
        return cls(match[1], dt.date.fromisoformat(match[2]) if match[2] else None, tuple((match[3] or "").split()))

    @property
    def said(self) -> str:
        """The word that `explain` and the plan have for it."""
        return _WORDS.get(self.word, self.word)


@dataclass(frozen=True)
class Sql:
    """Something that another program does in the office's database."""

    statement: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True)
class Sidecar:
    """Something that a person writes into the facts of a dossier."""

    source: str
    key: str
    changes: Mapping[str, object]


@dataclass(frozen=True)
class Command:
    """A call of the command. `typed` is its standard input; the id that it prints is called `name`, and `{name}` stands for it later."""

    args: tuple[str, ...]
    typed: str = ""
    name: str = ""


def command(*args: str, typed: str = "", name: str = "") -> Command:
    """Return a call of the command."""
    return Command(args, typed, name)


def request(kind: str, who: str, received: str = "", *more: str, name: str = "") -> Command:
    """Return a request of a person; a verified one when it asks for erasure."""
    verified = ("--verified-by", "B. Clerk") if kind == "erase" else ()
    on = ("--received-on", received) if received else ()
    return command("request", "add", "--kind", kind, "--subject", "-", *verified, *on, *more, typed=who, name=name)


@dataclass(frozen=True)
class Night:
    """A night: its local day, and what happens before it. `rows` are answers that the database has to give after it."""

    day: str
    before: tuple[Sql | Sidecar | Command, ...] = ()
    rows: Mapping[str, list[tuple[object, ...]]] = field(default_factory=dict)

    @property
    def noon(self) -> dt.datetime:
        """Noon of that day, in UTC."""
        return dt.datetime.combine(dt.date.fromisoformat(self.day), dt.time(12), _ZONE).astimezone(dt.UTC)


@dataclass(frozen=True)
class Plan:
    """Everything about one office that is written down beforehand.

    tables -- the database's tables; folders -- the sources that are folders, with the name of their sidecar; more -- rows of tables that
    are no source; damaged -- dossiers of which the sidecar breaks off, as source/key.
    """

    schedule: str
    tables: str
    records: Sequence[Record]
    nights: Sequence[Night]
    folders: Mapping[str, str] = field(default_factory=dict)
    more: Sequence[tuple[str, Mapping[str, object]]] = ()
    damaged: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()


@dataclass
class Office(Installation):
    """The office of one schedule in a folder, and the command on it."""

    plan_of: Plan | None = None
    sources: tuple[str, ...] = ()
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def written_down(self) -> Plan:
        """What was written down about it."""
        assert self.plan_of is not None
        return self.plan_of

    @property
    def database(self) -> Path:
        """Its only database."""
        return self.folder / "office.sqlite"

    @property
    def files(self) -> Path:
        """The folder with its folders of dossiers."""
        return self.folder / "files"

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do something in the database, as another program would."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def act(self, action: Sql | Sidecar | Command) -> Said | None:
        """Let something happen."""
        match action:
            case Sql(statement, values):
                self.sql(statement, *values)
            case Sidecar(source, key, changes):
                path = self.files / source / key / self.written_down.folders[source]
                path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
            case Command(args, typed, name):
                said = self(*(each.format(**self.ids) for each in args), typed=typed)
                assert said.code == 0, (args, said.err)
                if name:
                    self.ids[name] = said.out.split()[1]
                return said
        return None

    def contents(self) -> dict[tuple[str, str | int], dict[str, Any]]:
        """Return every record of every source that the table is about, by source and key."""
        found: dict[tuple[str, str | int], dict[str, Any]] = {}
        for source in dict.fromkeys(each.source for each in self.written_down.records):
            if source in self.written_down.logs:
                for path in sorted((self.files / source).iterdir()):
                    if path.is_file():
                        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                        found |= {(source, key): {"lines": lines} for key, lines in _days(path.name, text.decode()).items()}
                continue
            if source in self.written_down.folders:
                for path in sorted((self.files / source).iterdir()):
                    if not path.name.startswith("."):
                        sidecar = path / self.written_down.folders[source]
                        found[source, path.name] = {each.name: each.read_text() for each in (sidecar, path / "letter.txt")}
                continue
            with closing(sqlite3.connect(self.database)) as connection:
                connection.row_factory = sqlite3.Row
                for row in connection.execute(f"SELECT * FROM {source}"):
                    found[source, row["id"]] = dict(row)
        return found

    def explained(self, wanted: Sequence[tuple[Record, dt.date]]) -> Iterator[Explanation | None]:
        """Explain records, each for a day; None for one that is not there."""
        with machine(load(self.environ, folder=self.folder), now=lambda: self.now) as joined:
            for record, day in wanted:
                try:
                    yield explain_record(joined, record.source, str(record.key), day)
                except ConfigurationError:
                    yield None


def build(plan: Plan, folder: Path) -> Office:
    """Write an office into a folder."""
    sources = tuple(dict.fromkeys(re.findall(r"^\[sources\.(\w+)\]$", (SCHEDULES / f"{plan.schedule}.toml").read_text(), re.MULTILINE)))
    environ = {
        "RETENTION_POLICIES": str(SCHEDULES / f"{plan.schedule}.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "tester",
        # A demonstration office is small, its nights lie far apart, and on its first night much is due at once.
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_MAX_CLOCK_LEAP": "P5Y",
    }
    for name in sources:
        if name in plan.logs:
            environ[f"RETENTION_SOURCES__{name.upper()}__PATH"] = str(folder / "files" / name)
            continue
        place = ("PATH", str(folder / "files")) if name in plan.folders else ("URL", f"sqlite:///{folder / 'office.sqlite'}")
        environ[f"RETENTION_SOURCES__{name.upper()}__{place[0]}"] = place[1]
    office = Office(folder, environ, plan.nights[0].noon, plan_of=plan, sources=sources)
    with closing(sqlite3.connect(office.database)) as connection, connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {plan.tables}")
        rows = [
            (each.source, {"id": each.key, **each.values}) for each in plan.records if each.source not in plan.folders.keys() | plan.logs
        ]
        for table, row in (*plan.more, *rows):
            marks = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    for source, sidecar in plan.folders.items():
        (office.files / source).mkdir(parents=True)
        for record in (each for each in plan.records if each.source == source):
            dossier = office.files / source / str(record.key)
            dossier.mkdir()
            text = json.dumps(record.values)
            (dossier / sidecar).write_text(text[:9] if f"{source}/{record.key}" in plan.damaged else text)
            (dossier / "letter.txt").write_text(f"Dear Sir or Madam, this is about {record.key}.")
    for source in plan.logs:
        (office.files / source).mkdir(parents=True)
        files: dict[str, str] = {}
        for record in (each for each in plan.records if each.source == source):
            name = str(record.key).partition(",")[0]
            files[name] = files.get(name, "") + str(record.values["lines"])
        for name, text in files.items():
            path = office.files / source / name
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
            # Written for the last time long before the machine's own today.
            os.utime(path, (office.now.timestamp(), office.now.timestamp()))
    return office


def _days(name: str, text: str) -> dict[str, str]:
    """Return the lines of an access log by the key of their record: every line here says its own local day in its path."""
    found: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        key = f"{name},{line.split('/day-')[1].split()[0]}"
        found[key] = found.get(key, "") + line
    return found


def spend(office: Office) -> list[str]:
    """Go through every night of an office and return what was not as it is written down."""
    wrong: list[str] = []
    for number, night in enumerate(office.written_down.nights):
        office.now = night.noon
        for action in night.before:
            office.act(action)
        wrong.extend(f"{night.day}: {each}" for each in _Spent(office, number, night).differences())
    return wrong


@dataclass
class _Spent:
    """One night, held against what is written down."""

    office: Office
    number: int
    night: Night

    def differences(self) -> Iterator[str]:
        """Yield what is not as expected before, during and after the run, and after a second one."""
        yield from self._decisions()
        before = self.office.contents()
        yield from self._run()
        after = self.office.contents()
        yield from self._effects(before, after)
        for statement, rows in self.night.rows.items():
            if self.office.sql(statement) != rows:
                yield f"{statement}: {self.office.sql(statement)}, not {rows}"
        again = self.office("run", "--json", now=self.night.noon + dt.timedelta(hours=1))
        if again.code not in (0, 4):
            yield f"second run: exit {again.code}: {again.err}"
        elif self.office.contents() != after or any(each["acted"] for each in again.json["sources"].values()):
            yield f"a second run on the same night did something: {again.out}"

    def _there(self) -> list[tuple[Record, Expected]]:
        return [(each, found) for each in self.office.written_down.records if (found := each.on(self.number)).word != "gone"]

    def _decisions(self) -> Iterator[str]:
        """Compare what the worker says about every record, and what it would have said on the due day itself."""
        today = dt.date.fromisoformat(self.night.day)
        there = self._there()
        for (record, expected), said in zip(there, self.office.explained([(each, today) for each, _ in there]), strict=True):
            if said is None:
                yield f"{record.rule} {record.source} {record.key}: not there"
            elif (said.word, said.due) != (expected.said, expected.due):
                reasons = "; ".join(f"{each.id} {each.state}" for each in said.purposes)
                wanted = f"{expected.said} {expected.due or ''}"
                yield f"{record.rule} {record.source} {record.key}: {said.word} {said.due or ''}, not {wanted} ({reasons})"
        early = [(record, expected.due) for record, expected in there if expected.due is not None and expected.word in _CHANGES]
        for (record, day), said in zip(early, self.office.explained(early), strict=True):
            if said is not None and said.due is not None and said.due >= day:
                yield f"{record.rule} {record.source} {record.key}: acted on a day early, on {day}"

    def _run(self) -> Iterator[str]:
        """Plan, approve and apply on the first night; afterwards the night run does it by itself."""
        path = self.office.folder / f"plan-{self.number}.jsonl"
        planned = self.office("plan", "--json", "-o", path)
        if planned.code not in (0, 4):
            yield f"plan: exit {planned.code}: {planned.err}"
            return
        yield from self._counts(planned.json)
        if self.number == 0:
            approved = self.office("approve", path)
            applied = self.office("apply", path, "--json")
            if approved.code != 0:
                yield f"approve: exit {approved.code}: {approved.err}"
        else:
            applied = self.office("run", "--json")
        if applied.code not in (0, 4):
            yield f"run: exit {applied.code}: {applied.err}"

    def _counts(self, planned: Any) -> Iterator[str]:
        """Compare the plan's figures with the table: a record that the plan doesn't find is as wrong as one it decides differently."""
        wanted: dict[str, Counter[str]] = {}
        for record, expected in self._there():
            wanted.setdefault(record.source, Counter())[expected.said] += 1
        for source, words in wanted.items():
            counts = planned["sources"][source]
            told = Counter({each: counts[each] for each in ("due", "partly", "review", "held", "waiting", "undetermined") if counts[each]})
            listed = Counter({each: count for each, count in words.items() if each not in ("kept", "uncovered")})
            if told != listed:
                yield f"{source}: the plan counts {dict(told)}, not {dict(listed)}"
            if counts["total"] != words.total():
                yield f"{source}: {counts['total']} records, and the table has {words.total()}"

    def _effects(self, before: Mapping[tuple[str, str | int], Any], after: Mapping[tuple[str, str | int], Any]) -> Iterator[str]:
        """Compare every record with what it was before the night."""
        for record, expected in self._there():
            where = (record.source, record.key)
            then, now = before.get(where), after.get(where)
            told = f"{record.rule} {record.source} {record.key}"
            if expected.word == "deleted":
                if now is not None:
                    yield f"{told}: still there"
            elif now is None or then is None:
                yield f"{told}: not there"
            else:
                changed = tuple(each for each in then if then[each] != now[each])
                if set(changed) != set(expected.columns):
                    yield f"{told}: {', '.join(changed) or 'nothing'} changed, not {', '.join(expected.columns) or 'nothing'}"
        gone = {(each.source, each.key) for each in self.office.written_down.records if each.on(self.number).word == "gone"}
        yield from (f"{source} {key}: should be gone" for source, key in gone & after.keys())
