"""The keys of one organisation: the ring that everybody asks (`ring`), the file that keeps them (`keyfile`), their root (`rootfile`)."""

from __future__ import annotations

from worker.keys.keyfile import RootChange, RootKept, RootLeft, RootReplaced
from worker.keys.ring import Destroyed, Keyring, MatchKey
from worker.keys.rootfile import ROOT, Key

__all__ = ["ROOT", "Destroyed", "Key", "Keyring", "MatchKey", "RootChange", "RootKept", "RootLeft", "RootReplaced"]
