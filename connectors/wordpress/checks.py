"""What is wrong, or worth knowing, about a site's comments before anything is done to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from connectors.wordpress.columns import AGENT, COLUMNS, CONTENT, ID, IP, META, PARENT, POST_STATE, WRITABLE
from connectors.wordpress.site import Site
from worker.core.model import Policy
from worker.core.sources import Disposal, Field, Function, Source, TreatmentKind
from worker.errors import Problem

OPTIONS = ("api", "type", "delete")
_NEEDED = (
    "moderate_comments",
    "edit_others_posts",
    "edit_published_posts",
    "edit_private_posts",
    "edit_others_pages",
    "edit_published_pages",
)
_STATUSES = ("approve", "hold", "spam", "trash")


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever the site says."""
    return [*_options(source), *_fields(source), *_relations(source)]


def check(source: Source, site: Site, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    meta = site.meta()
    problems = [*_rights(source, site), *_statuses(source, site), *_meta_fields(source, meta)]
    if policy is not None:
        problems += [problem for field in policy.treatable for problem in _treatment(source, field)]
    return problems, [*_worth_knowing(source, site, meta, encrypted=encrypted)]


def _options(source: Source) -> Iterator[Problem]:
    """Find options that don't exist."""
    for name in source.options:
        if name not in OPTIONS:
            yield Problem(f"{source.name}.options.{name}", "there is no such option.", f"There are: {', '.join(OPTIONS)}.")
    if source.options.get("delete", "permanent") not in ("permanent", "trash"):
        yield Problem(f"{source.name}.options.delete", 'is "permanent" or "trash".')
    if source.key != (ID,):
        yield Problem(f"{source.name}.key", "the key of a comment is its id.", f'Declare key = "{ID}".')


def _fields(source: Source) -> Iterator[Problem]:
    """Find columns that no comment has."""
    for field in source.fields:
        if field.column not in (*COLUMNS, POST_STATE) and not field.column.startswith(META):
            near = difflib.get_close_matches(field.column, COLUMNS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COLUMNS)}, {POST_STATE} and {META}NAME."
            yield Problem(f"{source.name}.{field.name}", f"comments have no column {field.column!r} over REST.", hint)


def _relations(source: Source) -> Iterator[Problem]:
    """Find relations and facts over them that REST knows nothing of."""
    for relation in source.relations:
        where = f"{source.name}.{relation.name}"
        if (
            (relation.theirs, relation.own, relation.key) != ((PARENT,), (ID,), (ID,))
            or relation.table != source.table
            or relation.children
        ):
            yield Problem(
                where,
                "over REST comments have replies and no other relation.",
                f'Declare table = "{source.table}", key = "{ID}", match = {{ {PARENT} = "{ID}" }}; reach meta and counts by the database.',
            )
        if relation.disposal is Disposal.DETACH and source.options.get("delete") == "trash":
            yield Problem(where, "a comment in the trash keeps its replies, so they can't be detached.", "Delete permanently.")
    for aggregate in source.aggregates:
        if aggregate.function not in (Function.COUNT, Function.EXISTS):
            yield Problem(f"{source.name}.{aggregate.name}", "replies can be counted, and nothing else.")


def _rights(source: Source, site: Site) -> Iterator[Problem]:
    """Find out what the account may not do; a site that answers no one's questions has raised by now."""
    site.count()
    missing = [each for each in _NEEDED if each not in site.capabilities()]
    if missing:
        what = f"the account lacks the rights {', '.join(missing)}, so it sees some comments only, or may not change them."
        yield Problem(source.name, what, "Give it the role of an editor.")


def _statuses(source: Source, site: Site) -> Iterator[Problem]:
    """Find a site on which the status `any` leaves comments out."""
    if site.count() < sum(site.count(status=each) for each in _STATUSES):
        yield Problem(
            source.name, "this site leaves comments out when it is asked for all.", "Look for the plug-in that changes its lists."
        )


def _meta_fields(source: Source, meta: tuple[str, ...]) -> Iterator[Problem]:
    """Find declared comment meta that the site doesn't show."""
    for field in source.fields:
        if field.column.startswith(META) and field.column.removeprefix(META) not in meta:
            what = f"the comment meta {field.column.removeprefix(META)!r} is not registered for REST."
            yield Problem(f"{source.name}.{field.name}", what, f"Registered are: {', '.join(meta) or 'none'}.")


def _treatment(source: Source, field: Field) -> Iterator[Problem]:
    """Find treatments that WordPress refuses."""
    where, treatment = f"{source.name}.{field.name}", field.treatment
    if field.column not in WRITABLE and not field.column.startswith(META):
        yield Problem(where, f"{field.column} can't be written over REST.")
        return
    empties = treatment is not None and (
        treatment.kind is TreatmentKind.CLEAR or (treatment.kind is TreatmentKind.CONSTANT and not treatment.value)
    )
    hints = {IP: "truncate, or the constant 0.0.0.0", AGENT: 'the constant "-"', CONTENT: 'a constant such as "[removed]"'}
    if empties and field.column in hints:
        yield Problem(where, f"WordPress takes no empty {field.column}.", f"Use {hints[field.column]}.")
    elif field.column == IP and treatment is not None and treatment.kind is TreatmentKind.PSEUDONYM:
        yield Problem(where, "WordPress takes only addresses as an author_ip.", f"Use {hints[IP]}.")


def _worth_knowing(source: Source, site: Site, meta: tuple[str, ...], *, encrypted: bool) -> Iterator[Problem]:
    """Say what a person should know."""
    if not encrypted:
        yield Problem(source.name, "the address is not encrypted: the password and all comments can be read on the way.", "Use https.")
    registered = f"besides {', '.join(meta)} " if meta else ""
    what = f"comment meta {registered}can't be seen over REST; spam filters and notifications keep addresses there."
    yield Problem(source.name, what, "Look into wp_commentmeta, and reach it by the database if it holds personal data.")
    if source.options.get("delete") == "trash":
        what = (
            "deleting means the trash, which WordPress keeps for 30 days unless told otherwise; a comment in there is no record any more."
        )
        yield Problem(source.name, what, "Leave the option out to delete permanently.")
    others = site.count(type="all") - site.count()
    if others and source.options.get("type", "comment") != "all":
        yield Problem(source.name, f"{others} comments are of another type (pingbacks, reviews, notes) and no record of this source.")
    if not any(field.column == PARENT for field in source.fields) and not source.relations:
        yield Problem(source.name, "replies are not declared: WordPress moves those of a deleted comment up a level, and nothing says so.")
