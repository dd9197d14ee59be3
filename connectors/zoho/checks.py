"""What is wrong, or worth knowing, about a module of Zoho CRM before anything is done to its records."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from connectors.zoho.api import Crm
from connectors.zoho.columns import ID, Column
from connectors.zoho.query import NAME, query
from connectors.zoho.rows import LISTED, PARENT
from worker.core.model import Policy
from worker.core.sources import Coarse, Disposal, Field, Identifier, Relation, Source, TreatmentKind
from worker.errors import ConfigurationError, Problem
from worker.ports import Level

OPTIONS = ("delete",)
_TEXTS = frozenset({"text", "textarea", "email", "phone", "website"})
_NO_VALUES = frozenset({"subform", "imageupload", "fileupload", "profileimage"})
_MOVED = ("Modified_Time", "Last_Activity_Time")
_PSEUDONYM = len("p1-") + 8 + len("-") + 26
_PAGES_OF_BIN = 5


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Zoho says."""
    return [*_options(source), *_names(source), *(each for relation in source.relations for each in _relation(source, relation))]


def check(
    source: Source, policy: Policy | None, crm: Crm, columns: Mapping[str, Column], level: Level, names: Sequence[str]
) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know). names -- of the fields that are asked of every record."""
    problems = list(_fields(source, columns, names))
    if not problems:
        # The fields are known, so what Zoho refuses now is a right that is missing: it raises, and says so.
        rows, _ = crm.query(query(source.table, names, f"{ID} > '0'", 1), 1)
        problems += [each for relation in source.relations for each in _lookups(source, relation, crm)]
        for relation in source.relations if rows else ():
            if relation.table in LISTED:
                crm.listed(source.table, int(rows[0][ID]), relation.table, LISTED[relation.table], 1)
    if policy is not None:
        problems += [each for field in policy.treatable for each in _treatment(source, field, columns)]
    lacking, unseen = _may(source, policy, crm)
    binned, refused = _binned(source, crm, level)
    return [*problems, *lacking, *refused], [*unseen, *_worth_knowing(source, columns, level), *binned]


def rights(account: str, module: str, level: Level, *, writes: bool) -> list[str]:
    """Return in words what an account needs."""
    scopes = [
        "ZohoCRM.coql.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.settings.modules.READ",
        f"ZohoCRM.modules.{module}.READ",
        "ZohoCRM.settings.recycle_bin.READ",
    ]
    if writes:
        scopes += [f"ZohoCRM.modules.{module}.UPDATE", f"ZohoCRM.modules.{module}.DELETE"]
    if writes and level is Level.PERMANENT:
        scopes.append("ZohoCRM.settings.recycle_bin.DELETE")
    seen = f"Zoho CRM: {account} needs a profile and a role that see every record of {module}; what it may not see is not there for it."
    token = f"Its refresh token needs the scopes {', '.join(scopes)}; for children those of their modules, notes and attachments too."
    return [seen, token]


def _options(source: Source) -> Iterator[Problem]:
    """Find options and keys that don't exist."""
    for name in source.options:
        if name not in OPTIONS:
            yield Problem(f"{source.name}.options.{name}", "there is no such option.", f"There are: {', '.join(OPTIONS)}.")
    if source.options.get("delete", "permanent") not in ("permanent", "bin"):
        yield Problem(f"{source.name}.options.delete", 'is "permanent" or "bin".')
    if source.key != (ID,):
        yield Problem(f"{source.name}.key", "the key of a record is its id.", f'Declare key = "{ID}".')


def _names(source: Source) -> Iterator[Problem]:
    """Find what can be no API name: it would stand in a query."""
    if not NAME.fullmatch(source.table):
        yield Problem(f"{source.name}.table", "is the API name of a module: Contacts, Leads, Deals ...")
    if source.table in LISTED:
        yield Problem(f"{source.name}.table", f"{source.table} are read with their records.", "Declare them as children of these.")
    for field in source.fields:
        if not NAME.fullmatch(field.column):
            yield Problem(f"{source.name}.{field.name}", "its column is no API name of a field.", "Of a lookup the id is its value.")


def _relation(source: Source, relation: Relation) -> Iterator[Problem]:
    """Find relations that Zoho doesn't have."""
    where = f"{source.name}.{relation.name}"
    if (
        relation.key != (ID,)
        or len(relation.own) != 1
        or not all(NAME.fullmatch(each) for each in (relation.table, *relation.theirs, *relation.own))
    ):
        yield Problem(where, "rows are found by one lookup, and their key is their id.", f'Declare key = "{ID}".')
    elif relation.table in LISTED and (relation.theirs != (PARENT,) or relation.own != (ID,)):
        yield Problem(where, f"{relation.table} hang on their record.", f'Declare match = {{ {PARENT} = "{ID}" }}.')
    elif relation.table in LISTED and relation.disposal is Disposal.DETACH:
        yield Problem(where, f"{relation.table} can't be without their record, so they can't be detached.")
    if relation.disposal is None:
        yield Problem(where, "records that a record points to are not reached.", "Take the parent out of the source.")
    for child in relation.children:
        yield from _relation(source, child)


def _fields(source: Source, columns: Mapping[str, Column], names: Sequence[str]) -> Iterator[Problem]:
    """Find columns that the module doesn't have."""
    declared_as = {field.column: field.name for field in source.fields}
    for name in names:
        if name not in columns:
            where = f"{source.name}.{declared_as.get(name, name)}"
            near = difflib.get_close_matches(name, list(columns), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Zoho shows API names under Setup, Developer Hub, APIs and SDKs."
            yield Problem(where, f"the module {source.table} has no field {name!r} that this account sees.", hint)
        elif columns[name].kind in _NO_VALUES:
            where = f"{source.name}.{declared_as.get(name, name)}"
            yield Problem(where, f"{name} is a field of the kind {columns[name].kind}, which no query gives.", "Leave it out.")


def _lookups(source: Source, relation: Relation, crm: Crm) -> Iterator[Problem]:
    """Find relations over a field that the other module doesn't have; raises when there is no such module, or it may not be seen."""
    if relation.table not in LISTED:
        names = [each["api_name"] for each in crm.fields(relation.table)]
        if relation.theirs[0] not in names:
            near = difflib.get_close_matches(relation.theirs[0], names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            yield Problem(
                f"{source.name}.{relation.name}", f"{relation.table} has no field {relation.theirs[0]!r} that this account sees.", hint
            )
    for child in relation.children:
        yield from _lookups(source, child, crm)


def _treatment(source: Source, field: Field, columns: Mapping[str, Column]) -> Iterator[Problem]:
    """Find treatments that Zoho refuses."""
    where, treatment, column = f"{source.name}.{field.name}", field.treatment, columns.get(field.column)
    if treatment is None or column is None:
        return
    empties = treatment.kind is TreatmentKind.CLEAR or (treatment.kind is TreatmentKind.CONSTANT and not treatment.value)
    if not column.writable:
        yield Problem(where, f"{column.name} can't be written.", "Delete the record, or leave the field out.")
    elif empties and column.required:
        yield Problem(where, f"{column.name} is mandatory and can't be empty.", "Use a pseudonym or a constant.")
    elif treatment.coarse in (Coarse.MONTH, Coarse.YEAR) and column.kind == "datetime":
        yield Problem(where, "Zoho gives moments with the offset of their season, so a coarse one is never recognised.", "Clear it.")
    elif not empties and treatment.coarse is None and column.kind not in _TEXTS:
        yield Problem(where, f"{column.name} is a field of the kind {column.kind}, which takes no text of a treatment.", "Clear it.")
    elif treatment.kind in (TreatmentKind.PSEUDONYM, TreatmentKind.RANDOM) and column.length is not None:
        tail = len(f"@{treatment.domain}.invalid") if field.identifier is Identifier.EMAIL else 0
        if column.length < _PSEUDONYM + tail:
            yield Problem(where, f"{column.name} takes {column.length} characters, a pseudonym needs {_PSEUDONYM + tail}.")
    if column.unique and treatment.kind in (TreatmentKind.CONSTANT, TreatmentKind.TRUNCATE) and not empties:
        yield Problem(where, f"{column.name} is unique, so not every record can get the same value.")


def _may(source: Source, policy: Policy | None, crm: Crm) -> tuple[list[Problem], list[Problem]]:
    """Return (what the user of the token may not do, that nobody can tell)."""
    try:
        may = crm.module(source.table)
    except ConfigurationError:
        what = f"whether the account may delete and change {source.table} can't be found out before the first time."
        return [], [Problem(source.name, what, "Add the scope ZohoCRM.settings.modules.READ to its token.")]
    needed = {"viewable": "see"} if policy is None else {"viewable": "see", "deletable": "delete", "editable": "change"}
    words = [word for name, word in needed.items() if may.get(name) is False]
    if not words:
        return [], []
    return [Problem(source.name, f"the account may not {' or '.join(words)} {source.table}.", "Change the profile of its user.")], []


def _binned(source: Source, crm: Crm, level: Level) -> tuple[list[Problem], list[Problem]]:
    """Return (what a person should know, what is wrong) about the recycle bin."""
    if level is Level.SOFT:
        return [], []
    found, page, more = 0, 1, True
    try:
        while more and page <= _PAGES_OF_BIN:
            rows, more = crm.binned(source.table, page)
            found += len(rows)
            page += 1
        crm.is_binned(0)
    except ConfigurationError:
        what = "the account may not look into the recycle bin, so nobody could say what is gone."
        return [], [Problem(source.name, what, "Add the scopes ZohoCRM.settings.recycle_bin.READ and .DELETE to its token.")]
    if not found:
        return [], []
    number = f"{found}{' or more' if more else ''}"
    what = f"{number} records of {source.table} lie in the recycle bin, deleted by hand or by a run that was stopped."
    return [
        Problem(source.name, what, "They are no records of this source; Zoho forgets them after 60 days, or when the bin is emptied.")
    ], []


def _worth_knowing(source: Source, columns: Mapping[str, Column], level: Level) -> Iterator[Problem]:
    """Say what a person should know."""
    if level is Level.SOFT:
        yield Problem(source.name, "deleting means Zoho's recycle bin, which anybody with the right restores from for 60 days.")
    for field in source.fields:
        column = columns.get(field.column)
        if field.column in _MOVED:
            what = f"{field.column} moves with every change, one of this program's own too."
            yield Problem(f"{source.name}.{field.name}", what, "A period that runs from it starts anew after a treatment.")
        if column is not None and column.rich:
            yield Problem(f"{source.name}.{field.name}", f"{field.column} is formatted text, of which Zoho may show only a part.")
    # Imported here because it comes with what reads databases, which no run against Zoho needs.
    from connectors.sql.looks import named_like

    mapped = {field.column for field in source.fields}
    for name in sorted(columns.keys() - mapped):
        kind = named_like(name)
        if kind is not None:
            where = f"{source.name} ({name})"
            yield Problem(where, f"the field is not declared, and is called like {kind}.", "Declare it, or say why it is none.")
    tables = {relation.table for relation in source.relations}
    missing = [each for each in LISTED if each not in tables]
    if missing:
        what = f"{' and '.join(missing)} are not declared: Zoho deletes them with their record, and nothing says so."
        yield Problem(source.name, what, f'Declare them as children: {{ table = "{missing[0]}", match = {{ {PARENT} = "{ID}" }} ... }}.')
