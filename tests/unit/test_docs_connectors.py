"""The pages of single connectors are run: every example loads as it stands, and its own examples come true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker.policyfile.loading import check_text

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "connectors").glob("*.md"))
_MARKED = re.compile(r"<!-- example: (?P<name>\w+) -->\n```toml\n(?P<text>.*?)```", re.DOTALL)
CONNECTORS = list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["retention.connectors"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page(page: Path) -> None:
    """A page has a whole policy for its connector, which loads without a problem, and the examples in it come true."""
    examples = _MARKED.findall(page.read_text(encoding="utf-8"))
    assert examples
    for _, text in examples:
        report = check_text(text, page.name, CONNECTORS)
        assert () == report.problems
        assert text.count("[[policies.examples]]") == report.examples_run > 0
