"""What a person should look at before a source is trusted: rights, columns nobody declared, marks of deletion, and places that keep a copy.

Asked by `sources check` only, not before every run: it samples values. They are counted in `connectors.sql.looks` and never leave it; what
is said names columns, tables and numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from connectors.sql.check import TRIGGERS, Checked
from connectors.sql.failures import Cause
from connectors.sql.looks import forms, is_copy, is_soft_delete, named_like
from connectors.sql.sqlite import SQLite
from connectors.sql.tables import Kind, TableInfo, split_name
from worker.core.facts import FieldType
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Disposal, Relation
from worker.errors import Problem

NOT_PERSONAL = "not_personal"
"""The source's option that names columns, separated by commas, of which a person says that they are no personal data."""

SAMPLED = 200
_SHARE, _FEWEST = 0.1, 3
"""How many of the sampled values have to look alike before anything is said: a tenth, and three."""

_FEW_ALIKE, _MANY_ALIKE, _NEARLY_ALL = 1, 3, 0.8
"""How many columns a copy shares with the records: one personal one where its name tells, else nearly all of them and three."""


def advise(checked: Checked, elsewhere: Collection[str] = ()) -> tuple[list[Problem], list[Problem]]:
    """Return (problems, warnings) beyond those of `check`, for a source that has none of its problems.

    elsewhere -- the tables of other sources, which have rules of their own.
    """
    _check_rights(checked)
    for what, hint in checked.database.remarks(checked.model.table):
        checked.warn("", what, hint)
    sample = _sample(checked)
    _check_undeclared(checked, sample)
    _check_zones(checked, sample)
    _check_moving(checked)
    _check_soft_delete(checked)
    _check_copies(checked, elsewhere)
    return checked.problems, checked.warnings


# --- Rights -----------------------------------------------------------------------------------------------------------------------------


def _check_rights(checked: Checked) -> None:
    """Report what the user may not do although the policy asks for it."""
    for table, action, statement in _needed(checked):
        if checked.database.refuses(statement):
            checked.wrong(
                "", f"the user may not {action} {table.name}.", f"Grant it, or no run can carry anything out: GRANT {action[:6]}."
            )
    reason = checked.database.unwritable()
    if reason:
        checked.wrong("", reason, "Give the user of the worker the right to write there.")


def _needed(checked: Checked) -> Iterator[tuple[TableInfo, str, str]]:
    """Yield (table, what is done to it, a statement that only explains how it would be done)."""
    database, source, tables = checked.database, checked.model.source, checked.model.tables
    written = {field.column for field in checked.policy.treatable} if checked.policy and _treats(checked.policy) else set()
    touched = [(checked.model.table, checked.deletes, sorted(written))]
    for relation in _below(source.relations):
        detached = list(relation.theirs) if relation.disposal is Disposal.DETACH else []
        recounted = [each.column for each in relation.recount]
        goes = (checked.deletes and relation.disposal is Disposal.DELETE) or relation.with_pseudonymised
        touched.append((tables[relation.table], goes, [*detached, *recounted]))
    for table, deleted, columns in touched:
        name = database.quoted(table)
        if deleted:
            yield table, "DELETE from", f"EXPLAIN DELETE FROM {name} WHERE 1 = 0"
        for column in columns:
            quoted = database.quote(column)
            yield table, f"UPDATE {column} of", f"EXPLAIN UPDATE {name} SET {quoted} = {quoted} WHERE 1 = 0"


def _below(relations: Iterable[Relation]) -> Iterator[Relation]:
    """Yield relations and all beneath those whose rows go along."""
    for relation in relations:
        yield relation
        if relation.disposal is Disposal.DELETE:
            yield from _below(relation.children)


def _treats(policy: Policy) -> bool:
    """Whether a policy may treat fields of a record that stays."""
    steps = (step.kind for each in policy.dispositions for step in each.steps)
    return bool(policy.treatable) and (not policy.uniform or DispositionKind.PSEUDONYMISE in steps)


# --- Columns ----------------------------------------------------------------------------------------------------------------------------


def _sample(checked: Checked) -> dict[str, list[object]]:
    """Return some of the youngest values of every column that may hold texts; nothing where the user may not read them all."""
    table, database = checked.model.table, checked.database
    names = [name for name, info in table.columns.items() if info.kind is Kind.TEXT or isinstance(database, SQLite)]
    if not names:
        return {}
    rows = table.rows
    question: sa.Select[Any] = sa.select(*(rows.column(name) for name in names)).select_from(rows.clause)
    question = question.order_by(*(rows.column(name).desc() for name in checked.model.source.key)).limit(SAMPLED)
    statement = database.compiled(question)
    connection = database.connect()
    try:
        found = database.run(connection.driver_connection, statement)
    except database.errors as error:
        if database.cause(error)[0] not in (Cause.NO_RIGHT, Cause.BAD_TEXT):
            raise database.translated(error) from None
        checked.warn("", "not every column may be read, so no values were sampled for what looks personal.")
        return {}
    finally:
        database.release(connection)
    return {name: [row[place] for row in found] for place, name in enumerate(names)}


def _check_undeclared(checked: Checked, sample: dict[str, list[object]]) -> None:
    """Report columns that look personal, by name or by what stands in them, and that are not declared so."""
    source = checked.model.source
    said = {each.strip() for each in source.options.get(NOT_PERSONAL, "").split(",")}
    personal = {each.column for each in source.fields if each.personal}
    declared = {each.column: each for each in source.fields if not each.personal}
    joins = {*source.key, *(name for relation in source.relations for name in relation.own)}
    for name, info in checked.model.table.columns.items():
        if name in personal | said:
            continue
        looks = [] if name in joins or name in declared else _by_name(name, info.kind)
        looks += _by_form(sample.get(name, []))
        if not looks:
            continue
        how = "declared, but not as personal data" if name in declared else "declared by no field"
        where = f".fields.{declared[name].name}" if name in declared else ""
        hint = f'Declare it with a purpose, or name it in the policy file: options = {{ {NOT_PERSONAL} = "..." }} of this source.'
        checked.warn(where, f"the column {name} of {source.table} is {how}, and {' and '.join(looks)}.", hint)


def _by_name(name: str, kind: Kind) -> list[str]:
    """Return what a column's name says about it."""
    found = named_like(name)
    return [] if found is None or kind is Kind.BOOLEAN else [f"is called like {found}"]


def _by_form(values: Sequence[object]) -> list[str]:
    """Return what a column's values say about it, in numbers."""
    filled = [each for each in values if each not in (None, "")]
    found = forms(filled)
    return [
        f"{count} of {len(filled)} sampled values look like {kind}"
        for kind, count in found.most_common()
        if count >= max(_FEWEST, _SHARE * len(filled))
    ]


def _check_zones(checked: Checked, sample: dict[str, list[object]]) -> None:
    """Report moments that have no zone although every value was said to carry its own."""
    for field in checked.model.source.fields:
        if field.reading.type is not FieldType.TIMESTAMP or field.reading.stored_zone is not None:
            continue
        texts = [each.strip() for each in sample.get(field.column, []) if isinstance(each, str) and each.strip()]
        naive = sum(not each.endswith(("Z", "z")) and not set(each[19:]) & {"+", "-"} for each in texts)
        if naive:
            what = f"{naive} of {len(texts)} sampled values of {field.column} carry no zone of their own, and are unknown."
            checked.warn(f".fields.{field.name}", what, 'Say in which zone they are stored: timezone = "UTC".')


def _check_moving(checked: Checked) -> None:
    """Report days that decide and that the database itself moves whenever a row is changed, by a treatment too."""
    policy = checked.policy
    if policy is None or not _treats(policy):
        return
    moving = checked.database.moving(checked.model.table)
    for field in checked.model.source.fields:
        if field.name in policy.deciding and field.column in moving:
            what = f"the database sets {field.column} whenever a row is changed: every treatment begins its periods anew."
            checked.warn(f".fields.{field.name}", what, "Let the period start from another day.")


def _check_soft_delete(checked: Checked) -> None:
    """Report columns with which a program marks what it calls deleted, and of which the policy knows nothing."""
    source, policy = checked.model.source, checked.policy
    decided = set(policy.deciding) if policy is not None else set()
    used = {each.column for each in source.fields if each.name in decided or each.personal}
    for name in checked.model.table.columns:
        if is_soft_delete(name) and name not in used:
            what = (
                f"the column {name} of {source.table} is called like a mark of what was deleted and is still there; no policy mentions it."
            )
            checked.warn("", what, "Give such records a purpose that ends with the mark, or be sure that they are due like all others.")


# --- Copies -----------------------------------------------------------------------------------------------------------------------------


def _check_copies(checked: Checked, elsewhere: Collection[str]) -> None:
    """Report tables that look as if they kept what the records held before, and triggers that may write there."""
    source, model = checked.model.source, checked.model
    schema, own = split_name(source.table)
    declared = {*(each.name.lower() for each in model.tables.values()), *(split_name(each)[1].lower() for each in elsewhere)}
    keys = {name.lower() for name in (*source.key, *(name for relation in source.relations for name in relation.own))}
    columns = {name.lower() for name in model.table.columns} - keys
    personal = {each.column.lower() for each in source.fields if each.personal} - keys
    with checked.database.guard:
        inspector = sa.inspect(checked.database.engine)
        for name in sorted(each for each in inspector.get_table_names(schema=schema) if each.lower() not in declared):
            theirs = {each["name"].lower() for each in inspector.get_columns(name, schema=schema)}
            named = is_copy(name) or name.lower().startswith(f"{own.lower()}_")
            same = theirs & (personal if named else columns)
            if len(same) >= (_FEW_ALIKE if named else max(_MANY_ALIKE, _NEARLY_ALL * len(columns))) and same & personal:
                what = f"the table {name} has columns of the same names ({', '.join(sorted(same))}), and may keep a copy of what goes here."
                checked.warn("", what, "Declare it as a child, or as a source with a policy of its own.")
    if checked.policy is not None and _treats(checked.policy):
        for trigger in checked.database.triggers(model.table, "UPDATE"):
            what = f"the trigger {trigger} fires when a row of {model.table.name} is changed, and may copy what it held before."
            checked.warn("", what, f"Read it; what the option {TRIGGERS} says about deletions says nothing about this.")
