"""Bars as inline SVG. The library computes where everything goes; colours, fonts and lines come from the page's own style sheet.

So a chart follows the page into the dark and onto paper, and carries no script, no style and nothing to fetch. To those who don't see it
a chart is one picture with a name: the numbers stand in the table behind it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

from worker.errors import ConfigurationError

_WIDTH, _HEIGHT = 760, 280
_ROW = 34
_FONT = 13
"""The size of the labels in pixels, as the style sheet has it: the library leaves that much room."""
_THIN = 2.0
_SHOWN_LABELS = 13
_DROPPED = frozenset({"style", "script", "defs", "desc", "title"})


def columns(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], say: Callable[[float], str]) -> Markup:
    """Return upright bars, the series stacked, one bar for each label; empty when there is nothing to see.

    name -- what the picture is called; say -- a number in words.
    """
    every = -(-len(labels) // _SHOWN_LABELS) or 1
    return _drawn(
        "StackedBar", name, labels, series, say, height=_HEIGHT, x_labels_major_every=every, show_minor_x_labels=False, truncate_label=-1
    )


def rows(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], say: Callable[[float], str]) -> Markup:
    """Return lying bars, the series stacked, the first label on top; see `columns`."""
    turned = {key: list(reversed(values)) for key, values in series.items()}
    return _drawn("HorizontalStackedBar", name, list(reversed(labels)), turned, say, height=70 + _ROW * len(labels), truncate_label=24)


def _drawn(
    kind: str, name: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], say: Callable[[float], str], **options: Any
) -> Markup:
    """Return a chart of this kind."""
    pygal = _library()
    style = pygal.style.Style(label_font_size=_FONT, major_label_font_size=_FONT)
    highest = max((sum(each or 0 for each in bar) for bar in zip(*series.values(), strict=True)), default=0)
    if not highest:
        return Markup()
    chart = getattr(pygal, kind)(
        width=_WIDTH,
        style=style,
        show_legend=False,
        js=[],
        margin=6,
        spacing=6,
        value_formatter=say,
        range=(0, highest),
        **options,
    )
    chart.uuid = "c"
    chart.x_labels = list(labels)
    chart.y_labels = _scale(highest)
    for title, values in series.items():
        chart.add(title, [{"value": each, "label": title} if each else None for each in values])
    return _bare(chart.render(is_unicode=True), name, lying=kind.startswith("Horizontal"))


def _library() -> Any:
    """Return the library, imported when the first chart is drawn; ConfigurationError when it is not installed."""
    try:
        import pygal
    except ImportError:
        raise ConfigurationError(
            "Charts are drawn with pygal, which is not installed: pip install 'retention-worker[dashboard]'."
        ) from None
    # It leaves a finder for its map plug-ins behind, of an old kind that Python 3.11 warns of at every later import.
    sys.meta_path[:] = [each for each in sys.meta_path if not type(each).__module__.startswith("pygal")]
    return pygal


def _scale(highest: float) -> list[float]:
    """Return what stands along the axis: up to six round numbers, all of them whole."""
    power = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(each * power for each in (1, 2, 5, 10) if each * power * 5 >= highest)
    # Nothing that is drawn here has less than one of it: a record, a second.
    step = max(step, 1.0)
    return [step * number for number in range(int(highest // step) + 1)]


def _bare(drawn: str, name: str, *, lying: bool) -> Markup:
    """Return the drawing without what the library adds for pages of its own; each bar keeps its number as a tooltip."""
    root = ET.fromstring(drawn[drawn.index("<svg") :])  # noqa: S314 - what was just drawn, not what somebody sent
    for parent in list(root.iter()):
        # HTML knows these elements by their bare names.
        parent.tag = parent.tag.rpartition("}")[2]
        said = {each.get("class"): each.text or "" for each in parent if each.tag.endswith("desc")}
        for child in list(parent):
            if child.tag.rpartition("}")[2] in _DROPPED or child.get("class") in ("tooltip", "plot text-overlay", "titles", "legends"):
                parent.remove(child)
        if "value" in said:
            tip = ET.SubElement(parent, "title")
            tip.text = ": ".join(said[each] for each in ("x_label", "label", "value") if said.get(each))
    for bar in root.iter("rect"):
        if "rect" in str(bar.get("class")).split():
            _seen(bar, lying=lying)
    root.attrib.pop("id", None)
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-label", name)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - serialised, so every text in it is escaped


def _seen(bar: ET.Element, *, lying: bool) -> None:
    """Make a bar that stands for something thick enough to be seen, and take away one that stands for nothing."""
    size = "width" if lying else "height"
    drawn = float(bar.get(size) or 0)
    if drawn <= 0:
        bar.set("class", "nothing")
        bar.set(size, "0")
    elif drawn < _THIN:
        bar.set(size, f"{_THIN:g}")
        bar.set("class", "rect thin")
        if not lying:
            bar.set("y", f"{float(bar.get('y') or 0) - (_THIN - drawn):g}")
