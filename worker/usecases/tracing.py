"""What the audit trail says about one record or one person: references made anew with every key there is, and looked for.

Identifiers arrive here in the clear and leave as keyed references; nothing of them is kept, logged or put in an error text. A key that was
destroyed makes no references any more, so nothing is found for its year.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from worker.audit.lines import archived_files
from worker.audit.proof import Reference
from worker.audit.search import Found, search
from worker.core.refs import Referrer
from worker.core.sources import Relation
from worker.errors import ConfigurationError
from worker.policyfile import nearest
from worker.usecases.machine import Machine
from worker.usecases.recordkeys import readings
from worker.usecases.standing import EVERY_SOURCE, forms_of


def trace_record(machine: Machine, source: str, key: str, paths: Sequence[Path] = ()) -> Iterator[Found]:
    """Yield the events about one record, which need not be there any more.

    source -- of the policy file, or `SOURCE.CHILD` for rows that only go along with their records; key -- as it was typed; paths -- audit
    files and folders of them, by default the installation's own. Raises ConfigurationError for a source that is not declared or a path that
    is not there, Broken for a damaged file.
    """
    return search(audit_files(machine, paths), {each.reference for each in references_of_record(machine, source, key)})


def trace_subject(machine: Machine, identifiers: Sequence[str], paths: Sequence[Path] = ()) -> Iterator[Found]:
    """Yield the events about one person in all sources, and about the holds and requests that name them; see `trace_record`.

    What happened to a record after the identifiers in it were treated is found by the record's key only.
    """
    return search(audit_files(machine, paths), {each.reference for each in references_of_subject(machine, identifiers)})


def references_of_record(machine: Machine, source: str, key: str) -> list[Reference]:
    """Return a record's references under the key of every year, for each thing that its typed key may have been; see `trace_record`."""
    keys = readings(source, _key_of(machine, source), key)
    years = machine.keyring.audit_ref_years()
    return [Reference(ref.id, year, source, Referrer(ref.secret, source).reference(each)) for year, ref in years for each in keys]


def references_of_subject(machine: Machine, identifiers: Sequence[str]) -> list[Reference]:
    """Return a person's references under the key of every year, in every source and in holds and requests (`*`)."""
    forms = forms_of(machine, identifiers)
    names = (*machine.schedule.sources, EVERY_SOURCE)
    years = machine.keyring.audit_ref_years()
    return [
        Reference(ref.id, year, name, Referrer(ref.secret, name).subject(form)) for year, ref in years for name in names for form in forms
    ]


def _key_of(machine: Machine, source: str) -> tuple[str, ...]:
    """Return the columns of a source's key, or of the key of rows that go along with its records."""
    name, *path = source.split(".")
    known = machine.schedule.sources.get(name)
    if known is None:
        raise ConfigurationError(f"There is no source {name!r}. {nearest(name, machine.schedule.sources)}".rstrip())
    key, relations = known.key, known.relations
    for step in path:
        found: Relation | None = next((each for each in relations if each.name == step), None)
        if found is None:
            raise ConfigurationError(f"{name} has no child {step!r}. {nearest(step, [each.name for each in relations])}".rstrip())
        key, relations = found.key, found.children
    return key


def audit_files(machine: Machine, paths: Sequence[Path]) -> list[Path]:
    """Return the audit files to look in, by default the installation's own; ConfigurationError for one that is not there."""
    chosen = paths or (machine.settings.audit_folder,)
    missing = next((each for each in chosen if not each.exists()), None)
    if missing is not None:
        raise ConfigurationError(f"There is no audit file or folder {missing}.")
    return [file for each in chosen for file in (archived_files(each) if each.is_dir() else [each])]
