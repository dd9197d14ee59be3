"""A real browser without a window, for one look at a page: what it complains about, and what can be measured.

It runs in a fresh folder, finds no host by any name, and has a minute. The page under test lies in a frame of the width that is asked for,
because a window can't be as narrow as a telephone; the outer page measures and is ours.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.systems.servers.process import ServerMissingError

_FRAME = """<!doctype html><meta charset="utf-8"><body>
<iframe id="page" width="{width}" height="900" src="{page}"></iframe><pre id="seen"></pre>
<script>
addEventListener("load", () => {{
  const view = document.getElementById("page").contentWindow, seen = view.document, style = each => view.getComputedStyle(each);
  const boxes = [...seen.querySelectorAll("svg")].map(each => each.getBoundingClientRect());
  const bar = seen.querySelector("svg .rect");
  document.getElementById("seen").textContent = JSON.stringify({{
    title: seen.title, width: seen.documentElement.scrollWidth, background: style(seen.body).backgroundColor, ink: style(seen.body).color,
    charts: boxes.length, drawn: boxes.filter(each => each.width > 300 && each.height > 40).length,
    bar: bar && style(bar).fill, label: parseFloat(style(seen.querySelector("svg text") || seen.body).fontSize),
    fetched: view.performance.getEntriesByType("resource").map(each => each.name),
    reachable: [...seen.querySelectorAll(".scroll")].every(each => each.tabIndex === 0),
  }});
}});
</script>"""
_QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files",
    "--enable-logging=stderr", "--virtual-time-budget=3000",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at a page: what the browser wrote to its console, and the measures by name."""

    console: list[str]
    measures: dict[str, Any]


def look(page: Path, *, width: int, dark: bool = False) -> Seen:
    """Open a page in a frame of this width, in the light or in the dark."""
    with tempfile.TemporaryDirectory() as name:
        frame = Path(name) / "frame.html"
        frame.write_text(_FRAME.format(width=width, page=page.resolve().as_uri()), encoding="utf-8")
        scheme = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0") if dark else ("--blink-settings=preferredColorScheme=1",)
        done = _run(Path(name), *scheme, "--window-size=1400,1000", "--dump-dom", frame.as_uri())
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    said = html.unescape(found[1])
    return Seen([line for line in done.stderr.splitlines() if "CONSOLE" in line], json.loads(said) if said else {})


def printed(page: Path) -> int:
    """Return on how many sheets a page is printed."""
    with tempfile.TemporaryDirectory() as name:
        sheet = Path(name) / "page.pdf"
        _run(Path(name), f"--print-to-pdf={sheet}", page.resolve().as_uri())
        return len(re.findall(rb"/Type\s*/Page\b", sheet.read_bytes()))


def _run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise ServerMissingError("Chromium is not installed: run `make servers`.")
    return subprocess.run(
        [program, *_QUIET, f"--user-data-dir={folder / 'profile'}", *args], capture_output=True, text=True, timeout=60, check=False
    )
