"""What young files of the trail begin with: for a quick look that proves nothing. What a person's command writes is all in there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from worker.audit.lines import EVENT_LINE, files, opened_on
from worker.audit.read import Payload

_LOOKED_AT = 1 << 20
"""So many bytes of each file: the trail of a large run is as large as the run, and is not read for this."""


def beginnings(folder: Path, since: dt.date) -> Iterator[Payload]:
    """Yield the first events of every file in the folder that was opened on this day (UTC) or later, as they stand.

    Nothing is verified; what can't be read is left out, since other commands say so.
    """
    if not folder.is_dir():
        return
    for path in files(folder):
        if opened_on(path) < since:
            continue
        with suppress(OSError), path.open("rb") as file:
            for line in file.read(_LOOKED_AT).splitlines(keepends=True):
                found = EVENT_LINE.fullmatch(line)
                with suppress(ValueError):
                    event = json.loads(found.group(3)) if found is not None else None
                    if isinstance(event, dict):
                        yield event
