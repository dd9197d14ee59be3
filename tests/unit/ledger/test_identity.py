"""Key checks: losing or changing a key is noticed and explained."""

from __future__ import annotations

import pytest

from worker.errors import ConfigurationError
from worker.ledger import Ledger
from worker.ledger.identity import Destruction

CHECKS = {"m-000001": "match:aa", "p-000002": "pseudonym/customers:bb"}


def test_the_same_keys_are_confirmed(ledger: Ledger) -> None:
    """New keys are remembered, known ones compared."""
    assert not ledger.knows_keys()
    ledger.confirm_keys(CHECKS)
    ledger.confirm_keys({**CHECKS, "s-000003": "seal:cc"})

    assert ledger.knows_keys()
    with pytest.raises(ConfigurationError, match="s-000003"):
        ledger.confirm_keys(CHECKS)


def test_a_lost_key_is_named_with_what_it_means(ledger: Ledger) -> None:
    """The operator learns that holds no longer match before a run ignores them."""
    ledger.confirm_keys(CHECKS)

    with pytest.raises(ConfigurationError, match=r"key m-000001 \(match\): lost: without it, holds, requests"):
        ledger.confirm_keys({"p-000002": "pseudonym/customers:bb"})


def test_a_changed_key_is_named_and_nothing_is_remembered(ledger: Ledger) -> None:
    """Another secret under a known id is as bad as a lost one; new keys beside it are not trusted either."""
    ledger.confirm_keys(CHECKS)

    with pytest.raises(ConfigurationError, match=r"key p-000002 \(pseudonym/customers\): changed"):
        ledger.confirm_keys({**CHECKS, "p-000002": "pseudonym/customers:xx", "s-000003": "seal:cc"})
    ledger.confirm_keys(CHECKS)


def test_a_destroyed_key_is_not_missed(ledger: Ledger) -> None:
    """A key that a person decided to destroy is not reported as lost, and may not come back."""
    ledger.confirm_keys(CHECKS)
    ledger.retire_keys("match", ["m-000001"], "officer")

    ledger.confirm_keys({"p-000002": "pseudonym/customers:bb"})
    with pytest.raises(ConfigurationError, match=r"m-000001 \(match\) was destroyed and is in the key file again"):
        ledger.confirm_keys(CHECKS)


def test_a_key_the_ledger_never_saw_can_be_retired(ledger: Ledger) -> None:
    """Retiring comes before destroying, also for a key that was never confirmed."""
    ledger.retire_keys("audit-ref/2024", ["a-000009"], "officer")

    assert not ledger.knows_keys()
    with pytest.raises(ConfigurationError, match="a-000009"):
        ledger.confirm_keys({"a-000009": "audit-ref/2024:aa"})


def test_a_destruction_is_remembered_until_it_is_done(ledger: Ledger) -> None:
    """Whoever comes after a crash learns what was to be destroyed, and who decided; afterwards only that it was."""
    ledger.confirm_keys(CHECKS)
    assert ledger.keys_being_destroyed() is None
    ledger.retire_keys("match", ["m-000001"], "officer")
    assert Destruction("match", ("m-000001",), "officer") == ledger.keys_being_destroyed()
    ledger.keys_destroyed()
    assert ledger.keys_being_destroyed() is None
    known = {each.key_id: (each.family, each.destroyed_by) for each in ledger.known_keys()}
    assert {"m-000001": ("match", "officer"), "p-000002": ("pseudonym/customers", None)} == known
