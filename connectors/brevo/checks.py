"""What a contact has, and what is wrong, or worth knowing, about contacts before anything is done to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from connectors.brevo.account import Account
from connectors.sql.looks import named_like
from worker.core.model import Policy
from worker.core.sources import Field, Source, TreatmentKind
from worker.errors import Problem

ID, EMAIL = "id", "email"
ATTRIBUTE = "attributes."
COLUMNS = (ID, EMAIL, "emailBlacklisted", "smsBlacklisted", "createdAt", "modifiedAt")
"""The columns of every contact; `attributes.NAME` stands for an attribute of the account."""

ALL, CONTACT, MEMBERSHIP = "contacts", "contact", "membership"
ANY = "any"
_OPTIONS = ("delete", "order")
_TEXT_KINDS = ("", "text")


def list_of(source: Source) -> int | None:
    """Return the number of the list that a source's table names, None for all contacts."""
    return None if source.table == ALL else int(source.table)


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Brevo says."""
    problems = [
        Problem(f"{source.name}.options.{name}", "there is no such option.", f"There are: {', '.join(_OPTIONS)}.")
        for name in source.options
        if name not in _OPTIONS
    ]
    if source.table != ALL and not (source.table.isascii() and source.table.isdigit() and int(source.table)):
        problems.append(Problem(f"{source.name}.table", f'is the number of a list, or "{ALL}" for all contacts of the account.'))
    if source.options.get("order", ANY) != ANY:
        problems.append(Problem(f"{source.name}.options.order", f'is "{ANY}" or left out.'))
    if source.key != (ID,):
        problems.append(Problem(f"{source.name}.key", "the key of a contact is its number.", f'Declare key = "{ID}".'))
    if source.relations or source.aggregates:
        problems.append(Problem(source.name, "contacts have no relations.", "Remove children, parents and facts over them."))
    return [*problems, *_deleting(source), *(problem for each in source.fields for problem in _column(source, each))]


def check(source: Source, account: Account, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    page, _ = account.contacts(0, 1)
    attributes = account.attributes()
    problems = [] if attributes is None else [*_attributes(source, attributes)]
    if policy is not None:
        problems += [problem for each in policy.treatable for problem in _treatment(source, each, attributes or {})]
        problems += _unseen(source, policy) if attributes is None else ()
    if page and not isinstance(page[0].get("listIds"), list) and list_of(source) is not None:
        problems.append(Problem(source.name, "Brevo doesn't say in which lists contacts are.", f'Declare table = "{ALL}".'))
    return problems, list(_worth_knowing(source, attributes, encrypted=encrypted))


def _deleting(source: Source) -> Iterator[Problem]:
    """Find a list that does not say what deleting means."""
    where, said = f"{source.name}.options.delete", source.options.get("delete")
    if source.table == ALL:
        if said not in (None, CONTACT):
            yield Problem(where, "of all contacts, a record is the contact itself.", "Leave the option out.")
    elif said not in (CONTACT, MEMBERSHIP):
        what = f'a list has to say what is deleted: "{MEMBERSHIP}" takes the contact off the list, "{CONTACT}" deletes it from the account.'
        yield Problem(where, what, f'Declare options = {{ delete = "{MEMBERSHIP}" }} if the contact is in other lists too.')


def _column(source: Source, field: Field) -> Iterator[Problem]:
    """Find a column that no contact has."""
    where, column = f"{source.name}.{field.name}", field.column
    if column in (f"{ATTRIBUTE}EMAIL", ATTRIBUTE):
        yield Problem(where, "the address is the column email, and attributes have names.")
    elif column not in COLUMNS and not column.startswith(ATTRIBUTE):
        near = difflib.get_close_matches(column, COLUMNS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COLUMNS)} and {ATTRIBUTE}NAME."
        yield Problem(where, f"contacts have no column {column!r}.", hint)


def _attributes(source: Source, attributes: Mapping[str, str]) -> Iterator[Problem]:
    """Find declared attributes that the account doesn't have."""
    for field in source.fields:
        name = field.column.removeprefix(ATTRIBUTE)
        if field.column.startswith(ATTRIBUTE) and name not in attributes:
            near = difflib.get_close_matches(name.upper(), attributes, n=1)
            hint = f"Did you mean {ATTRIBUTE}{near[0]}?" if near else "Its attributes are named as Brevo shows them, in capital letters."
            yield Problem(f"{source.name}.{field.name}", f"the account has no attribute {name!r}.", hint)


def _unseen(source: Source, policy: Policy) -> Iterator[Problem]:
    """Find what is decided by attributes that may have been renamed: Brevo leaves out what is empty, and what isn't there any more."""
    for field in source.fields:
        if field.column.startswith(ATTRIBUTE) and field.name in policy.deciding:
            what = "it decides, and Brevo doesn't show this account's attributes, so nobody can tell whether it is empty or was renamed."
            yield Problem(f"{source.name}.{field.name}", what, "Use a key that may see them.")


def _treatment(source: Source, field: Field, attributes: Mapping[str, str]) -> Iterator[Problem]:
    """Find treatments that Brevo refuses, or that would let somebody be written to."""
    where, treatment = f"{source.name}.{field.name}", field.treatment
    assert treatment is not None
    empties = treatment.kind is TreatmentKind.CLEAR or (treatment.kind is TreatmentKind.CONSTANT and not treatment.value)
    if field.column == EMAIL:
        if treatment.kind is not TreatmentKind.PSEUDONYM:
            yield Problem(where, "every contact has an e-mail address of its own.", 'Use treatment = "pseudonym", or delete the contact.')
    elif not field.column.startswith(ATTRIBUTE):
        yield Problem(where, f"{field.column} can't be written at Brevo; it goes only with the contact.", "Delete the contact.")
    elif field.column == f"{ATTRIBUTE}SMS":
        if not empties:
            yield Problem(where, "Brevo takes only telephone numbers there, and writes to them.", 'Use treatment = "clear".')
    elif not empties and treatment.kind not in (TreatmentKind.GENERALISE, TreatmentKind.TRUNCATE):
        kind = attributes.get(field.column.removeprefix(ATTRIBUTE), "")
        if kind not in _TEXT_KINDS:
            yield Problem(where, f"the attribute is of the kind {kind} and takes no such text.", 'Use treatment = "clear".')


def _worth_knowing(source: Source, attributes: Mapping[str, str] | None, *, encrypted: bool) -> Iterator[Problem]:
    """Say what a person should know."""
    if not encrypted:
        yield Problem(source.name, "the address is not encrypted: the key and all contacts can be read on the way.", "Use https.")
    mapped = {each.column for each in source.fields}
    if source.options.get("delete") == MEMBERSHIP:
        what = "deleting takes contacts off the list; they stay in the account with all that is known about them."
        yield Problem(source.name, what, f'Have a source with table = "{ALL}" say when contacts go.')
    else:
        what = (
            "a contact that is deleted takes its block along: an import or a form may bring the address back, and it is written to again."
        )
        yield Problem(source.name, what, "Declare `watch` to notice it.")
    if "modifiedAt" in mapped:
        what = "every change moves modifiedAt, ours too: a period that starts there begins again when a field is treated."
        yield Problem(source.name, what, "Start it from another day, or delete what is due as a whole.")
    if attributes is None:
        yield Problem(source.name, "Brevo doesn't show this account's attributes, so nobody can tell which are not declared.")
    found = [(ATTRIBUTE + name, named_like(name)) for name in sorted(attributes or {})] + [(EMAIL, "e-mail addresses")]
    for name, kind in found:
        if kind is not None and name not in mapped:
            yield Problem(source.name, f"{name} is not declared and looks like {kind}.", "Declare it, with a purpose.")
