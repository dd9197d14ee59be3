"""Marks: on which day something happened to a record that no system has a column for, said by a person.

A mark is kept by the record's keyed token; the record is looked up when it is set, so that a mistyped key marks nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from worker.audit.events import Action
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.errors import ConfigurationError
from worker.policyfile import nearest
from worker.ports import Key
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.recordkeys import possible_keys, stored_key


def set_mark(machine: Machine, source: str, key: str, name: str, on: dt.date) -> None:
    """Set a mark on the local day something happened; a later one replaces it. In force when this returns.

    Raises ConfigurationError when the policy file knows no such mark, the record is not there, or the day lies ahead where none is planned.
    """
    policy = machine.policy(source)
    _refuse(machine, policy, name, on)
    # Looked up inside, so that no batch takes the record between the look and the mark, which would then wait for the key's next owner.
    with machine.ledger.standing_exclusive():
        own = stored_key(machine, policy.source, key)
        if own is None:
            raise ConfigurationError(f"{source} has no record with that key, so nothing was marked.")
        machine.ledger.set_mark(source, record_token(machine.keyring.match().secret, source, own).hex(), name, on, machine.operator)
        told = {"retention.mark": name, "retention.on": on.isoformat(), "retention.by": machine.operator}
        say(machine, Action.MARK_SET, source, own, told)


def remove_mark(machine: Machine, source: str, key: str, name: str) -> None:
    """Take a mark back; the record may be gone. Raises ConfigurationError when there is no such mark."""
    policy = machine.policy(source)
    own = stored_key(machine, policy.source, key)
    keys = [own] if own is not None else possible_keys(source, policy.source.key, key)
    with machine.ledger.standing_exclusive():
        for each in keys:
            if machine.ledger.remove_mark(source, record_token(machine.keyring.match().secret, source, each).hex(), name):
                say(machine, Action.MARK_REMOVED, source, each, {"retention.mark": name, "retention.by": machine.operator})
                return
    raise ConfigurationError(f"That record of {source} has no mark {name!r}.")


def _refuse(machine: Machine, policy: Policy, name: str, on: dt.date) -> None:
    """Raise ConfigurationError for a mark that no fact asks for, and for a day that nobody can mean."""
    marks = {each.mark: each for each in policy.source.marks}
    if name not in marks:
        hint = nearest(name, marks) or (f"There are: {', '.join(marks)}." if marks else "The policy file declares none for it.")
        raise ConfigurationError(f"No fact of {policy.id} is the mark {name!r}. {hint}")
    if on > machine.today() and not marks[name].reading.planned:
        raise ConfigurationError(f"{on} lies ahead, and the fact {marks[name].name!r} is not declared as planned.")


def say(machine: Machine, action: Action, source: str, key: Key, told: Mapping[str, str]) -> None:
    """Write down what was said about a record, by its reference; durable when this returns."""
    referrer = Referrer(machine.keyring.audit_ref(machine.today().year).secret, source)
    machine.trail.emit(action, {"retention.source": source, "retention.record": referrer.reference(key), **told}, sync=True)
