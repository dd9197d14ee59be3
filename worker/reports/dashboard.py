"""The dashboard: one self-contained page, drawn from nothing but what the audit trail tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from worker.audit.history import History
from worker.paper import Lang
from worker.paper.pages import Page, page
from worker.reports import charts
from worker.reports.figures import DONE, LEFT, STAYED, Moment, acted, moments, paces, recent, standings
from worker.reports.words import words as words_of

_RUNS = 30


def dashboard(told: History, lang: Lang, now: dt.datetime) -> str:
    """Return the page. now -- the aware instant that the page says it was drawn at."""
    words = words_of(lang)
    step, periods = moments(told)
    runs = list(told.runs.values())
    shown = runs[-_RUNS:]
    policies = standings(told)
    findings = told.open_findings()
    today = now.date().isoformat()
    since = runs[-1].started if runs else None
    pace = paces(told)
    labels = [words.short(each.first, step) for each in periods]

    def over_time(name: str, titles: Mapping[str, str], of: Sequence[str], counts: Callable[[Moment], Mapping[str, int] | None]) -> str:
        series = {titles[word]: [(counts(each) or {}).get(word) for each in periods] for word in of}
        return charts.columns(words.said["chart"].format(name=words.said[name]), labels, series, words.number)

    def lying(name: str, rows: Sequence[str], series: Mapping[str, Sequence[float]], say: Callable[[float], str]) -> str:
        return charts.rows(words.said["chart"].format(name=words.said[name]), rows, series, say)

    overdue = [each for each in policies if each.left]
    late = {words.said["overdue_left"]: [each.left for each in overdue]}
    took = [(each.ended - each.started).total_seconds() if each.ended else None for each in shown]
    values = {
        "words": words,
        "said": words.said,
        "told": told,
        "drawn": now,
        "step": step,
        "policies": policies,
        "overdue": sum(each.left for each in policies),
        "oldest": min((each.oldest for each in overdue if each.oldest), default=None),
        "findings": findings,
        "accepted": sum(each.accepted_until >= today for each in findings),
        "today": today,
        "last": runs[-1] if runs else None,
        "runs": [(each, acted(each), seconds) for each, seconds in zip(reversed(shown), reversed(took), strict=True)],
        "stops": sum(since is None or each.at >= since for each in told.troubles),
        "troubles": recent(told.troubles),
        "periods": list(reversed(periods)),
        "paces": pace,
        "DONE": DONE,
        "STAYED": STAYED,
        "LEFT": LEFT,
        "charts": {
            "overdue": lying("overdue", [each.source for each in overdue], late, words.number),
            "done": over_time("done", words.done, DONE, lambda each: each.done),
            "stayed": over_time("stayed", words.stays, STAYED, lambda each: each.stayed),
            "failed": over_time("failed", words.left, LEFT, lambda each: each.left),
            "runs": charts.columns(
                words.said["chart"].format(name=words.said["runs"]),
                [words.short(each.as_of, step.DAY) for each in shown],
                {words.said["took"]: took},
                words.duration,
            ),
            "slowest": lying(
                "slowest",
                [each.source for each in pace],
                {words.said["reading"]: [each.reading for each in pace], words.said["writing"]: [each.writing for each in pace]},
                words.duration,
            ),
        },
    }
    return page("dashboard", Page.HTML, values, __package__)
