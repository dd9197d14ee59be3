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
@click.option("--packed", is_flag=True, help="Also compressed, and as a container runtime and Docker keep it.")
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
    packed, cri, docker = (path.with_name(name) for name in ("packed.gz", "0.log", "docker.log"))
    packed.write_bytes(gzip.compress(path.read_bytes(), 6))
    with path.open("rb") as lines, cri.open("wb") as one, docker.open("wb") as two:
        for line in lines:
            one.write(b"2026-03-01T12:00:00.000000000Z stdout F " + line)
            wrapped = {"log": line.decode(), "stream": "stdout", "time": "2026-03-01T12:00:00.000000000Z"}
            two.write(json.dumps(wrapped, separators=(",", ":")).encode() + b"\n")
    return {"compressed": packed, "container runtime": cri, "Docker": docker}


if __name__ == "__main__":
    main()
