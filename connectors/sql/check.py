"""What is declared against what is there: everything that would fail, or go wrong silently, at night is said beforehand."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connectors.sql.checktreatments import treatment_problems
from connectors.sql.database import Database
from connectors.sql.expressions import either
from connectors.sql.mariadb import MariaDB
from connectors.sql.referring import referring
from connectors.sql.selection import Model, column_info
from connectors.sql.sqlite import SQLite
from connectors.sql.tables import ColumnInfo, ForeignKey, Kind, TableInfo, split_name
from worker.core.facts import FieldType, Reading
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Disposal, Match, Relation
from worker.errors import Problem

HISTORY = "history"
"""The source's option whose value 'accepted' says that a person sees to what the database itself keeps of rows that are gone."""

TRIGGERS = "triggers"
"""The source's option whose value 'accepted' says that a person knows what the table's triggers and rules do."""

ROW_SECURITY = "row_security"
"""The source's option whose value 'accepted' says that row security lets the account see all rows that belong to a record."""

_KEY_KINDS = (Kind.TEXT, Kind.UUID, Kind.BYTES)
_FITTING = {
    FieldType.TEXT: tuple(Kind),
    FieldType.NUMBER: (Kind.NUMBER, Kind.APPROXIMATE, Kind.BOOLEAN, Kind.TEXT, Kind.OTHER),
    FieldType.BOOLEAN: (Kind.BOOLEAN, Kind.NUMBER, Kind.TEXT, Kind.OTHER),
    FieldType.DATE: (Kind.DATE, Kind.NAIVE),
    FieldType.TIMESTAMP: (Kind.NAIVE, Kind.AWARE),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What is compared, and what was found: problems make the source unusable, warnings a person should know."""

    database: Database
    model: Model
    referring: Sequence[ForeignKey]
    policy: Policy | None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, what: str, hint: str = "") -> None:
        """Add a problem."""
        self.problems.append(Problem(f"sources.{self.model.source.name}{where}", what, hint))

    def warn(self, where: str, what: str, hint: str = "") -> None:
        """Add a warning."""
        self.warnings.append(Problem(f"sources.{self.model.source.name}{where}", what, hint))

    @property
    def deletes(self) -> bool:
        """Whether the policy may delete records; without a policy it is taken that one will."""
        if self.policy is None:
            return True
        return any(step.kind is DispositionKind.DELETE for each in self.policy.dispositions for step in each.steps)


def check(checked: Checked) -> tuple[list[Problem], list[Problem]]:
    """Return (problems, warnings) of a source."""
    table = checked.model.table
    if table.is_view:
        checked.wrong("", f"{table.name} is a view; name the table that holds the records.")
    for each in checked.model.tables.values():
        if each is not table and each.is_view and checked.database.unlockable(each):
            checked.wrong("", f"{each.name} is a view whose rows can't be locked, so no batch could be carried out.", "Name its tables.")
        unfit = checked.database.unfit(each)
        if unfit:
            checked.wrong("", f"the table {each.name} can't be used: {unfit}.", "Change its engine to InnoDB.")
        if checked.database.keeps_history(each):
            _report_history(checked, each)
    if not _columns_exist(checked):
        # Every other comparison would only repeat that a column is missing.
        return checked.problems, checked.warnings
    _check_key(checked, ".key", table, checked.model.source.key)
    _check_types(checked)
    if checked.policy is None or not checked.policy.only_deletes:
        for where, what in treatment_problems(checked.model, dynamic=isinstance(checked.database, SQLite)):
            checked.wrong(where, what)
    _check_relations(checked, checked.model.source.relations, "")
    _check_hidden(checked)
    if checked.deletes:
        _check_references(checked, table, checked.referring, checked.model.source.relations)
        hidden = checked.database.unseen()
        if hidden:
            checked.warn("", f"{hidden}.")
        _check_triggers(checked)
    _check_indexes(checked)
    return checked.problems, checked.warnings


def _report_history(checked: Checked, table: TableInfo) -> None:
    """Report a table of which the database keeps every row that was changed or deleted: then nothing is gone after a run."""
    what = f"the table {table.name} is system-versioned: the database keeps every row of it that is changed or deleted."
    if checked.model.source.options.get(HISTORY) == "accepted":
        checked.warn("", what, "")
    else:
        hint = f"Drop the versioning; or see to DELETE HISTORY by other means and say {_accepted(HISTORY)}."
        checked.wrong("", what, hint)


def _accepted(option: str) -> str:
    """Return how a person says that they know: in the policy file, because the settings have options of the same kind."""
    return f'options = {{ {option} = "accepted" }} of this source in the policy file'


def _columns_exist(checked: Checked) -> bool:
    """Report every declared column that is not there."""
    source, table, tables = checked.model.source, checked.model.table, checked.model.tables
    wanted: list[tuple[str, TableInfo, str]] = [(".key", table, name) for name in source.key]
    wanted.extend((f".fields.{each.name}", table, each.column) for each in source.fields)
    for aggregate in source.aggregates:
        where, theirs = f".facts.{aggregate.name}", tables[source.relation(aggregate.relation).table]
        wanted.extend((where, theirs, name) for name in (aggregate.column, *(match.column for match in aggregate.where)) if name)
        wanted.extend((where, table, match.differs_from) for match in aggregate.where if match.differs_from)

    def relation_columns(relations: Iterable[Relation], parent: TableInfo, path: str) -> Iterator[tuple[str, TableInfo, str]]:
        for relation in relations:
            where, theirs = f"{path}.children.{relation.name}", tables[relation.table]
            yield from ((where, parent, name) for name in relation.own)
            yield from ((where, theirs, name) for name in (*relation.theirs, *relation.key))
            yield from relation_columns(relation.children, theirs, where)

    wanted.extend(relation_columns(source.relations, table, ""))
    missing = [(where, each, name) for where, each, name in dict.fromkeys((w, t.name, n) for w, t, n in wanted if n not in t.columns)]
    for where, name_of_table, name in missing:
        columns = next(each.columns for each in tables.values() if each.name == name_of_table)
        near = difflib.get_close_matches(name.casefold(), {each.casefold(): each for each in columns}, 1)
        meant = next((each for each in columns if near and each.casefold() == near[0]), None)
        checked.wrong(where, f"the table {name_of_table} has no column {name!r}.", f"Did you mean {meant!r}?" if meant else "")
    return not missing


def _check_key(checked: Checked, where: str, table: TableInfo, key: Sequence[str]) -> None:
    """Report a key that does not identify a row for certain, or that can't be written down."""
    infos = [table.columns[name] for name in key]
    is_sqlite = isinstance(checked.database, SQLite)
    for info in infos:
        if info.kind not in _KEY_KINDS and not (info.kind is Kind.NUMBER and "INT" in info.declared.upper()):
            checked.wrong(
                where, f"{info.name} has the type {info.declared or 'none'}; a key is made of whole numbers, texts, UUIDs or bytes."
            )
        elif info.declared.upper().startswith(("ENUM", "SET")) and isinstance(checked.database, MariaDB):
            checked.wrong(where, f"{info.name} has the type {info.declared}, which is sorted by its places and compared by its texts.")
    is_primary = bool(table.primary) and set(table.primary) <= set(key)
    uniques = [each for each in table.uniques if not each.partial and set(each.columns) <= set(key)]
    if not is_primary and not uniques:
        checked.wrong(where, f"{', '.join(key)} does not identify a row of {table.name}: there is no primary key or unique index on it.")
        return
    doubtful = [info.name for info in infos if info.nullable or is_sqlite]
    if doubtful and not (is_primary and not is_sqlite):
        rows = table.rows
        question: sa.Select[Any] = (
            sa.select(sa.literal_column("1")).select_from(rows.clause).where(either(rows.column(name).is_(None) for name in doubtful))
        )
        with checked.database.borrowed() as connection:
            found = checked.database.run(connection.driver_connection, checked.database.compiled(question.limit(1)))
        if found or (not is_sqlite and any(info.nullable for info in infos)):
            checked.wrong(where, f"{', '.join(doubtful)} may be empty, so it does not identify every row of {table.name}.")


def _check_types(checked: Checked) -> None:
    """Report columns whose type does not fit what they are declared as."""
    source, table = checked.model.source, checked.model.table
    for each in source.fields:
        _check_type(checked, f".fields.{each.name}", table.columns[each.column], each.reading)
    for aggregate in source.aggregates:
        if aggregate.column is not None and aggregate.reading is not None:
            theirs = checked.model.tables[source.relation(aggregate.relation).table]
            _check_type(checked, f".facts.{aggregate.name}", theirs.columns[aggregate.column], aggregate.reading)
    restrictions = [(f".facts.{each.name}.where", source.relation(each.relation).table, each.where) for each in source.aggregates]
    restrictions += [(f".parents.{each.name}.recount", source.table, count.where) for each in source.relations for count in each.recount]
    for where, name, matches in restrictions:
        _check_matches(checked, where, checked.model.tables[name], matches)


def _check_matches(checked: Checked, where: str, table: TableInfo, matches: Iterable[Match]) -> None:
    """Report a restriction that no row can satisfy: nothing would be counted, and what is not counted keeps nothing."""
    for match in matches:
        info = column_info(table, match.column)
        for constant in match.values:
            if not checked.model.storage.can_be(info, constant):
                shown = str(constant).lower() if isinstance(constant, bool) else repr(constant)
                checked.wrong(where, f"{info.name} of {table.name} has the type {info.declared}; no row of it can be {shown}.")


def _check_type(checked: Checked, where: str, info: ColumnInfo, reading: Reading) -> None:
    """Report a column whose type does not fit how it is read."""
    if isinstance(checked.database, SQLite):
        return
    if info.kind not in _FITTING[reading.type]:
        checked.wrong(
            where,
            f"{info.name} has the type {info.declared}, which can't be read as a {reading.type}.",
            _type_hint(info.kind, reading.type),
        )
    elif reading.type is FieldType.TIMESTAMP and info.kind is Kind.NAIVE and reading.stored_zone is None:
        checked.wrong(where, f"{info.name} has no time zone in it; declare one.", 'Add timezone = "..." to the field.')
    elif reading.type is FieldType.TIMESTAMP and info.kind is Kind.AWARE and reading.stored_zone is not None:
        checked.warn(where, f"{info.name} holds instants, so the declared time zone {reading.stored_zone} is not used.")
    elif info.kind is Kind.NAIVE and info.declared.upper().startswith("TIMESTAMP") and checked.database.engine.dialect.name != "postgresql":
        # MariaDB turns a TIMESTAMP into the session's zone, and ours is UTC.
        if reading.type is FieldType.DATE or str(reading.stored_zone) not in ("UTC", "Etc/UTC"):
            checked.wrong(where, f"{info.name} is a TIMESTAMP, which is read in UTC.", 'Declare type = "timestamp" and timezone = "UTC".')
    elif info.kind is Kind.TEXT and reading.type in (FieldType.NUMBER, FieldType.BOOLEAN):
        checked.warn(where, f"{info.name} holds texts that are read as a {reading.type}; every record has to be looked at for it.")


def _type_hint(kind: Kind, declared: FieldType) -> str:
    """Return what to do about a type that does not fit."""
    if declared is FieldType.DATE and kind is Kind.AWARE:
        return 'Declare type = "timestamp".'
    if declared is FieldType.TIMESTAMP and kind is Kind.DATE:
        return 'Declare type = "date".'
    return "Change the column's type, or use another column."


def _check_relations(checked: Checked, relations: Iterable[Relation], path: str) -> None:
    """Report relations whose rows can't be identified, found or detached."""
    for relation in relations:
        where, theirs = f"{path}.children.{relation.name}", checked.model.tables[relation.table]
        if relation.disposal is not None:
            _check_key(checked, f"{where}.key", theirs, relation.key)
            if not theirs.is_indexed(*relation.theirs):
                columns = ", ".join(relation.theirs)
                checked.warn(where, f"there is no index on {theirs.name} ({columns}).", "Add one: every record looks for its rows there.")
        if relation.disposal is Disposal.DETACH:
            for name in relation.theirs:
                info = theirs.columns[name]
                if not info.nullable and info.kind is not Kind.NUMBER:
                    checked.wrong(where, f"its rows can't be detached: {theirs.name}.{name} may not be empty.")
        _check_relations(checked, relation.children, where)


def _check_hidden(checked: Checked) -> None:
    """Report tables of relations of which rows may be hidden from the account: an invoice that nobody sees keeps nothing."""
    accepted = checked.model.source.options.get(ROW_SECURITY) == "accepted"
    for name, table in checked.model.tables.items():
        if name == checked.model.source.table or not checked.database.hides_rows(table):
            continue
        what = f"row security is on for {name}: of rows that it hides from this user no decision knows."
        if accepted:
            checked.warn("", what)
        else:
            hint = f"Give the user BYPASSRLS; or a policy that shows all rows, and set the source's option {ROW_SECURITY} = 'accepted'."
            checked.wrong("", what, hint)


def _check_references(
    checked: Checked, table: TableInfo, keys: Iterable[ForeignKey], relations: Sequence[Relation], where: str = ""
) -> None:
    """Report tables that refer to rows which may be deleted, and that no relation declares."""
    for key in keys:
        declared = [
            each for each in relations if each.disposal is not None and key.is_from(each.table) and set(each.theirs) == set(key.columns)
        ]
        if declared:
            continue
        effect = f" and the database would {key.cascade.lower()}" if key.cascade else ""
        checked.wrong(
            where,
            f"{key.named} ({', '.join(key.columns)}) refers to {table.name}, but is not declared as its child{effect}.",
            "Declare it under children, with delete, detach, keep_parent or block.",
        )
    for relation in relations:
        if relation.disposal is not Disposal.DELETE or relation.table == checked.model.source.table:
            continue
        schema, name = split_name(relation.table)
        with checked.database.guard:
            theirs = referring(sa.inspect(checked.database.engine), name, schema)
        _check_references(checked, checked.model.tables[relation.table], theirs, relation.children, f"{where}.children.{relation.name}")


def _check_triggers(checked: Checked) -> None:
    """Report triggers on the tables that rows are deleted from: nobody can see from here what they do."""
    tables = {checked.model.source.table, *_going(checked.model.source.relations)}
    accepted = checked.model.source.options.get(TRIGGERS) == "accepted"
    for name in sorted(tables):
        for trigger in checked.database.triggers(checked.model.tables[name], "DELETE"):
            what = f"the trigger {trigger} fires when a row of {name} is deleted and may copy or delete rows elsewhere."
            if accepted:
                checked.warn("", what)
            else:
                checked.wrong("", what, f"Read it; when it is harmless, say {_accepted(TRIGGERS)}.")


def _going(relations: Iterable[Relation]) -> Iterator[str]:
    """Yield the tables whose rows go along, at whatever depth."""
    for relation in relations:
        if relation.disposal is Disposal.DELETE:
            yield relation.table
            yield from _going(relation.children)


def _check_indexes(checked: Checked) -> None:
    """Report columns that clocks and consents run by, and relation columns, without index: every run would read the whole table."""
    source, policy = checked.model.source, checked.policy
    days = dict.fromkeys(name for each in policy.purposes for name in policy.days_of(each)) if policy else {}
    # What lies outside the row is never asked of the system: a fact over several sources is read whole, whatever index there is.
    for name in (each for each in days if policy is not None and policy.visible(each)):
        aggregate = next((each for each in source.aggregates if each.name == name), None)
        if aggregate is not None:
            relation = source.relation(aggregate.relation)
            if relation.disposal is None and not checked.model.tables[relation.table].is_indexed(*relation.theirs):
                checked.warn(f".facts.{name}", f"there is no index on {relation.table} ({', '.join(relation.theirs)}).")
        elif not checked.model.table.is_indexed(source.field(name).column):
            checked.warn(
                f".fields.{name}", f"there is no index on {source.table} ({source.field(name).column}).", "Every run reads it all."
            )
