"""The key file and its root while others read, and after a crash at any step of changing them."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.thoroughness import some
from tests.unit.keys.apart import lessened, stopped_before
from tests.unit.keys.place import DOOMED, KEPT, ROOT, SECRETS, Place, secrets_of
from worker.errors import ConfigurationError
from worker.keys import RootReplaced


class TestCrashes:
    """SIGKILL before every step: what was there opens, what was begun is ended by whoever comes next, and nothing is left lying."""

    def stopped(self, make: Callable[[], Place], work: Callable[[Place], object]) -> list[Place]:
        """Return what is left of stopping the work before its first step, its second, and so on, and the last that was not stopped."""
        left = []
        for number in count(1):
            left.append(make())
            if not stopped_before(number, lambda: work(left[-1])):
                return left
        raise AssertionError

    def test_while_destroying(self, place: Place) -> None:
        """Every key but the doomed one opens at once; doing it again takes that one away, and the old root, for good."""
        backup = place.copy()
        left = self.stopped(place.copy, lambda each: each.open().destroy([DOOMED]))
        assert len(left) > 15
        seen = set()
        for each in left:
            seen.add((len(each.roots()), DOOMED in each.keys.read_text(), len(each.drafts())))
            assert KEPT.items() <= secrets_of(each.open()).items()
            each.open().destroy([DOOMED])
            assert KEPT == secrets_of(each.open())
            assert [] == each.drafts()
            assert 1 == len(each.roots())
            assert ROOT not in each.everything()
            assert set() == each.opens(backup.keys, each.root)
        # It was stopped with one root and the key, with two and the key, with two without it, and with one without it.
        assert {(1, True), (2, True), (2, False), (1, False)} == {(roots, there) for roots, there, _ in seen}

    def test_stopped_again_while_ending_it(self, place: Place) -> None:
        """Whatever a crash left, a second one at any step of ending it leaves something that is ended too."""
        states = {
            (len(each.roots()), DOOMED in each.keys.read_text(), len(each.drafts())): each
            for each in self.stopped(place.copy, lambda each: each.open().destroy([DOOMED]))
        }
        assert len(states) > 5
        for state in some(states.values()):
            for each in self.stopped(state.copy, lambda each: each.open().destroy([DOOMED])):
                assert KEPT.items() <= secrets_of(each.open()).items()
                each.open().destroy([DOOMED])
                assert KEPT == secrets_of(each.open())
                assert (1, False, []) == (len(each.roots()), ROOT in each.everything(), each.drafts())

    def test_a_full_disk(self, place: Place) -> None:
        """Without room for a byte nothing changes, no draft is left, and it is said; with room the same call does it."""
        before = place.everything()

        def full() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
            for work in (lambda: place.open().destroy([DOOMED]), lambda: place.open().plan_mac()):
                with pytest.raises(ConfigurationError, match="File too large"):
                    work()

        lessened(full)
        assert (before, []) == (place.everything(), place.drafts())
        assert (DOOMED,) == place.open().destroy([DOOMED]).gone

    def test_whoever_reads_next_takes_out_the_old_root(self, place: Place) -> None:
        """Once nothing is under it any more, reading is enough; nobody has to destroy a second time."""
        for each in self.stopped(place.copy, lambda each: each.open().destroy([DOOMED])):
            if DOOMED not in each.keys.read_text():
                assert KEPT == secrets_of(each.open())
                assert 1 == len(each.roots())
                assert ROOT not in each.root.read_text()

    def test_while_rotating_the_root(self, place: Place) -> None:
        """All keys open at once, and doing it again leaves one root that is new."""
        for each in self.stopped(place.copy, lambda each: each.open().renew_root()):
            assert SECRETS == secrets_of(each.open())
            each.open().renew_root()
            assert SECRETS == secrets_of(each.open())
            assert (1, False, []) == (len(each.roots()), ROOT in each.everything(), each.drafts())

    def test_while_wrapping_what_lay_open(self, before: Place) -> None:
        """The keys lie open or are wrapped, never neither; the next one that is made wraps them."""
        for each in self.stopped(before.copy, lambda each: each.open().plan_mac()):
            assert SECRETS == secrets_of(each.open())
            each.open().sign_key()
            assert SECRETS == secrets_of(each.open())
            assert 1 == len(each.roots())
            assert not any(secret in each.everything() for secret in SECRETS.values())

    def test_while_making_the_first_key(self, tmp_path: Path) -> None:
        """A root without a key file is used by the next one that makes a key."""
        numbers = count()
        for each in self.stopped(lambda: Place(tmp_path / str(next(numbers))), lambda each: each.open().match()):
            roots = each.roots() if each.root.exists() else None
            made = each.open().match()
            assert made == each.open().match()
            assert roots in (None, each.roots())


class TestBeside:
    """Several at once."""

    def test_readers_never_fail_while_keys_are_destroyed(self, place: Place) -> None:
        """Two that read all the time, and one that makes and destroys fifty keys, each time under a new root."""
        program = (
            "import sys, pathlib; from worker.keys import Keyring; files = [pathlib.Path(each) for each in sys.argv[1:3]]; "
            "stop = pathlib.Path(sys.argv[3]); print('reads', flush=True); n = 0\n"
            "while not stop.exists():\n ring = Keyring.open(*files); assert ring.find('m-000001') and ring.find('s-000003'); n += 1\n"
            "print(n)"
        )
        stop = place.folder / "stop"
        command = [sys.executable, "-c", program, str(place.keys), str(place.root), str(stop)]
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        for each in readers:
            assert each.stdout is not None
            assert "reads\n" == each.stdout.readline()
        for _ in range(50):
            ring = place.open()
            assert isinstance(ring.destroy([ring.pseudonym("x").id]).root, RootReplaced)
        stop.touch()
        said = [each.communicate() for each in readers]
        assert [0, 0] == [each.returncode for each in readers], said
        assert all(int(out) > 20 for out, _ in said)

    def test_two_that_destroy_at_once(self, place: Place) -> None:
        """Each destroys one key; in the end both are gone, under one root."""
        program = (
            "import sys, pathlib; from worker.keys import Keyring; "
            "ring = Keyring.open(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])); print(ring.destroy([sys.argv[3]]).gone)"
        )
        started = [
            subprocess.Popen([sys.executable, "-c", program, str(place.keys), str(place.root), each], stdout=subprocess.PIPE, text=True)
            for each in ("p-000002", "s-000003")
        ]
        assert ["('p-000002',)\n", "('s-000003',)\n"] == [each.communicate()[0] for each in started]
        assert {"m-000001": SECRETS["m-000001"]} == secrets_of(place.open())
        assert 1 == len(place.roots())

    def test_a_ring_that_read_before_writes_under_the_new_root(self, place: Place) -> None:
        """Whoever adds a key after another process destroyed one doesn't bring that one back, or the old root."""
        ring = place.open()
        place.open().destroy([DOOMED])
        ring.plan_mac()
        assert KEPT == secrets_of(place.open())
        assert ROOT not in place.everything()
        assert ring.root == place.open().root
