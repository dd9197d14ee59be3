"""The page of a plan, for whoever approves it: what happens to how many records and why, in words, without a word about anybody.

Reasons come from the plan file, which is what is approved. What the purposes are called comes from the policy file, and only while that
still holds the version of the policy from which the plan was made.
"""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from worker.core.model import Policy, Schedule
from worker.ledger.rows import Approval, FindingRow
from worker.paper import Lang
from worker.paper.languages import language
from worker.paper.pages import Page, page
from worker.paper.rows import Row
from worker.paper.view import View, view
from worker.paper.wording import data
from worker.planfile import REPLAY, PlanFile, Reason
from worker.reports import charts
from worker.reports.figures import Step
from worker.reports.language import Words
from worker.reports.words import words as words_of
from worker.usecases.reporting import ACTIONS, DUE, HELD, KEPT, PARTLY, REVIEW, UNCOVERED, UNDETERMINED, WAITING

_STATES = ("ended on", "running", "never applied", "undetermined")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MONTHS = 36
_COUNTED = (DUE, PARTLY, HELD, WAITING, UNDETERMINED, UNCOVERED, REVIEW, KEPT)

Because = tuple[tuple[str, str], ...]
"""Why something happens: what each purpose is called, and its state in words."""


@dataclass(slots=True)
class Alike:
    """Records to which the same happens for the same reasons. first, last -- their due days."""

    action: str
    fields: tuple[str, ...]
    because: Because
    count: int
    first: dt.date
    last: dt.date


@dataclass(slots=True)
class Part:
    """What a plan does by one policy. known -- whether the policy file still has the version that the plan was made from."""

    source: str
    title: str
    known: bool
    purposes: tuple[Row, ...]
    alike: list[Alike] = field(default_factory=list)


def parts(plan: PlanFile, schedule: Schedule, lang: Lang) -> tuple[list[Part], Counter[tuple[str, dt.date]]]:
    """Return what a plan does by policy, and how many records by action and month (its first day) of their due day."""
    said = view(schedule, language(lang))
    made: dict[str, Part] = {}
    found: dict[str, dict[tuple[str, tuple[str, ...], Because], Alike]] = {}
    months: Counter[tuple[str, dt.date]] = Counter()
    speak: dict[str, Callable[[Reason], tuple[tuple[str, ...], Because]]] = {}
    for batch in plan.batches():
        if batch.source not in made:
            policy = schedule.policy(batch.source)
            known = policy is not None and policy.digest == plan.header.policies.get(batch.source)
            made[batch.source] = part_of(batch.source, said, known=known)
            speak[batch.source] = speaker(policy if known else None, made[batch.source], lang)
        alike = found.setdefault(batch.source, {})
        for position, count in Counter(batch.records.values()).items():
            reason = batch.reasons[position]
            fields, because = speak[batch.source](reason)
            months[reason.action, reason.due.replace(day=1)] += count
            one = alike.setdefault((reason.action, fields, because), Alike(reason.action, fields, because, 0, reason.due, reason.due))
            one.count, one.first, one.last = one.count + count, min(one.first, reason.due), max(one.last, reason.due)
    for source, part in made.items():
        part.alike = sorted(found[source].values(), key=lambda each: (ACTIONS.index(each.action), -each.count, each.first))
    return list(made.values()), months


def part_of(source: str, said: View, *, known: bool) -> Part:
    """Return a policy without its records, in words."""
    section = next((each for each in said.sections if each.policy == source), None) if known else None
    return Part(source, section.title if section else source, known, section.rows if section else ())


def speaker(policy: Policy | None, part: Part, lang: Lang) -> Callable[[Reason], tuple[tuple[str, ...], Because]]:
    """Return what says a reason in words: the fields, and the state of every purpose; without a policy in the plan's own words."""
    if policy is None:
        return lambda reason: (_treated(reason), (("", _DAY.sub("…", reason.why)),))
    spoken = language(lang)
    names = {row.purpose: row.why for row in part.purposes}
    states = words_of(lang).states
    # A reason names every purpose with its state, in the order of the policy; what follows is the reason of the reason.
    one = f"({'|'.join(map(re.escape, _STATES))})"
    pattern = re.compile("; ".join(f"{re.escape(each.id)} {one}.*?" for each in policy.purposes), re.DOTALL)

    def say(reason: Reason) -> tuple[tuple[str, ...], Because]:
        fields = tuple(data(policy.source.field(each), spoken) for each in _treated(reason))
        again = reason.why.startswith(REPLAY)
        said = reason.why.partition(": ")[2] if again else reason.why
        found = pattern.fullmatch(said)
        first: Because = (("", words_of(lang).said["replay"]),) if again else ()
        if found is None:
            return fields, (*first, ("", _DAY.sub("…", said)))
        return fields, (*first, *((names[each.id], states[state]) for each, state in zip(policy.purposes, found.groups(), strict=True)))

    return say


def _treated(reason: Reason) -> tuple[str, ...]:
    """Return the fields that are treated; none when the whole record goes."""
    return () if reason.action == "delete" else reason.fields


def plan_page(
    plan: PlanFile,
    schedule: Schedule,
    lang: Lang,
    *,
    findings: Sequence[FindingRow],
    new: Collection[str],
    approval: Approval | None,
) -> str:
    """Return the page of a plan. new -- the digests of findings that nobody accepted; approval -- a person's yes, if there is one."""
    words = words_of(lang)
    made, months = parts(plan, schedule, lang)
    counts = plan.summary.counts
    totals = {action: sum(each["actions"][action] for each in counts.values()) for action in ACTIONS}
    labels, ages = _ages(months, words)
    oldest = [each["oldest_deadline"] for each in counts.values() if each["oldest_deadline"]]
    values = {
        "words": words,
        "said": words.said,
        "header": plan.header,
        "organisation": schedule.organisation.name,
        "approval": approval,
        "totals": {action: count for action, count in totals.items() if count},
        "overdue": sum(each["overdue"] for each in counts.values()),
        "overdue_kept": sum(each.get("overdue_kept", 0) for each in counts.values()),
        "oldest": dt.date.fromisoformat(min(oldest)) if oldest else None,
        "counts": counts,
        "COUNTED": _COUNTED,
        "parts": made,
        "findings": [each for each in findings if each.kind != "failed"],
        "unread": sorted({each.source for each in findings if each.kind == "failed"}),
        "new": set(new),
        "actions": ACTIONS,
        "ages": list(zip(labels, *ages.values(), strict=True)),
        "chart": charts.columns(
            words.said["chart"].format(name=words.said["plan_age"]),
            labels,
            {words.actions[action]: numbers for action, numbers in ages.items()},
            words.number,
        ),
        "file": shlex.quote(str(plan.path)),
    }
    return page("plan", Page.HTML, values, __package__)


def _ages(months: Mapping[tuple[str, dt.date], int], words: Words) -> tuple[list[str], dict[str, list[int]]]:
    """Return due days by month, or by year where there are many months: the labels, and by action how many records."""
    if not months:
        return [], {action: [] for action in ACTIONS}
    first, last = min(month for _, month in months), max(month for _, month in months)
    yearly = (last.year - first.year) * 12 + last.month - first.month >= _MONTHS
    periods = [first.replace(month=1)] if yearly else [first]
    while periods[-1] < (last.replace(month=1) if yearly else last):
        after = periods[-1]
        periods.append(after.replace(year=after.year + 1) if yearly else Step.MONTH.next(after))
    counted: Counter[tuple[str, dt.date]] = Counter()
    for (action, month), count in months.items():
        counted[action, month.replace(month=1) if yearly else month] += count
    labels = [str(each.year) if yearly else words.short(each, Step.MONTH) for each in periods]
    return labels, {action: [counted[action, each] for each in periods] for action in ACTIONS}
