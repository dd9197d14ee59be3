"""Which holds and requests touch a record: matched on keyed canonical identifiers, never on the identifiers themselves.

Where one value names several people, what suspends for any of them suspends the record, and nobody's request ends anything: it would erase
the others too.

A case's number is no identifier of a person: a request never finds a record by it, or somebody whose customer number is the number of
another's case would have that other erased. A hold that is on something which the policy file knows no longer, because a category or a
source was called otherwise or left out, holds everything until somebody says what it is on: it was said to be in force.

The index is read from the ledger and read again when the ledger's standing version has grown. Identifiers that were treated in a record
that stays are found through *aliases*: per batch, pairs of the record's token and the token its identifier had.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from itertools import islice

from worker.clock import local_day
from worker.core.canonical import canonical, canonicals, has_one_form, other_forms, several
from worker.core.facts import UNREADABLE, Unreadable
from worker.core.model import Policy
from worker.core.refs import REFERENCE_BYTES, Secret, token, tokens
from worker.core.sources import Comparison, Identifier, Source
from worker.core.standing import NOTHING, Hold, HoldKind, Request, RequestKind, Standing
from worker.core.treatments import MARKER, is_pseudonym
from worker.ledger.rows import AMONG, WHOSE, HoldRow, RequestRow
from worker.usecases.keptdays import unpacked
from worker.usecases.machine import Machine

_MARK = len(MARKER)
CASE_FIELD = "case_field"
"""The option of a source that names the field holding a record's case number."""


def identifier_tokens(secret: Secret, comparison: Comparison, value: object) -> list[bytes]:
    """Return the keyed forms of an identifier; none for nothing, and for a pseudonym, whose person is found through aliases.

    Somebody is found by any of them, so whoever keeps one keeps all, and whoever looks for one looks for all.
    """
    return [token(secret, "identifier", each) for each in identifier_forms(comparison, value)]


def several_tokens(secret: Secret, comparison: Comparison, value: object) -> list[bytes]:
    """Return the keyed forms of everybody whom an identifier names, where it names more than one; none otherwise."""
    return [token(secret, "identifier", each) for each in several_forms(comparison, value)]


def identifier_form(kind: Identifier, value: object) -> str:
    """Return the canonical form of an identifier in a row as it stands there; empty for nothing, and for a pseudonym."""
    return canonical(kind, _text_of(value))


def first_forms(comparison: Comparison, values: Iterable[object]) -> tuple[list[str], list[int]]:
    """Return `identifier_form` of many values, and the positions of those that may have another form besides, or name several people."""
    # Nearly all are texts that don't look like a pseudonym.
    texts = [value if type(value) is str and value[:_MARK] != MARKER else _text_of(value) for value in values]
    # All are looked at together first: one by one would cost as much as their forms.
    alike = has_one_form(comparison, "".join(texts))
    more = [] if alike else [place for place, text in enumerate(texts) if not has_one_form(comparison, text)]
    return canonicals(comparison.kind, texts), more


def _text_of(value: object) -> str:
    """Return what may be an identifier as a text; empty for nothing, and for a pseudonym."""
    text = "" if value is None or value is UNREADABLE else str(value)
    return "" if text.startswith(MARKER) and is_pseudonym(text) else text


def identifier_forms(comparison: Comparison, value: object) -> tuple[str, ...]:
    """Return all canonical forms of an identifier in a row, that of `identifier_form` first; none for nothing, and for a pseudonym."""
    text = _text_of(value)
    first = canonical(comparison.kind, text)
    # This is asked for every record, and nearly all have one form.
    if not first or has_one_form(comparison, text):
        return (first,) if first else ()
    return tuple(dict.fromkeys((first, *other_forms(comparison, _whole(value)))))


def written_otherwise(comparison: Comparison, value: object) -> tuple[str, ...]:
    """Return the canonical forms that an identifier in a row has besides that of `identifier_form`, in their order (see `other_forms`)."""
    text = _text_of(value)
    return () if not text or has_one_form(comparison, text) else other_forms(comparison, _whole(value))


def several_forms(comparison: Comparison, value: object) -> tuple[str, ...]:
    """Return the canonical forms of everybody whom an identifier in a row names, where it names more than one (see `several`)."""
    text = _text_of(value)
    return () if not text or has_one_form(comparison, text) else several(comparison, text)


def _whole(value: object) -> str:
    """Return a value as a text; a spreadsheet's number has a fraction of zero, which would be one more digit."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    return str(value)


def case_tokens(secret: Secret, number: object) -> list[bytes]:
    """Return the keyed form of a case's number, which equals that of no identifier; none for nothing."""
    form = identifier_form(Identifier.TEXT, number)
    return [token(secret, "case", form)] if form else []


def record_token(secret: Secret, source: str, key: Sequence[object]) -> bytes:
    """Return the keyed form of a record's key, for holds on one record and for aliases."""
    # One part for the whole key: what all records of a source have in common is then hashed once.
    return token(secret, "record", source, _key_text(key))


def tokens_of_identifiers(secret: Secret, comparison: Comparison, values: Sequence[object]) -> list[Sequence[bytes]]:
    """Return `identifier_tokens` of many values."""
    if comparison.country:
        every = [identifier_forms(comparison, value) for value in values]
        made = iter(tokens(secret, "identifier", last=[form for each in every for form in each]))
        return [[*islice(made, len(each))] for each in every]
    # Nearly all have one form.
    firsts, more = first_forms(comparison, values)
    made = iter(tokens(secret, "identifier", last=firsts))
    found: list[Sequence[bytes]] = [(own,) if form else () for own, form in zip(made, firsts, strict=True)]
    for place in more:
        found[place] = identifier_tokens(secret, comparison, values[place])
    return found


def naming_several(secret: Secret, comparison: Comparison, values: Sequence[object]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (position, `several_tokens`) for those among many values that name several people."""
    if has_one_form(comparison, "".join(map(_text_of, values))):
        return
    for place, value in enumerate(values):
        found = several_tokens(secret, comparison, value)
        if found:
            yield place, found


def record_tokens(secret: Secret, source: str, keys: Iterable[Sequence[object]]) -> list[bytes]:
    """Return `record_token` of many keys."""
    return tokens(secret, "record", source, last=map(_key_text, keys))


def _key_text(key: Sequence[object]) -> str:
    """Return a record's key as a text: its type and value, part by part."""
    if len(key) == 1 and type(key[0]) is int:
        return f"int:{key[0]}"
    return "\x1f".join([f"{type(part).__name__}:{part}" for part in key])


@dataclass(frozen=True)
class StandingIndex:
    """The holds and requests in force for one policy, ready to be matched against its records.

    everywhere -- what touches every record of the source; by_identifier, by_record, by_case -- by token; version -- the ledger's at
    reading; case_field -- the field that holds a record's case number, empty where none does.
    """

    version: int
    everywhere: Standing
    by_identifier: Mapping[bytes, Standing]
    by_record: Mapping[bytes, Standing]
    secret: Secret = field(repr=False)
    identifiers: tuple[tuple[str, Comparison], ...] = ()
    by_case: Mapping[bytes, Standing] = field(default_factory=dict)
    case_field: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing stands at all, so that no record has to be matched."""
        return not (self.everywhere.holds or self.everywhere.requests or self.by_identifier or self.by_record or self.by_case)

    @property
    def ends_purposes(self) -> bool:
        """Whether a request may end purposes earlier than their periods do, so that dates alone can't select what is due."""
        ending = (RequestKind.ERASE, RequestKind.WITHDRAW, RequestKind.OBJECT)
        standings = (self.everywhere, *self.by_identifier.values(), *self.by_record.values())
        return any(request.kind in ending for standing in standings for request in standing.requests)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields by which something that stands may touch a record, whether or not anything stands now."""
        return (*(name for name, _ in self.identifiers), *([self.case_field] if self.case_field else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that must be read to match a record; none when nothing is matched by identifier or case."""
        return self.fields if self.by_identifier or self.by_case else ()

    @property
    def of_persons(self) -> bool:
        """Whether something stands for a person or for one record, and not for the source or a category as a whole."""
        return bool(self.by_identifier or self.by_record or self.by_case)

    @cached_property
    def of_anybody(self) -> Standing:
        """What stands where the person can't be read: it may be anybody, so the record is kept for all who are held, erased for none.

        Kept also for those who asked to restrict, or objected and wait for a person's decision.
        """
        return _suspending(self.by_identifier.values())

    @cached_property
    def of_any_case(self) -> Standing:
        """What stands where the number of the case can't be read: the holds on all cases."""
        return _suspending(self.by_case.values())

    def of_person(self, source: str, key: Sequence[object], values: Mapping[str, object]) -> Standing:
        """Return what stands for the person a record is about, or for the record itself, given its identifier fields."""
        return replace(self, everywhere=NOTHING).touching(source, key, values) if self.of_persons else NOTHING

    def touching(self, source: str, key: Sequence[object], values: Mapping[str, object]) -> Standing:
        """Return what stands for one record, given its identifier fields.

        One that can't be read may be anybody's: then every hold in force on a person holds the record. No request ends anything by it.
        """
        if self.empty:
            return NOTHING
        found = [self.everywhere]
        if self.by_record:
            found.append(self.by_record.get(record_token(self.secret, source, key), NOTHING))
        if self.by_identifier:
            for name, comparison in self.identifiers:
                said = values.get(name)
                own = identifier_tokens(self.secret, comparison, said)
                if own:
                    found += [self.by_identifier[each] for each in own if each in self.by_identifier]
                    among = [each for each in several_tokens(self.secret, comparison, said) if each in self.by_identifier]
                    if among:
                        found.append(_of_some_among_several(self.by_identifier[each] for each in among))
                elif isinstance(said, Unreadable):
                    found.append(self.of_anybody)
        if self.by_case:
            said = values.get(self.case_field)
            found += [self.by_case[each] for each in case_tokens(self.secret, said) if each in self.by_case]
            if isinstance(said, Unreadable):
                found.append(self.of_any_case)
        holds = dict.fromkeys(hold for standing in found for hold in standing.holds)
        requests = dict.fromkeys(request for standing in found for request in standing.requests)
        others = dict.fromkeys(each for standing in found for each in standing.others)
        certain = {each.id for each in requests}
        unclear = dict.fromkeys(each for standing in found for each in standing.unclear if each not in certain)
        return Standing(tuple(holds), tuple(requests), tuple(others), tuple(unclear)) if holds or requests or unclear else NOTHING


def load_standing(machine: Machine, policy: Policy) -> StandingIndex:
    """Return the index of everything that stands for one policy's records, released holds included (they move deadlines)."""
    version, holds, requests = machine.ledger.all_standing()
    secret = machine.keyring.match().secret
    source = policy.source
    everywhere: list[Standing] = []
    by_identifier: dict[bytes, list[Standing]] = defaultdict(list)
    by_record: dict[bytes, list[Standing]] = defaultdict(list)
    by_case: dict[bytes, list[Standing]] = defaultdict(list)
    through_aliases: dict[bytes, list[Standing]] = defaultdict(list)
    case_field = source.options.get(CASE_FIELD, "")
    for row in holds:
        standing = Standing(holds=(_hold(row, machine),))
        match row.scope:
            case _ if is_lost(machine, row):
                everywhere.append(standing)
            case "source" if row.source == source.name:
                everywhere.append(standing)
            case "category" if row.category in policy.categories:
                everywhere.append(standing)
            case "record" if row.source == source.name and row.token:
                by_record[bytes.fromhex(row.token)].append(standing)
            case "subject" if row.token and (row.source == source.name or row.source not in machine.schedule.sources):
                by_identifier[bytes.fromhex(row.token)].append(standing)
            case "case" if row.case and case_field:
                for own in case_tokens(secret, row.case):
                    by_case[own].append(standing)
                # Where the number recognises the subject too, it was kept as an identifier when it was treated.
                if case_field in dict(source.compared):
                    for own in identifier_tokens(secret, Comparison(Identifier.TEXT), row.case):
                        through_aliases[own].append(standing)
            case _:
                pass
    for asked in requests:
        for text in asked.tokens:
            by_identifier[bytes.fromhex(text)].append(Standing(requests=(_request(asked),)))
    for known in (by_identifier, by_case):
        for own, standings in known.items():
            through_aliases[own].extend(standings)
    if through_aliases:
        for record, standings in _through_aliases(machine, source, through_aliases).items():
            by_record[record].extend(standings)
        for record, standings in _cut_loose(machine, source, through_aliases):
            by_record[record].extend(standings)
        for record, standings in _among_several(machine, source, through_aliases):
            by_record[record].extend(standings)
    return StandingIndex(
        version,
        merged(everywhere),
        {each: merged(standings) for each, standings in by_identifier.items()},
        {each: merged(standings) for each, standings in by_record.items()},
        secret,
        source.compared,
        {each: merged(standings) for each, standings in by_case.items()},
        case_field,
    )


def is_lost(machine: Machine, hold: HoldRow) -> bool:
    """Whether a hold in force is on a source, a category or the cases of an installation whose policy file knows none of that any more."""
    schedule = machine.schedule
    if hold.released_at is not None:
        return False
    match hold.scope:
        case "source" | "record":
            return hold.source not in schedule.sources
        case "category":
            return not any(hold.category in policy.categories for policy in schedule.policies)
        case "case":
            return not any(CASE_FIELD in each.options for each in schedule.sources.values())
        case _:
            return False


def _suspending(standings: Iterable[Standing]) -> Standing:
    """Return what suspends among what stands for several, and nothing that ends anything."""
    every = [*standings]
    holds = dict.fromkeys(hold for each in every for hold in each.holds if hold.released_on is None)
    requests = dict.fromkeys(request for each in every for request in each.requests if Standing(requests=(request,)).suspending)
    return Standing(tuple(holds), tuple(requests))


def _of_some_among_several(standings: Iterable[Standing]) -> Standing:
    """Return what stands for a record through some of the people whom one identifier names: what suspends for any of them.

    What would end purposes is only told: it ends what is the asker's, and this is the others' too. Nor does it lift what others asked for.
    """
    every = [*standings]
    others = dict.fromkeys(each for standing in every if standing.erasure is None for each in standing.suspending)
    ending = [each for standing in every for each in standing.requests if Standing(requests=(each,)).ends_purposes]
    return replace(_suspending(every), others=tuple(others), unclear=tuple(dict.fromkeys(each.id for each in ending)))


def _through_aliases(machine: Machine, source: Source, by_token: Mapping[bytes, list[Standing]]) -> dict[bytes, list[Standing]]:
    """Return what stands for records whose identifiers were treated earlier, by record token."""
    found: dict[bytes, list[Standing]] = defaultdict(list)
    pair = 2 * REFERENCE_BYTES
    for blob in machine.ledger.aliases(source.name):
        for start in range(0, len(blob), pair):
            standings = by_token.get(blob[start + REFERENCE_BYTES : start + pair])
            if standings:
                found[blob[start : start + REFERENCE_BYTES]].extend(standings)
    return found


def _cut_loose(machine: Machine, source: Source, by_token: Mapping[bytes, list[Standing]]) -> Iterator[tuple[bytes, list[Standing]]]:
    """Yield what stands for records by the person of a record that went, and that they hung on: (record token, standings)."""
    parents = {each.source for each in source.relations if each.same_subject and each.source is not None}
    if not parents:
        return
    known = dict(by_token)
    for name in parents:
        if name in machine.schedule.sources:
            parent = machine.schedule.sources[name]
            for record, standings in (*_through_aliases(machine, parent, by_token).items(), *_among_several(machine, parent, by_token)):
                known[record] = [*known.get(record, []), *standings]
    yield from _kept_of(machine, source, WHOSE, known)


def _among_several(machine: Machine, source: Source, by_token: Mapping[bytes, list[Standing]]) -> Iterator[tuple[bytes, list[Standing]]]:
    """Yield what suspends for records whose identifiers named several people and were treated or cut loose: (record token, standings)."""
    for record, standings in _kept_of(machine, source, AMONG, by_token):
        yield record, [_of_some_among_several(standings)]


def _kept_of(
    machine: Machine, source: Source, what: str, by_token: Mapping[bytes, list[Standing]]
) -> Iterator[tuple[bytes, list[Standing]]]:
    """Yield what stands for records by the tokens that were kept with them: (record token, standings). what -- WHOSE or AMONG."""
    for blob in machine.ledger.high_water(source.name, what):
        for (record, *others), _ in unpacked(blob):
            found = [standing for each in others for standing in by_token.get(each, ())]
            if found:
                yield record, found


def merged(standings: Sequence[Standing]) -> Standing:
    """Return several standings as one."""
    return Standing(
        tuple(hold for standing in standings for hold in standing.holds),
        tuple(request for standing in standings for request in standing.requests),
        tuple(each for standing in standings for each in standing.others),
        tuple(each for standing in standings for each in standing.unclear),
    )


def of_several(own: Standing, persons: Sequence[Standing]) -> Standing:
    """Return what stands for a record by its own identifiers and through its parents, who are different people where there are several.

    Then nobody's request for erasure lifts what another one asked to be restricted.
    """
    together = merged([own, *persons])
    if len(persons) == 1:
        return together
    kept = dict.fromkeys(each for person in persons if person.erasure is None for each in person.suspending)
    return replace(together, others=(*together.others, *kept))


def _hold(row: HoldRow, machine: Machine) -> Hold:
    """Return a hold as the core sees it; the day of release is a local one."""
    released: dt.date | None = None
    if row.released_at is not None:
        released = local_day(row.released_at, machine.schedule.organisation.zone)
    return Hold(row.hold_id, HoldKind(row.kind), released)


def _request(row: RequestRow) -> Request:
    """Return a request as the core sees it."""
    verified, upheld = row.verified_by is not None, row.upheld_by is not None
    return Request(row.request_id, RequestKind(row.kind), row.received_on, verified, row.consent, row.marketing, upheld)
