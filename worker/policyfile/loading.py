"""Reading a whole policy file: every problem in it told at once, or a schedule in which every name is declared and every type matches.

    document -> shape -> sources -> facts over several of them -> policies -> consequences and guidance -> examples

Each stage goes on with what the one before could make sense of, so that one mistake does not hide the others. A file with a problem
gives no schedule at all: half a policy file is not enforced.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from worker.core.model import Organisation, Policy, Schedule, StandardPeriod
from worker.core.periods import NO_TIME, Period
from worker.core.sources import Source
from worker.core.telephone import COUNTRIES
from worker.errors import ConfigurationError, Problem, Problems
from worker.policyfile import examples
from worker.policyfile.consequences import check as check_consequences
from worker.policyfile.declarations import declarations
from worker.policyfile.document import Complaints, Document, nearest
from worker.policyfile.guidance import check as check_guidance
from worker.policyfile.normalform import digest
from worker.policyfile.periods import INDEFINITE, check_names, resolved, with_odd_years
from worker.policyfile.policies import Entry, duplicates, policy
from worker.policyfile.retention import Line, lines
from worker.policyfile.shaping import Shaped, shape
from worker.policyfile.sharedfacts import shared_facts, with_shared
from worker.policyfile.sources import check_relations, source


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be said about a policy file.

    schedule -- None when there are problems; problems -- what must be changed; warnings -- what works and may not be what was meant;
    both in the order of the file; examples_run -- how many examples were decided; fields -- for every personal field of every policy
    what decides how long it is kept.
    """

    schedule: Schedule | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    examples_run: int
    fields: tuple[Line, ...]


def load(path: FilePath, connectors: Collection[str] | None = None) -> Schedule:
    """Return the schedule that a policy file declares.

    connectors -- the names of the installed plug-ins; every source must use one of them, unless this is None. Raises Problems with
    everything that is wrong, each with its line and key path; ConfigurationError when the file can't be read or is no TOML.
    """
    return loads(_text(path), str(path), connectors)


def loads(text: str, name: str, connectors: Collection[str] | None = None) -> Schedule:
    """Return the schedule that a text declares; see `load`. `name` is how the text is called in messages."""
    report = check_text(text, name, connectors)
    if report.schedule is None:
        raise Problems(f"{name} can't be used:", report.problems)
    return report.schedule


def check(path: FilePath, connectors: Collection[str] | None = None) -> Report:
    """Return what is to be said about a policy file; ConfigurationError when it can't be read or is no TOML. See `load`."""
    return check_text(_text(path), str(path), connectors)


def check_text(text: str, name: str, connectors: Collection[str] | None = None) -> Report:
    """Return what is to be said about a text; see `check`."""
    document = Document.parse(text, name)
    complaints = Complaints(document)
    try:
        report = _report(document, complaints, connectors)
    except RecursionError as error:
        raise ConfigurationError(f"{name}: values are nested too deeply to be read") from error
    return report


def _text(path: FilePath) -> str:
    """Return the text of a file."""
    try:
        # Editors of some systems put a byte order mark before UTF-8; it says nothing.
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}: line {line}: the file is not UTF-8 text. Save it as UTF-8.") from error
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: the policy file can't be read: {error.strerror}. Go to the folder it is in, or say where it is: "
            "`retention --policies FILE`, or RETENTION_POLICIES in the settings."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path}: the policy file can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError("the policy file can't be read: its name is not a file's name") from error


def _report(document: Document, complaints: Complaints, connectors: Collection[str] | None) -> Report:
    """Go through all stages and return what there is to say."""
    shaped = shape(document, complaints)
    if shaped is None:
        return _finished(None, [], complaints, 0)
    organisation = _organisation(shaped, complaints)
    sources = _sources(shaped, organisation, connectors, complaints)
    facts = shared_facts(shaped.file, sources, organisation, complaints)
    sources = with_shared(shaped.file, sources, facts, complaints)
    entries = _policies(shaped, organisation, sources, complaints)
    ran = 0
    for entry in entries:
        if entry.sound:
            check_consequences(entry, complaints)
        if entry.sound and not complaints.troubled(("sources", entry.policy.id)):
            check_guidance(entry, complaints)
        if entry.sound and not complaints.troubled(("sources", entry.policy.id)):
            ran += examples.run(entry, complaints)
    found = tuple(dataclasses.replace(entry.policy, digest=digest(entry.policy)) for entry in entries)
    schedule = Schedule(
        organisation,
        sources,
        found,
        facts,
        **declarations(shaped, organisation, complaints),
        audit_keep=_audit_keep(shaped, organisation, complaints),
    )
    return _finished(schedule, [entry.policy for entry in entries], complaints, ran)


def _finished(schedule: Schedule | None, policies: list[Policy], complaints: Complaints, ran: int) -> Report:
    """Return the report, problems and warnings in the order of the file."""

    def ordered(found: list[Problem]) -> tuple[Problem, ...]:
        return tuple(sorted(found, key=lambda problem: problem.line or 0))

    sound = schedule if not complaints.problems else None
    decided = tuple(line for each in policies for line in lines(each)) if sound is not None else ()
    return Report(sound, ordered(complaints.problems), ordered(complaints.warnings), ran, decided)


def _organisation(shaped: Shaped, complaints: Complaints) -> Organisation:
    """Return the organisation with its calendar and its standard periods."""
    head = shaped.file.organisation
    check_names(shaped.file.periods, complaints)
    standards = {
        name: StandardPeriod(name, each) if isinstance(each, Period) else StandardPeriod(name, each.keep, each.description)
        for name, each in shaped.file.periods.items()
    }
    years = zip(shaped.paths(("organisation", "fiscal_years")), head.fiscal_years, strict=True)
    return Organisation(
        head.name,
        head.timezone,
        with_odd_years(head.fiscal_year_ends, [(path, each.first, each.last) for path, each in years], complaints),
        resolved(("organisation", "window"), head.window, standards, complaints) or NO_TIME,
        resolved(("organisation", "lead"), head.lead, standards, complaints) or NO_TIME,
        head.owner,
        standards,
        head.watch_erasures,
        _country(head.country, complaints),
    )


_TAKEN_FOR = {"UK": "GB", "EL": "GR"}
"""What people write for a country, and its code."""


def _country(code: str | None, complaints: Complaints) -> str:
    """Return the country in which telephone numbers are dialled, an empty text when it is not given or there is none with that code."""
    if code is None or code in COUNTRIES:
        return code or ""
    meant = _TAKEN_FOR.get(code)
    hint = f"Did you mean {meant!r}?" if meant is not None else nearest(code, sorted(COUNTRIES))
    complaints.problem(("organisation", "country"), f"there is no country {code!r} with telephone numbers (ISO 3166-1)", hint)
    return ""


_LEAST_AUDIT = Period(months=6)
_STARTS = tuple(dt.date(2023, month, 1) for month in range(1, 13))
"""Events from which the period is tried: how long six months are depends on the month."""


def _audit_keep(shaped: Shaped, organisation: Organisation, complaints: Complaints) -> Period | None:
    """Return how long events of the audit trail keep what they say; None when nothing of it is ever dropped."""
    path = ("audit", "keep")
    written = shaped.file.audit.keep
    keep = None if written is None else resolved(path, written, organisation.periods, complaints, also=(INDEFINITE,))
    if keep is not None and any(keep.after(start) < _LEAST_AUDIT.after(start) for start in _STARTS):
        what = f"{keep} is too short: whoever asks within {_LEAST_AUDIT} what was done and why has to get an answer"
        complaints.problem(path, what, "What the audit trail said can't be brought back. Keep it for years.")
    return keep


def _sources(
    shaped: Shaped, organisation: Organisation, connectors: Collection[str] | None, complaints: Complaints
) -> Mapping[str, Source]:
    """Return the sources whose shape is right."""
    declared = complaints.document.names(("sources",))
    for name, each in shaped.file.sources.items():
        if connectors is not None:
            complaints.known(("sources", name, "connector"), "connector", each.connector, sorted(connectors))
    return {name: source(name, each, organisation, declared, complaints) for name, each in shaped.file.sources.items()}


def _policies(shaped: Shaped, organisation: Organisation, sources: Mapping[str, Source], complaints: Complaints) -> list[Entry]:
    """Return the policies whose shape and source are right, and check that every source has one."""
    declared = complaints.document.names(("sources",))
    places = dict(zip(shaped.paths(("policies",)), shaped.file.policies, strict=True))
    second = duplicates({path: each.source for path, each in places.items()}, complaints)
    entries: list[Entry] = []
    for path, each in places.items():
        if path not in second and complaints.known((*path, "source"), "source", each.source, sources, declared):
            entries.append(policy(path, each, sources[each.source], organisation, shaped, complaints))
    written = complaints.document.value(("policies",))
    tables = written if isinstance(written, list) else []
    named = [each["source"] for each in tables if isinstance(each, dict) and isinstance(each.get("source"), str)]
    for name in (name for name in sources if name not in named):
        complaints.warn(("sources", name), "has no policy, so nothing of it is ever due", "Add a policy for it.")
    check_relations(sources, named, complaints)
    return entries
