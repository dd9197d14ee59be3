"""The units for systemd and the lines for cron: read by systemd's own checker, as tight as they promise, and their commands run for real.

systemd itself is not started. What it would set up (users, folders, credentials) is laid out here as it lays them out; everything after
that is the command line and the environment of the unit.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from celery import Celery

from tests.acceptance.conftest import DUE, PEOPLE, Firm, make_firm
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.process import program, stop_process
from tests.systems.servers.redis import Redis
from worker import clock
from worker.cli.main import retention
from worker.core.expecting import expected

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
AMSTERDAM = ZoneInfo("Europe/Amsterdam")

Section = list[tuple[str, str]]


def read(unit: Path) -> dict[str, Section]:
    """Read a unit file; a name may be given several times, so a section is a list."""
    sections: dict[str, Section] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            current.append((name, value))
    return sections


def values(section: Section, name: str) -> list[str]:
    """Return every value of a name."""
    return [value for key, value in section if key == name]


@dataclass
class Machine:
    """A machine's file tree under a folder: the program in /opt, its configuration in /etc, what it keeps in /var."""

    root: Path
    firm: Firm

    def here(self, text: str) -> str:
        """Return a text with absolute paths of the machine under our folder."""
        return re.sub(r"(?<![\w./])/(opt|etc|var|srv)(?=/)", rf"{self.root}/\1", text)

    def start(self, unit: Path) -> subprocess.CompletedProcess[str]:
        """Start a service as systemd does, and wait for its end."""
        return self.run(*self.prepared(unit))

    def prepared(self, unit: Path) -> tuple[list[str], dict[str, str], Path]:
        """Do what systemd does before it starts a service; return the command, its environment and its folder."""
        service = read(unit)["Service"]
        state, credentials = f"{self.root}/var/lib", self.root / "run" / "credentials" / unit.name
        for name in " ".join(values(service, "StateDirectory")).split():
            Path(state, name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for loaded in values(service, "LoadCredential"):
            prefix, _, folder = loaded.partition(":")
            credentials.mkdir(parents=True, exist_ok=True)
            # systemd.exec(5): every file of a directory becomes a credential named for the id, an underscore and the file.
            for file in Path(self.here(folder)).iterdir():
                seen = credentials / f"{prefix}_{file.name}"
                seen.unlink(missing_ok=True)
                seen.touch(mode=0o600)
                seen.write_bytes(file.read_bytes())
                seen.chmod(0o400)

        def filled(text: str) -> str:
            return self.here(text).replace("%S", state).replace("%d", str(credentials))

        environ = dict(each.split("=", 1) for each in map(filled, values(service, "Environment")))
        for each in values(service, "EnvironmentFile"):
            for line in Path(self.here(each.removeprefix("-"))).read_text(encoding="utf-8").splitlines():
                environ |= dict([line.split("=", 1)])
        (command,) = values(service, "ExecStart")
        (folder,) = values(service, "WorkingDirectory")
        path = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        return shlex.split(filled(command)), path | environ, Path(filled(folder))

    def run(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command with nothing in its environment but this."""
        path = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        return subprocess.run(command, env={**path, **environ}, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which the worker is installed, with a small firm whose data protection officer said yes."""
    firm = make_firm(tmp_path)
    firm.now = clock.now()
    recently = (firm.now - dt.timedelta(days=30)).strftime("%Y-%m-%d %H:%M:%S")
    firm.sql(f"UPDATE contacts SET last_contact_at = ? WHERE id > {DUE}", recently)
    root = tmp_path / "machine"
    for name in ("opt/retention/bin", "etc/retention/credentials", "var/lib/prometheus/node-exporter", "srv/retention/anchors"):
        (root / name).mkdir(parents=True)
    start = root / "opt" / "retention" / "bin" / "retention"
    # What pip makes of the entry point, for the code of this checkout.
    start.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m worker.cli.main "$@"\n')
    start.chmod(0o755)
    (root / "etc/retention/policies.toml").write_text(firm.policies.read_text())
    secrets = {name: value for name, value in firm.environ.items() if name.startswith("RETENTION_SOURCES")}
    for name, value in secrets.items():
        (root / "etc/retention/credentials" / name.removeprefix("RETENTION_").lower()).write_text(value + "\n")
    (root / "etc/retention/retention.env").write_text("RETENTION_SCHEDULE=0 3 * * *\nRETENTION_OPERATOR=night\n")
    return Machine(root, firm)


def approve(machine: Machine, **environ: str) -> None:
    """Say yes to the policies and the sources of an installation."""
    machine.firm.environ |= environ
    assert 0 == machine.firm("policies", "approve").code
    for source in ("contacts", "members"):
        assert 0 == machine.firm("sources", "approve", source).code


def with_systemd(machine: Machine) -> None:
    """Say yes where the units look for it."""
    state = machine.root / "var" / "lib"
    places = {"STATE": "retention", "KEYS": "retention-keys/keys.json", "ROOT_KEY": "retention-root/root.key"}
    approve(machine, **{f"RETENTION_{name}": str(state / place) for name, place in places.items()})


def contacts(machine: Machine) -> int:
    """Return how many contacts there are."""
    return len(machine.firm.contacts())


# --- systemd ------------------------------------------------------------------------------------------------------------------------------


def verified(root: Path, *units: Path) -> str:
    """Return what systemd has against units on a machine."""
    folder = root / "etc" / "systemd" / "system"
    folder.mkdir(parents=True, exist_ok=True)
    if not (root / "usr/lib/systemd").exists():
        shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    for each in units:
        (folder / each.name).write_bytes(each.read_bytes())
    command: list[str | Path] = [program("systemd-analyze"), "verify", f"--root={root}", *(each.name for each in units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # What it says about units of the machine itself is the machine's affair.
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if "retention" in line)
    return said + ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_systemd_finds_nothing_wrong(machine: Machine, tmp_path: Path) -> None:
    """No unknown name, no program that is not there, no timer without a service; and the checker does see such things."""
    assert "" == verified(machine.root, *UNITS, *TIMERS)
    wrong = tmp_path / "retention-run.service"
    wrong.write_text(UNITS[0].read_text().replace("ProtectSystem=", "ProtectSytem=").replace("bin/retention", "bin/retentoin"))
    said = verified(machine.root, wrong)
    assert "ProtectSytem" in said
    assert "retentoin" in said


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.stem)
def test_a_service_may_do_little(unit: Path) -> None:
    """Systemd's own review finds an exposure of at most 1.5 of 10; there is a unit that it finds worse."""

    def review(path: Path) -> int:
        command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(path)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode

    assert 0 == review(unit)


def test_the_review_can_fail(tmp_path: Path) -> None:
    """Without its restrictions the same service is refused."""
    loose = tmp_path / "loose.service"
    loose.write_text(
        "".join(line for line in UNITS[0].read_text().splitlines(keepends=True) if not line.startswith(("Protect", "Restrict")))
    )
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(loose)]
    assert 0 != subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def test_the_night_run(machine: Machine) -> None:
    """The unit's command, with the unit's environment and credentials, does the night's work, and writes only where the unit lets it."""
    with_systemd(machine)
    before = {path for path in machine.root.rglob("*") if path.is_file()}
    done = machine.start(DEPLOY / "systemd" / "retention-run.service")
    assert 0 == done.returncode, done.stderr
    assert PEOPLE - DUE == contacts(machine)
    made = {path for path in machine.root.rglob("*") if path.is_file()} - before
    allowed = [machine.root / each for each in ("var/lib/retention", "var/lib/retention-keys", "var/lib/retention-root", "run")]
    assert [] == [path for path in made if not any(path.is_relative_to(each) for each in allowed)]
    assert '"event": "retention.heartbeat"' in done.stderr


def test_a_night_with_the_root_as_a_credential(machine: Machine) -> None:
    """Without a place for it in the unit, the root is what stands in the folder of credentials, and the keys are wrapped with that."""
    unit = machine.root / "retention-run.service"
    lines = (DEPLOY / "systemd" / "retention-run.service").read_text(encoding="utf-8").splitlines(keepends=True)
    unit.write_text("".join(each for each in lines if "RETENTION_ROOT_KEY" not in each))
    root = machine.root / "etc/retention/credentials/root_key"
    root.touch(mode=0o600)
    root.write_text("ab" * 32 + "\n")
    state = machine.root / "var" / "lib"
    keys = state / "retention-keys" / "keys.json"
    approve(machine, RETENTION_STATE=str(state / "retention"), RETENTION_KEYS=str(keys), RETENTION_ROOT_KEY=str(root))
    done = machine.start(unit)
    assert 0 == done.returncode, done.stderr
    assert PEOPLE - DUE == contacts(machine)
    assert "ab" * 32 not in keys.read_text() + done.stdout + done.stderr
    assert [] == list(state.rglob("*.root"))


def test_the_queue(machine: Machine, postgres: Postgres, redis_server: Redis) -> None:
    """The units of the queue, started for real, do the night's work by the schedule and give signs of life; a stop ends both in order."""
    local = clock.now().astimezone(AMSTERDAM) - dt.timedelta(minutes=1)
    ledger = postgres.new_database("ledger")
    (machine.root / "etc/retention/retention.env").write_text(f"RETENTION_SCHEDULE={local.minute} {local.hour} * * *\n")
    for name, value in (("ledger", ledger), ("broker", redis_server.url)):
        (machine.root / "etc/retention/credentials" / name).write_text(value)
    machine.firm.environ["RETENTION_LEDGER"] = ledger
    with_systemd(machine)
    with ExitStack() as stack:
        units = [DEPLOY / "systemd" / f"retention-{name}.service" for name in ("worker", "beat")]
        worker, beat = (stack.enter_context(service(machine, unit)) for unit in units)
        # The beat sends its first message when a minute is over; this is the same one.
        with Celery(broker=redis_server.url, set_as_current=False) as sender:
            sender.send_task("retention.sweep", queue="retention")
        until = clock.monotonic() + 60
        while contacts(machine) > PEOPLE - DUE and clock.monotonic() < until:
            assert (None, None) == (worker.poll(), beat.poll()), said(machine)
            time.sleep(0.2)
        assert PEOPLE - DUE == contacts(machine), said(machine)
    assert (0, 0) == (worker.returncode, beat.returncode), said(machine)
    alive = {each["command"] for each in machine.firm("status", "--json").json["heartbeats"]}
    assert {"worker", "beat"} == alive


@contextmanager
def service(machine: Machine, unit: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a service that stays, and stop it as systemd does: SIGTERM, and an end in order."""
    command, environ, folder = machine.prepared(unit)
    with (machine.root / f"{unit.stem}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield process
    finally:
        stop_process(process)


def said(machine: Machine) -> str:
    """Return what the services wrote."""
    return "\n".join(each.read_text() for each in machine.root.glob("*.log"))


def test_the_status(machine: Machine) -> None:
    """What the status unit writes can be read by the node exporter, who is somebody else; 4 and 5 are no failures of the unit."""
    with_systemd(machine)
    unit = DEPLOY / "systemd" / "retention-status.service"
    done = machine.start(unit)
    assert str(done.returncode) in values(read(unit)["Service"], "SuccessExitStatus")[0].split(), done.stderr
    assert "retention_run_missed" in (machine.root / "var/lib/prometheus/node-exporter/retention.prom").read_text()
    assert '"event": "retention.status"' in done.stderr
    assert ["0022"] == values(read(unit)["Service"], "UMask")


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.stem)
def test_every_command_exists(unit: Path, machine: Machine) -> None:
    """The command of a unit is one of the program's, with options that it has."""
    (command,) = values(read(unit)["Service"], "ExecStart")
    program_, name, *options = shlex.split(command)
    assert "/opt/retention/bin/retention" == program_
    known = {flag for each in retention.commands[name].params for flag in each.opts}
    assert {each for each in options if each.startswith("--")} <= known
    shown = machine.run([machine.here(program_), name, "--help"], {}, machine.root)
    assert 0 == shown.returncode, shown.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.stem)
def test_units_share_their_installation(unit: Path) -> None:
    """All of them find the same policies, keys, ledger and secrets; what one is denied, every one is."""
    shared = ("User", "Group", "Environment", "EnvironmentFile", "LoadCredential", "StateDirectory", "WorkingDirectory")
    tight = ("Protect", "Private", "Restrict", "SystemCall", "Capability", "NoNew", "Lock", "Remove", "Ambient", "Proc")

    def chosen(path: Path) -> Section:
        return [(name, value) for name, value in read(path)["Service"] if name in shared or name.startswith(tight)]

    assert chosen(DEPLOY / "systemd" / "retention-run.service") == chosen(unit)


def test_the_filter_lets_the_work_through(machine: Machine) -> None:
    """Every system call that a night run makes is one that the unit allows."""
    with_systemd(machine)
    service = read(DEPLOY / "systemd" / "retention-run.service")["Service"]
    counted = machine.root / "calls"
    start = machine.root / "opt" / "retention" / "bin" / "retention"
    start.write_text(start.read_text().replace("exec ", f"exec {program('strace')} -f -qq -c -U name,calls -o {counted} "))
    assert 0 == machine.start(DEPLOY / "systemd" / "retention-run.service").returncode
    made = {line.split()[0] for line in counted.read_text().splitlines()[2:] if line[:1].isalpha()} - {"syscall", "total"}
    allowed, denied = (_calls(each) for each in values(service, "SystemCallFilter"))
    assert len(made) > 30
    # SQLite keeps the owner of a file, which only root could have changed.
    assert (set() if os.geteuid() else {"fchown"}) >= made - (allowed - denied)


def _calls(listed: str) -> set[str]:
    """Return the system calls of a filter, groups taken apart."""
    found: set[str] = set()
    for each in listed.removeprefix("~").split():
        if not each.startswith("@"):
            found.add(each)
            continue
        shown = subprocess.run([program("systemd-analyze"), "syscall-filter", each], capture_output=True, text=True, check=True)
        lines = [line.strip() for line in shown.stdout.splitlines()[1:]]
        found |= _calls(" ".join(line for line in lines if line and not line.startswith("#")))
    return found


# --- Schedules ----------------------------------------------------------------------------------------------------------------------------


def cron_lines() -> Iterator[tuple[str, str, str]]:
    """Yield (when, who, what) of every line for cron."""
    for line in (DEPLOY / "retention.cron").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and not re.match(r"\w+=", line):
            *fields, user, command = line.split(None, 6)
            assert "%" not in command.replace(r"\%", ""), "cron makes a line end of a bare %"
            yield " ".join(fields), user, command.replace(r"\%", "%")


def test_cron_does_the_night(machine: Machine) -> None:
    """The lines for cron, run by its shell one after the other: the run, an anchor for somebody else, and no mail while all is well."""
    firm = machine.firm
    folder = machine.root / "srv" / "retention"
    settings = {name: value for name, value in firm.environ.items() if name.startswith("RETENTION_SOURCES")}
    settings |= {
        "RETENTION_POLICIES": str(firm.policies),
        "RETENTION_KEYS": firm.environ["RETENTION_KEYS"],
        "RETENTION_SCHEDULE": "0 3 * * *",
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    approve(machine, RETENTION_STATE=str(folder / ".retention"))
    lines = list(cron_lines())
    assert ["retention"] * 3 == [user for _, user, _ in lines]
    said = [machine.run(["/bin/sh", "-c", machine.here(command)], {}, machine.root) for _, _, command in lines]
    assert [0, 0, 0] == [each.returncode for each in said], [each.stderr for each in said]
    assert PEOPLE - DUE == contacts(machine)
    (anchor,) = (folder / "anchors").iterdir()
    assert re.fullmatch(r"anchor-\d{4}-\d\d-\d\d\.note", anchor.name)
    assert "" == said[2].stdout + said[2].stderr
    firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = ?", PEOPLE)
    nights = [machine.run(["/bin/sh", "-c", machine.here(command)], {}, machine.root) for _, _, command in lines]
    assert "Open findings: 1" in nights[2].stdout


def test_the_schedules_mean_the_same() -> None:
    """cron, the timer and RETENTION_SCHEDULE call for the same moment, on ordinary days and around a change of the clocks."""
    (calendar,) = values(read(DEPLOY / "systemd" / "retention-run.timer")["Timer"], "OnCalendar")
    when = next(when for when, _, command in cron_lines() if command.endswith("retention run"))
    for base in (dt.datetime(2026, 6, 30, 12), dt.datetime(2026, 3, 28, 12), dt.datetime(2026, 10, 24, 12)):
        command = [program("systemd-analyze"), "calendar", f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC", calendar]
        environ = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
        elapse = re.search(r"Next elapse: \w+ (\S+ \S+) UTC", shown)
        assert elapse is not None, shown
        found = expected(when, base.replace(tzinfo=dt.UTC), AMSTERDAM).next
        assert dt.datetime.fromisoformat(elapse[1]).replace(tzinfo=dt.UTC) == found
