"""Log files that a batch whose process died has moved aside, as they will be when it is ended: read, and left as they are.

A dry run may not end such a batch, and still has to select what the real run does, which ends it first. Without the batch's mark a file
waits to get its name back; with it, the new content waits to get that name. A batch at work looks the same.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress

from connectors.batchfolder import MANIFEST, MARK, WORKING
from connectors.folder import entries, exists, opened, read_file

NEW = ".new"
"""What stands behind the number of a new content in the folder of a batch."""


def look_aside(root: int) -> dict[str, tuple[str, str]]:
    """Return, by the name that each will have, the batch's folder and the name in it; OSError when nobody can tell."""
    found: dict[str, tuple[str, str]] = {}
    if not exists(root, WORKING) or not stat.S_ISDIR(os.lstat(WORKING, dir_fd=root).st_mode):
        return found
    with opened(root, WORKING) as working:
        for batch, is_folder, _ in entries(working):
            # One that is ended at this moment has nothing aside any more.
            with suppress(FileNotFoundError):
                if is_folder:
                    _look_into(root, working, batch, found)
    return found


def names_in(batch: int) -> list[str]:
    """Return the names that a batch's manifest lists; none of one that broke off, for then nothing was moved."""
    try:
        names: list[str] = json.loads(read_file(batch, MANIFEST))
    except ValueError:
        return []
    return names


def _look_into(root: int, working: int, batch: str, found: dict[str, tuple[str, str]]) -> None:
    """Add what the folder of one batch holds."""
    with opened(working, batch) as folder:
        if not exists(folder, MANIFEST):
            return
        ending = NEW if exists(folder, MARK) else ""
        for number, name in enumerate(names_in(folder)):
            waiting = f"{number}{ending}"
            if exists(folder, waiting) and (free := _free_name(root, name, os.lstat(waiting, dir_fd=folder), found)) is not None:
                found[free] = (batch, waiting)


def _free_name(root: int, name: str, about: os.stat_result, taken: Mapping[str, object]) -> str | None:
    """Return the name that a file gets, or one beside it where that was taken; None when the file has it already."""
    free, tries = name, 0
    while free in taken or exists(root, free):
        if free not in taken and os.path.samestat(os.lstat(free, dir_fd=root), about):
            return None
        tries += 1
        free = f"{name}.returned-{tries}"
    return free
