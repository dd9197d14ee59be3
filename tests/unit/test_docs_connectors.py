"""The pages about one system each are run: every piece of TOML on them is an example, and loads without a problem."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker.policyfile.loading import check_text

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "connectors").glob("*.md"))
NAMES = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["retention.connectors"])
_MARKED = re.compile(r"<!-- example: [\w-]+ -->\n```toml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page(page: Path) -> None:
    """A page shows no policy that can't be used as it stands, and none whose examples are not run."""
    text = page.read_text(encoding="utf-8")
    examples = _MARKED.findall(text)
    assert examples
    assert text.count("```toml") == len(examples)
    for example in examples:
        report = check_text(example, "policies.toml", NAMES)
        assert () == report.problems
        assert example.count("[[policies.examples]]") == report.examples_run > 0
