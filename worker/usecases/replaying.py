"""Replay: deleting again what was deleted and came back, by a plan that is looked at, approved and applied as any other.

Threat model. A replay deletes records that the night run would keep, so it must never take one for another, nor one that is needed anew:

- Only a record that has the unchanging facts of a tombstone, and its key or one of its identifiers, is *the same record*. A key alone
  proves nothing, and neither does an identifier alone.
- Nothing about it may be new: of every purpose that applies, each known day of its start event and consents lies before the day of the
  tombstone. Where nothing but identifiers tells that it is the same record, there has to be such a day and none may still be awaited,
  because somebody who comes again has the same address.
- `decide` has the last word: by what stands today, or with the end of then as a request of the day of the tombstone, which is the erasure
  once more, or else a withdrawal of the consents that the record rests on. What neither ends is kept, and a person decides.

Whoever is on the suppression list of a source (`suppressing`) goes by the identifier alone, as the policy file declares, unless they
consented again since. `decide` has the last word there too, as for somebody whose erasure was asked for on the day they went; a consent
that the new record doesn't hold counts as ended that day and not as a gap.

Everything is asked again under lock, on the row as it is then. Holds, brakes, children and fresh re-decision are those of any plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from worker.core.compiled import Judged
from worker.core.consents import agreed_since
from worker.core.decide import Decision, Due, Held, Kept, Waiting, choose, conclude
from worker.core.facts import Fact, Known, NotYet, Unknown
from worker.core.model import SEEN, DispositionKind, LegalBasis, Policy, day
from worker.core.purposes import Ended, NeverApplied
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import ANSWERED
from worker.core.standing import NOTHING, Request, RequestKind, Standing
from worker.planfile import REPLAY
from worker.ports import Key, Row
from worker.usecases.gathering import Gathered
from worker.usecases.judging import Judge, Judging, Verdict
from worker.usecases.machine import Machine
from worker.usecases.matching import merged
from worker.usecases.planning import MadePlan, Progress, make_plan
from worker.usecases.suppressing import Hit, SuppressionIndex
from worker.usecases.tombstones import Likeness, Match, TombstoneIndex

ANEW = "something about it is newer than its deletion: a person decides"
UNTOLD = "nothing tells whether it is needed anew: a person decides"
NEEDED = "the policy needs it today: a person decides"
WAITS = "rows that go with it, or keep it, are not due"
PERSON = "only the person is the same: a person decides"
_REMEMBERED = 20_000


def is_anew(policy: Policy, decision: Decision, facts: Mapping[str, Fact], match: Match) -> str:
    """Return why a record that is like a deleted one may be needed anew; an empty text when nothing about it is new.

    decision -- the policy's own, by which purposes that never applied play no part; facts -- those that it rests on.
    """
    applying = [purpose for purpose, state in zip(policy.purposes, decision.purposes, strict=True) if not isinstance(state, NeverApplied)]
    # When we first saw a state ended, or were told to keep a record, says nothing about when the record was made.
    names = {name for purpose in applying for name in policy.days_of(purpose) if name != ANSWERED and not name.startswith(SEEN)}
    stated = [facts[name] for name in sorted(names)]
    days = [found for fact in stated if isinstance(fact, Known) and (found := day(fact.value)) is not None]
    if any(each >= match.day for each in days):
        return ANEW
    if any(isinstance(fact, Unknown) for fact in stated):
        return UNTOLD
    identifiers = {each.name for each in policy.source.identifiers}
    if identifiers.issuperset(match.facts) and (not days or any(isinstance(fact, NotYet) for fact in stated)):
        return UNTOLD
    return ""


def once_more(match: Match) -> Request:
    """Return the end of then as a request, received on the day it went: the erasure that was asked for, or a withdrawal of consents."""
    kind = RequestKind.ERASE if match.erasure else RequestKind.WITHDRAW
    return Request("", kind, match.day, verified=True)


class ReplayJudge(Judge):
    """Judges records as a replay does: those that came back and may go again are due, held or waiting; all others are kept.

    What is said of a record's verdict is in `Judged.because`: of which batch it is the replay, or why it stays.
    """

    plain = False

    def __init__(
        self,
        machine: Machine,
        policy: Policy,
        today: dt.date,
        gathered: Gathered | None = None,
        *,
        identifiers: bool = False,
        tombstones: TombstoneIndex,
        suppressed: SuppressionIndex | None = None,
    ) -> None:
        self._tombstones = tombstones
        self._suppressed = suppressed
        self._nothing = Judged(Decision(Kept(), tuple(NeverApplied("it did not come back") for _ in policy.purposes)), b"")
        self._made: dict[tuple[Decision, bytes, str], Judged] = {}
        self._aways: dict[tuple[bytes, Standing, tuple[str, ...], Hit], Judged] = {}
        also = (*tombstones.columns, *(suppressed.columns if suppressed is not None else ()))
        super().__init__(machine, policy, today, gathered, identifiers=identifiers, also=also)

    def selection(self, *, findings: bool = False, full: bool = False) -> Selection:  # noqa: ARG002
        """Return everything: what came back need not be due."""
        return EVERYTHING

    def _one(self, row: Row, blocking: tuple[str, ...] = ()) -> Verdict:
        """Return the verdict on one row."""
        key = self.key(row)
        values = {name: self.value(row, name) for name in self._tombstones.columns}
        matches = self._tombstones.matches(key, values)
        hits = self._hits(row, key)
        if not matches and not hits:
            return Verdict(key, row, self._nothing, NOTHING)
        own = super()._one(row, blocking)
        judged = self._again(own, matches, blocking) if matches else self._nothing
        if hits and isinstance(judged.decision.outcome, Kept):
            # The evidence holds every fact, so what is equal in all this is decided alike.
            alike = (own.judged.evidence, own.standing, blocking, hits[0])
            judged = self._aways.get(alike) or self._away(own, hits[0], blocking)
            self._aways[alike] = judged
            if len(self._aways) > _REMEMBERED:
                self._aways.clear()
        return own._replace(judged=judged)

    def _hits(self, row: Row, key: Key) -> Sequence[Hit]:
        """Return by what a record is suppressed."""
        if self._suppressed is None:
            return ()
        return self._suppressed.hits(key, {name: self.value(row, name) for name in self._suppressed.columns})

    def _away(self, own: Verdict, hit: Hit, blocking: tuple[str, ...]) -> Judged:
        """Return what is decided about a record of somebody who is suppressed."""
        facts = self.facts(own)
        if agreed_since(self.policy, facts, hit.day):
            return self._nothing
        erased = Request("", RequestKind.ERASE, hit.day, verified=True)
        asked = merged([own.standing, Standing(requests=(erased,))])
        judged = self._decider.judge(own.row, asked, blocking)
        states = tuple(
            Ended(hit.day, "its consent is not there, and who gave one before is suppressed")
            if isinstance(state, NeverApplied) and purpose.basis is LegalBasis.CONSENT and hit.day < self.today
            else state
            for purpose, state in zip(self.policy.purposes, judged.decision.purposes, strict=True)
        )
        decision = conclude(
            self.policy,
            states,
            choose(self.policy.dispositions, facts),
            asked,
            self.today,
            untreated=None,
            blocking=blocking,
            later=lambda _extra: states,
            answered=None,
        )
        outcome = decision.outcome
        ends = outcome.instead_of if isinstance(outcome, Held) else outcome
        if isinstance(ends, Due) and ends.kind is DispositionKind.DELETE:
            evidence = b"\x00".join((judged.evidence, b"suppressed", hit.batch.encode(), hit.day.isoformat().encode()))
            return self._shared(decision, evidence, f"{REPLAY}{hit.batch} of {hit.run}")
        return self._kept(WAITS if isinstance(ends, Waiting) else NEEDED)

    def _again(self, own: Verdict, matches: Sequence[Match], blocking: tuple[str, ...]) -> Judged:
        """Return what is decided about a record that is like deleted ones: the first of them by which it may go again counts."""
        if matches[0].likeness is Likeness.PERSON:
            return self._kept(PERSON)
        why = ""
        facts = self.facts(own)
        for match in matches:
            anew = is_anew(self.policy, own.judged.decision, facts, match)
            if anew:
                why = why or anew
                continue
            asked = merged([own.standing, Standing(requests=(once_more(match),))])
            for judged in (own.judged, self._decider.judge(own.row, asked, blocking)):
                outcome = judged.decision.outcome
                ends = outcome.instead_of if isinstance(outcome, Held) else outcome
                if isinstance(ends, Due) and ends.kind is DispositionKind.DELETE:
                    evidence = b"\x00".join((judged.evidence, match.batch.encode(), match.day.isoformat().encode()))
                    return self._shared(judged.decision, evidence, f"{REPLAY}{match.batch} of {match.run}")
                if isinstance(ends, Waiting):
                    why = why or WAITS
            why = why or NEEDED
        return self._kept(why)

    def _kept(self, why: str) -> Judged:
        """Return that a record stays, and why."""
        return self._shared(self._nothing.decision, b"", why)

    def _shared(self, decision: Decision, evidence: bytes, because: str) -> Judged:
        """Return one object for equal verdicts, by which plans and batches group records."""
        return self._made.setdefault((decision, evidence, because), Judged(decision, evidence, because))


def make_replay(
    machine: Machine, *, sources: tuple[str, ...] = (), path: Path | None = None, progress: Progress | None = None
) -> MadePlan | None:
    """Make a plan of what came back, as `make_plan` does, for today.

    None when there are no tombstones in these sources, or in any, and nobody is suppressed.

    Raises ConfigurationError when a source is not declared.
    """
    today = machine.today()
    watched = {*machine.ledger.watched(today), *machine.ledger.suppressing(today)}
    policies = [each for each in machine.policies(sources) if each.source.name in watched]
    if not policies:
        return None
    with replay_judges(machine, policies) as judging:
        return make_plan(machine, sources=tuple(each.source.name for each in policies), path=path, progress=progress, replay=judging)


@contextmanager
def replay_judges(machine: Machine, policies: Sequence[Policy]) -> Iterator[Judging]:
    """Give what makes the judges of a replay of these policies' sources, for as long as their tombstones are needed."""
    with ExitStack() as stack:
        indexes = {each.source.name: stack.enter_context(TombstoneIndex(machine, each.source, machine.today())) for each in policies}

        suppressed = {
            each.source.name: stack.enter_context(SuppressionIndex(machine, each.source, machine.today()))
            for each in policies
            if each.source.suppress is not None
        }

        def make(machine: Machine, policy: Policy, gathered: Gathered, *, identifiers: bool = False) -> Judge:
            name = policy.source.name
            away = suppressed.get(name)
            return ReplayJudge(
                machine, policy, gathered.today, gathered, identifiers=identifiers, tombstones=indexes[name], suppressed=away
            )

        yield make
