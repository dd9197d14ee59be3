"""What plan files say, for tests that look for something in every byte, or change what a plan would do."""

from __future__ import annotations

import binascii
import json
import re

from worker.planfile import packed, unpacked

_BODY = re.compile(rb'"body":"([A-Za-z0-9+/=]*)"')


def laid_open(content: bytes) -> bytes:
    """Return some bytes with the packed batches in them laid open.

    Packed they stand for nothing, and a few letters of what somebody looks for may come up in them by chance.
    """
    batches = [unpacked(binascii.a2b_base64(body), "", "", 0) for body in _BODY.findall(content)]
    return _BODY.sub(b"", content) + b"".join(repr(each).encode() for each in batches)


def deleting(line: str) -> str:
    """Return the line of a plan file, with a batch that deletes its records whatever was planned for them."""
    said = json.loads(line)
    if "body" not in said:
        return line
    batch = unpacked(binascii.a2b_base64(said["body"]), said["batch"], said["source"], said["number"])
    batch.reasons[:] = [each._replace(action="delete", fields=()) for each in batch.reasons]  # type: ignore[index]
    body = binascii.b2a_base64(packed(batch), newline=False).decode("ascii")
    return json.dumps({**said, "body": body}, separators=(",", ":")) + "\n"
