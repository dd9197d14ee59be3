"""The retention section of a privacy statement (GDPR 13(2)(a) and 14(2)(a)), in plain language, made from the policies in force."""

from __future__ import annotations

import datetime as dt

from worker.core.model import Schedule
from worker.paper.language import Lang, Title
from worker.paper.languages import language
from worker.paper.pages import Page, page
from worker.paper.view import view

Format = Page
"""What a statement can be written as."""


def statement(schedule: Schedule, lang: Lang, layout: Format, today: dt.date) -> str:
    """Return the retention section that follows from the policies in force on a local day of the organisation, ending with a newline."""
    words = language(lang)
    seen = view(schedule, words, today)
    introduction = words.titles[Title.INTRODUCTION].format(organisation=seen.organisation)
    return page("statement", layout, {"view": seen, "words": words, "title": words.titles, "introduction": introduction})
