"""What a policy leads to that its writer may not have meant: fields nothing treats, gaps, steps that undo each other.

These checks draw conclusions from a whole policy and are made only for one that is sound by itself. Some conclusions are found by trying:
`gaps` asks the core about every combination of facts that the conditions tell apart.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from worker.core.conditions import Compare, Condition, Either, Every, Negated
from worker.core.decide import choose
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Scalar
from worker.core.model import SEEN, DispositionKind, LegalBasis, Policy, Purpose, StateEnd
from worker.core.purposes import NeverApplied, purpose_state
from worker.core.sources import ANSWERED, Function, SharedFact
from worker.core.standing import NOTHING
from worker.policyfile.document import Complaints
from worker.policyfile.policies import Entry
from worker.policyfile.positions import Path
from worker.policyfile.treating import check_consequences

_TRIES = 2000
_DAY = dt.date(2024, 5, 15)


def check(entry: Entry, complaints: Complaints) -> None:
    """Complain and warn about the consequences of a sound policy."""
    policy = entry.policy
    fields: Path = ("sources", policy.id, "fields")
    if not policy.purposes_of:
        what = "has no personal field with a purpose, so nothing of it can ever be due"
        complaints.problem(("sources", policy.id), what, "Declare the fields that hold personal data, with a treatment or personal = true.")
        return
    _check_treatments(policy, fields, complaints)
    _check_what_is_needed_later(policy, fields, complaints)
    if _pseudonymises(policy) or not policy.uniform:
        check_consequences(policy, fields, complaints)
    for name in (name for name, purposes in policy.purposes_of.items() if not purposes):
        complaints.warn((*fields, name), "no purpose lists this field: it is kept and reported as uncovered, and with it its record")
    _warn_of_gaps(entry, fields, complaints)
    for number, disposition in enumerate(policy.dispositions):
        kinds = [step.kind for step in disposition.steps]
        if kinds[-1] is DispositionKind.PSEUDONYMISE:
            place: Path = (*entry.path, "disposition") if len(policy.dispositions) == 1 else (*entry.path, "disposition", number)
            hint = "Add `then` with a later step, unless another rule ends it."
            complaints.warn(place, "ends with pseudonymised data, which are personal data still and are kept without an end", hint)
    if not entry.shape.examples:
        complaints.warn(entry.path, "has no example", "Add one: it is run whenever the file is read, and a mistake shows at once.")
    for number, purpose in enumerate(policy.purposes):
        if purpose.waits is not None and not policy.may_wait(purpose):
            what = "there is nothing to wait for: no member of `start` is declared as not yet while another day is known"
            hint = 'Declare empty = "not_yet" on what is waited for, and name a day in `since`.'
            complaints.problem((*entry.path, "purposes", number, "waits"), what, hint)
        if purpose.marketing and purpose.basis not in (LegalBasis.CONSENT, LegalBasis.LEGITIMATE_INTERESTS):
            place = (*entry.path, "purposes", number, "marketing")
            complaints.warn(place, f"direct marketing rarely rests on {purpose.basis.value!r}")


def _pseudonymises(policy: Policy) -> bool:
    """Whether any step of any disposition pseudonymises."""
    return any(step.kind is DispositionKind.PSEUDONYMISE for disposition in policy.dispositions for step in disposition.steps)


def _check_treatments(policy: Policy, fields: Path, complaints: Complaints) -> None:
    """Check that every personal field that may be due while its record stays says what happens to it then."""
    for field in (each for each in policy.source.personal if each.treatment is None):
        if _pseudonymises(policy):
            complaints.problem((*fields, field.name), "has no treatment, and a disposition of its policy pseudonymises", "Add `treatment`.")
        elif not policy.uniform and policy.purposes_of.get(field.name):
            what = "has no treatment, although the purposes of this source differ by field: it may be due while its record stays"
            complaints.problem((*fields, field.name), what, "Add `treatment`, or let every purpose list the same fields.")


def _check_what_is_needed_later(policy: Policy, fields: Path, complaints: Complaints) -> None:
    """Check that no treatment destroys what a later decision about the same record needs."""
    if policy.uniform and not _pseudonymises(policy):
        return
    joins = {column: relation.name for relation in policy.source.relations for column in relation.own}
    for field in policy.treatable:
        if field.name in policy.deciding:
            what = "is treated, and its policy decides by it: the next decision about the record would not find it any more"
            complaints.problem((*fields, field.name), what, "Leave its treatment out, or decide by another fact.")
        elif field.column in joins:
            what = f"is treated, and the relation {joins[field.column]!r} finds its rows by it"
            complaints.problem((*fields, field.name), what)


# --- Gaps, found by trying --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gaps:
    """Facts for which a policy has no answer: for a field that no purpose covers then, and for the choice of a disposition."""

    uncovered: Mapping[str, Mapping[str, Fact]]
    unmatched: Mapping[str, Fact] | None


def gaps(policy: Policy) -> Gaps:
    """Return the first combination of facts for each field that leaves it uncovered although a purpose lists it, and for the disposition.

    Tries every combination that conditions tell apart, up to a limit; without unknown facts, which keep and report by themselves.
    """
    policy = replace(policy, effective=None)
    constants = _constants(policy)
    choices = {name: list(dict.fromkeys(possible(policy, name, constants.get(name, [])))) for name in policy.deciding}
    tried = [_Tried(policy, purpose) for purpose in policy.purposes]
    avoidable = [each.may_never_apply(choices) for each in tried]
    # Most policies have a purpose for every case and one disposition for all: then there is nothing to try together.
    open_fields = {
        name: [tried[place] for place in places]
        for name, places in policy.purposes_of.items()
        if places and all(avoidable[place] for place in places)
    }
    open_end = all(disposition.when is not None for disposition in policy.dispositions)
    uncovered: dict[str, Mapping[str, Fact]] = {}
    unmatched: Mapping[str, Fact] | None = None
    combinations = itertools.product(*choices.values())
    for combination in itertools.islice(combinations, _TRIES if open_fields or open_end else 0):
        facts = dict(zip(choices, combination, strict=True))
        for name, purposes in open_fields.items():
            if name not in uncovered and all(each.never_applied(facts) for each in purposes):
                uncovered[name] = _telling(facts, constants)
        if open_end and unmatched is None and choose(policy.dispositions, facts) == "no disposition matches":
            unmatched = _telling(facts, constants)
    return Gaps(uncovered, unmatched)


class _Tried:
    """A purpose that is tried: whether it never applied to a record, worked out once for each combination of its own facts."""

    def __init__(self, policy: Policy, purpose: Purpose) -> None:
        self._policy = policy
        self._purpose = purpose
        names: dict[str, None] = {}
        prolonged: Purpose | None = purpose
        while prolonged is not None:
            names.update(dict.fromkeys(policy.deciding_of(prolonged)))
            prolonged = policy.purpose(prolonged.extends) if prolonged.extends is not None else None
        self._names = tuple(names)
        self._known: dict[tuple[Fact, ...], bool] = {}

    def may_never_apply(self, choices: Mapping[str, Collection[Fact]]) -> bool:
        """Whether there are facts with which it never applied; also true when there is too much to try."""
        tried = itertools.islice(itertools.product(*(choices[name] for name in self._names)), _TRIES + 1)
        return any(number == _TRIES or self._of(own) for number, own in enumerate(tried))

    def never_applied(self, facts: Mapping[str, Fact]) -> bool:
        """Whether it never applied to a record with these facts."""
        return self._of(tuple(facts[name] for name in self._names))

    def _of(self, own: tuple[Fact, ...]) -> bool:
        if own not in self._known:
            facts = dict(zip(self._names, own, strict=True))
            self._known[own] = isinstance(purpose_state(self._policy, self._purpose, facts, NOTHING, _DAY), NeverApplied)
        return self._known[own]


def _warn_of_gaps(entry: Entry, fields: Path, complaints: Complaints) -> None:
    """Warn about the gaps of a policy, with the facts that lead into them."""
    found = gaps(entry.policy)
    for name, facts in found.uncovered.items():
        what = f"no purpose covers this field when {_words(facts)}: then it is kept and reported, and with it its record"
        complaints.warn((*fields, name), what, "Add a purpose for that case, or list the field in one that always applies.")
    if found.unmatched is not None:
        what = f"no disposition is chosen when {_words(found.unmatched)}: then the record is kept and reported"
        complaints.warn((*entry.path, "disposition"), what, "End the list with one that has no condition.")


def _constants(policy: Policy) -> Mapping[str, list[Scalar]]:
    """Return every fact that conditions compare, with all constants it is compared with."""
    found: dict[str, list[Scalar]] = {}

    def collect(condition: Condition | None) -> None:
        match condition:
            case Compare(fact, _, values):
                found.setdefault(fact, []).extend(values)
            case Every(of) | Either(of):
                for part in of:
                    collect(part)
            case Negated(part):
                collect(part)
            case None:
                pass

    for purpose in policy.purposes:
        collect(purpose.when)
        collect(purpose.start.condition if isinstance(purpose.start, StateEnd) else None)
    for disposition in policy.dispositions:
        collect(disposition.when)
    return found


def possible(policy: Policy, name: str, constants: list[Scalar]) -> Iterator[Fact]:
    """Yield the values of a fact that conditions with these constants could tell apart, and the ways in which it may be missing."""
    if name == ANSWERED or name.startswith(SEEN):
        yield NotApplicable()
        return
    shared = policy.source.shared_fact(name)
    aggregate = next((each for each in policy.source.aggregates if each.name == name), None)
    missing = policy.source.absences(name)
    declared = None if shared is not None else aggregate or policy.source.mark(name) or policy.source.field(name)
    reading = declared.reading if declared is not None else None
    if shared is not None:
        kind, missing = FieldType.DATE, missing_from(shared, policy)
    elif aggregate is not None and reading is None:
        kind = FieldType.NUMBER if aggregate.function is Function.COUNT else FieldType.BOOLEAN
    elif reading is not None:
        kind = reading.type
    match kind:
        case FieldType.BOOLEAN:
            yield from (Known(True), Known(False))  # noqa: FBT003 - the two values there are
        case FieldType.NUMBER:
            numbers = [0, *(near for each in constants if not isinstance(each, str | dt.date) for near in (each - 1, each, each + 1))]
            yield from (Known(each) for each in numbers if each >= 0 or aggregate is None)
        case FieldType.TEXT:
            yield from (Known(each) for each in ("any other text", *constants))
        case FieldType.DATE | FieldType.TIMESTAMP:
            days = [each for each in constants if isinstance(each, dt.date) and dt.date.min < each < dt.date.max]
            yield Known(_DAY)
            yield from (Known(day + dt.timedelta(days=shift)) for day in days for shift in (-1, 0, 1))
    if Empty.NOT_YET in missing:
        yield NotYet()
    if Empty.NOT_APPLICABLE in missing:
        yield NotApplicable()


def missing_from(shared: SharedFact, policy: Policy) -> frozenset[Empty]:
    """Return what it can mean for records of a policy that a fact over several sources has no day.

    A record of a member is there itself, and so the fact applies to it when one of its own days always does, whatever the record says.
    """
    own = [each for each in shared.members_of(policy.id) if each.when is None]
    may_not_apply = not own or Empty.NOT_APPLICABLE in {shared.none, *(day.reading.empty for each in own for day in each.days)}
    return shared.absences - (set() if may_not_apply else {Empty.NOT_APPLICABLE})


def _telling(facts: Mapping[str, Fact], compared: Collection[str]) -> Mapping[str, Fact]:
    """Return the facts without those that only start a period and are known, or that only runs and answers bring: they tell nothing."""
    declared = {name: fact for name, fact in facts.items() if name != ANSWERED and not name.startswith(SEEN)}
    return {name: fact for name, fact in declared.items() if name in compared or not isinstance(fact, Known)}


def _words(facts: Mapping[str, Fact]) -> str:
    """Return facts in words."""
    return ", ".join(f"{name} is {in_words(fact)}" for name, fact in facts.items())


def in_words(fact: Fact) -> str:
    """Return one fact in the words of the policy file."""
    match fact:
        case Known(bool() as value):
            return str(value).lower()
        case Known(value):
            return str(value) if not isinstance(value, str) else f"{value!r}"
        case NotYet():
            return "not yet"
        case NotApplicable():
            return "not applicable"
        case _:
            return "unknown"
