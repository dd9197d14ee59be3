"""What is known of the consents that a purpose rests on.

A consent is a list of episodes and only the latest counts: given on a day, and perhaps withdrawn on that day or later; on one day the
withdrawal wins (GDPR 7(3)). A source states a consent as facts; one that the source does not declare is taken to be in force until somebody
asks to withdraw it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from worker.core.facts import Fact, Known, Unknown
from worker.core.model import Policy, Purpose, day
from worker.core.sources import Consent, Source
from worker.core.standing import Request


@dataclass(frozen=True, slots=True)
class Agreed:
    """Every consent was given.

    on -- the local day on which the last of them was given, None when the source declares none of them; withdrawn -- the first day on which
    one of them was withdrawn, None while all are in force.
    """

    on: dt.date | None = None
    withdrawn: dt.date | None = None


@dataclass(frozen=True, slots=True)
class NotAgreed:
    """At least one consent was not given, or not yet."""


def agreement(source: Source, purpose: Purpose, facts: Mapping[str, Fact]) -> Agreed | NotAgreed | Unknown:
    """Return what the facts say about all consents that a purpose rests on together."""
    episodes = [_latest_episode(consent, facts) for consent in source.consents_named(purpose.consents)]
    unknown = None
    given: list[dt.date] = []
    withdrawn: list[dt.date] = []
    for episode in episodes:
        match episode:
            case NotAgreed():
                return episode
            case Unknown():
                unknown = unknown or episode
            case Agreed(on, ended):
                given.extend(each for each in (on,) if each is not None)
                withdrawn.extend(each for each in (ended,) if each is not None)
    return unknown or Agreed(max(given, default=None), min(withdrawn, default=None))


def _latest_episode(consent: Consent, facts: Mapping[str, Fact]) -> Agreed | NotAgreed | Unknown:
    """Return the latest episode of one consent."""
    given = _day(consent.given, facts)
    if given is None:
        return NotAgreed()
    withdrawn = _day(consent.withdrawn, facts) if consent.withdrawn is not None else None
    if isinstance(given, Unknown):
        return given
    if isinstance(withdrawn, Unknown):
        return withdrawn
    return Agreed(given, withdrawn if withdrawn is not None and withdrawn >= given else None)


def _day(name: str, facts: Mapping[str, Fact]) -> dt.date | Unknown | None:
    """Return the day that a fact states, None when there is none."""
    match facts[name]:
        case Known(value):
            return day(value) or Unknown(f"{name}: not a day")
        case Unknown(why):
            return Unknown(f"{name}: {why}")
        case _:
            return None


def agreed_since(policy: Policy, facts: Mapping[str, Fact], after: dt.date) -> bool:
    """Whether a consent that a purpose rests on was given after a day, by what is known, and is in force."""
    names = {name for purpose in policy.purposes for name in purpose.consents}
    episodes = (_latest_episode(consent, facts) for consent in policy.source.consents_named(names))
    return any(isinstance(each, Agreed) and each.on is not None and each.on > after and each.withdrawn is None for each in episodes)


def withdraws(request: Request, source: Source, purpose: Purpose, facts: Mapping[str, Fact]) -> bool:
    """Whether a request for withdrawal ends a purpose: it names one of its consents, or none, and that one was not given again since.

    A consent of which nobody knows when it was given may have been given again: it stays undetermined, and a person looks.
    """
    if not purpose.consents:
        return request.consent is None
    again = set()
    for consent in source.consents_named(purpose.consents):
        given = _day(consent.given, facts)
        if isinstance(given, Unknown) or (given is not None and given > request.received_on):
            again.add(consent.name)
    return any(request.consent in (None, name) and name not in again for name in purpose.consents)
