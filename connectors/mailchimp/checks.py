"""What is wrong, or worth knowing, about an audience's members before anything is done to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from connectors.mailchimp.audience import Audience
from connectors.mailchimp.columns import ADDRESS, ARCHIVED, COLUMNS, KEY, MERGE, PERSONAL, UNSUBSCRIBED_AT, is_column, is_writable
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Field, Source, TreatmentKind
from worker.errors import Problem

PERMANENT, ARCHIVE = "permanent", "archive"
_OPTION = "delete"
_MAY_NOT_WRITE = ("author", "viewer", "support")
_TEXTS = ("text", "zip", "phone", "dropdown", "radio")


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Mailchimp says."""
    return [*_options(source), *_fields(source)]


def check(source: Source, audience: Audience, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    audience.count()
    merge = audience.merge_fields()
    problems = [*_merge_fields(source, merge)]
    if policy is not None:
        problems += [
            *_role(source, audience),
            *(problem for each in policy.treatable for problem in _treatment(source, policy, each, merge)),
        ]
    return problems, [*_worth_knowing(source, audience, policy, merge, encrypted=encrypted)]


def _options(source: Source) -> Iterator[Problem]:
    """Find options that don't exist, and another key than the one there is."""
    for name in source.options:
        if name != _OPTION:
            yield Problem(f"{source.name}.options.{name}", "there is no such option.", f"There is: {_OPTION}.")
    if source.options.get(_OPTION, PERMANENT) not in (PERMANENT, ARCHIVE):
        yield Problem(f"{source.name}.options.{_OPTION}", f'is "{PERMANENT}" or "{ARCHIVE}".')
    if source.key != (KEY,):
        what = "the key of a member is its contact id; Mailchimp's `id` is a hash of the address, which can be guessed."
        yield Problem(f"{source.name}.key", what, f'Declare key = "{KEY}".')


def _fields(source: Source) -> Iterator[Problem]:
    """Find columns that no member has, and facts over relations that there are not."""
    for field in source.fields:
        if not is_column(field.column):
            near = difflib.get_close_matches(field.column, COLUMNS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COLUMNS)}, {UNSUBSCRIBED_AT} and {MERGE}TAG."
            yield Problem(f"{source.name}.{field.name}", f"members have no column {field.column!r}.", hint)
    for name in (*(each.name for each in source.relations), *(each.name for each in source.aggregates)):
        yield Problem(f"{source.name}.{name}", "members have no relations, and no facts over them.", "Remove it.")


def _merge_fields(source: Source, merge: Mapping[str, str]) -> Iterator[Problem]:
    """Find declared merge fields that the audience doesn't have."""
    for field in source.fields:
        tag = field.column.removeprefix(MERGE)
        if field.column.startswith(MERGE) and tag not in merge:
            yield Problem(f"{source.name}.{field.name}", f"the audience has no merge field {tag!r}.", f"It has {', '.join(sorted(merge))}.")


def _role(source: Source, audience: Audience) -> Iterator[Problem]:
    """Find a key that can't delete."""
    role = audience.role()
    if role in _MAY_NOT_WRITE:
        yield Problem(source.name, f"the key's user is {role} there, and may not delete members.", "Use the key of a manager.")


def _treatment(source: Source, policy: Policy, field: Field, merge: Mapping[str, str]) -> Iterator[Problem]:
    """Find treatments that Mailchimp refuses, or that must not happen."""
    where, kind = f"{source.name}.{field.name}", field.treatment.kind if field.treatment is not None else None
    if field.column == ADDRESS:
        if _pseudonymises(policy):
            what = "an address is not treated: under another one its member could be written to again, and the old one is barred no more."
            yield Problem(where, what, 'Declare the disposition "delete".')
    elif not is_writable(field.column):
        yield Problem(where, f"{field.column} can't be written.", "Delete the member as a whole.")
    elif field.column.startswith(MERGE) and kind is not TreatmentKind.CLEAR:
        said = merge.get(field.column.removeprefix(MERGE), "text")
        if said not in _TEXTS:
            yield Problem(where, f"a merge field of the type {said} takes no other text.", 'Use the treatment "clear".')


def _pseudonymises(policy: Policy) -> bool:
    """Whether any disposition treats records as a whole."""
    return any(step.kind is DispositionKind.PSEUDONYMISE for disposition in policy.dispositions for step in disposition.steps)


def _worth_knowing(
    source: Source, audience: Audience, policy: Policy | None, merge: Mapping[str, str], *, encrypted: bool
) -> Iterator[Problem]:
    """Say what a person should know."""
    if not encrypted:
        yield Problem(source.name, "the address is not encrypted: the key and all members can be read on the way.", "Use https.")
    if source.options.get(_OPTION) == ARCHIVE:
        what = "deleting means archiving, which keeps everything at Mailchimp; an archived member is no record any more."
        yield Problem(source.name, what, "Leave the option out to delete permanently.")
    else:
        what = "a permanent deletion bars the address: nobody can import it into this audience again; only the person can, by a form."
        yield Problem(source.name, what, 'Where that is not wanted, declare the option delete = "archive".')
        archived = audience.count(status=ARCHIVED)
        if archived:
            yield Problem(source.name, f"{archived} members are archived; they are records like others, whatever their status was before.")
    columns = {each.column for each in source.fields}
    missing = [each for each in (*PERSONAL, *(MERGE + tag for tag in sorted(merge))) if each not in columns]
    if missing:
        what = f"{', '.join(missing)} are not declared; they go with the member, and not before."
        yield Problem(source.name, what, "Declare those that hold personal data.")
    if UNSUBSCRIBED_AT in columns:
        what = f"{UNSUBSCRIBED_AT} is known only while the unsubscribing is among the member's latest 50 activities."
        yield Problem(source.name, what, 'Let the purpose start with { while = { status = "subscribed" }, ended = ... }.')
    yield from _policy(source, policy) if policy is not None else ()


def _policy(source: Source, policy: Policy) -> Iterator[Problem]:
    """Say what a person should know about what a policy rests on, and what it will not do."""
    for field in source.fields:
        if field.column == "last_changed" and field.name in policy.deciding:
            what = "last_changed moves with every change to the member, this worker's own too."
            yield Problem(f"{source.name}.{field.name}", what, "Let the purpose start with another fact.")
        if field.column == ADDRESS and field in policy.treatable and not _pseudonymises(policy):
            what = "an address is not treated: should it be due while its member stays, that member is reported as failed."
            yield Problem(f"{source.name}.{field.name}", what, "Let other fields go no later than the address.")
