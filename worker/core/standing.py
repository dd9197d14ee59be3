"""What stands between a record and its disposition from outside the record: holds, and requests of the subject.

`Standing` is what touches one record, already matched; matching works on keyed canonical identifiers (`worker.core.canonical`) and is the
use cases' business. GDPR articles 17 (erasure), 18 (restriction), 21 (objection), 7(3) (withdrawal).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class HoldKind(StrEnum):
    """Why a disposition is suspended."""

    LEGAL = "legal"
    DISPUTE = "dispute"
    RESTRICTION = "restriction"


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that touches the record; `released_on` is set for one that no longer suspends but still moves the deadline."""

    id: str
    kind: HoldKind
    released_on: dt.date | None = None


class RequestKind(StrEnum):
    """What a subject asked for."""

    ERASE = "erase"
    RESTRICT = "restrict"
    OBJECT = "object"
    WITHDRAW = "withdraw"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that touches the record and is not closed.

    received_on -- the local day it came in; verified -- somebody checked who asks; consent -- the consent that is withdrawn, None for all;
    marketing -- an objection to direct marketing; upheld -- an objection of another kind that a person decided for the subject.
    """

    id: str
    kind: RequestKind
    received_on: dt.date
    verified: bool = False
    consent: str | None = None
    marketing: bool = False
    upheld: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """The holds and requests that touch one record.

    others -- of a record that is about several people: the ids of what suspends it for those who did not ask for erasure. unclear -- the
    ids of requests that would end purposes and were made by one of several whom one identifier names: they end nothing here.
    """

    holds: tuple[Hold, ...] = ()
    requests: tuple[Request, ...] = ()
    others: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def erasure(self) -> Request | None:
        """The earliest verified request for erasure, if any."""
        asked = [each for each in self.requests if each.kind is RequestKind.ERASE and each.verified]
        return min(asked, key=lambda each: each.received_on, default=None)

    @property
    def ends_purposes(self) -> bool:
        """Whether the subject asked for what ends purposes: verified erasure, a withdrawal, an objection to marketing or an upheld one."""
        return self.erasure is not None or any(
            each.kind is RequestKind.WITHDRAW or (each.kind is RequestKind.OBJECT and (each.marketing or each.upheld))
            for each in self.requests
        )

    @property
    def suspending(self) -> tuple[str, ...]:
        """The ids of what suspends any disposition: legal and dispute holds always, restrictions unless the subject asks for erasure.

        A request for restriction restricts until a person closes it, an objection other than to direct marketing until a person decided.
        """
        strong = [hold.id for hold in self.holds if hold.kind is not HoldKind.RESTRICTION and hold.released_on is None]
        if self.erasure is not None:
            return tuple(dict.fromkeys((*strong, *self.others)))
        weak = [hold.id for hold in self.holds if hold.kind is HoldKind.RESTRICTION and hold.released_on is None]
        asked = [
            request.id
            for request in self.requests
            if request.kind is RequestKind.RESTRICT or (request.kind is RequestKind.OBJECT and not (request.marketing or request.upheld))
        ]
        return (*strong, *weak, *asked)


NOTHING = Standing()
"""The standing of a record that no hold and no request touches."""
