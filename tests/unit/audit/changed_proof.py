"""A proof that somebody changed, and what is found in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.proofs import SIGNER
from worker.audit.proof import Proof, parsed, rendered, signed
from worker.audit.proofcheck import Flaw, ProofVerdict, check

KEYS = [SIGNER.verifier]
Change = Callable[[dict[str, Any]], object]


def changed(proof: Proof, change: Change, *, sign: bool = False) -> ProofVerdict:
    """Return what is found after a change; sign -- as if the organisation itself had signed the changed one."""
    found = json.loads(_text(proof))
    change(found)
    content = json.dumps(found, separators=(",", ":")).encode() + b"\n"
    return check(rendered(signed(parsed(content), SIGNER.sign)) if sign else content, KEYS)


@lru_cache(maxsize=4)
def _text(proof: Proof) -> bytes:
    return rendered(proof)


def flaws(verdict: ProofVerdict) -> set[Flaw]:
    return {each.flaw for each in verdict.found}
