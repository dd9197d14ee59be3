"""Charts: bars as high as their numbers, and nothing in them but shapes and escaped text."""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import pytest

from worker.errors import ConfigurationError
from worker.reports import charts


def bars(drawn: str, size: str) -> list[float]:
    """Return how high (or long) the bars are, in the order in which they are drawn."""
    root = ET.fromstring(drawn)
    return [float(each.get(size, "0")) for each in root.iter("rect") if "rect" in str(each.get("class")).split()]


def drawn(series: dict[str, list[float | None]], labels: tuple[str, ...] = ("a", "b")) -> str:
    """Return upright bars."""
    return str(charts.columns("Name", labels, series, lambda value: f"{value:g}"))


def test_bars_are_as_high_as_their_numbers() -> None:
    """Twice as many is twice as high, and what is stacked has one scale."""
    one, two, three, four = bars(drawn({"x": [10, 20], "y": [30, 40]}), "height")
    assert [2, 3, 4] == [pytest.approx(each / one, abs=0.01) for each in (two, three, four)]


def test_one_among_many_can_be_seen() -> None:
    """A single record beside a backlog of thousands is a thin line and not nothing."""
    assert 2 == min(bars(drawn({"x": [1, 50_000]}), "height"))


def test_lying_bars_have_the_first_on_top() -> None:
    """The worst stands first in the table and on top of the chart."""
    root = ET.fromstring(charts.rows("Name", ["worst", "best"], {"x": [9, 3]}, str))
    places = {each.text: float(each.get("y", "0")) for each in root.iter("text") if each.text in ("worst", "best")}
    assert places["worst"] < places["best"]


def test_nothing_to_see_is_no_chart() -> None:
    """An empty coordinate system tells nobody anything."""
    assert ("", "") == (drawn({"x": [0, None]}), drawn({"x": []}, ()))


def test_only_shapes_and_text() -> None:
    """Names come from policy files and logs: they are text, and the library's own scripts, styles and addresses stay out."""
    text = drawn({"<script>alert(1)</script>": [1, 2]}, ("</svg><img src=x onerror=alert(1)>", "b"))
    names = {each.tag for each in ET.fromstring(text).iter()}
    assert {"svg", "g", "path", "rect", "text", "title"} >= names
    assert not any(each in text for each in ("<script", "<img", "http", "style", "<!--"))


def test_a_scale_of_whole_numbers() -> None:
    """There is no half record."""
    texts = [each.text or "" for each in ET.fromstring(drawn({"x": [1, 2]})).iter("text")]
    assert {"0", "1", "2", "a", "b"} == set(texts)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without it is told what to install, not where an import failed."""
    monkeypatch.setitem(sys.modules, "pygal", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'retention-worker\[dashboard\]'"):
        drawn({"x": [1, 2]})


def test_the_library_leaves_nothing_behind() -> None:
    """Drawing a chart changes nothing about how the rest of the program imports what it needs."""
    drawn({"x": [1, 2]})
    assert all(hasattr(each, "find_spec") for each in sys.meta_path)
