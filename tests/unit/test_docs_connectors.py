"""Every policy that stands whole on a page about one system loads, and its examples come out as they say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker.policyfile.loading import check_text

PROJECT = Path(__file__).parents[2]
_MARKED = re.compile(r"<!-- example: (\w+) -->\n```toml\n(.*?)```", re.DOTALL)
EXAMPLES = [
    (f"{path.stem}/{name}", text)
    for path in sorted((PROJECT / "docs" / "connectors").glob("*.md"))
    for name, text in _MARKED.findall(path.read_text(encoding="utf-8"))
]


def built_in() -> list[str]:
    """Return the names of our own connectors, as they are installed from here."""
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(declared["project"]["entry-points"]["retention.connectors"])


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_each_example(name: str, text: str) -> None:
    """An example has no problem, and there is an example of what it decides."""
    report = check_text(text, "policies.toml", built_in())
    assert () == report.problems
    assert 0 < text.count("[[policies.examples]]") == report.examples_run


def test_every_page_has_one() -> None:
    """A page without a worked policy helps nobody."""
    pages = {path.stem for path in (PROJECT / "docs" / "connectors").glob("*.md")}
    assert pages == {name.partition("/")[0] for name, _ in EXAMPLES}
