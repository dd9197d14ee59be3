"""What a language has to bring so that the pages can be written in it; English and Dutch are values of one type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from worker.audit.broken import Damage
from worker.audit.events import Action
from worker.paper import Lang
from worker.reports.figures import Step


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language.

    said -- headings, columns and sentences of the templates, by the name they have there; done, stays, left -- columns; outcomes -- of a
    run by its exit code, None for one that did not end; units -- of time: seconds, minutes
    and hours; meaning -- what a person agrees to by approving a plan, sentence by sentence;
    person -- headings and sentences of the page for the person whom a proof is about.
    """

    lang: Lang
    locale: str
    said: Mapping[str, str]
    done: Mapping[str, str]
    stays: Mapping[str, str]
    left: Mapping[str, str]
    steps: Mapping[Step, str]
    outcomes: Mapping[int | None, str]
    troubles: Mapping[Action, str]
    damages: Mapping[Damage, str]
    findings: Mapping[str, str]
    actions: Mapping[str, str]
    states: Mapping[str, str]
    units: tuple[str, str, str]
    meaning: tuple[str, ...]
    person: Mapping[str, str]

    def number(self, value: float) -> str:
        """Return a number as the language writes it."""
        return str(format_decimal(value, locale=self.locale))

    def day(self, day: dt.date) -> str:
        """Return a day in full."""
        return format_date(day, format="long", locale=self.locale)

    def short(self, day: dt.date, step: Step) -> str:
        """Return a period by its first day, short enough for under a bar."""
        return format_date(day, format="MMM yyyy" if step is Step.MONTH else "d MMM", locale=self.locale)

    def period(self, day: dt.date, step: Step) -> str:
        """Return a period by its first day."""
        return format_date(day, format="MMMM yyyy", locale=self.locale) if step is Step.MONTH else self.day(day)

    def instant(self, at: dt.datetime) -> str:
        """Return an instant, to the minute in UTC."""
        return f"{format_datetime(at.astimezone(dt.UTC), format='d MMM yyyy HH:mm', locale=self.locale)} UTC"

    def duration(self, seconds: float) -> str:
        """Return a length of time: 4.2 s, 3 min 20 s, 1 h 05 min."""
        whole = round(seconds)
        if whole < 60:
            return self.units[0].format(self.number(round(seconds, 1)))
        if whole < 3600:
            return self.units[1].format(whole // 60, whole % 60)
        return self.units[2].format(whole // 3600, f"{whole % 3600 // 60:02}")

    def outcome(self, exit_code: int | None) -> str:
        """Return how a run ended."""
        return self.outcomes.get(exit_code, str(exit_code))
