"""Results as tables for people. Every cell is text without markup; a number of nothing is a dash, so that the eye finds the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from worker.audit.search import Found
from worker.core.declarations import Gap
from worker.core.model import Policy
from worker.keys import ROOT
from worker.ledger.identity import KnownKey
from worker.ledger.rows import Approval, FindingRow, MarkRow
from worker.ledger.suppressions import Listed
from worker.settings import Shown
from worker.usecases.agreeing import Disagreement, Side
from worker.usecases.applying import RunResult
from worker.usecases.comparing import Comparison, Effect, State
from worker.usecases.declared import Declared
from worker.usecases.explaining import Explanation
from worker.usecases.forecasting import FALLS, Upcoming
from worker.usecases.keykeeping import ListedRoot
from worker.usecases.pruning import Pruning
from worker.usecases.reporting import DELETE, DUE, PARTLY, PSEUDONYMISE, REVIEW, TREAT, WORDS
from worker.usecases.reviewing import DueReviews

_COLUMNS = ("due", "partly", "held", "waiting", "undetermined", "uncovered", "review", "kept")
_SHOWN_IF_ANY = ("held", "waiting", "uncovered", "review")
"""What most plans have none of: left out when the terminal is too narrow for every column."""
_TITLES = {"partly": "partly\ndue", "undetermined": "undeter-\nmined", "overdue": "over-\ndue"}
FALLING = {DUE: "record", PARTLY: "some fields", REVIEW: "review"}
WIDE = 112
"""So many columns a terminal has to have for a table to be shown with everything."""


def plan_table(as_of: dt.date, counts: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str], width: int = WIDE) -> Table:
    """Return a plan's counts: one row per source and policy, and how long ago the oldest should have been carried out.

    width -- columns of the terminal; on a narrow one a column without any number is left out, and the caption says so.
    """
    read = [each for name, each in counts.items() if name not in failed]
    words = [each for each in _COLUMNS if width >= WIDE or each not in _SHOWN_IF_ANY or any(counted[each] for counted in read)]
    without = [each for each in _COLUMNS if each not in words]
    caption = "oldest overdue: the earliest deadline (due day and window) passed"
    table = framed(f"Plan for {as_of}", "source and\npolicy", caption=caption + (f"; none are {', '.join(without)}" if without else ""))
    for title in ("records", *words, "overdue"):
        table.add_column(_TITLES.get(title, title), justify="right")
    table.add_column("oldest\noverdue", no_wrap=True)
    for name, each in counts.items():
        if name not in failed:
            oldest = str(each["oldest_deadline"] or "-")
            table.add_row(name, *(figure(each[word]) for word in ("total", *words, "overdue")), oldest)
    for name in failed:
        table.add_row(name, *["?"] * (len(words) + 2), "could not be read")
    return table


def action_table(rows: Iterable[tuple[str, str, str, int, dt.date, dt.date]]) -> Table:
    """Return what a plan does: (source, action, fields, number, first due day, last due day)."""
    table = framed("What is done when it is applied", "source", "action", "fields")
    table.add_column("records", justify="right")
    table.add_column("due days")
    for source, does, fields, count, first, last in rows:
        table.add_row(source, does, fields or "the whole record", figure(count), str(first) if first == last else f"{first} to {last}")
    return table


def finding_table(found: Sequence[FindingRow], new: Iterable[str], title: str = "Findings") -> Table:
    """Return findings; `new` are the digests of those that nobody accepted, or that grew or expired since."""
    table = framed(title, "id", "kind", "source", "what")
    table.add_column("records", justify="right")
    table.add_column("state")
    fresh = set(new)
    for each in found:
        state = "new" if each.digest in fresh else "accepted"
        table.add_row(each.digest[:12], each.kind, each.source, each.detail, figure(each.count), state)
    return table


def trace_table(found: Iterable[Found]) -> Table:
    """Return events of the audit trail about one record or person, in the order of the trail."""
    table = framed(
        "What the audit trail says", "when (UTC)", "what", "source", "due", "became", "why", "by", caption="due: the last day of keeping"
    )
    for each in found:
        event = each.payload
        by = (*event.get("retention.holds", ()), *event.get("retention.requests", ()))
        named = [event[name] for name in ("retention.hold", "retention.request", "retention.run", "retention.by") if name in event]
        table.add_row(
            str(event.get("@timestamp", ""))[:19].replace("T", " "),
            str(event.get("event.action", "")).removeprefix("retention."),
            event.get("retention.source", "-"),
            event.get("retention.due", event.get("retention.until", event.get("retention.on", "-"))),
            each.became or "-",
            event.get("event.reason", event.get("retention.mark", "-")),
            ", ".join((*by, *named)),
        )
    return table


def pruning_table(found: Pruning) -> Table:
    """Return which files of the audit trail lose events, and from when these are."""
    table = framed(f"Events through {found.through} that go ({found.keep})", "file", "from", "through")
    table.add_column("events", justify="right")
    for each in found.files:
        table.add_row(each.path.name, str(each.oldest), str(each.newest), figure(each.events))
    return table


def key_table(known: Iterable[KnownKey], there: Collection[str], roots: Iterable[ListedRoot] = ()) -> Table:
    """Return the keys by family and id, behind their roots. there -- the ids of those that are in the key file."""
    table = framed(None, "family", "key", "since", "destroyed")
    for root in roots:
        table.add_row(ROOT, root.root, f"{root.since:%Y-%m-%d}" if root.since is not None else "-", "-" if root.in_use else "not in use")
    for each in known:
        destroyed = f"{each.destroyed_at:%Y-%m-%d} by {each.destroyed_by}" if each.destroyed_at is not None else "-"
        if each.destroyed_at is not None and each.key_id in there:
            destroyed += ", and is in the key file again"
        table.add_row(each.family, each.key_id, f"{each.seen_at:%Y-%m-%d}", destroyed)
    return table


def suppression_table(found: Iterable[Listed]) -> Table:
    """Return how much is suppressed, by source."""
    table = framed(None, "source")
    table.add_column("records", justify="right")
    for title in ("since", "until, at the latest"):
        table.add_column(title)
    for each in found:
        table.add_row(each.source, figure(each.records), each.since.isoformat(), each.until.isoformat())
    return table


def result_table(result: RunResult) -> Table:
    """Return what a run did, by source; records that somebody else kept busy have a column when there are any."""
    table = framed(f"Run {result.run_id}", "source")
    busy = any(each.skipped["busy"] for each in result.results.values())
    skips = ("gone", "changed", "held", "failed", *(("busy",) if busy else ()))
    done = ("deleted", "pseudo-\nnymised", "fields\ntreated", "went\nalong", "gone\nbefore")
    titles = (*done, *(f"left:\n{word}" for word in skips[1:]))
    for title in titles:
        table.add_column(title, justify="right")
    for name, each in result.results.items():
        effects = [each.effects[word] for word in (DELETE, PSEUDONYMISE, TREAT, "children")]
        table.add_row(name, *(figure(number) for number in (*effects, *(each.skipped[word] for word in skips))))
    for name in result.failed:
        if name not in result.results:
            table.add_row(name, *["?"] * len(titles))
    return table


def verified_table(title: str, rows: Iterable[tuple[str, int, int, int, int]]) -> Table:
    """Return what a verification found: (source, gone, treated, still there, untreated)."""
    table = framed(title, "source")
    for heading in ("gone", "treated", "still there", "untreated"):
        table.add_column(heading, justify="right")
    for name, *numbers in rows:
        table.add_row(name, *(figure(number) for number in numbers))
    return table


def agreement_table(sides: Mapping[str, Side], failed: Mapping[str, str], *, systems: bool) -> Table:
    """Return what was compared of each source: batches, effects as the ledger and the trail count them, what the system has now."""
    table = framed("Trail, ledger and systems" if systems else "Trail and ledger", "source")
    titles = ("batches", "still\nopen", "effects in\nthe ledger", "effects in\nthe trail", *(("absent", "treated") if systems else ()))
    for heading in titles:
        table.add_column(heading, justify="right")
    for name, each in sides.items():
        now = ["?", "?"] if name in failed else [figure(each.absent), figure(each.treated)]
        numbers = [figure(number) for number in (each.batches, each.open, each.ledger, each.log)]
        table.add_row(name, *numbers, *(now if systems else []))
    return table


def disagreement_table(found: Sequence[Disagreement]) -> Table:
    """Return what doesn't agree, one thing a line; of records their number only."""
    table = framed("What doesn't agree", "kind", "source", "run", "batch", "what")
    table.add_column("how many", justify="right")
    for each in found:
        table.add_row(each.kind, each.source, each.run or "-", each.batch or "-", each.what, figure(each.count))
    return table


def policy_table(rows: Sequence[tuple[Policy, Approval | None]]) -> Table:
    """Return policies with their version and who approved it."""
    table = framed("Policies", "source", "clause", "purposes", "version", "approved")
    for policy, yes in rows:
        approved = f"{yes.by}, {yes.at:%Y-%m-%d}" if yes else "never"
        version = policy.digest.rpartition(":")[2][:12]
        table.add_row(policy.source.name, policy.clause, ", ".join(each.id for each in policy.purposes), version, approved)
    return table


def mark_table(rows: Sequence[MarkRow]) -> Table:
    """Return marks; which record each is about is kept as a keyed value and not shown."""
    table = framed("Marks", "source", "mark", "on", "set by", "set at (UTC)")
    for each in rows:
        table.add_row(each.source, each.name, str(each.day), each.by, f"{each.at:%Y-%m-%d %H:%M}")
    return table


def review_table(rows: Sequence[DueReviews]) -> Table:
    """Return how many records wait for whose review."""
    table = framed("Records to review", "source", "waiting for", "owner", caption="oldest: the last day on which none was due for review")
    for title in ("records", "overdue"):
        table.add_column(title, justify="right")
    table.add_column("oldest", no_wrap=True)
    for each in rows:
        waits = ", ".join(f"the start of {name}" for name in each.waiting)
        table.add_row(each.source, waits or "-", each.owner or "-", figure(each.count), figure(each.overdue), str(each.oldest))
    return table


def declared_table(rows: Sequence[Declared]) -> Table:
    """Return the attestations and periodic reviews with when they were done last, and by whom."""
    table = framed("What no server can enforce", "id", "kind", "what", "owner", "every", "last done", "by", "in time until", "state")
    for each in rows:
        said, last = each.declared, each.last
        day, by, until = (str(last.day), last.by, str(each.due_by)) if last is not None else ("never", "-", "-")
        table.add_row(said.id, each.kind, said.what, said.owner, str(said.every), day, by, until, "overdue" if each.overdue else "in time")
    return table


def gap_table(rows: Sequence[Gap]) -> Table:
    """Return what nothing is laid down for."""
    table = framed("Gaps", "id", "what", "clause", "categories", "owner")
    for each in rows:
        table.add_row(each.id, each.what, each.clause or "-", ", ".join(each.categories) or "-", each.owner or "-")
    return table


def setting_table(rows: Sequence[Shown]) -> Table:
    """Return the settings."""
    table = framed("Settings", "setting", "value", "from")
    for each in rows:
        table.add_row(*each)
    return table


def connector_table(rows: Sequence[tuple[str, str, str]]) -> Table:
    """Return the installed connectors: name, package, what each is for."""
    table = framed("Connectors", "connector", "package", "what it is for", wrap=True)
    for each in rows:
        table.add_row(*each)
    return table


def explanation(each: Explanation) -> list[Table | str]:
    """Return everything that is said about one record: purposes, fields, and what happens."""
    key = printable(",".join(str(part) for part in each.key))
    table = framed(f"{each.source} {key}: {each.word}", "purpose", "legal basis", "keeps", "state", "facts", "fields", wrap=True)
    for line in each.purposes:
        table.add_row(line.id, line.basis, line.keep, line.state, "\n".join(line.facts), ", ".join(line.fields))
    fields = framed(None, "personal field", "what becomes of it")
    for name, said in each.fields.items():
        fields.add_row(name, said)
    days = f" The last day was {each.due}; it has to be carried out by {each.deadline}." if each.due else ""
    stands = f" In its way or for it: {', '.join(each.standing)}." if each.standing else ""
    backups = f" Deleted on {each.as_of}, it is gone from backups after {each.backups}." if each.backups else ""
    return [table, fields, f"{each.outcome}{days}{backups}{stands}\n"]


def upcoming_table(today: dt.date, rows: Sequence[Upcoming]) -> Table:
    """Return what falls due in the coming days, by policy, with its owner and the first due day."""
    table = framed(f"What falls due from {today} on", "policy", "owner", "until")
    for word in FALLS:
        table.add_column(FALLING[word], justify="right")
    table.add_column("first day")
    for each in rows:
        table.add_row(
            each.policy, each.owner or "-", str(each.until), *(figure(each.number(word)) for word in FALLS), str(each.first or "-")
        )
    return table


def upcoming_record_table(each: Upcoming, key: Sequence[str]) -> Table:
    """Return the keys of what falls due, the first first, for a person at a terminal."""
    table = framed(each.policy, *key, "what", "last day")
    for parts, word, day in sorted(each.records, key=lambda one: one[2]):
        table.add_row(*(printable(str(part)) for part in parts), FALLING[word], str(day))
    return table


def comparison_table(made: Comparison) -> Table:
    """Return how many records two policy files treat differently, by policy."""
    table = framed(f"What changes, as of {made.as_of}", "policy", "state", caption=f"due days through {made.until} are compared")
    titles = {"newly undetermined": "newly\nundeter-\nmined", "no longer due": "no\nlonger", "due now": "due\nnow"}
    effects = (Effect.NOW, Effect.EARLIER, Effect.LATER, Effect.NEVER, Effect.OTHERWISE, Effect.UNDETERMINED, Effect.UNCHANGED)
    for title in ("records", *(titles.get(each.value, each.value) for each in effects)):
        table.add_column(title, justify="right")
    for each in made.policies:
        unknown = each.state is State.MOVED
        cells = (
            ["?"] * (len(effects) + 1) if unknown else [figure(number) for number in (each.total, *(each.effects[one] for one in effects))]
        )
        table.add_row(each.policy, each.state.value, *cells)
    for name in made.failed:
        table.add_row(name, "could not be read", *["?"] * (len(effects) + 1))
    return table


def sample_table(source: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return records as they are, for a person at a terminal."""
    table = framed(source, *columns, wrap=True)
    for row in rows:
        table.add_row(*("" if value is None else printable(str(value)) for value in row))
    return table


def printable(text: str) -> str:
    """Return a value out of a record so that it can't do anything to a terminal but be read."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def framed(title: str | None, *columns: str, caption: str | None = None, wrap: bool = False) -> Table:
    """Return a table without rows in the form that all of them have. wrap -- any column may be broken, also those that are typed again."""
    table = Table(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    table.caption = Text(caption) if caption else None
    for name in columns:
        table.add_column(name, no_wrap=not wrap and name in _WHOLE, overflow="fold")
    return table


_TYPED = {"id", "run", "kind", "source", "source and\npolicy", "scope", "version"}
_WHOLE = frozenset({*_TYPED, "received", "placed", "review on", "answer by", "for", "started (UTC)", "ended (UTC)", "next (UTC)", "policy"})
"""Columns whose values are typed again or read at a glance: the others are broken first when a terminal is narrow."""


def figure(value: int) -> str:
    """Return a number for people: its thousands set apart, nothing a dash."""
    return f"{value:,}".replace(",", "\u202f") if value else "-"


assert set(_COLUMNS) == set(WORDS), "every word a record can have is a column"
