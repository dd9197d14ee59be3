"""What is wrong, or worth knowing, about a source of Tryton before anything is done to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.tryton.models import ID
from connectors.tryton.referring import Models, pointers
from connectors.tryton.rpc import Definition, Rpc
from connectors.tryton.values import DAYS, MANY, MOMENTS, TEXTS
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Disposal, Field, Relation, Source, TreatmentKind
from worker.errors import ConfigurationError, Problem

PARTY = "party.party"
REACHED = ("party.contact_mechanism", "party.identifier")
"""What is overwritten before a party is erased."""
OPTIONS = ("delete",)
RESOURCES = ("ir.note", "ir.attachment")
_OWN_MOVES = ("write_date", "write_uid", "last_modified_at")
_SYSTEM = (ID, "create_date", "create_uid", "rec_name", "xml_id", *_OWN_MOVES)
_PLAIN_TEXT = ("char", "text", "fulltext")
_PSEUDONYM = 64
"""No pseudonym is longer."""


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Tryton says."""
    found = [
        Problem(f"{source.name}.options.{name}", "there is no such option.", f"There are: {', '.join(OPTIONS)}.")
        for name in source.options
        if name not in OPTIONS
    ]
    if source.options.get("delete", "delete") not in ("delete", "erase"):
        found.append(Problem(f"{source.name}.options.delete", 'is "delete" or "erase".'))
    if source.options.get("delete") == "erase" and source.table != PARTY:
        found.append(Problem(f"{source.name}.options.delete", f"Tryton erases parties only; this is {source.table}.", "Leave it out."))
    if source.key != (ID,):
        found.append(Problem(f"{source.name}.key", "the key of a record is its number.", f'Declare key = "{ID}".'))
    return found


def check(rpc: Rpc, source: Source, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    models = Models(rpc)
    fields = models.of(source.table)
    pointing = _pointing(rpc, source, models) if policy is not None and any(_deletes(policy)) else _Pointing()
    problems = [*_columns(source, models), *_relations(source, models), *_access(rpc, source, policy, models)]
    if policy is not None:
        problems += [problem for field in policy.treatable for problem in _treatment(source, field, fields)]
        problems += _cascades(source, policy, pointing)
    rpc.read(f"model.{source.table}.search_read", [], 0, 1, None, [ID])
    return problems, [*_worth_knowing(rpc, source, models, pointing, encrypted=encrypted)]


def rights(source: Source, account: str, *, writes: bool) -> list[str]:
    """Return in words what an account needs."""
    erases = source.options.get("delete") == "erase"
    models = list(dict.fromkeys([source.table, *(each.table for each in _all(source.relations)), *(REACHED if erases else ())]))
    needed = "read, write and delete" if writes else "read"
    said = [f"Tryton: {account} is a user of its own, in groups that may {needed}: {', '.join(models)}; no record rule may hide any."]
    if writes and erases:
        said.append(f"{account} is in the group that may use the wizard party.erase (Party Administration).")
    return said


def _columns(source: Source, models: Models) -> Iterator[Problem]:
    """Find columns that the model doesn't have, or that hold no single value."""
    for field in source.fields:
        where = f"{source.name}.{field.name}"
        model = source.table
        parts = field.column.split(".")
        for position, name in enumerate(parts):
            fields = models.of(model)
            if name not in fields:
                near = difflib.get_close_matches(name, list(fields), n=1)
                yield Problem(where, f"{model} has no field {name!r}.", f"Did you mean {near[0]!r}?" if near else "")
                break
            kind = fields[name]["type"]
            if kind in MANY or (position < len(parts) - 1 and kind not in ("many2one", "one2one")):
                yield Problem(where, f"{name!r} of {model} holds several records, or none.", "Declare a relation for it.")
                break
            model = fields[name].get("relation") or ""


def _relations(source: Source, models: Models) -> Iterator[Problem]:
    """Find relations that Tryton can't follow."""
    for relation in _all(source.relations):
        where = f"{source.name}.{relation.name}"
        try:
            fields = models.of(relation.table)
        except ConfigurationError as error:
            yield Problem(where, str(error))
            continue
        if not models.shows(relation.table, next(iter(relation.theirs), ID), source.table):
            yield Problem(where, f"Tryton's API doesn't show the records of {relation.table} to this account.", "Take the relation out.")
        if relation.key != (ID,):
            yield Problem(where, "the key of a row is its number.", f'Declare key = "{ID}".')
        for name in relation.theirs:
            if name not in fields:
                yield Problem(where, f"{relation.table} has no field {name!r}.")
            elif relation.disposal is Disposal.DETACH and fields[name]["required"]:
                yield Problem(where, f"{name!r} of {relation.table} may not be empty, so its rows can't be detached.")
    for aggregate in source.aggregates:
        relation = source.relation(aggregate.relation)
        for column in (aggregate.column, *(match.column for match in aggregate.where)):
            if column is not None and "." not in column and models.has(relation.table) and column not in models.of(relation.table):
                yield Problem(f"{source.name}.{aggregate.name}", f"{relation.table} has no field {column!r}.")


def _access(rpc: Rpc, source: Source, policy: Policy | None, models: Models) -> Iterator[Problem]:
    """Find models that the account may not do with what the policy asks for."""
    needed: dict[str, set[str]] = {source.table: {"read"}}
    if policy is not None:
        needed[source.table] |= {"write"} if source.options.get("delete") == "erase" or policy.treatable else set()
        needed[source.table] |= {"delete"} if source.options.get("delete") != "erase" else set()
        needed |= {model: {"read", "write"} for model in REACHED if source.options.get("delete") == "erase"}
    verbs = {Disposal.DELETE: {"read", "delete"}, Disposal.DETACH: {"read", "write"}}
    for relation in _all(source.relations):
        needed.setdefault(relation.table, set()).update(
            verbs.get(relation.disposal, {"read"}) if relation.disposal and policy is not None else {"read"}
        )
    known = [model for model in needed if models.has(model)]
    said: Mapping[str, Mapping[str, bool]] = rpc.read("model.ir.model.access.get_access", known)
    for model in known:
        verbs_of = needed[model]
        missing = sorted(verb for verb in verbs_of if not said.get(model, {}).get(verb))
        if missing:
            yield Problem(source.name, f"the account may not {', '.join(missing)} {model}.", "Give its user a group that may.")


def _treatment(source: Source, field: Field, fields: Definition) -> Iterator[Problem]:
    """Find treatments that Tryton refuses, or that would change another record."""
    where, treatment = f"{source.name}.{field.name}", field.treatment
    if "." in field.column:
        yield Problem(where, f"{field.column!r} is a field of another record.", "Treat it in a source of its own.")
    said = fields.get(field.column)
    if said is None or treatment is None:
        return
    if said["type"] not in (*TEXTS, *DAYS, *MOMENTS, "integer", "float", "numeric", "boolean"):
        yield Problem(where, f"{field.column!r} is a {said['type']}; only texts, numbers and days can be treated.")
    elif field.column in _SYSTEM or (said["readonly"] and not said["searchable"]):
        yield Problem(where, f"Tryton sets {field.column!r} by itself.")
    elif not said["searchable"]:
        yield Problem(where, f"Tryton works {field.column!r} out from other records.", "Treat it where it is kept, in a relation.")
    if treatment.kind is TreatmentKind.CLEAR and said["required"]:
        yield Problem(where, f"{field.column!r} may not be empty.", 'Use a constant, or "pseudonym".')
    if treatment.kind in (TreatmentKind.PSEUDONYM, TreatmentKind.RANDOM) and said["type"] not in _PLAIN_TEXT:
        yield Problem(where, f"{field.column!r} is a {said['type']} and takes no pseudonym.")
    size = said.get("size")
    if treatment.kind is TreatmentKind.PSEUDONYM and isinstance(size, int) and size < _PSEUDONYM:
        yield Problem(where, f"{field.column!r} takes {size} characters, a pseudonym up to {_PSEUDONYM}.")


def _cascades(source: Source, policy: Policy, pointing: _Pointing) -> Iterator[Problem]:
    """Find rows that a deletion would take along, or that would keep the record, and that nobody declared.

    The API doesn't say which of the two a model does; a field that points here and may not be empty does one of them.
    """
    if source.options.get("delete") == "erase" or not any(_deletes(policy)):
        return
    for model, name in pointing.owned:
        what = f"rows of {model} ({name}) go with a deleted record, or keep it, and are not declared."
        yield Problem(source.name, what, f'Declare a child: table = "{model}", key = "{ID}", match = {{ {name} = "{ID}" }}.')


@dataclass(frozen=True, slots=True)
class _Pointing:
    """The undeclared fields of other models that point to these records: those that have to, those that may, and those not shown."""

    owned: Sequence[tuple[str, str]] = ()
    loose: Sequence[tuple[str, str]] = ()
    unseen: Sequence[tuple[str, str]] = ()


def _pointing(rpc: Rpc, source: Source, models: Models) -> _Pointing:
    """Find out what points to these records."""
    known = {(each.table, name) for each in source.relations for name in each.theirs}
    found = pointers(rpc, models, source.table, known)
    return _Pointing(
        [(each.model, each.field) for each in found if each.shown and each.belongs],
        [(each.model, each.field) for each in found if each.shown and not each.belongs],
        [(each.model, each.field) for each in found if not each.shown],
    )


def _worth_knowing(rpc: Rpc, source: Source, models: Models, pointing: _Pointing, *, encrypted: bool) -> Iterator[Problem]:
    """Say what a person should know."""
    fields = models.of(source.table)
    if not encrypted:
        yield Problem(source.name, "the address is not encrypted: the password and all records can be read on the way.", "Use https.")
    for model in dict.fromkeys([source.table, *(each.table for each in _all(source.relations))]):
        try:
            rpc.asks(f"model.{model}.history_revisions", [0])
        except KeyError:
            continue
        what = f"{model} keeps a history: what was deleted or treated stays in there, and Tryton's API can't take it out."
        yield Problem(source.name, what, 'Parties can be erased (delete = "erase"); clean other history tables in the database.')
    for field in source.fields:
        if field.personal and fields.get(field.column, {}).get("translate"):
            yield Problem(f"{source.name}.{field.name}", "is translated: treating it changes one language, and others keep theirs.")
        if field.column in _OWN_MOVES:
            yield Problem(f"{source.name}.{field.name}", f"every treatment moves {field.column!r}; don't let a period start there.")
    if source.options.get("delete") == "erase":
        what = "deleting means Tryton's own erasing: number, code, dates and what refers to the party stay, its addresses are emptied."
        yield Problem(source.name, what, "Leave the option out to delete parties that nothing refers to.")
    elif not {each.table for each in source.relations} >= set(RESOURCES):
        yield Problem(source.name, "notes and attachments go with a deleted record; they are counted where they are declared as children.")
    if pointing.loose:
        what = f"these are not declared, and a record that one of them refers to is left, and named as failed: {_named(pointing.loose)}."
        yield Problem(source.name, what, 'Declare them as children, with on_delete = "keep_parent", or "detach" where it may be emptied.')
    yield from _out_of_order(rpc, source)
    if pointing.unseen:
        what = f"the API doesn't show this account what refers to a record by {_named(pointing.unseen)}."
        hint = "Such rows go with it, lose it, or keep it after its children have gone; have an administrator look which."
        yield Problem(source.name, what, hint)
    yield Problem(source.name, "what record rules hide from the account (other companies, say) is neither found nor treated.")


def _out_of_order(rpc: Rpc, source: Source) -> Iterator[Problem]:
    """Find rows that may go with rows that are declared before them: those would be taken along, and nobody could count them."""
    going = [each for each in source.relations if each.disposal is Disposal.DELETE]
    for position, earlier in enumerate(going):
        asked = [
            ["relation", "=", earlier.table],
            ["ttype", "=", "many2one"],
            ["model", "in", [each.table for each in going[position + 1 :]]],
        ]
        said = rpc.read("model.ir.model.field.search_read", asked, 0, None, None, ["model", "name"])
        found = {each["model"]: each["name"] for each in said}
        for later in going[position + 1 :]:
            if later.table in found:
                what = f"rows of {later.table} ({found[later.table]}) may go with one of {earlier.table}, uncounted."
                yield Problem(f"{source.name}.{later.name}", what, f"Declare {later.name} before {earlier.name}.")


def _named(pointing: Sequence[tuple[str, str]]) -> str:
    """Return models and fields as people read them."""
    return ", ".join(f"{model} ({name})" for model, name in pointing)


def _deletes(policy: Policy) -> Iterator[bool]:
    """Yield whether each step of the policy deletes."""
    for disposition in policy.dispositions:
        for step in disposition.steps:
            yield step.kind is DispositionKind.DELETE


def _all(relations: Sequence[Relation]) -> Iterator[Relation]:
    """Yield relations and those beneath them."""
    for relation in relations:
        yield relation
        yield from _all(relation.children)
