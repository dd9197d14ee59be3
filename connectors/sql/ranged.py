"""Statements about a range of keys, built once.

From batch to batch only the range differs, and building a long selection anew costs as much as running it.

The statement is compiled with a marker in the range's place; the text before it, the range's own condition and the text behind it make the
statement that runs. Values are always bound, never part of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import sqlalchemy as sa

from connectors.sql.database import Database
from connectors.sql.expressions import Expression, Statement
from connectors.sql.selection import Model
from worker.ports import KeyRange

_MARKER = "0 = 0"
_FEW = 64


def on_range(
    database: Database, model: Model, name: Hashable, build: Callable[[Expression], sa.ClauseElement], within: KeyRange
) -> Statement:
    """Return a statement for one range of keys.

    name -- what the statement is apart from its range, to find it again; build -- makes it from the condition that stands for the range,
    which has to be the last of its conditions.
    """
    known = model.statements.get(name)
    if known is None:
        text = database.compiled(build(sa.literal_column("0") == sa.literal_column("0")))
        head, marker, tail = text.sql.rpartition(_MARKER)
        if not marker or "?" in tail or "%" in tail:
            # Something with a value, or with a name that looks like one, stands behind the range: built anew each time.
            return database.compiled(build(database.within(model.table.rows, model.source.key, within)))
        if len(model.statements) >= _FEW:
            model.statements.clear()
        known = model.statements[name] = (head, tail, text.parameters)
    head, tail, parameters = known
    condition = database.compiled(database.within(model.table.rows, model.source.key, within))
    if isinstance(parameters, Mapping):
        # Both were given names by themselves: the range's are made different.
        own = {f"range_{key}": value for key, value in condition.parameters.items()}
        return Statement(f"{head}{condition.sql.replace('%(', '%(range_')}{tail}", {**parameters, **own})
    return Statement(f"{head}{condition.sql}{tail}", (*parameters, *condition.parameters))
