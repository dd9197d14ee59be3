"""Files and folders, opened step by step from the root and never through a link.

Threat model: whoever can write into a dossier (an applicant's upload, a colleague, a synchronised share) may put links there, or swap a
folder for a link while it is being read or removed. So nothing is opened by a path: every step is one name inside a folder that is open
already, and a link is not followed but is itself what is read about, moved or removed. Error texts never hold names of dossiers or files,
which are often people's names.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from worker.errors import ConfigurationError, RetentionError, Retriable, Skippable, SourceFailed

DEPTH = 100
"""How deep folders may lie inside a dossier; a deeper one is unreadable, for a person to look at."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_LARGEST = 64 * 1024 * 1024
_ESCAPE = "\ufffd:"
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_ONE_ENTRY = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST)
_PASSING = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR, errno.ENOMEM, errno.ETXTBSY)


class TooDeep(Exception):
    """A dossier holds folders deeper than `DEPTH`."""


@contextmanager
def told(source: str, doing: str, *, one: bool = False) -> Iterator[None]:
    """Turn an error of the system into one of ours, without the names of files that the system's own text holds.

    one -- the error may concern a single dossier only, so the others can go on.
    """
    try:
        yield
    except OSError as error:
        raise _ours(source, doing, error.errno or 0, one=one) from None


def _ours(source: str, doing: str, number: int, *, one: bool) -> RetentionError:
    """Return the error that says what the operator does next."""
    text = f"{source}: {doing} failed: {os.strerror(number)}."
    if one and number in _ONE_ENTRY:
        return Skippable(f"{text} A dossier or a file in it belongs to somebody else, is in use, or lies on another disk.")
    if number in _RIGHTS:
        return ConfigurationError(f"{text} Give the user of the worker the right to read and write the folder, or mount it writable.")
    if number in _PASSING:
        return Retriable(f"{text} Try again later.")
    hint = "Make room on the disk." if number in (errno.ENOSPC, errno.EDQUOT) else "Look at the disk or the share."
    return SourceFailed(f"{text} {hint}")


def open_root(source: str, table: str, path: Path) -> int:
    """Return a descriptor of a source's folder: a path, or a table as a folder below it.

    SourceFailed when it is not there or does not answer, as a share that is not mounted; ConfigurationError when it is no folder of ours.
    """
    shown = path
    try:
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        for part in () if table in ("", ".") else table.split("/"):
            shown = shown / part
            if part in ("", ".", ".."):
                os.close(root)
                raise ConfigurationError(f"{source}: the table {table!r} is no folder below {path}.")
            with _closing(root), opened(root, part) as inside:
                root = os.dup(inside)
    except OSError as error:
        number = error.errno or 0
        if number in _OBSTACLES:
            raise ConfigurationError(f"{source}: {shown} {_OBSTACLES[number]}") from None
        what = _ABSENT if number == errno.ENOENT else f"can't be opened: {os.strerror(number)}. Look at the disk or the share."
        raise SourceFailed(f"{source}: {shown} {what}") from None
    return root


_LINK = "is no folder, or a link to one. Give the folder itself: links are not followed."
_ABSENT = "does not exist. Mount it, make the folder, or correct the source's path."
_OBSTACLES = {
    errno.ENOTDIR: _LINK,
    errno.ELOOP: _LINK,
    errno.EACCES: "may not be entered. Give the user of the worker the right to read and write it.",
    errno.EPERM: "may not be entered. Give the user of the worker the right to read and write it.",
}


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    """Close a descriptor at the end."""
    try:
        yield
    finally:
        os.close(descriptor)


def key_of(name: str) -> str:
    """Return a folder's name as the key of its dossier: the name itself, or an escaped form of one that is no valid text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return _ESCAPE + os.fsencode(name).hex()
    return _ESCAPE + name.encode().hex() if name.startswith(_ESCAPE) else name


def name_of(key: str) -> str:
    """Return the folder's name that a key stands for; '' for a key that no folder can have."""
    if key.startswith(_ESCAPE):
        try:
            name = os.fsdecode(bytes.fromhex(key.removeprefix(_ESCAPE)))
        except ValueError:
            return ""
    else:
        name = key
    return name if name and "/" not in name and "\0" not in name and not name.startswith(".") else ""


@contextmanager
def opened(folder: int, name: str) -> Iterator[int]:
    """Open a folder inside a folder; OSError when it is none, or a link."""
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def entries(folder: int) -> list[tuple[str, bool, bool]]:
    """Return the entries of a folder by name: (name, is a folder, is a link); the order is that of the names."""
    # A descriptor of its own, because the place in a listing is shared by everybody who uses the same one.
    with opened(folder, ".") as own:
        return _listed(own)


def unsorted_entries(folder: int) -> Iterator[tuple[str, bool, bool]]:
    """Yield what `entries` returns, in no order, while the folder is read."""
    with opened(folder, ".") as own, os.scandir(own) as found:
        for entry in found:
            yield entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()


def _listed(own: int) -> list[tuple[str, bool, bool]]:
    """Return what `entries` does, for a folder that was opened for nothing else."""
    with os.scandir(own) as found:
        return sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in found)


def read_file(folder: int, name: str) -> bytes:
    """Return the content of a regular file; OSError when it is none, is a link, or is larger than a sidecar or index can be."""
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        if _regular(file.fileno()).st_size > _LARGEST:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return file.read()


@contextmanager
def opened_text(folder: int, name: str) -> Iterator[TextIO]:
    """Open a regular file of any size as UTF-8, with its line ends as they are; OSError when it is none, or is a link."""
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), encoding="utf-8", newline="") as file:
        _regular(file.fileno())
        yield file


def _regular(descriptor: int) -> os.stat_result:
    """Return what is known about a regular file; OSError when it is none."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return about


def write_file(folder: int, name: str, parts: Iterable[bytes], like: os.stat_result | None = None) -> None:
    """Make a file out of these parts and wait until the disk has it; rights and owner are those of `like`, else only ours."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(parts)
        file.flush()
        if like is not None:
            # The owner goes first: changing it takes special rights away again. Who may not give files away keeps them.
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)


def exists(folder: int, name: str) -> bool:
    """Whether a folder has an entry of that name, a link that leads nowhere included."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def trace(folder: int, name: str) -> tuple[bytes, int | None]:
    """Return (a digest that changes when anything in a dossier changes, the latest change of any file in it in ns since 1970).

    Kind, name, size, date and identity of every entry count, not the contents. OSError when it can't be read, TooDeep when it is too deep.
    """
    digest = hashlib.sha256()
    latest: int | None = None
    for path, about in _walk(folder, name, 0):
        kind = stat.S_IFMT(about.st_mode)
        digest.update(os.fsencode(f"{path}\0{kind}\0{about.st_size}\0{about.st_mtime_ns}\0{about.st_ino}\0"))
        if kind != stat.S_IFDIR:
            latest = about.st_mtime_ns if latest is None else max(latest, about.st_mtime_ns)
    return digest.digest(), latest


def _walk(folder: int, name: str, depth: int, path: str = ".") -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything below an entry and the entry itself, with its path; links are not followed."""
    if depth > DEPTH:
        raise TooDeep
    about = os.lstat(name, dir_fd=folder)
    yield path, about
    if stat.S_ISDIR(about.st_mode):
        with opened(folder, name) as inside:
            for each, _, _ in _listed(inside):
                yield from _walk(inside, each, depth + 1, f"{path}/{each}")


def remove(working: int, name: str) -> None:
    """Remove an entry of the working folder with all that is in it, links and never what they lead to.

    Folders inside are first moved up into the working folder, under names of ours, so that depth costs neither stack nor descriptors.
    """
    waiting = [name]
    made = 0
    while waiting:
        current = waiting.pop()
        if not stat.S_ISDIR(os.lstat(current, dir_fd=working).st_mode):
            os.unlink(current, dir_fd=working)
            continue
        with _emptied(working, current) as inside:
            for each, is_folder, _ in entries(inside):
                if not is_folder:
                    os.unlink(each, dir_fd=inside)
                    continue
                made += 1
                while exists(working, f"{name}.{made}"):
                    made += 1
                # A folder that its owner may not write in can't be moved: its entry `..` changes.
                with _emptied(inside, each):
                    pass
                os.rename(each, f"{name}.{made}", src_dir_fd=inside, dst_dir_fd=working)
                waiting.append(f"{name}.{made}")
        os.rmdir(current, dir_fd=working)


@contextmanager
def _emptied(folder: int, name: str) -> Iterator[int]:
    """Open a folder whose content goes, and take the right to empty it where that is missing; a link is never followed."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        if os.fstat(place).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            # By way of the descriptor: a name could have become a link in the meantime.
            with suppress(PermissionError):
                Path(f"/proc/self/fd/{place}").chmod(stat.S_IRWXU)
        with opened(place, ".") as descriptor:
            yield descriptor
    finally:
        os.close(place)
