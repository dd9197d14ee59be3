"""The root's file: who may own and read it, what stands in it, and that nothing tells it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.keys.apart import equal, lessened
from worker.errors import ConfigurationError
from worker.keys.rootfile import Key, RootFile, new_root

SECRET = "0f" * 32
ROOT = Key("r-0ce7a3", bytes.fromhex(SECRET))
SOMEBODY = 54321


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where a root is to be, in a folder that any user can reach."""
    with tempfile.TemporaryDirectory(prefix="root-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "root.key"


def put(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


class TestContent:
    @pytest.mark.parametrize("content", [SECRET, SECRET + "\n", SECRET.upper(), f"\n  {SECRET}  \r\n\n", f"{SECRET}\n{SECRET}\n"])
    def test_a_line_of_digits(self, path: Path, content: str) -> None:
        """As people and programs write it: with a line end or without, in either case, also twice."""
        assert (ROOT,) == RootFile(put(path, content.encode())).read().keys

    def test_two_lines_are_the_old_and_the_new_one(self, path: Path) -> None:
        """The newest comes last."""
        assert [ROOT.id, True] == [RootFile(put(path, f"{SECRET}\n{'ab' * 32}\n".encode())).read().keys[0].id, RootFile(path).read().ours]
        assert bytes.fromhex("ab" * 32) == RootFile(path).read().keys[-1].secret

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"ab", SECRET[:-1].encode(), SECRET.encode() + b"0", b"root: " + SECRET.encode(), bytes(range(256)), b"{}"]
    )
    def test_anything_else_is_refused_and_not_quoted(self, path: Path, content: bytes) -> None:
        """A root is never guessed, mended, or made anew over something; the error carries nothing of it."""
        put(path, content)
        with pytest.raises(ConfigurationError, match="damaged or no root key") as caught:
            RootFile(path).read()
        assert SECRET[:16] not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        with pytest.raises(ConfigurationError):
            RootFile(path).read_or_make()
        assert content == path.read_bytes()

    def test_no_repr_shows_it(self, path: Path) -> None:
        """Neither what is read nor what is made."""
        shown = repr(RootFile(put(path, SECRET.encode())).read()) + repr(RootFile(path))
        assert SECRET not in shown
        assert repr(ROOT.secret)[2:-1] not in shown
        assert ROOT.id in shown

    def test_every_one_is_new(self) -> None:
        """256 bits of chance, and an id that follows from them."""
        made = [new_root() for _ in range(100)]
        assert 100 == len({each.secret for each in made})
        assert {32} == {len(each.secret) for each in made}

    def test_what_is_made(self, path: Path) -> None:
        """A file that only its owner can read, whatever the umask is, in a folder like it; made once."""
        file = RootFile(path.parent / "new" / "root.key")
        before = os.umask(0)
        try:
            made = file.read_or_make()
        finally:
            os.umask(before)
        assert (0o600, 0o700) == (stat.S_IMODE(file.path.stat().st_mode), stat.S_IMODE(file.path.parent.stat().st_mode))
        assert made == file.read_or_make() == file.read()
        assert ["root.key"] == [each.name for each in file.path.parent.iterdir()]


class TestRights:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666, 0o444])
    def test_others_may_neither_read_nor_write_it(self, path: Path, mode: int) -> None:
        """What others could read may be known to them; it isn't mended."""
        put(path, SECRET.encode(), mode)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            RootFile(path).read()
        assert mode == stat.S_IMODE(path.stat().st_mode)

    @pytest.mark.parametrize(("mode", "ours"), [(0o600, True), (0o400, False)])
    def test_its_mode_says_whether_it_is_ours_to_change(self, path: Path, mode: int, ours: bool) -> None:
        """A copy that is brought again tomorrow is marked so, although its owner could write it."""
        assert ours == RootFile(put(path, SECRET.encode(), mode)).read().ours

    def test_what_is_no_file(self, path: Path) -> None:
        """A folder or a pipe is refused, and nobody waits for what comes out of it."""
        os.mkfifo(path, 0o600)
        with pytest.raises(ConfigurationError, match="not a regular file"):
            RootFile(path).read()
        with pytest.raises(ConfigurationError, match="not a regular file"):
            RootFile(path.parent).read()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_somebody_else_is_refused(self, path: Path) -> None:
        """Another user could change it."""
        os.chown(put(path, SECRET.encode()), SOMEBODY, SOMEBODY)
        with pytest.raises(ConfigurationError, match="belongs to another user"):
            RootFile(path).read()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    @pytest.mark.parametrize("mode", [0o440, 0o040])
    def test_what_the_system_brings_is_read(self, path: Path, mode: int) -> None:
        """Credentials of systemd and secrets of Kubernetes belong to root and are opened to a group; they are not ours to change."""
        os.chown(put(path, SECRET.encode(), mode), 0, SOMEBODY)
        os.setegid(SOMEBODY)
        try:
            lessened(lambda: equal(((ROOT,), False), ((read := RootFile(path).read()).keys, read.ours)), SOMEBODY)
        finally:
            os.setegid(0)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    @pytest.mark.parametrize("mode", [0o444, 0o460, 0o462])
    def test_what_the_system_brings_to_everybody_is_refused(self, path: Path, mode: int) -> None:
        """Its group may read, nobody else, and only its owner may change it."""

        def refused() -> None:
            with pytest.raises(ConfigurationError, match="chmod 440"):
                RootFile(path).read()

        os.chown(put(path, SECRET.encode(), mode), 0, SOMEBODY)
        os.setegid(SOMEBODY)
        try:
            lessened(refused, SOMEBODY)
        finally:
            os.setegid(0)
