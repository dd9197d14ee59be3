"""What another policy file would change for the records there are: both versions decide, nothing is written anywhere.

For every record that one of the versions makes due within the months looked at, the days on which something first happens to it are
compared. Where both files declare a source alike it is read once, so both versions decide about the same snapshot. Where the declarations
differ the source is read whole twice at the same time, range of keys by range of keys.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum

from worker.core.model import Policy, Schedule
from worker.core.purposes import Running
from worker.core.select import EVERYTHING, union
from worker.core.sources import Disposal, Source
from worker.errors import Retriable, SourceFailed
from worker.policyfile.changes import changes, declared_changes
from worker.ports import KeyRange, OpenSource, Reader, Row
from worker.usecases.forecasting import month_days
from worker.usecases.foreseeing import Foreseen, Foresight, looking, opened
from worker.usecases.gathering import gather
from worker.usecases.machine import Machine
from worker.usecases.planning import Progress
from worker.usecases.reporting import UNDETERMINED, due_day, word


class Effect(StrEnum):
    """What a new version of a policy means for one record; the first that is true."""

    UNDETERMINED = "newly undetermined"
    NOW = "due now"
    NEVER = "no longer due"
    LATER = "later"
    EARLIER = "earlier"
    OTHERWISE = "otherwise"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Fate:
    """What one version of a policy has in store for one record; the default is that of a record without a policy.

    now -- it is due today; day -- its due day when that lies before the last month looked at; does -- what happens then; later -- its
    due day is known to lie behind that; undetermined -- it is today.
    """

    now: bool = False
    day: dt.date | None = None
    does: tuple[str, ...] = ()
    later: bool = False
    undetermined: bool = False


def effect(before: Fate, after: Fate) -> Effect | None:
    """Return what changes for a record, None for one that neither version makes due within the months looked at."""
    if after.undetermined and not before.undetermined:
        return Effect.UNDETERMINED
    if after.now and not before.now:
        return Effect.NOW
    if after.day is None:
        return None if before.day is None else Effect.LATER if after.later else Effect.NEVER
    if before.day is None or (after.day < before.day and not before.now):
        return Effect.EARLIER
    if after.day > before.day and not after.now:
        return Effect.LATER
    return Effect.UNCHANGED if after.does == before.does else Effect.OTHERWISE


class State(StrEnum):
    """What became of a policy between two files."""

    CHANGED = "changed"
    RELATED = "children changed"
    APPEARS = "appears"
    DISAPPEARS = "disappears"
    MOVED = "moved"


@dataclass(frozen=True)
class PolicyComparison:
    """What changes under one policy.

    words -- what the new file says otherwise; total -- how many records there are; effects -- how many of them are concerned. A policy
    that moved to another table or key has no counts: its records can't be told to be the same.
    """

    policy: str
    state: State
    words: tuple[str, ...] = ()
    total: int = 0
    effects: Counter[Effect] = field(default_factory=Counter)


@dataclass(frozen=True)
class Comparison:
    """What changes between two files.

    until -- the last day looked at; declared -- in words, what the new file declares otherwise of that which no server can enforce;
    same -- policies without any change, whose sources were not read.
    """

    as_of: dt.date
    until: dt.date
    declared: tuple[str, ...] = ()
    policies: list[PolicyComparison] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def compare(old: Machine, new: Machine, *, months: int, progress: Progress | None = None) -> Comparison:
    """Compare what two versions of the policies mean for the records there are.

    old, new -- the same installation with either file; months -- how far ahead due days are compared, this month included.
    Raises Problems when a source can't be used as declared; one that can't be read is named in `failed`.
    """
    old, new = looking(old), looking(new)
    today = new.today()
    days = month_days(today, months)
    made = Comparison(today, days[-1] - dt.timedelta(days=1), declared_changes(old.schedule, new.schedule))
    changed = [name for name in _names(old.schedule, new.schedule) if not _alike(old.schedule, new.schedule, name)]
    made.same.extend(name for name in _names(old.schedule, new.schedule) if name not in changed)
    opened_old, failed_old = opened(old, [each for each in old.schedule.policies if each.id in changed])
    opened_new, failed_new = opened(new, [each for each in new.schedule.policies if each.id in changed])
    made.failed.update(failed_old | failed_new)
    with ExitStack() as stack:
        facts_old, facts_new = (
            stack.enter_context(gather(each, [policy for policy in each.schedule.policies if policy.id in changed], today, made.failed))
            for each in (old, new)
        )
        made.failed.update({**facts_old.failed, **facts_new.failed})
        for name in changed:
            if name in made.failed:
                continue
            before, after = old.schedule.policy(name), new.schedule.policy(name)
            state = _state(before, after)
            words = changes(before, after) if before is not None and after is not None else ()
            one = PolicyComparison(name, state, words)
            sides = _Sides(
                Foresight(old, before, days, facts_old) if before is not None else None,
                Foresight(new, after, days, facts_new) if after is not None else None,
            )
            try:
                if state is State.MOVED:
                    pass
                elif (
                    before is not None
                    and after is not None
                    and not _declared_alike(old.schedule, new.schedule, before.source, after.source)
                ):
                    one = sides.apart(one, opened_old[name], opened_new[name], progress)
                else:
                    one = sides.together(one, (opened_new if after is not None else opened_old)[name], progress)
            except (SourceFailed, Retriable) as error:
                made.failed[name] = str(error)
                continue
            made.policies.append(one)
    return made


class _Sides:
    """Either version of one policy, looking ahead; None where it has no such policy."""

    def __init__(self, before: Foresight | None, after: Foresight | None) -> None:
        self._before = before
        self._after = after
        self._both = tuple(each for each in (before, after) if each is not None)

    def together(self, one: PolicyComparison, source: OpenSource, progress: Progress | None) -> PolicyComparison:
        """Count over one snapshot, in which both versions find what they declare."""
        columns = tuple(dict.fromkeys(name for each in self._both for name in each.columns))
        selection = union(*(each.selection(findings=True) for each in self._both))
        width = len(source.spec.key)
        with source.reader() as reader:
            for page in reader.rows(selection, columns):
                before, after = (
                    _fates(each, _narrowed(page, width, columns, each.columns) if each is not None else page, reader)
                    for each in (self._before, self._after)
                )
                _count(one, before, after)
                if progress is not None:
                    progress(one.policy, len(page))
            return _closed(one, reader)

    def apart(self, one: PolicyComparison, old: OpenSource, new: OpenSource, progress: Progress | None) -> PolicyComparison:
        """Count over two views of a source that is declared in two ways: all of it, because no selection fits both."""
        if self._before is None or self._after is None:
            raise ValueError("only two versions can be compared")
        width = len(new.spec.key)
        with ExitStack() as stack:
            then, reader = stack.enter_context(old.reader()), stack.enter_context(new.reader())
            for page in reader.rows(EVERYTHING, self._after.columns):
                within = KeyRange(page[0][:width], page[-1][:width])  # type: ignore[arg-type]
                theirs = {row[:width]: row for rows in then.rows(EVERYTHING, self._before.columns, within=within) for row in rows}
                # A record that came or went between the two views is left out.
                shared = [row for row in page if row[:width] in theirs]
                before = _fates(self._before, [theirs[row[:width]] for row in shared], then)
                _count(one, before, _fates(self._after, shared, reader))
                if progress is not None:
                    progress(one.policy, len(page))
            return _closed(one, reader)


def _narrowed(page: Sequence[Row], width: int, columns: Sequence[str], wanted: Sequence[str]) -> Sequence[Row]:
    """Return rows with only the columns that one version asked for, in its order."""
    if tuple(columns) == tuple(wanted):
        return page
    places = [*range(width), *(width + columns.index(name) for name in wanted)]
    return [tuple(row[place] for place in places) for row in page]


def _fates(foresight: Foresight | None, rows: Sequence[Row], reader: Reader) -> Iterator[Fate]:
    """Yield what a version has in store for each row."""
    if foresight is None:
        yield from (Fate() for _ in rows)
        return
    for each in foresight.look(rows, reader.related):
        yield _fate(foresight, each)


def _fate(foresight: Foresight, each: Foreseen) -> Fate:
    """Return what is foreseen for a record in the form that is compared."""
    undetermined = word(foresight.policy, each.now) == UNDETERMINED
    if each.step is None:
        ends = [state.until for state in each.decision.purposes if isinstance(state, Running)]
        return Fate(later=bool(ends) and None not in ends and not each.decision.undetermined, undetermined=undetermined)
    due = due_day(each.decision)
    if due is not None and each.step > 0:
        # A record that waits for others is due when they are: the plan for the day before still found nothing to do.
        due = max(due, foresight.days[each.step - 1])
    does = (word(foresight.policy, each.decision), *_what(each))
    return Fate(each.step == 0, due, does, undetermined=undetermined)


def _what(each: Foreseen) -> tuple[str, ...]:
    """Return what happens to a record that falls due, and to which fields."""
    outcome = each.decision.outcome
    return (str(getattr(outcome, "kind", "")), *getattr(outcome, "fields", ()))


def _count(one: PolicyComparison, before: Iterator[Fate], after: Iterator[Fate]) -> None:
    """Count what changes for the records of a page."""
    for was, is_ in zip(before, after, strict=True):
        what = effect(was, is_)
        if what is not None:
            one.effects[what] += 1


def _closed(one: PolicyComparison, reader: Reader) -> PolicyComparison:
    """Return a comparison with the number of all records."""
    return replace(one, total=reader.count(EVERYTHING))


# --- What has changed in the files ------------------------------------------------------------------------------------------------------


def _names(old: Schedule, new: Schedule) -> list[str]:
    """Return the names of all policies, in the new order, those that disappear last."""
    return list(dict.fromkeys(policy.id for schedule in (new, old) for policy in schedule.policies))


def _state(before: Policy | None, after: Policy | None) -> State:
    """Return what became of a policy."""
    if before is None:
        return State.APPEARS
    if after is None:
        return State.DISAPPEARS
    if _identity(before.source) != _identity(after.source):
        return State.MOVED
    return State.CHANGED if before.digest != after.digest else State.RELATED


def _identity(source: Source) -> tuple[object, ...]:
    """Return what makes a record of one declaration the same as one of another."""
    return source.connector, source.table, source.key


def _declared_alike(old: Schedule, new: Schedule, before: Source, after: Source) -> bool:
    """Whether two files declare a source, and the sources it is related to, alike, so that one reader serves both."""
    names = {each.name for each in (before, after)} | {each.source for each in (*before.relations, *after.relations) if each.source}
    return all(old.sources.get(name) == new.sources.get(name) for name in names)


def _alike(old: Schedule, new: Schedule, name: str) -> bool:
    """Whether nothing that decides about a policy's records differs: the policy, related declarations, policies of rows that go along."""
    before, after = old.policy(name), new.policy(name)
    if before is None or after is None or not _declared_alike(old, new, before.source, after.source):
        return False
    along = {each.source for each in before.source.relations if each.source and each.disposal not in (None, Disposal.DETACH)}
    return all(_digest(old, each) == _digest(new, each) for each in (name, *along))


def _digest(schedule: Schedule, name: str) -> str:
    """Return the digest of a source's policy, an empty text when it has none."""
    policy = schedule.policy(name)
    return policy.digest if policy is not None else ""
