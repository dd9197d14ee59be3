"""Rows of a relation for some records: what goes along with them, or keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connectors.relations import relations_along
from connectors.sql.columns import selected
from connectors.sql.database import Database, DriverConnection
from connectors.sql.selection import Model
from worker.core.sources import Source
from worker.ports import Key, Row


def related_rows(
    database: Database,
    connection: DriverConnection,
    model: Model,
    sources: Mapping[str, Source],
    asked: tuple[Sequence[str], Sequence[Key], Sequence[str]],
    *,
    lock: bool = False,
) -> list[tuple[Key, Row]]:
    """Return (record's key, row of the last relation of the path) for some records; with `lock` nobody can change these rows any more.

    asked -- path, keys, columns. Columns are those of the relation's own source when it is known, else the table's.
    """
    path, keys, columns = asked
    if not keys:
        return []
    source = model.source
    rows = model.table.aliased("record")
    linked = rows.clause
    last, relation = rows, None
    for depth, relation in enumerate(relations_along(source, path)):
        last, joined = model.joined(relation, last, f"related_{depth}")
        linked = linked.join(last.clause, joined)
    if relation is None:
        raise KeyError("an empty path leads nowhere")
    theirs = sources.get(relation.source or "") or (source if relation.table == source.table else None)
    if theirs is None:
        expressions = [last.column(name) for name in (*relation.key, *columns)]
        assemble = None
    else:
        chosen = selected(Model(theirs, last.info, model.tables, model.storage), last, relation.key, columns)
        expressions, assemble = list(chosen.expressions), chosen.assemble
    statement = sa.select(*(rows.column(name) for name in source.key), *expressions).select_from(linked)
    if lock:
        statement = database.locking(statement, last)
    # The keys are added as text, so that the statement is built once for all of them; a lock clause stands behind them.
    text = database.compiled(statement.where(sa.literal_column("0") == sa.literal_column("0")))
    head, _, tail = text.sql.partition("0 = 0")
    infos = [model.table.columns[name] for name in source.key]
    names = [f"record.{database.quote(name)}" for name in source.key]
    found: list[tuple[Key, Row]] = []
    width = len(source.key)
    for start in range(0, len(keys), database.chunk):
        condition = database.among(names, infos, keys[start : start + database.chunk])
        asked_now = database.joined(type(text)(head, text.parameters), condition)
        answers = database.run(connection, type(text)(f"{asked_now.sql} {tail}", asked_now.parameters))
        parents: list[Key] = [tuple(answer[:width]) for answer in answers]
        others = [tuple(answer[width:]) for answer in answers]
        found.extend(zip(parents, others if assemble is None else assemble(others), strict=True))
    return found
