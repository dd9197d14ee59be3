"""An audience's members as the records of a source.

Threat model. A permanent deletion can't be taken back, and Mailchimp never lets the address be imported again: it is sent for a member
that was read again directly before, under the hash that was read with it. An update never holds a status, so it subscribes nobody; a
member whose status is another one afterwards is reported. Pages come in no order of keys, so all members are read and spooled
(`connectors.spooled`) before the first is given out: no page is being read while its records are written. A member that is archived or
brought back by somebody else while the lists are walked may be met only in the next run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from connectors.hosted import Gone, HostedSource, Refused
from connectors.hosted.opening import refuse
from connectors.http import Address, Service, address_of
from connectors.mailchimp import checks, columns
from connectors.mailchimp.audience import PAGE, Audience, is_busy
from connectors.mailchimp.columns import ARCHIVED, KEY, STATUS, UNSUBSCRIBED, UNSUBSCRIBED_AT, Said
from connectors.patience import known_options, limits_of
from connectors.spooled import Listing, Spooled
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import ConfigurationError, Problem
from worker.ports import Connection, Key, KeyRange, Level

_CHUNK = 200
_A_PAGE = 10
"""As many single members take about as long as a page of them."""
_LARGE = _CHUNK * PAGE // _A_PAGE
_API = "/3.0"


def open_source(source: Source, connection: Connection) -> HostedSource:
    """Open the members of the audience `table` at the connection's address; ConfigurationError when either can't be right.

    Nothing is asked of Mailchimp yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    refuse(checks.declared(source))
    address = address_of(source.name, connection.url)
    known_options(source.name, connection.options, ())
    _signs_in(source.name, address)
    service = Service(
        source.name,
        address.base if urlsplit(address.base).path else address.base + _API,
        auth=httpx.BasicAuth(address.user or "retention", address.password),
        limits=limits_of(source.name, connection.options, connection.batch_seconds),
        is_busy=is_busy,
    )
    return HostedSource(source, Members(source, service, encrypted=address.encrypted), batch_seconds=connection.batch_seconds)


def _signs_in(source: str, address: Address) -> None:
    """Refuse an address without a key, and a key of another data centre, which Mailchimp would refuse in unclear words."""
    if not address.password:
        raise ConfigurationError(f"{source}: the address has no API key: https://any:KEY-us21@us21.api.mailchimp.com/3.0.")
    host = re.match(r"(\w+)\.api\.mailchimp\.com$", urlsplit(address.base).hostname or "")
    key = re.search(r"-([a-z]+\d+)$", address.password)
    if host and key and host[1] != key[1]:
        raise ConfigurationError(f"{source}: the key is of the data centre {key[1]} and the address of {host[1]}. Use the key's.")


@dataclass(slots=True)
class Member:
    """One member. said -- as Mailchimp told it; ended -- when it unsubscribed, once somebody has asked."""

    said: Said = field(repr=False)
    ended: tuple[Raw] | None = field(default=None, repr=False)


class Members:
    """The members of one audience, for `connectors.hosted`."""

    most = _CHUNK

    def __init__(self, source: Source, service: Service, *, encrypted: bool) -> None:
        self._source = source
        self._service = service
        self._encrypted = encrypted
        self._listing = Listing[str](source.name, self._list)
        self._archives = source.options.get("delete") == checks.ARCHIVE
        self.level = Level.SOFT if self._archives else Level.PERMANENT
        fields = columns.wanted([each.column for each in source.fields])
        self._audience = Audience(source.name, service, source.table, fields, archives=self._archives)

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Member]]:  # noqa: ARG002 - it can't be asked for
        """Yield the members in the order of their keys; the walk through the lists ends before any is given out.

        A run's range of a large audience is not walked for but asked for, member by member: who came since the run began is left out.
        """
        near = None if within is None else self._near(within)
        if near is not None:
            found = [self.get((key,)) for key in near]
            yield [each for each in found if each is not None]
            return
        with Spooled[str](self._source.name) as spooled:
            spooled.add((str(said[KEY]), json.dumps(said).encode()) for said in self._audience.members() if self._is_wanted(said, within))
            for page in spooled.pages(_CHUNK):
                yield [Member(json.loads(said)) for _, said in page if said is not None]

    def get(self, key: Key) -> Member | None:
        """Return one member as it is now."""
        said = self._audience.get(str(key[0]))
        return None if said is None or not self._is_ours(said) else Member(said)

    def key(self, item: Member) -> Key:
        """Return the member's contact id, which nobody can derive from the address."""
        return (str(item.said[KEY]),)

    def value(self, item: Member, column: str) -> Raw:
        """Return the value of a column."""
        if column != UNSUBSCRIBED_AT:
            return columns.value(item.said, column)
        if item.said.get(STATUS) != UNSUBSCRIBED:
            return None
        if item.ended is None:
            item.ended = (columns.ended(item.said, self._audience.unsubscribed_at(str(item.said[KEY]))),)
        return item.ended[0]

    def delete(self, item: Member) -> None:
        """Delete a member for good, or archive it where that was declared."""
        if self._archives:
            self._audience.archive(str(item.said[KEY]))
            return
        try:
            self._audience.delete(item.said)
        except Gone:
            # Its hash is that of the address: under a new one it is still there.
            if self.get(self.key(item)) is not None:
                raise Refused("HTTP 404 for its address") from None
            raise

    def update(self, item: Member, settings: Mapping[str, Raw]) -> None:
        """Set columns of a member, never the address; Refused when Mailchimp says yes and doesn't do it."""
        if columns.ADDRESS in settings:
            raise Refused("an address is not treated")
        after = self._audience.update(str(item.said[KEY]), columns.body(settings))
        if after.get(STATUS) != item.said.get(STATUS):
            raise Refused("HTTP 200 and another status")
        if not columns.has(after, settings):
            raise Refused("HTTP 200 and not taken over")

    def gone(self, item: Member) -> bool:
        """Whether a member isn't there any more, or is archived where that is what deleting means."""
        return self.get(self.key(item)) is None

    def has(self, item: Member, settings: Mapping[str, Raw]) -> bool:
        """Whether a member has these values."""
        return columns.has(item.said, settings)

    def columns(self) -> Sequence[str]:
        """Return the columns of members, the audience's own fields included."""
        return (*columns.COLUMNS, UNSUBSCRIBED_AT, *(columns.MERGE + each for each in self._audience.merge_fields()))

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return checks.check(source, self._audience, policy, encrypted=self._encrypted)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what the key's user needs."""
        if not writes:
            return [f"Mailchimp: {account} needs an API key of a user who may see the audience (viewer)."]
        return [f"Mailchimp: {account} needs an API key of a user who may see the audience, change and delete its members (manager)."]

    def close(self) -> None:
        """Let go of the connections, and of what is remembered."""
        self._service.close()
        self._listing.close()

    def _near(self, within: KeyRange) -> list[str] | None:
        """Return the keys of a run's range where it takes less to ask for each of them than to walk through all members, else None."""
        if not within.run or not (self._listing.knows(within.run) or self._audience.count() >= _LARGE):
            return None
        with self._listing.keys(within.run) as keys:
            most = len(keys) * _A_PAGE // PAGE
            near = keys.between(str(within.first[0]), str(within.last[0]), most + 1)
        return near if len(near) <= most else None

    def _list(self, into: Spooled[str]) -> None:
        """List the keys of all members."""
        into.add((key, None) for key in self._audience.keys())  # noqa: SIM118 - it is no table

    def _is_wanted(self, said: Said, within: KeyRange | None) -> bool:
        """Whether a member is a record, and lies in a range."""
        return self._is_ours(said) and (within is None or within.first <= (said[KEY],) <= within.last)

    def _is_ours(self, said: Said) -> bool:
        """Whether a member is a record: an archived one is not, where that is what deleting means."""
        return not (self._archives and said.get(STATUS) == ARCHIVED)
