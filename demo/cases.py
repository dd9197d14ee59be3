"""What a part of the office gives back: its awkward cases by name, and the personal values a leak search looks for.

A case says in words what a decision should come to. The words rest on one reference schedule, read on the office's
default as-of date: contacts two years after the last contact (P2Y), quotes two years, agreements five years after their
end, invoices seven fiscal years (P7Y after 31 December), members from the day they unsubscribe (P0D, window P30D), address and
browser of a comment 180 days (P180D), applications eight weeks after the procedure (P8W), a year with consent (P1Y).
Of a contact, agreements and quotes need every personal field, invoices only name, address and city.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OUTCOMES = ("due", "partly due", "kept", "undetermined", "unreadable")


@dataclass(frozen=True, slots=True)
class Case:
    """One awkward record of the office.

    source -- contacts, quotes, agreements, invoices, notes, members, comments or applications;
    key -- its primary key as text, or the name of the dossier folder; why -- what is awkward about it;
    expected -- one of OUTCOMES, a colon, and the reason in words;
    others -- (source, key) of the further records it is about.
    """

    source: str
    key: str
    why: str
    expected: str
    others: tuple[tuple[str, str], ...] = ()

    @property
    def outcome(self) -> str:
        """Return the word of OUTCOMES that `expected` begins with."""
        return self.expected.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Part:
    """What one system of the office holds: its cases by name, and every personal value in it."""

    cases: Mapping[str, Case]
    canaries: frozenset[str]
