"""Facts over several sources: the latest day of one person's records in the CRM, the mail archive and the call list together.

Before a plan is made, and again before a plan is carried out, the records of all members are read once and brought together by keyed
identifiers; every source then uses the same value. Nothing holds the other sources still meanwhile: a record's own day is read again under
its lock, the others' are as they were when they were gathered, and the intents say so.

Disposing of a record never moves the clock back. A batch keeps what its records said as pairs of (keyed identifiers, day), durable
before it writes (`high_water`), and gathering takes those in like records. A member that can't be read makes the whole fact unknown, for
everybody: nothing is ever due because somebody's mail server was down. A record with an identifier that can't be read may be about anybody.
In a member it makes the fact unknown for everybody, and nothing is done to it, for what it would leave would be nobody's; where the fact
is only used, it is unknown for that record, whatever its other identifiers lead to.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain

from worker.core.facts import Fact, Raw, Unknown, Unreadable
from worker.core.model import Policy
from worker.core.refs import REFERENCE_BYTES, Secret
from worker.core.select import EVERYTHING
from worker.core.shared import NOTHING, Seen, fact_of, left_behind, says, together
from worker.core.sources import Field, Member, SharedFact, Source
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ledger.rows import RECORD, HighWater
from worker.ports import Key
from worker.usecases.keptdays import packed, unpacked
from worker.usecases.machine import Machine
from worker.usecases.matching import identifier_tokens, record_token, several_tokens
from worker.usecases.subjects import SubjectIndex

Positioned = Sequence[tuple[int, Member]]
"""Members of a fact with their positions among all of them."""

_ANYBODY = Unknown("an identifier of the record can't be read")
"""One object, by which the decider finds its decision again."""


def facts_used(machine: Machine, policies: Iterable[Policy]) -> tuple[SharedFact, ...]:
    """Return the facts over several sources that judging by these policies needs, those of their children's policies among them."""
    found: dict[str, SharedFact] = {}
    for policy in policies:
        children = [machine.schedule.policy(each.source) for each in policy.source.relations if each.source and each.disposal is not None]
        for each in (policy, *(child for child in children if child is not None)):
            found.update({shared.name: shared for shared in each.shared})
    return tuple(found.values())


@dataclass(frozen=True)
class Gathered:
    """The gathered facts, ready to be asked for.

    unknown -- by fact, why it is unknown for everybody; failed -- by source, why it could not be read; read -- the sources that were.
    """

    today: dt.date
    secret: Secret = field(repr=False)
    indexes: Mapping[str, SubjectIndex] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    read: frozenset[str] = frozenset()

    def joined(self, policy: Policy) -> Joined | None:
        """Return what gives the records of a policy's source their shared facts; None when the policy decides by none."""
        return Joined(self, policy) if policy.shared else None

    def treated(self, aliases: bytes) -> None:
        """Take note of records whose identifiers were just treated, so that they are still found; aliases -- as the ledger keeps them."""
        for index in self.indexes.values():
            index.also(_pairs(aliases))


class Joined:
    """Gives records of one source the facts that lie in several. columns -- the fields that have to be read for that."""

    def __init__(self, gathered: Gathered, policy: Policy) -> None:
        source = policy.source
        self._gathered = gathered
        self._tokens = Tokens(gathered.secret, source.name, source.identifiers)
        self._source = source.name
        self._shared = policy.shared
        said = [name for shared in policy.shared for member in shared.members_of(source.name) for name in member.columns]
        self.names = tuple(shared.name for shared in policy.shared)
        self.columns = tuple(dict.fromkeys((*(each.name for each in source.identifiers), *said)))
        self._facts: dict[tuple[str, Seen], Fact] = {}

    def facts(self, key: Key, values: Mapping[str, Raw]) -> tuple[Fact, ...]:
        """Return the shared facts of one record, in the order of `names`; `values` holds its `columns` by name."""
        if self._tokens.is_anybody(values):
            return (_ANYBODY,) * len(self._shared)
        tokens, several = self._tokens.of(key, values), self._tokens.several(values)
        # That one thing is gone says nothing of the others that are named beside it.
        return tuple(self._fact(shared, tokens if shared.going else [*tokens, *several], values) for shared in self._shared)

    def _fact(self, shared: SharedFact, tokens: Sequence[bytes], values: Mapping[str, Raw]) -> Fact:
        """Return one fact: what was gathered about the record's subject, and what the record itself says now."""
        index = self._gathered.indexes.get(shared.name)
        if index is None:
            return Unknown(self._gathered.unknown.get(shared.name, "not gathered"))
        what = together(index.seen(tokens), _said(_positioned(shared, self._source), values, self._gathered.today))
        if not what.there and not self._tokens.identify(values):
            return Unknown("nothing to find its subject by")
        # One object for one value, by which the decider finds its decision again.
        return self._facts.setdefault((shared.name, what), fact_of(shared, what))


class Tokens:
    """Makes the tokens by which the records of one source are joined to subjects.

    A record has one for every form of every identifier that it has; where one is missing or was treated, also its own, to which aliases
    lead. One that can't be read is none of these: ask `is_anybody` before what the tokens lead to is believed. Where an identifier names
    several people (`several`), what the record says is said of each of them, and they stay the different people they are.
    """

    def __init__(self, secret: Secret, source: str, identifiers: Sequence[Field]) -> None:
        self._secret = secret
        self._source = source
        self._compared = [(each.name, comparison) for each in identifiers if (comparison := each.comparison) is not None]

    def of(self, key: Key, values: Mapping[str, Raw]) -> list[bytes]:
        """Return the different tokens of one record, given its identifier fields."""
        return different(self.each(key, values))

    def each(self, key: Key, values: Mapping[str, Raw]) -> list[list[bytes]]:
        """Return the tokens of each identifier that a record has, and of the record itself where it has not all."""
        found = self._identifiers(values)
        if len(found) < len(self._compared):
            found.append([record_token(self._secret, self._source, key)])
        return found

    def is_anybody(self, values: Mapping[str, Raw]) -> bool:
        """Whether an identifier of a record can't be read, so that it may be about anybody: its tokens then don't say all."""
        return any(isinstance(values[name], Unreadable) for name, _ in self._compared)

    def identify(self, values: Mapping[str, Raw]) -> bool:
        """Whether a record has any identifier at all."""
        return bool(self._identifiers(values))

    def several(self, values: Mapping[str, Raw]) -> list[bytes]:
        """Return the tokens of all whom identifiers name that name more than one."""
        return different(several_tokens(self._secret, comparison, values[name]) for name, comparison in self._compared)

    def _identifiers(self, values: Mapping[str, Raw]) -> list[list[bytes]]:
        return [each for name, comparison in self._compared if (each := identifier_tokens(self._secret, comparison, values[name]))]


def different(tokens: Iterable[Iterable[bytes]]) -> list[bytes]:
    """Return the tokens of several identifiers as one list, each once."""
    return list(dict.fromkeys(chain.from_iterable(tokens)))


def _positioned(shared: SharedFact, source: str) -> Positioned:
    """Return the members of a fact that are records of a source, each with its position."""
    return [(position, each) for position, each in enumerate(shared.members) if each.source == source]


def _said(members: Positioned, values: Mapping[str, Raw], today: dt.date) -> Seen:
    """Return what one record says to these members; nothing where there is none."""
    return together(*(what for position, each in members for what in says(each, position, values, today).values()))


# --- Gathering --------------------------------------------------------------------------------------------------------------------------


@contextmanager
def gather(machine: Machine, policies: Iterable[Policy], today: dt.date, failed: Mapping[str, str] | None = None) -> Iterator[Gathered]:
    """Read the members of every shared fact that these policies use, and bring together what they say on a local day.

    failed -- sources that are known not to answer, with the reason: they are not asked again. Reads nothing when no fact is used. Memory is
    constant in the number of records; afterwards nothing of it is left.
    """
    secret = machine.keyring.match().secret
    broken = dict(failed or {})
    indexes: dict[str, SubjectIndex] = {}
    unknown: dict[str, str] = {}
    failures: dict[str, str] = {}
    done: set[str] = set()
    with ExitStack() as stack:
        for shared in facts_used(machine, policies):
            index = stack.enter_context(SubjectIndex(machine.settings.state))
            for name in shared.sources:
                if name not in broken:
                    try:
                        why = _read(machine, index, shared, name, (secret, today))
                    except (SourceFailed, Retriable, ConfigurationError) as error:
                        broken[name] = failures[name] = str(error)
                    else:
                        done.add(name)
                if name in broken:
                    why = f"{name} could not be read"
                if why:
                    unknown.setdefault(shared.name, why)
            if shared.name not in unknown:
                # After the records: whatever was treated or deleted since they were read has left its pairs in the ledger before it went.
                _remember(machine, index, shared)
                index.seal()
                indexes[shared.name] = index
        yield Gathered(today, secret, indexes, unknown, failures, frozenset(done))


def _read(machine: Machine, index: SubjectIndex, shared: SharedFact, name: str, how: tuple[Secret, dt.date]) -> str:
    """Take in all records of a source; returns why nobody can tell whom they are about, an empty text when all is well."""
    secret, today = how
    source, members = machine.schedule.sources[name], shared.members_of(name)
    known_by = [(Tokens(secret, source.name, each), _among(shared, name, each)) for each in {member.identifiers for member in members}]
    width, names = len(source.key), list(dict.fromkeys(each.name for member in members for each in member.identifiers))
    columns = tuple(dict.fromkeys((*names, *(column for member in members for column in member.columns))))
    names_somebody = False
    with machine.open_source(source).reader() as reader:
        for page in reader.rows(EVERYTHING, columns):
            told: list[tuple[Sequence[bytes], Seen]] = []
            for row in page:
                values = dict(zip(columns, row[width:], strict=True))
                if any(tokens.is_anybody(values) for tokens, _ in known_by):
                    # It may be the latest of all.
                    return f"a record of {source.name} can't be read"
                for tokens, among in known_by:
                    said = _said(among, values, today)
                    told.append((tokens.of(row[:width], values), said))  # type: ignore[arg-type]
                    told += [([each], said) for each in tokens.several(values)] if not shared.going else []
                    names_somebody = names_somebody or tokens.identify(values)
            index.add(told)
    # A table that was emptied, or is being filled again, must not look like one whose records all went their way.
    return f"no record of {source.name} names anything" if shared.going and not names_somebody else ""


def _among(shared: SharedFact, source: str, identifiers: tuple[Field, ...]) -> Positioned:
    """Return the members of a fact in a source that know their records by these fields."""
    return [each for each in _positioned(shared, source) if each[1].identifiers == identifiers]


def _remember(machine: Machine, index: SubjectIndex, shared: SharedFact) -> None:
    """Take in what records said that were disposed of, and by which identifiers treated ones were known."""
    for source in (each for each in machine.schedule.sources.values() if each.shared_fact(shared.name) is not None):
        for blob in machine.ledger.aliases(source.name):
            index.add((pair, NOTHING) for pair in _pairs(blob))
    for member in shared.members:
        for day in member.days:
            # A day that a record states is as true when the batch was rolled back; that the record went is not.
            for blob in machine.ledger.high_water(member.source, day.name, undone=not member.going):
                index.add(unpacked(blob))


def _pairs(blob: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (record token, identifier token) pairs of an alias blob."""
    for start in range(0, len(blob), 2 * REFERENCE_BYTES):
        middle = start + REFERENCE_BYTES
        yield blob[start:middle], blob[middle : middle + REFERENCE_BYTES]


# --- What stays of records that go ------------------------------------------------------------------------------------------------------


def high_water(
    source: Source, members: Iterable[Member], secret: Secret, today: dt.date, records: Sequence[tuple[Key, Mapping[str, Raw]]]
) -> list[HighWater]:
    """Return what has to be kept of records that are disposed of today, one for each day field that these members take from their source.

    A record that does not count leaves no day. Where it has several identifiers it leaves these, so that what they join stays joined.
    records -- key, and by name the members' identifiers and what they look at.
    """
    days: dict[str, dict[tuple[bytes, ...], Seen]] = defaultdict(dict)
    alike: dict[tuple[Field, ...], list[Member]] = defaultdict(list)
    for member in members:
        alike[member.identifiers].append(member)
    for identifiers, those in alike.items():
        tokens = Tokens(secret, source.name, identifiers)
        for key, values in records:
            parts = tokens.each(key, values)
            own, several = tuple(different(parts)), tokens.several(values)
            for going, name, what in ((member.going, *each) for member in those for each in says(member, 0, values, today).items()):
                # The forms of one number are no two identifiers that only this record brings together.
                if what.there or len({each[0] for each in parts}) > 1:
                    days[name][own] = together(days[name].get(own, NOTHING), left_behind(what, today))
                for token in several if what.there and not going else ():
                    days[name][token,] = together(days[name].get((token,), NOTHING), left_behind(what, today))
    return [HighWater(source.name, name, packed(found)) for name, found in days.items()]


def departure(source: str, secret: Secret, today: dt.date, keys: Iterable[Key]) -> HighWater:
    """Return what has to be kept of records that are deleted today and of which people or runs may have said something: that they went."""
    went = Seen(1, day=today.toordinal())
    return HighWater(source, RECORD, packed({(record_token(secret, source, key),): went for key in keys}))
