"""How fast `retention audit verify` reads: lines a second in one process, for a file in order, by how it is packed.

python -m bench.audit                 a million lines in segments of 500
python -m bench.audit --lines 200000 --segment 1
"""

from __future__ import annotations

import gzip
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from worker import clock
from worker.audit.note import Signer
from worker.audit.render import compile_template, fragment
from worker.audit.trail import AuditTrail
from worker.audit.verify import verify

_SIGNER = Signer.of("bench", bytes(32))


@click.command(help="Measure how many lines a second are verified.")
@click.option("--lines", default=1_000_000, show_default=True, help="Event lines to write and verify.")
@click.option("--segment", default=500, show_default=True, help="Event lines of a segment.")
@click.option("--packed", is_flag=True, help="Also compressed, and as container runtimes and the journal keep it.")
def main(*, lines: int, segment: int, packed: bool) -> None:
    """Write, verify, print."""
    with tempfile.TemporaryDirectory(prefix="retention-bench-") as name:
        path = _written(Path(name), lines, segment)
        ways = {"as written": path}
        if packed:
            ways |= _packed(path)
        for way, file in ways.items():
            begin = time.process_time()
            verdict = verify([file], [_SIGNER.verifier])
            seconds = time.process_time() - begin
            assert verdict.whole, verdict.findings[:3]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            rate = f"{verdict.lines:,} lines in {seconds:.2f} s of a core, {verdict.lines / seconds:,.0f} a second"
            click.echo(f"{way}: {rate}; peak memory so far {memory} MB")


def _written(folder: Path, lines: int, segment: int) -> Path:
    fixed = {
        "@timestamp": "2026-03-01T01:30:02.250Z",
        "event.action": "retention.record_deleted",
        "retention.run": "run-0123456789ab",
        "retention.batch": "contacts-000001",
        "retention.source": "contacts",
        "rule.id": "contact",
        "retention.due": "2026-02-28",
    }
    render = compile_template(fixed, ["retention.record"])
    with AuditTrail.open(folder, now=clock.now, service_version="bench", sign=_SIGNER.sign) as trail:
        for first in range(0, lines, segment):
            payloads = [render(fragment(f"2026:{number:024x}")) for number in range(first, min(lines, first + segment))]
            trail._append(payloads)  # noqa: SLF001 - without an fsync for each segment
    return trail.path


def _packed(path: Path) -> dict[str, Path]:
    packed = path.with_name("packed.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 6))
    found = {"compressed": packed}
    for name, wrapped in _WRAPPED.items():
        found[name] = path.with_name(f"{name}.log")
        with path.open("rb") as lines, found[name].open("wb") as written:
            written.writelines(wrapped(line.decode("ascii").rstrip("\n")) for line in lines)
    return found


def _as_json(entry: dict[str, str]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


_AT = "2026-03-01T12:00:00.000000000Z"
_JOURNAL = {
    "__CURSOR": "s=0123456789abcdef0123456789abcdef;i=1a2b3;b=0123456789abcdef0123456789abcdef;m=1a2b3c4d5e;t=62f0a1b2c3d4e",
    "__REALTIME_TIMESTAMP": "1772366400000000",
    "__MONOTONIC_TIMESTAMP": "112233445566",
    "_BOOT_ID": "0123456789abcdef0123456789abcdef",
    "PRIORITY": "6",
    "_UID": "1001",
    "_GID": "1001",
    "_SYSTEMD_UNIT": "retention.service",
    "_HOSTNAME": "server",
    "_TRANSPORT": "stdout",
    "SYSLOG_IDENTIFIER": "retention",
    "_COMM": "retention",
    "_PID": "4711",
    "_STREAM_ID": "fedcba9876543210fedcba9876543210",
}
_WRAPPED: dict[str, Callable[[str], bytes]] = {
    "container runtime": lambda line: f"{_AT} stdout F {line}\n".encode(),
    "Docker": lambda line: _as_json({"log": f"{line}\n", "stream": "stdout", "time": _AT}),
    "journal, json": lambda line: _as_json({**_JOURNAL, "MESSAGE": line}),
    "journal, export": lambda line: "".join(f"{name}={value}\n" for name, value in {**_JOURNAL, "MESSAGE": line}.items()).encode() + b"\n",
    "journal, short": lambda line: f"Mar 01 12:00:00 server retention[4711]: {line}\n".encode(),
}
"""How other programs keep a line."""


if __name__ == "__main__":
    main()
