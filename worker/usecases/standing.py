"""Placing and releasing holds, recording and closing requests: people's words that `decide` respects.

Identifiers arrive here in the clear and leave as keyed tokens; nothing of them is kept, logged or put in an error text.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from enum import Enum

from worker.audit.events import Action
from worker.audit.render import JsonValue
from worker.core.canonical import canonical, other_forms, plain, several
from worker.core.periods import Period
from worker.core.refs import Referrer, token
from worker.core.sources import Comparison, Identifier, Source
from worker.errors import ConfigurationError, Retriable, Skippable, SourceFailed
from worker.ledger.rows import HoldKind, HoldRow, HoldScope, RequestKind, RequestRow
from worker.ports import Key
from worker.usecases.intents import HOLD
from worker.usecases.machine import Machine, saying
from worker.usecases.matching import CASE_FIELD, record_token
from worker.usecases.recordkeys import possible_keys, stored_key

ANSWER_WITHIN = Period.parse("P1M")
"""GDPR 12(3): a request is answered within one month of its receipt."""


EVERY_SOURCE = "*"
"""What holds and requests of a person are about: the person, in whatever source."""


def typed_as(machine: Machine, kind: Identifier) -> Comparison:
    """Return how an identifier is compared that a person typed: numbers are dialled in the organisation's country, as those in records."""
    return Comparison(kind, machine.schedule.organisation.country if kind is Identifier.PHONE else "")


def tokens_of(machine: Machine, identifiers: Sequence[str], *, doubtful: bool = False) -> list[str]:
    """Return the keyed forms of what a person typed, see `forms_of`."""
    secret = machine.keyring.match().secret
    return [token(secret, "identifier", form).hex() for form in forms_of(machine, identifiers, doubtful=doubtful)]


def forms_of(machine: Machine, identifiers: Sequence[str], *, doubtful: bool = False) -> list[str]:
    """Return the canonical forms of what a person typed: as e-mail address where it has an @, else both as a number and as a text.

    Where a source recognises people by a text, an address is looked for there too: as a user's name, or one on a social network. Of an
    address with a name or brackets beside it the address itself is looked for as well. Raises ConfigurationError for several in one text.
    A telephone number is looked for however it is written. What may be one, and as well the number of a customer, is only with `doubtful`:
    a hold may keep a record too many, a request may not erase one.
    """
    found: dict[str, None] = {}
    by_text = any(each.identifier is Identifier.TEXT for source in machine.schedule.sources.values() for each in source.identifiers)
    of_address = (Identifier.EMAIL, Identifier.TEXT) if by_text else (Identifier.EMAIL,)
    if any("@" in text and several(Comparison(Identifier.EMAIL), text) for text in identifiers):
        raise ConfigurationError("Several e-mail addresses stand on one line: type each on a line of its own.")
    for text in identifiers:
        for kind in of_address if "@" in text else (Identifier.PHONE, Identifier.TEXT):
            form = canonical(kind, text)
            if form and form.rpartition(":")[2]:
                found[form] = None
                comparison = typed_as(machine, kind)
                if kind is Identifier.EMAIL or (comparison.country and (doubtful or plain(comparison, text))):
                    found.update(dict.fromkeys(other_forms(comparison, text)))
    if not found:
        raise ConfigurationError("No identifier was given: type the person's e-mail address or telephone number on standard input.")
    return list(found)


class Sought(Enum):
    """How a number that a person typed is looked for."""

    EVERY_WAY = "every way"
    NO_COUNTRY = "as typed, because the policy file says no country"
    DOUBTFUL = "as typed, because it may be another number than a telephone's"
    NO_NUMBER = "as typed, because it is no telephone number"


_DIGITS = 7
"""A text with fewer digits is hardly meant as a telephone number."""


def sought(machine: Machine, identifiers: Sequence[str], *, doubtful: bool = False) -> tuple[Sought, ...]:
    """Return how the numbers among some identifiers are looked for, each way once; see `forms_of`.

    Nothing where no source recognises anybody by a telephone number.
    """
    if not any(each.identifier is Identifier.PHONE for source in machine.schedule.sources.values() for each in source.identifiers):
        return ()
    comparison = typed_as(machine, Identifier.PHONE)
    numbers = [text for text in identifiers if "@" not in text and sum(each.isdigit() for each in text) >= _DIGITS]
    return tuple(dict.fromkeys(_sought(comparison, text, doubtful=doubtful) for text in numbers))


def _sought(comparison: Comparison, text: str, *, doubtful: bool) -> Sought:
    """Return how one number is looked for."""
    if not comparison.country:
        return Sought.NO_COUNTRY
    if not other_forms(comparison, text):
        return Sought.NO_NUMBER
    return Sought.EVERY_WAY if doubtful or plain(comparison, text) else Sought.DOUBTFUL


def _keys_of(machine: Machine, source: Source, text: str) -> list[Key]:
    """Return the key of a record that a person typed, as its system has it, or what it is taken for where the system has none.

    Everything that the key may be where the system can't be asked now: the hold is to be in force all the same.
    """
    possible = possible_keys(source.name, source.key, text)
    try:
        return [stored_key(machine, source, text) or possible[0]]
    except (ConfigurationError, SourceFailed, Retriable, Skippable):
        return possible


def add_hold(
    machine: Machine,
    *,
    kind: HoldKind,
    scope: HoldScope,
    owner: str,
    reason: str,
    review_on: dt.date,
    source: str | None = None,
    key: str | None = None,
    identifiers: Sequence[str] = (),
    case: str | None = None,
    category: str | None = None,
) -> list[HoldRow]:
    """Place a hold (one per identifier) and return it when it is in force: no batch can be writing by then that has not seen it."""
    now, secret = machine.now(), machine.keyring.match()
    tokens: list[str | None] = [None]
    whom: dict[str, JsonValue] = {}
    of_records: list[str] = []
    match scope:
        case "record":
            chosen = machine.policy(source or "").source
            if key is None:
                raise ConfigurationError("A hold on a record needs its key: --key KEY.")
            keys = _keys_of(machine, chosen, key)
            tokens = [record_token(secret.secret, chosen.name, each).hex() for each in keys]
            of_records = _referrer(machine, chosen.name).references(keys)
        case "subject":
            tokens = list(tokens_of(machine, identifiers, doubtful=True))
            whom = {"retention.subjects": _subjects(machine, identifiers, doubtful=True)}
        case "case":
            if not any(CASE_FIELD in each.options for each in machine.schedule.sources.values()):
                raise ConfigurationError("No source says which field holds the case number: set options.case_field of the source.")
        case "category":
            known = {name for policy in machine.schedule.policies for name in policy.categories}
            if category not in known:
                raise ConfigurationError(f"No policy has the category {category!r}. There are: {', '.join(sorted(known)) or 'none'}.")
        case "source":
            machine.policy(source or "")
    rows = [
        HoldRow(
            f"{HOLD}{secrets.token_hex(4)}",
            kind,
            scope,
            source,
            each,
            secret.id,
            case,
            category,
            owner,
            reason,
            review_on,
            now,
            machine.operator,
        )
        for each in tokens
    ]
    with machine.ledger.standing_exclusive():
        for position, row in enumerate(rows):
            machine.ledger.add_hold(row)
            if of_records:
                whom = {"retention.record": of_records[position]}
            machine.trail.emit(
                Action.HOLD_PLACED,
                {
                    "retention.hold": row.hold_id,
                    "retention.hold_kind": kind,
                    "retention.scope": scope,
                    "retention.source": source or "*",
                    "retention.review_on": review_on.isoformat(),
                    "retention.by": machine.operator,
                    **whom,
                },
                sync=True,
            )
    return rows


def release_hold(machine: Machine, hold_id: str) -> None:
    """Release a hold; due days are the original ones again."""
    about = {"retention.hold": hold_id, "retention.by": machine.operator}
    with machine.ledger.standing_exclusive():
        machine.ledger.release_hold(hold_id, machine.operator, saying(machine, Action.HOLD_RELEASED, about))


def add_request(
    machine: Machine,
    *,
    kind: RequestKind,
    identifiers: Sequence[str],
    received_on: dt.date | None = None,
    verified_by: str | None = None,
    consent: str | None = None,
    marketing: bool = False,
) -> RequestRow:
    """Record what a subject asked for. received_on -- the local day it came in, today by default, never later."""
    received = received_on or machine.today()
    if received > machine.today():
        raise ConfigurationError("A request can't have been received after today.")
    if kind == "erase" and verified_by is None:
        raise ConfigurationError("Say who checked that it is really this person who asks: --verified-by NAME (GDPR 12(6)).")
    row = RequestRow(
        f"request-{secrets.token_hex(4)}",
        kind,
        tokens_of(machine, identifiers),
        machine.keyring.match().id,
        consent,
        marketing,
        verified_by,
        received,
        ANSWER_WITHIN.after(received),
        machine.operator,
    )
    about: dict[str, JsonValue] = {
        "retention.request": row.request_id,
        "retention.request_kind": kind,
        "retention.received_on": received.isoformat(),
        "retention.answer_by": row.answer_by.isoformat(),
        "retention.verified": verified_by is not None,
        "retention.by": machine.operator,
        "retention.subjects": _subjects(machine, identifiers),
    }
    with machine.ledger.standing_exclusive():
        machine.ledger.add_request(row, saying(machine, Action.REQUEST_ADDED, about))
    return row


def uphold_request(machine: Machine, request_id: str, by: str) -> None:
    """Decide an objection for the subject (GDPR 21(1), 17(1)(c)): it no longer restricts, and ends what it is about.

    by -- who decided. The request stays open, because what it ended would run again without it.
    """
    if not by.strip():
        raise ConfigurationError("Say who decided: --by NAME.")
    with machine.ledger.standing_exclusive():
        about = {"retention.request": request_id, "retention.by": by}
        machine.ledger.uphold_request(request_id, by, saying(machine, Action.REQUEST_UPHELD, about))


def close_request(machine: Machine, request_id: str, outcome: str) -> None:
    """Close a request with what came of it."""
    with machine.ledger.standing_exclusive():
        about = {"retention.request": request_id, "retention.by": machine.operator}
        machine.ledger.close_request(request_id, outcome, machine.operator, saying(machine, Action.REQUEST_CLOSED, about))


def _referrer(machine: Machine, source: str) -> Referrer:
    """Return what makes the references of a source under this year's key."""
    return Referrer(machine.keyring.audit_ref(machine.today().year).secret, source)


def _subjects(machine: Machine, identifiers: Sequence[str], *, doubtful: bool = False) -> list[JsonValue]:
    """Return the references of a person over all sources."""
    referrer = _referrer(machine, EVERY_SOURCE)
    return [referrer.subject(form) for form in forms_of(machine, identifiers, doubtful=doubtful)]
