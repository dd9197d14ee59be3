"""What watches and what keeps: alert rules by promtool over figures that there are, and the trail after a real logrotate."""

from __future__ import annotations

import datetime as dt
import fcntl
import grp
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.acceptance.conftest import PEOPLE, Firm, make_firm
from tests.systems.servers.process import program
from worker import clock

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "retention.rules.yml"
DAY = dt.timedelta(days=1)


def promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([program("promtool"), *args], capture_output=True, text=True, check=False, timeout=60, cwd=RULES.parent)


def test_the_rules_are_right_and_fire(tmp_path: Path) -> None:
    """Promtool accepts the rules, and its tests say when each of them fires and that none does while all is well."""
    checked = promtool("check", "rules", RULES)
    assert 0 == checked.returncode, checked.stdout + checked.stderr
    tested = promtool("test", "rules", "retention.test.yml")
    assert 0 == tested.returncode, tested.stdout + tested.stderr
    # A rule that no longer fires is noticed.
    for each in ("retention.rules.yml", "retention.test.yml"):
        (tmp_path / each).write_text((RULES.parent / each).read_text().replace("retention_run_missed == 1", "retention_run_missed == 2"))
    assert 0 != promtool("test", "rules", tmp_path / "retention.test.yml").returncode


def test_every_rule_is_tested() -> None:
    """A rule without a test could be mute for years."""
    rules = {each["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for each in group["rules"]}
    tests = yaml.safe_load((RULES.parent / "retention.test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    quiet = {each["alertname"] for test in tests for each in test["alert_rule_test"] if not each.get("exp_alerts")}
    assert rules == fired
    assert rules == quiet


def test_every_figure_of_the_rules_exists(firm: Firm) -> None:
    """What an alert looks at is in the file that `status` writes, under that name and with that label."""
    assert 0 == firm("policies", "approve").code
    for source in ("contacts", "members"):
        assert 0 == firm("sources", "approve", source).code
    assert 0 == firm("run").code
    path = firm.folder / "retention.prom"
    assert 0 == firm("status", "--textfile", path).code
    metrics = promtool_of(path.read_text(encoding="utf-8"))
    assert (0, "") == (metrics.returncode, metrics.stderr + metrics.stdout)
    written = set(re.findall(r"^(retention_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    asked = {name for group in yaml.safe_load(RULES.read_text())["groups"] for each in group["rules"] for name in _figures(each["expr"])}
    assert asked
    assert set() == asked - written


def _figures(expression: str) -> list[str]:
    return re.findall(r"\bretention_\w+", expression)


def promtool_of(metrics: str) -> subprocess.CompletedProcess[str]:
    """Let promtool judge a file of figures: names, types, help."""
    return subprocess.run([program("promtool"), "check", "metrics"], input=metrics, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    """Return a small firm."""
    return make_firm(tmp_path)


# --- Rotation -----------------------------------------------------------------------------------------------------------------------------


def rotate(firm: Firm, state: Path) -> subprocess.CompletedProcess[str]:
    """Run logrotate with the shipped file as it would run tomorrow: every file was seen before."""
    account, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    text = (DEPLOY / "logrotate" / "retention").read_text(encoding="utf-8")
    assert "su retention retention" in text
    text = text.replace("/var/lib/retention/audit", str(firm.audit)).replace("su retention retention", f"su {account} {group}")
    config = firm.folder / "logrotate.conf"
    config.write_text(text)
    config.chmod(0o644)
    seen = "".join(f'"{path}" 2020-1-1-0:0:0\n' for path in sorted(firm.audit.iterdir()))
    state.write_text(f"logrotate state -- version 2\n{seen}")
    command = [program("logrotate"), "--verbose", f"--state={state}", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def aged(paths: list[Path], days: int) -> None:
    """Make files look as if nobody wrote to them for some days."""
    then = clock.now() - dt.timedelta(days=days)
    for path in paths:
        os.utime(path, (then.timestamp(), then.timestamp()))


@pytest.fixture
def written(firm: Firm) -> tuple[Firm, list[Path]]:
    """Return a firm with a trail of several files, its public key, and an anchor that somebody else keeps."""
    assert 0 == firm("apply", firm.approved()).code
    firm.sql("UPDATE contacts SET last_contact_at = '2022-03-01 12:00:00' WHERE id = ?", PEOPLE)
    assert 0 == firm("apply", firm.approved()).code
    (firm.folder / "retention.pub").write_text(firm("audit", "key").out)
    assert 0 == firm("audit", "anchor", "-o", firm.folder / "anchor.note").code
    files = sorted(firm.audit.iterdir())
    assert len(files) >= 4
    return firm, files


def verify(firm: Firm, files: list[Path]) -> int:
    """Verify files as an auditor does, and return the exit code."""
    return firm("audit", "verify", *files, "--key", firm.folder / "retention.pub", "--anchor", firm.folder / "anchor.note").code


def test_the_chain_is_verified_after_rotation(written: tuple[Firm, list[Path]]) -> None:
    """Old files are compressed and kept, young ones stay, and all prove what they proved before; a second time changes nothing."""
    firm, files = written
    assert 0 == verify(firm, files)
    aged(files[:-1], 36)
    aged(files[-1:], 34)
    done = rotate(firm, firm.folder / "state.logrotate")
    assert 0 == done.returncode, done.stderr
    after = sorted(firm.audit.iterdir())
    assert [*(f"{each.name}.1.gz" for each in files[:-1]), files[-1].name] == [each.name for each in after]
    assert 0 == verify(firm, after)
    assert 0 == rotate(firm, firm.folder / "state.logrotate").returncode
    assert after == sorted(firm.audit.iterdir())
    # The worker goes on beside them, and the trail stays one.
    firm.now += DAY
    assert 0 == firm("apply", firm.approved()).code
    assert 0 == verify(firm, sorted(firm.audit.iterdir()))


def test_what_is_missing_or_changed_after_rotation_is_found(written: tuple[Firm, list[Path]]) -> None:
    """A compressed file that is gone, cut off or another one is damage, as it would be uncompressed."""
    firm, files = written
    aged(files, 36)
    assert 0 == rotate(firm, firm.folder / "state.logrotate").returncode
    after = sorted(firm.audit.iterdir())
    assert 0 == verify(firm, after)
    assert 0 != verify(firm, after[1:])
    copy = firm.folder / after[0].name
    shutil.copy(after[0], copy)
    copy.write_bytes(copy.read_bytes()[:-20])
    assert 0 != verify(firm, [copy, *after[1:]])


def test_a_file_that_is_written_to_is_left(written: tuple[Firm, list[Path]]) -> None:
    """A process that lives holds a lock on its file; compressing that one would lose what it writes next. The others are rotated."""
    firm, files = written
    aged(files, 36)
    with files[0].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        done = rotate(firm, firm.folder / "state.logrotate")
    assert files[0].exists()
    assert [] == [each for each in files[1:] if each.exists()]
    assert "prerotate" in done.stderr
    assert 0 == verify(firm, sorted(firm.audit.iterdir()))


def test_nothing_is_ever_deleted_or_truncated() -> None:
    """The words that would destroy a trail are not in the configuration, and those that a general one might bring are taken back."""
    lines = [line.split("#")[0].split() for line in (DEPLOY / "logrotate" / "retention").read_text().splitlines()]
    words = {line[0]: line[1:] for line in lines if line}
    assert ["1"] == words["rotate"]
    assert {"nocopytruncate", "nocopy", "nocreate", "nomail", "noshred", "nodateext", "noolddir"} <= words.keys()
    assert set() == {"maxage", "copytruncate", "copy", "create", "shred", "mail"} & words.keys()
