"""The page for the person whom a proof is about: what was done with their data and why, what stays and until when, in words.

It shows no value of any record: reasons, days that follow from a policy, and names that the policy file gives things. What happened comes
from the proof's events; what stays from the systems, as far as they could be read; what things are called from the policy file.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from worker.audit.about import reads_back
from worker.audit.events import Action
from worker.audit.proof import Role
from worker.audit.read import Payload
from worker.audit.search import Became
from worker.core.model import Policy, Schedule
from worker.core.sources import Source
from worker.paper import Lang
from worker.paper.language import Language
from worker.paper.languages import language
from worker.paper.pages import Page, page
from worker.paper.view import View, view
from worker.paper.wording import data, named, spoken
from worker.planfile import Reason
from worker.reports.language import Words
from worker.reports.plan import Because, part_of, speaker
from worker.reports.words import words as words_of
from worker.usecases.explaining import Explanation
from worker.usecases.proving import Made, Stays
from worker.usecases.reporting import DELETE, PSEUDONYMISE, TREAT

_DID = {Action.RECORD_DELETED: DELETE, Action.RECORD_PSEUDONYMISED: PSEUDONYMISE, Action.FIELDS_TREATED: TREAT}
_ALONG = {Action.CHILD_DELETED: "along_deleted", Action.CHILD_DETACHED: "along_detached"}


@dataclass(frozen=True, slots=True)
class Done:
    """Something that was done to some records, alike in everything. did -- its name among the words; became -- done, not done or open.

    day -- local; due -- the last day of keeping; still -- how many of the batch were still there when it was read back, None when it was
    not; backups -- the last day on which backups may hold it, None when nobody said; version -- of the policy; known -- whether the policy
    file still has that version.
    """

    did: str
    became: Became
    day: dt.date
    where: str
    fields: tuple[str, ...]
    because: Because
    due: dt.date | None
    still: int | None
    backups: dt.date | None
    version: str
    known: bool


@dataclass(frozen=True, slots=True)
class Staying:
    """A record that stays. said -- what becomes of it; needs -- what each purpose that needs it is for, its basis, fields and last day."""

    where: str
    said: str
    needs: tuple[tuple[str, str, str, str], ...]


def person_page(made: Made, schedule: Schedule, stays: Stays, lang: Lang, now: dt.datetime) -> str:
    """Return the page. now -- the aware instant that the page says it was made at."""
    words, told = words_of(lang), _Telling(made, schedule, lang)
    values = {
        "words": words,
        "said": words.person,
        "organisation": schedule.organisation.name,
        "now": now,
        "subject": made.proof.asked == "subject",
        "verdict": made.verdict,
        "done": list(told.done().items()),
        "notes": list(told.notes()),
        "stays": stays,
        "staying": [told.staying(each) for each in stays.records],
        "unread": [told.named(name) for name in stays.unread],
        "blind": [told.named(name) for name in stays.blind],
        "Became": Became,
    }
    return page("person", Page.HTML, values, __package__)


class _Telling:
    """Puts the events of one proof into the words of a language."""

    def __init__(self, made: Made, schedule: Schedule, lang: Lang) -> None:
        self._lang = lang
        self._language: Language = language(lang)
        self._words: Words = words_of(lang)
        self._schedule = schedule
        self._view: View = view(schedule, self._language)
        self._rows = {(row.policy, row.purpose): row for _, row in self._view.rows}
        self._events = [(each, each.payload()) for each in made.proof.events]

    # --- What was done ----------------------------------------------------------------------------------------------------------------

    def done(self) -> Counter[Done]:
        """Return what was done, or begun, each with the number of records (or rows), the newest first."""
        found = [self._done(event, each.became) for each, event in self._events if each.became is not None]
        return Counter(sorted(found, key=lambda each: each.day, reverse=True))

    def _done(self, event: Payload, became: Became) -> Done:
        action, name = Action(event["event.action"]), str(event["retention.source"])
        policy = self._policy_of(event)
        day = self._day(self._closing(event) or event)
        fields: tuple[str, ...] = ()
        because: Because = ()
        due = None
        if action in _DID:
            due = dt.date.fromisoformat(str(event["retention.due"]))
            treated = tuple(str(each) for each in event.get("retention.fields", ()))
            reason = Reason(_DID[action], due, str(event["event.reason"]), "", treated)
            part = part_of(policy.id if policy else name, self._view, known=policy is not None)
            fields, because = speaker(policy, part, self._lang)(reason)
        source = self._schedule.sources.get(name.partition(".")[0])
        left = source.backups.after(day) if source is not None and source.backups is not None else None
        version = str(event.get("rule.version", "")).removeprefix("sha256:")[:12]
        did = _DID.get(action) or _ALONG[action]
        return Done(did, became, day, self.named(name), fields, because, due, self._still(event), left, version, policy is not None)

    def _policy_of(self, event: Payload) -> Policy | None:
        """Return the policy that decided, while the policy file has that version of it."""
        policy = self._schedule.policy(str(event.get("rule.id")))
        return policy if policy is not None and policy.digest == event.get("rule.version") else None

    def _closing(self, intent: Payload) -> Payload | None:
        batch = intent.get("retention.batch")
        return next((event for each, event in self._events if each.role is Role.CLOSING and event.get("retention.batch") == batch), None)

    def _still(self, intent: Payload) -> int | None:
        batch = str(intent.get("retention.batch"))
        counts = [int(event["retention.count"]) for _, event in self._events if reads_back(event, batch)]
        return counts[-1] if counts else None

    # --- What was said ----------------------------------------------------------------------------------------------------------------

    def notes(self) -> Iterator[tuple[dt.date, str]]:
        """Yield what was asked, suspended, kept or left, each with its local day, in order; the same thing on one day once."""
        told = ((self._day(event), self._note(event)) for each, event in self._events if each.role is Role.ABOUT and each.became is None)
        yield from dict.fromkeys((day, note) for day, note in told if note)

    def _note(self, event: Payload) -> str:
        said, action = self._words.person, event.get("event.action")
        name = self.named(str(event["retention.source"])) if event.get("retention.source") not in (None, "*") else ""
        match action:
            case Action.REQUEST_ADDED:
                asked = said[f"asked_{event['retention.request_kind']}"]
                return said["request"].format(asked=asked, by=self._words.day(dt.date.fromisoformat(event["retention.answer_by"])))
            case Action.REQUEST_UPHELD | Action.REQUEST_CLOSED | Action.HOLD_RELEASED:
                return said[str(action).removeprefix("retention.")]
            case Action.HOLD_PLACED:
                kind = said[f"hold_{event['retention.hold_kind']}"]
                return said["hold"].format(kind=kind, by=self._words.day(dt.date.fromisoformat(event["retention.review_on"])))
            case Action.RECORD_HELD:
                return said["held"].format(where=name)
            case Action.RECORD_SKIPPED:
                return said["skipped"].format(where=name)
            case Action.REVIEW_ANSWERED:
                return said["reviewed"].format(where=name, until=self._words.day(dt.date.fromisoformat(event["retention.until"])))
            case Action.MARK_SET | Action.MARK_REMOVED:
                return said[str(action).removeprefix("retention.")].format(where=name, mark=spoken(str(event["retention.mark"])))
            case _:
                return ""

    def _day(self, event: Payload) -> dt.date:
        """Return the local day of an event."""
        return dt.datetime.fromisoformat(str(event["@timestamp"])).astimezone(self._schedule.organisation.zone).date()

    # --- What stays -------------------------------------------------------------------------------------------------------------------

    def staying(self, each: Explanation) -> Staying:
        """Return what becomes of one record that is there, in words and without its key."""
        said = self._words.person
        source = self._schedule.sources[each.source]
        by = self._words.day(each.deadline) if each.deadline is not None else ""
        fields = self._language.both([self._data(source, name) for name in each.treated])
        what = each.action if each.action == PSEUDONYMISE else each.word
        stays = said[f"stays_{what}"].format(by=by, fields=fields)
        if each.backups is not None:
            stays = f"{stays} {said['stays_backups'].format(day=self._words.day(each.backups))}"
        return Staying(self.named(each.source), stays, tuple(self._needs(each, source)))

    def _needs(self, each: Explanation, source: Source) -> Iterator[tuple[str, str, str, str]]:
        said = self._words.person
        for line in each.purposes:
            row = self._rows.get((each.source, line.id))
            if not line.runs or row is None:
                continue
            fields = self._language.both([self._data(source, name) for name in line.fields])
            through = said["through"].format(day=self._words.day(line.through)) if line.through is not None else row.sentence
            yield row.why, self._language.bases[row.basis], fields, through

    def _data(self, source: Source, name: str) -> str:
        return data(source.field(name), self._language)

    def named(self, name: str) -> str:
        """Return what a source is called, or rows that go along with its records."""
        own, *path = name.split(".")
        source = self._schedule.sources.get(own)
        return ", ".join((named(source.label, own, self._language) if source is not None else own, *map(spoken, path)))
