"""The lines of the audit trail that say what is about to be done, before it is: one per record and per row that goes along.

They are rendered from templates that are compiled once per batch; only the closing event of their batch makes them effects.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from worker.audit.events import Action
from worker.audit.render import JsonValue, compile_template, fragment, instant
from worker.core.decide import Decision, deadline
from worker.core.model import Policy
from worker.core.purposes import Ended
from worker.core.refs import Referrer
from worker.core.sources import Comparison
from worker.core.standing import NOTHING, Standing
from worker.planfile import Reason
from worker.ports import Key, OpenSource, Row
from worker.usecases.judging import Verdict
from worker.usecases.machine import Machine
from worker.usecases.matching import first_forms, identifier_forms, several_forms
from worker.usecases.reporting import DELETE, PSEUDONYMISE, TREAT

_ACTIONS = {DELETE: Action.RECORD_DELETED, PSEUDONYMISE: Action.RECORD_PSEUDONYMISED, TREAT: Action.FIELDS_TREATED}
HOLD = "hold-"
"""The id of a hold begins so; that of a request does not."""
_GAP = "\x00"
"""Stands in a line where the reference goes; rendered JSON never holds it."""
_REMEMBERED = 20_000
_NOT_LOCKED = "read again directly before the write"
_GATHERED = "read again in all their sources before the first batch, not locked"


class IntentLines:
    """Renders the intents of one source's batches in one run."""

    def __init__(self, machine: Machine, policy: Policy, source: OpenSource, run_id: str, ref_secret: bytes) -> None:
        self._machine = machine
        self._policy = policy
        self._source = source
        self._run_id = run_id
        self._ref_secret = ref_secret
        shared = ", ".join(each.name for each in policy.shared)
        said = ("" if source.transactional else _NOT_LOCKED, f"{shared}: {_GATHERED}" if shared else "")
        self._not_locked = "; ".join(each for each in said if each)
        self._referrer = Referrer(ref_secret, policy.source.name)
        self._tails: dict[Reason, str] = {}
        self._treatments = {each.name: str(each.treatment.kind) for each in policy.treatable if each.treatment is not None}

    def records(
        self, attempt: str, acting: Sequence[tuple[Verdict, str, Reason]], identifiers: Sequence[tuple[int, Comparison]]
    ) -> list[bytes]:
        """Return one line per (verdict, reference, reason). identifiers -- where in a verdict's row the person's identifiers stand."""
        fixed = {
            **self._common(self._policy, attempt, self._policy.source.name),
            "retention.level": str(self._source.level),
            **({"retention.facts": self._not_locked} if self._not_locked else {}),
        }
        varying = ["retention.record", "retention.due", "retention.deadline", "retention.purposes", "event.reason"]
        treating = [*varying, "retention.fields", "retention.treatments"]
        render = {
            does: compile_template({**fixed, "event.action": str(said)}, varying if does == DELETE else treating)
            for does, said in _ACTIONS.items()
        }
        # Records that share a reason differ in their references alone, so a line is cut where those go: what stands before them is the
        # batch's, what stands behind them the reason's, which comes again in other batches. What stands for a record may differ within
        # a reason; hardly ever does anything.
        heads: dict[str, str] = {}
        halves: dict[int | tuple[int, Standing], tuple[str, str]] = {}
        lines: list[bytes] = []
        whom = self._whom([verdict.row for verdict, _, _ in acting], identifiers)
        for (verdict, reference, reason), who in zip(acting, whom, strict=True):
            standing = verdict.standing
            group = id(reason) if standing is NOTHING else (id(reason), standing)
            found = halves.get(group)
            if found is None:
                known = self._tails.get(reason) if standing is NOTHING else None
                if known is None or reason.action not in heads:
                    words = self._words(verdict.judged.decision, standing, reason)
                    before, _, after = render[reason.action](f'"{_GAP}"', *words).decode("ascii").partition(f'{_GAP}"')
                    heads[reason.action] = before
                    known = _with(after, self._touching(standing, reason))
                    if standing is NOTHING:
                        self._remember(reason, known)
                found = halves[group] = heads[reason.action], known
            lines.append(f'{found[0]}{reference}"{who}{found[1]}'.encode("ascii"))
        return lines

    def _remember(self, reason: Reason, tail: str) -> None:
        """Keep what a reason says of records for which nothing stands: it comes again in other batches."""
        if len(self._tails) >= _REMEMBERED:
            self._tails.clear()
        self._tails[reason] = tail

    def _whom(self, rows: Sequence[Row], identifiers: Sequence[tuple[int, Comparison]]) -> list[str]:
        """Return, for every row, the rendered member that says whom it is about, empty where it says nobody."""
        # Hexadecimal digits are their own JSON.
        if len(identifiers) == 1 and not identifiers[0][1].country:
            # Most people are known by one identifier of one form, and this is asked for every record.
            ((place, comparison),) = identifiers
            forms, more = first_forms(comparison, [row[place] for row in rows])
            found = [f',"retention.subjects":["{subject}"]' if subject else "" for subject in self._referrer.subjects(forms)]
            for each in more:
                found[each] = _named(self.subjects(rows[each], identifiers))
            return found
        return [_named(self.subjects(row, identifiers)) for row in rows] if identifiers else [""] * len(rows)

    def subjects(self, row: Row, identifiers: Sequence[tuple[int, Comparison]]) -> list[str]:
        """Return the references of the person a row is about, one per form of each identifier that is not empty; of all it may be about."""
        forms = [(*identifier_forms(how, row[place]), *several_forms(how, row[place])) for place, how in identifiers]
        return [self._referrer.subject(form) for each in forms for form in each]

    def _words(self, decision: Decision, standing: Standing, reason: Reason) -> list[str]:
        """Return what a reason gives the varying members behind the record's reference, as JSON."""
        touched = set(reason.fields) if reason.action == TREAT else None
        ended = [
            purpose.id
            for purpose, state in zip(self._policy.purposes, decision.purposes, strict=True)
            if isinstance(state, Ended) and (touched is None or touched & set(purpose.fields))
        ]
        latest = deadline(self._policy, reason.due, standing)
        words = [f'"{reason.due}"', f'"{latest}"', _listed(tuple(ended)), json.dumps(reason.why)]
        if reason.action != DELETE:
            words += [_listed(reason.fields), _listed(tuple(self._treatments[name] for name in reason.fields))]
        return words

    def _touching(self, standing: Standing, reason: Reason) -> dict[str, JsonValue]:
        """Return the holds whose release moved the deadline, and the requests that end purposes (of whom we process for, none does)."""
        if standing is NOTHING:
            return {}
        policy = self._policy
        asked = standing.requests if policy.source.controller else ()
        moved = deadline(policy, reason.due, standing) != deadline(policy, reason.due)
        holds = [each.id for each in standing.holds if each.released_on is not None] if moved else []
        requests = [each.id for each in asked if Standing(requests=(each,)).ends_purposes]
        return by_kind([*holds, *requests])

    def along(
        self,
        attempt: str,
        policy: Policy,
        name: str,
        path: Sequence[str],
        rows: Sequence[tuple[Key, Key]],
        reasons: Sequence[str],
        *,
        detach: bool,
    ) -> list[bytes]:
        """Return one line per row (record's key, own key) that goes along or is cut loose; name -- what the rows are called as a source."""
        fixed = {
            **self._common(policy, attempt, name),
            "event.action": str(Action.CHILD_DETACHED if detach else Action.CHILD_DELETED),
            "retention.relation": ".".join(path),
        }
        render = compile_template(fixed, ["retention.record", "retention.parent", "event.reason"])
        referrer, parent_of = Referrer(self._ref_secret, name), self._referrer.reference
        return [
            render(f'"{referrer.reference(key)}"', f'"{parent_of(parent)}"', json.dumps(reason))
            for (parent, key), reason in zip(rows, reasons, strict=True)
        ]

    def _common(self, policy: Policy, attempt: str, source: str) -> dict[str, JsonValue]:
        """Return what all intents of a batch say alike."""
        return {
            "@timestamp": instant(self._machine.now()),
            "rule.id": policy.id,
            "rule.version": policy.digest,
            "retention.run": self._run_id,
            "retention.batch": attempt,
            "retention.source": source,
        }


def _named(subjects: Sequence[str]) -> str:
    """Return the rendered member that says whom a record is about."""
    return ',"retention.subjects":["' + '","'.join(subjects) + '"]' if subjects else ""


@lru_cache(maxsize=256)
def _listed(names: tuple[str, ...]) -> str:
    """Return names as JSON: the same few lists come again with every reason."""
    return fragment(names)


def _with(after: str, more: dict[str, JsonValue]) -> str:
    """Return the end of a rendered payload with more members."""
    return f"{after[:-1]},{fragment(more)[1:]}" if more else after


def by_kind(ids: Sequence[str]) -> dict[str, JsonValue]:
    """Return what keeps a record as members: holds apart from requests, none that would be empty."""
    holds = [each for each in ids if each.startswith(HOLD)]
    requests = [each for each in ids if not each.startswith(HOLD)]
    return {**({"retention.holds": holds} if holds else {}), **({"retention.requests": requests} if requests else {})}
