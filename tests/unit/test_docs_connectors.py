"""The pages of single connectors: every policy that one shows loads without a problem or a warning, and its examples come out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker.policyfile.loading import check_text

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "connectors").glob("*.md"))
CONNECTORS = list(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["retention.connectors"])
_EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```toml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_policy_on_the_page_works(page: Path) -> None:
    """A page shows at least one whole policy with examples, and none that does not work as it says."""
    found = _EXAMPLE.findall(page.read_text(encoding="utf-8"))
    assert found
    for name, text in found:
        report = check_text(text, f"{name}.toml", CONNECTORS)
        assert ((), ()) == (report.problems, report.warnings), name
        assert 0 < text.count("[[policies.examples]]") == report.examples_run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_is_of_a_connector(page: Path) -> None:
    """Each page is named like a connector that is registered."""
    assert page.stem in CONNECTORS
