"""Files that only their owner can read: opening one that is safe to use, and replacing one as a whole.

Threat model. A file that others can read or change is refused rather than mended: it may have been read already. A file is replaced by
one that is complete and on disk before it takes the name, so a crash leaves the old one or the new one, and perhaps a draft beside it.
"""

from __future__ import annotations

import glob
import os
import secrets
import stat
from pathlib import Path

from worker.errors import ConfigurationError


def opened(path: Path, what: str, variable: str, *, may_be_brought: bool = False) -> tuple[bytes, os.stat_result] | None:
    """Return the content of a file that is safe to use, or None when there is none.

    may_be_brought -- it may also belong to the system's root, who can read everything anyway, and be readable by a group then: so
    credentials of systemd and secrets of Kubernetes are brought.
    """
    try:
        # Not waiting for the other end of what is no regular file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"The {what} {path} can't be read: {error.strerror}. It must belong to the user who runs this command; "
            f"{variable} says where it is."
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"The {what} {path} is not a regular file. Point {variable} at a file.")
        brought = may_be_brought and status.st_uid == 0 != os.geteuid()
        if status.st_uid != os.geteuid() and not brought:
            raise ConfigurationError(
                f"The {what} {path} belongs to another user (uid {status.st_uid}). Run as that user, or give yourself one of your own "
                f"with {variable}."
            )
        if status.st_mode & (0o037 if brought else 0o077):
            raise ConfigurationError(
                f"The {what} {path} can be read or changed by others (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Find out who could have read it, then run: chmod {'440' if brought else '600'} {path}"
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(), status
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file; when this returns, the new one is on disk, and at no moment was there half a file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - made by descriptor, so that the mode is right at once
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def forget_drafts(path: Path) -> None:
    """Remove what a crash left of writing a file: it holds the keys of then. Whoever has the lock is alone in writing."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.draft"):
        draft.unlink(missing_ok=True)
