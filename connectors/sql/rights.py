"""The rights a source needs on its database and no more, as the statements that an administrator runs.

Threat model. A stolen password of the worker should open nothing that the policies don't touch: no other table, on PostgreSQL no other
column, and no new value in a column that nothing treats. Names come from the policy file and from the database and are quoted; no password
is in the text. What follows from the policies is worked out once, for both databases; what they ask for besides stands with each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from connectors.sql.database import WITNESS_TABLE, Database
from connectors.sql.mariadb import MariaDB
from connectors.sql.sqlite import SQLite
from connectors.sql.tables import split_name
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Aggregate, Disposal, Match, Relation, Source


@dataclass(slots=True)
class Needs:
    """What is done with one table: columns that are read and that are written, whether rows are locked, and whether rows are deleted."""

    key: tuple[str, ...]
    reads: dict[str, None] = field(default_factory=dict)
    writes: dict[str, None] = field(default_factory=dict)
    locks: bool = False
    deletes: bool = False

    def read(self, names: Iterable[str | None]) -> None:
        """Add columns that are read."""
        self.reads.update(dict.fromkeys(name for name in names if name is not None))


def needs_of(source: Source, policy: Policy | None, sources: Mapping[str, Source]) -> dict[str, Needs]:
    """Return what is done with every table that a source touches, by the table's name as the policy file writes it.

    policy -- None for a source that is only read; sources -- all, because rows of a relation are read as their own source declares them.
    """
    found: dict[str, Needs] = {}
    _reading(found, source)
    for relation in _below(source.relations):
        theirs = sources.get(relation.source or "")
        if theirs is not None:
            _reading(found, theirs)
    if policy is None:
        return found
    for each in found.values():
        each.locks = True
    own = found[source.table]
    kinds = {step.kind for disposition in policy.dispositions for step in disposition.steps}
    if not policy.only_deletes:
        own.writes.update(dict.fromkeys(each.column for each in policy.treatable))
    own.deletes = DispositionKind.DELETE in kinds
    if own.deletes or DispositionKind.PSEUDONYMISE in kinds:
        _along(found, source.relations, whole=own.deletes)
    return found


def grants(database: Database, needed: Mapping[str, Needs], account: str | None, *, witness: bool) -> list[str]:
    """Return the statements for one source.

    account -- who gets the rights, None for the one that the source's address names; witness -- whether a marker table is kept.
    """
    name = account or str(database.engine.url.username or "retention")
    if isinstance(database, SQLite):
        return [f"-- SQLite has no accounts: whoever runs the worker must be able to write {database.place} and its folder."]
    return _mariadb(database, needed, name, witness=witness) if isinstance(database, MariaDB) else _postgres(database, needed, name)


def _reading(found: dict[str, Needs], source: Source) -> None:
    """Add what reading records of a source takes: its key and fields, and the columns its facts and relations look at."""
    own = found.setdefault(source.table, Needs(source.key))
    own.read((*source.key, *(each.column for each in source.fields)))
    _relations(found, source.relations, own)
    for aggregate in source.aggregates:
        _aggregate(found, source, aggregate)


def _relations(found: dict[str, Needs], relations: Iterable[Relation], parent: Needs) -> None:
    for relation in relations:
        parent.read(relation.own)
        theirs = found.setdefault(relation.table, Needs(relation.key or relation.theirs))
        theirs.read((*relation.theirs, *relation.key, *(each.column for each in relation.recount)))
        for recount in relation.recount:
            parent.read(_columns(recount.where))
        _relations(found, relation.children, theirs)


def _aggregate(found: dict[str, Needs], source: Source, aggregate: Aggregate) -> None:
    relation = source.relation(aggregate.relation)
    found[relation.table].read((aggregate.column, *_columns(aggregate.where)))
    found[source.table].read(each.differs_from for each in aggregate.where)


def _columns(matches: Iterable[Match]) -> list[str]:
    return [each.column for each in matches]


def _below(relations: Iterable[Relation]) -> Iterable[Relation]:
    for relation in relations:
        yield relation
        yield from _below(relation.children)


def _along(found: dict[str, Needs], relations: Sequence[Relation], *, whole: bool) -> None:
    """Add what happens to rows that go with their parents: with all of them, or only with those that are pseudonymised as a whole."""
    for relation in relations:
        theirs = found[relation.table]
        goes = relation.disposal is Disposal.DELETE and (whole or relation.with_pseudonymised)
        theirs.deletes = theirs.deletes or goes
        if whole and relation.disposal is Disposal.DETACH:
            theirs.writes.update(dict.fromkeys(relation.theirs))
        if whole:
            theirs.writes.update(dict.fromkeys(each.column for each in relation.recount))
        if goes:
            _along(found, relation.children, whole=True)


def _listed(names: Collection[str], quote: Callable[[str], str]) -> str:
    return ", ".join(map(quote, names))


def _postgres(database: Database, needed: Mapping[str, Needs], account: str) -> list[str]:
    """Return PostgreSQL's statements. Whoever locks rows needs UPDATE on one of their columns: on the key, where nothing is written."""
    quote = database.engine.dialect.identifier_preparer.quote_identifier
    with database.guard:
        default = str(sa.inspect(database.engine).default_schema_name)
    to = quote(account)
    lines = [f"GRANT CONNECT ON DATABASE {quote(str(database.engine.url.database))} TO {to};"]
    schemas = dict.fromkeys(split_name(table)[0] or default for table in needed)
    lines.extend(f"GRANT USAGE ON SCHEMA {quote(each)} TO {to};" for each in schemas)
    for table, each in needed.items():
        schema, name = split_name(table)
        place = f"{quote(schema or default)}.{quote(name)}"
        lines.append(f"GRANT SELECT ({_listed(each.reads, quote)}) ON {place} TO {to};")
        if each.writes:
            lines.append(f"GRANT UPDATE ({_listed(each.writes, quote)}) ON {place} TO {to};")
        elif each.locks:
            lines.append(f"GRANT UPDATE ({quote(each.key[0])}) ON {place} TO {to};  -- to lock rows; nothing writes it")
        if each.deletes:
            lines.append(f"GRANT DELETE ON {place} TO {to};")
    return lines


def _mariadb(database: Database, needed: Mapping[str, Needs], account: str, *, witness: bool) -> list[str]:
    """Return MariaDB's statements. Tables are read whole: who may read only some columns can't see what a table looks like."""
    quote = database.engine.dialect.identifier_preparer.quote_identifier
    user, _, host = account.rpartition("@") if "@" in account else (account, "", "%")
    to = f"{_text(user)}@{_text(host)}"
    own = str(database.engine.url.database)
    # In the name of a whole database these two stand for others.
    everywhere = quote(re.sub("([_%])", r"\\\1", own)) + ".*"
    lines = [f"GRANT REFERENCES ON {everywhere} TO {to};  -- to see which tables refer to these; it opens no data"]
    if any(each.writes for each in needed.values()):
        lines.append(f"GRANT CREATE TEMPORARY TABLES ON {everywhere} TO {to};")
    for table, each in needed.items():
        schema, name = split_name(table)
        place = f"{quote(schema or own)}.{quote(name)}"
        rights = ["SELECT"]
        if each.writes:
            rights.append(f"UPDATE ({_listed(each.writes, quote)})")
        if each.deletes:
            rights.append("DELETE")
        lines.append(f"GRANT {', '.join(rights)} ON {place} TO {to};")
    if witness:
        lines.append(f"GRANT CREATE, SELECT, INSERT, DELETE ON {quote(own)}.{quote(WITNESS_TABLE)} TO {to};")
    return lines


def _text(value: str) -> str:
    """Return a text of MariaDB's."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
