"""The root that wraps the keys: made, listed, rotated, brought by somebody else, lost; and what a person is told to do."""

from __future__ import annotations

import datetime as dt
import json
import signal
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.acceptance.conftest import NOON, Firm
from tests.acceptance.killing import Killer, killed
from worker.bootstrap import machine
from worker.keys import Keyring
from worker.settings import load
from worker.usecases.keykeeping import KEY_POINTS
from worker.usecases.keyrotating import AFTER_ADDING, AFTER_BEGINNING, AFTER_TELLING

NEXT_YEAR = NOON + dt.timedelta(days=366)
BROUGHT = "ab" * 32


class Files:
    """The key file of a firm and its root."""

    def __init__(self, firm: Firm) -> None:
        self.keys = Path(firm.environ["RETENTION_KEYS"])
        self.root = self.keys.with_suffix(".root")

    @property
    def document(self) -> dict[str, object]:
        """The key file as it stands."""
        found: dict[str, object] = json.loads(self.keys.read_text())
        return found

    @property
    def roots(self) -> list[str]:
        """The lines of the root's file."""
        return self.root.read_text().split()

    def lay_open(self) -> None:
        """Make the key file one from before there were roots."""
        ring = Keyring.open(self.keys, self.root)
        families = {key_id: check.rpartition(":")[0] for key_id, check in ring.checks().items()}
        keys = [{"id": each, "family": family, "secret": key.secret.hex()} for each, family in families.items() if (key := ring.find(each))]
        self.keys.write_text(json.dumps({"format": 1, "keys": keys}))
        self.root.unlink()

    def bring(self, *lines: str) -> None:
        """Put a root in place that this installation may not write."""
        self.root.unlink(missing_ok=True)
        self.root.touch(mode=0o600)
        self.root.write_text("".join(f"{each}\n" for each in lines))
        self.root.chmod(0o400)


@pytest.fixture
def files(firm: Firm) -> Files:
    """Return the files of a firm that made its keys."""
    firm.plan()
    return Files(firm)


@pytest.fixture
def later(firm: Firm) -> Firm:
    """Return a firm that did a run and is in the year after it."""
    firm.environ["RETENTION_MAX_CLOCK_LEAP"] = "P2Y"
    assert 0 == firm("apply", firm.approved()).code
    firm.now = NEXT_YEAR
    return firm


@contextmanager
def logged() -> Iterator[list[MutableMapping[str, object]]]:
    """Give what is logged meanwhile, and leave no set-up behind."""
    try:
        with capture_logs() as log:
            yield log
    finally:
        structlog.reset_defaults()


def said(firm: Firm, event: str) -> set[tuple[str, str]]:
    """Return what the trail says of roots: their ids, and whose place they took."""
    told = firm.events(f"retention.{event}")
    return {(each["retention.key"], each.get("retention.replaces", "")) for each in told if each["retention.key_family"] == "root"}


def destroy(firm: Firm) -> tuple[str, ...]:
    """Return the call that destroys the year's key."""
    kept = json.loads(Files(firm).keys.read_text())["keys"]
    return ("keys", "destroy", "audit-ref/2026", "--confirm", *(each["id"] for each in kept if each["family"] == "audit-ref/2026"))


def listed(firm: Firm) -> list[dict[str, object]]:
    """Return the roots as programs see them."""
    return [each for each in firm("keys", "list", "--json").json if each["family"] == "root"]


def test_a_root_is_made_with_the_first_key(firm: Firm, files: Files) -> None:
    """It is in a file of its own, listed with its place and since when, said in the trail once, and its secret is said nowhere."""
    root = str(files.document["root"])
    (entry,) = listed(firm)
    assert (root, str(files.root), True, False) == (entry["key"], entry["file"], entry["in_use"], entry["outlived"])
    assert str(entry["since"]).startswith("2026-")
    shown = firm("keys", "list").out
    assert root in shown
    assert str(files.root) in shown
    assert {(root, "")} == said(firm, "key_created")
    assert 1 == sum(each["retention.key"] == root for each in firm.events("retention.key_created"))
    written = [*firm.everything, *(each.read_text(errors="replace") for each in firm.state.rglob("*") if each.is_file())]
    assert not any(files.roots[0] in each for each in written)


def test_destroying_a_year_takes_the_root_along(later: Firm) -> None:
    """Said on the terminal and in the trail, with who did it; a backup of the key file from before is of no use to anybody."""
    files = Files(later)
    old, line = str(files.document["root"]), files.roots[0]
    done = later(*destroy(later))
    new = str(files.document["root"])
    assert (0, True) == (done.code, f"root: {new} took the place of {old}." in done.out), done.err
    assert f"Destroy every copy of {old}" in done.err
    assert "Back up the key file and its root now" in done.err
    assert {(new, old)} == said(later, "key_rotated")
    assert {"tester"} == {each["retention.by"] for each in later.events("retention.key_rotated")}
    assert line not in files.root.read_text()
    assert [(new, False)] == [(each["key"], each["outlived"]) for each in listed(later)]
    assert later("run").code in (0, 4)


@pytest.mark.parametrize("point", KEY_POINTS)
def test_killed_while_destroying(later: Firm, point: str) -> None:
    """The next command ends it, the root's part too, and the trail says whose place the new one took."""
    files = Files(later)
    old, line = str(files.document["root"]), files.roots[0]
    assert signal.SIGKILL == killed(later, Killer(point), *destroy(later))
    assert 0 == later("hold", "list").code
    new = str(files.document["root"])
    assert {(new, old)} == said(later, "key_rotated")
    assert [new] == [each["key"] for each in listed(later)]
    assert line not in files.root.read_text()


class TestBrought:
    """A root that this installation may not write."""

    def test_a_key_goes_and_it_is_said_that_the_root_stays(self, later: Firm) -> None:
        """Exit code 5, on the terminal, in the list until it is done, and in the trail by what it doesn't say."""
        files = Files(later)
        old = str(files.document["root"])
        files.bring(*files.roots)
        done = later(*destroy(later))
        assert 5 == done.code
        assert f"The root {old} could not be replaced: this user may not write it." in done.err
        assert "openssl rand -hex 32" in done.err
        assert "audit-ref/2026 (" in done.out
        assert 1 == len(later.events("retention.key_destroyed"))
        assert set() == said(later, "key_rotated")
        assert [(old, True)] == [(each["key"], each["outlived"]) for each in listed(later)]
        assert "older copies of the key file" in later("keys", "list").err
        files.bring(*files.roots, BROUGHT)
        later.now += dt.timedelta(hours=1)
        assert 5 == later("keys", "rotate", "root").code
        files.bring(BROUGHT)
        (entry,) = listed(later)
        assert (old, True, False) != (entry["key"], entry["in_use"], entry["outlived"])
        assert (True, False) == (entry["in_use"], entry["outlived"])
        assert {(entry["key"], old)} == said(later, "key_rotated")
        assert later("run").code in (0, 4)

    def test_without_a_new_one_nothing_is_rotated(self, firm: Firm, files: Files) -> None:
        """Exit code 2, how to bring one, and nothing is remembered as begun."""
        files.bring(*files.roots)
        before = files.keys.read_bytes()
        done = firm("keys", "rotate", "root")
        assert (2, True) == (done.code, "openssl rand -hex 32" in done.err)
        assert before == files.keys.read_bytes()
        assert 0 == firm("hold", "list").code
        assert set() == said(firm, "key_rotated")

    def test_a_new_one_is_taken_and_the_old_one_is_named(self, firm: Firm, files: Files) -> None:
        """Until the old one is out of the file it is partial, and the list says so."""
        old = str(files.document["root"])
        files.bring(*files.roots, BROUGHT)
        done = firm("keys", "rotate", "root")
        new = str(files.document["root"])
        assert (5, True) == (done.code, f"root: {new} took the place of {old}." in done.out)
        assert f"{old} could not be taken out of its file" in done.err
        assert [(new, True), (old, False)] == [(each["key"], each["in_use"]) for each in listed(firm)]
        assert f"{old} is in {files.root} too" in firm("keys", "list").err
        files.bring(BROUGHT)
        assert [(new, True)] == [(each["key"], each["in_use"]) for each in listed(firm)]


class TestRotating:
    """`retention keys rotate root`."""

    def test_all_keys_are_under_the_new_one(self, firm: Firm, files: Files) -> None:
        """Plans from before are carried out, the trail says it, and whoever runs meanwhile needn't start again."""
        plan = firm.approved()
        ring = Keyring.open(files.keys, files.root)
        old = ring.root
        done = firm("keys", "rotate", "root")
        assert 0 == done.code, done.err
        assert ring.checks() == Keyring.open(files.keys, files.root).checks()
        assert {(str(files.document["root"]), old)} == said(firm, "key_rotated")
        assert None is ring.find("m-ffffff")
        assert firm("apply", plan).code in (0, 4)

    @pytest.mark.parametrize("point", [AFTER_BEGINNING, AFTER_ADDING, AFTER_TELLING])
    def test_killed(self, firm: Firm, files: Files, point: str) -> None:
        """A person wanted a new root: the next command sees to it, once."""
        old, line = str(files.document["root"]), files.roots[0]
        assert signal.SIGKILL == killed(firm, Killer(point), "keys", "rotate", "root")
        assert 0 == firm("hold", "list").code
        new = str(files.document["root"])
        assert {(new, old)} == said(firm, "key_rotated")
        assert line not in files.root.read_text()
        assert 0 == firm("hold", "list").code
        assert (new, 1) == (files.document["root"], len(files.roots))

    def test_not_while_another_rotation_holds_the_sources(self, firm: Firm, files: Files) -> None:
        """What a crash has to end is remembered for one rotation at a time."""
        before = files.document["root"]
        with (
            machine(load(firm.environ, folder=firm.folder), now=lambda: firm.now) as other,
            other.ledger.run_lock([each.source.name for each in other.schedule.policies], run_id="run"),
        ):
            assert 2 == firm("keys", "rotate", "root").code
        assert before == files.document["root"]


class TestUpgrading:
    """An installation from before there were roots."""

    def test_it_goes_on_as_it_was(self, firm: Firm, files: Files) -> None:
        """Nothing is written before a key is; the list says what wraps them, and doing that loses nothing."""
        files.lay_open()
        before = files.keys.read_bytes()
        plan = firm.approved()
        assert "`retention keys rotate root` wraps them" in firm("keys", "list").err
        assert ([], before) == (listed(firm), files.keys.read_bytes())
        done = firm("keys", "rotate", "root")
        root = str(files.document["root"])
        assert (0, True) == (done.code, f"root: the keys are wrapped with {root}." in done.out), done.err
        assert "in the open, until they expire" in done.err
        assert (root, "") in said(firm, "key_created")
        assert set() == said(firm, "key_rotated")
        assert firm("apply", plan).code in (0, 4)

    def test_destroying_wraps_what_is_left(self, later: Firm) -> None:
        """And says that copies from before hold all keys in the open."""
        files = Files(later)
        files.lay_open()
        done = later(*destroy(later))
        assert (0, True) == (done.code, "in the open, until they expire" in done.err), done.err
        assert 2 == files.document["format"]
        assert later("run").code in (0, 4)

    def test_a_new_key_wraps_all(self, firm: Firm, files: Files) -> None:
        """The next rotation of any key is enough; as nobody asked for a root, the log says that there is one to be backed up."""
        files.lay_open()
        with logged() as log:
            assert 0 == firm("keys", "rotate", "seal").code
        said_so = [{name: each[name] for name in ("root", "back_up")} for each in log if each["event"] == "retention.keys_wrapped"]
        assert [{"root": files.document["root"], "back_up": str(files.root)}] == said_so
        assert [files.document["root"]] == [each["key"] for each in listed(firm)]


class TestLost:
    """Every command refuses, and makes nothing anew."""

    @pytest.mark.parametrize("command", ["run", "plan", "keys list", "keys rotate root", "keys destroy audit-ref/2026"])
    def test_a_missing_root(self, firm: Firm, files: Files, command: str) -> None:
        """Exit code 2 with the place; when it is back, all is well."""
        kept = files.root.rename(files.root.with_name("elsewhere"))
        done = firm(*command.split())
        assert (2, True) == (done.code, f"The root key {files.root} is missing" in done.err)
        assert not files.root.exists()
        kept.rename(files.root)
        assert 0 == firm("plan").code

    def test_a_root_that_others_can_read(self, firm: Firm, files: Files) -> None:
        """It is refused like the key file."""
        files.root.chmod(0o644)
        done = firm("plan")
        assert (2, True) == (done.code, "chmod 600" in done.err)

    def test_where_it_may_not_be(self, firm: Firm, files: Files) -> None:
        """Not in the state folder, not in a source, and not the key file itself."""
        for place in (firm.state / "root.key", files.keys):
            done = firm("plan", env={"RETENTION_ROOT_KEY": str(place)})
            assert (2, True) == (done.code, "root key" in done.err.lower()), done.err
        done = firm("plan", env={"RETENTION_ROOT_KEY": str(firm.database)})
        assert (2, True) == (done.code, "same file as the source" in done.err)
