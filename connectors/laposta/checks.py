"""What a member of a list has, and what is wrong, or worth knowing, about a list before anything is done to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.laposta.account import Account, is_id
from connectors.sql.looks import named_like
from worker.core.model import Policy
from worker.core.sources import Field, Source, TreatmentKind
from worker.errors import ConfigurationError, Problem

ID, EMAIL, STATE = "member_id", "email", "state"
CUSTOM = "custom_fields."
UNSUBSCRIBED_AT = "@unsubscribed_at"
ACTIVE, UNSUBSCRIBED = "active", "unsubscribed"

COLUMNS = (ID, EMAIL, STATE, "signup_date_iso", "modified_iso", "confirm_date_iso", "ip", "source_url", UNSUBSCRIBED_AT)
"""The columns of every member; `custom_fields.NAME` stands for a field of the list."""

_WITHOUT_OFFSET = {"signup_date": "signup_date_iso", "modified": "modified_iso", "confirm_date": "confirm_date_iso"}
_HIDEABLE = (UNSUBSCRIBED, "cleaned")
"""The states that Laposta lets be asked for, and that a listing of all might leave out."""


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Laposta says."""
    problems = [Problem(f"{source.name}.options.{name}", "there is no such option.") for name in source.options]
    if not is_id(source.table):
        problems.append(Problem(f"{source.name}.table", "is the id of a list at Laposta: letters and digits, as in the list's address."))
    if source.key != (ID,):
        problems.append(Problem(f"{source.name}.key", "the key of a member is its id.", f'Declare key = "{ID}".'))
    if source.relations or source.aggregates:
        problems.append(Problem(source.name, "members have no relations.", "Remove children, parents and facts over them."))
    return problems + [problem for each in source.fields for problem in _column(source, each)]


def check(source: Source, account: Account, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    fields = {str(each.get("custom_name")): each for each in account.fields()}
    problems = [*_fields(source, fields), *_hidden(source, account)]
    if policy is not None:
        problems += [problem for each in policy.treatable for problem in _treatment(source, each, fields)]
    return problems, list(_worth_knowing(source, fields, encrypted=encrypted))


def _column(source: Source, field: Field) -> Iterator[Problem]:
    """Find a column that no member has."""
    where, column = f"{source.name}.{field.name}", field.column
    if column in _WITHOUT_OFFSET:
        yield Problem(where, f"{column} says no offset from UTC.", f"Declare {_WITHOUT_OFFSET[column]}.")
    elif column not in COLUMNS and not (column.startswith(CUSTOM) and column != CUSTOM):
        near = difflib.get_close_matches(column, COLUMNS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COLUMNS)} and {CUSTOM}NAME."
        yield Problem(where, f"members have no column {column!r}.", hint)


def _fields(source: Source, fields: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Find declared fields that the list doesn't have."""
    for field in source.fields:
        name = field.column.removeprefix(CUSTOM)
        if field.column.startswith(CUSTOM) and name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"Did you mean {CUSTOM}{near[0]}?" if near else "Its fields are named as the variables that Laposta shows."
            yield Problem(f"{source.name}.{field.name}", f"the list has no field {name!r}.", hint)


def _hidden(source: Source, account: Account) -> Iterator[Problem]:
    """Find a list that leaves members out when it is asked for all: they would be kept for ever, and nobody would know."""
    samples: dict[str, str] = {}
    for state in _HIDEABLE:
        try:
            found = account.members(lambda members: next((each[ID] for each in members), None), state)
        except ConfigurationError:
            continue  # It lists all or nothing; the listing of all says what is wrong.
        if found is not None:
            samples[found] = state
    shown = account.members(lambda members: samples.keys() & {each[ID] for each in members if each[ID] in samples})
    for member, state in samples.items():
        # One that went meanwhile is nobody's mistake.
        if member not in shown and (account.member(member) or {}).get(STATE) == state:
            yield Problem(source.name, f"the list leaves members out that are {state} when it is asked for all.", "Ask Laposta why.")


def _treatment(source: Source, field: Field, fields: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Find treatments that Laposta refuses."""
    where, treatment = f"{source.name}.{field.name}", field.treatment
    assert treatment is not None
    empties = treatment.kind is TreatmentKind.CLEAR or (treatment.kind is TreatmentKind.CONSTANT and not treatment.value)
    if field.column == EMAIL:
        if treatment.kind is not TreatmentKind.PSEUDONYM:
            yield Problem(where, "a member has to have an e-mail address of its own.", 'Use treatment = "pseudonym", or delete the member.')
    elif not field.column.startswith(CUSTOM):
        yield Problem(where, f"{field.column} can't be written at Laposta; it goes only with the member.", "Delete the member.")
    else:
        known = fields.get(field.column.removeprefix(CUSTOM), {})
        kind = known.get("datatype")
        if empties and known.get("required"):
            yield Problem(where, "the field is a mandatory one, so it can't be empty.", "Make it optional at Laposta.")
        elif not empties and kind not in (None, "text") and treatment.kind not in (TreatmentKind.GENERALISE, TreatmentKind.TRUNCATE):
            yield Problem(where, f"the field is of the kind {kind} and takes no such text.", 'Use treatment = "clear".')


def _worth_knowing(source: Source, fields: Mapping[str, Mapping[str, Any]], *, encrypted: bool) -> Iterator[Problem]:
    """Say what a person should know."""
    if not encrypted:
        yield Problem(source.name, "the address is not encrypted: the key and all members can be read on the way.", "Use https.")
    mapped = {each.column for each in source.fields}
    if UNSUBSCRIBED_AT in mapped:
        what = f"{UNSUBSCRIBED_AT} takes a request for each member that unsubscribed, every time the list is read."
        yield Problem(source.name, what, 'Use "while" where there are thousands of them; see docs/policies.md.')
    if "modified_iso" in mapped:
        what = "every change moves modified_iso, ours too: a period that starts there begins again when a field is treated."
        yield Problem(source.name, what, "Start it from another day, or delete what is due as a whole.")
    for name, kind in _unmapped(mapped, fields):
        yield Problem(source.name, f"{name} is not declared and looks like {kind}.", "Declare it, with a purpose.")


def _unmapped(mapped: set[str], fields: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[str, str]]:
    """Return the columns that look personal by their names and were not declared, each with what it looks like."""
    found = [(CUSTOM + name, named_like(name)) for name in sorted(fields)]
    found += [(EMAIL, "e-mail addresses"), ("ip", "traces of devices")]
    return [(name, kind) for name, kind in found if kind is not None and name not in mapped]
