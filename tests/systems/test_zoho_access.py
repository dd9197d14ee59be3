"""How Zoho CRM is asked: its tokens, its credits, its queries; on the fake, through the proxy."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable

import pytest

from connectors.contract.harness import everything, read
from connectors.http import address_of
from connectors.plugins import zoho_crm as open_source
from connectors.zoho.grant import Access, Grant, Secrets
from tests.systems.zoho_lab import REFRESH, SOURCE, Place, deleted, place
from tests.vendors.zoho import ORIGIN
from worker.core.conditions import Compare, Op
from worker.core.select import EVERYTHING, Absent, Compares, Intersection, OnOrBefore, Union
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Connection, Left

__all__ = ["place"]


class TestTokens:
    """Ten tokens in ten minutes are few."""

    def test_sources_share_one(self, place: Place) -> None:
        """Sources of one process with the same refresh token ask for one token together; those with another ask for another."""
        options = {"refresh_token": f"1000.refresh-shared-{next(REFRESH)}"}
        for _ in range(3):
            everything(place.open(**options))
        assert 1 == place.sent("POST", "/oauth/")
        everything(place.open())
        assert 2 == place.sent("POST", "/oauth/")

    def test_one_that_expired_is_renewed_once(self, place: Place) -> None:
        """A token that Zoho takes for expired is renewed, and the request is sent again."""
        source = place.open()
        everything(source)
        place.zoho.expire()
        assert 6 == len(everything(source)[0])
        assert 2 == place.sent("POST", "/oauth/")

    def test_it_is_renewed_before_it_expires(self) -> None:
        """A token is not used to its last second."""
        now = [0.0]
        grant = Grant(lambda: now[0])
        made = iter(Access(f"t{n}", "https://a.example", 100.0 * (n + 1)) for n in range(3))
        fetch: Callable[[], Access] = lambda: next(made)  # noqa: E731 - said twice
        assert ["t0", "t0"] == [grant.access("s", fetch).token for _ in range(2)]
        now[0] = 100.0
        assert "t1" == grant.access("s", fetch).token

    def test_no_more_than_nine_in_ten_minutes(self) -> None:
        """The tenth in ten minutes isn't asked for: the error says when the next one may be; after that it is."""
        now = [0.0]
        grant = Grant(lambda: now[0])
        made = (Access(f"t{n}", "https://a.example", 10_000.0) for n in itertools.count())
        held = None
        for _ in range(9):
            held = grant.access("s", lambda: next(made), instead_of=held.token if held else None)
            now[0] += 1
        with pytest.raises(Retriable) as caught:
            grant.access("s", lambda: next(made), instead_of=held.token if held else None)
        assert 591 == caught.value.retry_after
        now[0] = 601.0
        assert "t9" == grant.access("s", lambda: next(made), instead_of=held.token if held else None).token

    def test_zoho_gives_no_more(self, place: Place) -> None:
        """When Zoho itself refuses (other processes had theirs), a later run may do it: no wrong password."""
        refresh = f"1000.refresh-{next(REFRESH)}"
        place.zoho._fetched[refresh] = [place.zoho.clock.now] * 10
        with pytest.raises(Retriable) as caught:
            everything(place.open(refresh_token=refresh))
        assert 600 == caught.value.retry_after

    @pytest.mark.parametrize("domain", ["http://api.example", "https://user@api.example", "ftp://127.0.0.1", "", "https://api.example/x"])
    def test_the_address_of_the_api(self, place: Place, domain: str) -> None:
        """Records are read only where it is encrypted, whatever the sign-in names."""
        place.zoho.domain = domain
        with pytest.raises(SourceFailed):
            everything(place.open())
        assert 0 == place.sent("POST", "/coql")

    def test_the_accounts_server_has_to_be_encrypted(self) -> None:
        """Secrets are sent nowhere without encryption but on this machine; they don't stand in the address; none is shown."""
        secrets = {"client_id": "a", "client_secret": "b-secret", "refresh_token": "c-secret"}
        for url in ("http://accounts.zoho.eu", "https://me:secret@accounts.zoho.eu"):
            with pytest.raises(ConfigurationError):
                open_source(SOURCE, Connection(url, options=secrets))
        with pytest.raises(ConfigurationError) as caught:
            open_source(SOURCE, Connection("https://accounts.zoho.eu", options={**secrets, "client_id": ""}))
        assert "CLIENT_ID" in str(caught.value)
        assert "secret" not in repr(Secrets("a", "b-secret", "c-secret"))
        assert address_of("people", "https://accounts.zoho.eu").encrypted


class TestCredits:
    """Credits are the office's, not ours."""

    def test_a_budget(self, place: Place) -> None:
        """A request that would go over the budget isn't sent; a deletion that can't be ended isn't begun."""
        source = place.open(credits="12")
        undone = deleted(source, 1, 2, 3)
        assert {Left.BUSY} == {each.why for each in undone}
        assert {} == place.zoho.bin
        assert 6 - (3 - len(undone)) == len(place.zoho.modules["Contacts"])
        assert place.zoho.credits <= 12

    def test_some_are_left_for_others(self, place: Place) -> None:
        """Where Zoho says how many are left for all, a run stops before it takes the last ones."""
        place.zoho.left = 900
        source = place.open(spare="1000")
        assert 6 == len(read(source, EVERYTHING, ()))
        with pytest.raises(Retriable):
            read(source, EVERYTHING, ())

    @pytest.mark.parametrize("options", [{"credits": "0"}, {"credits": "many"}, {"spare": "-1"}, {"page": "2001"}, {"pages": "1"}])
    def test_options_that_make_no_sense(self, place: Place, options: dict[str, str]) -> None:
        """An option that is none, or no number, is an error before anything is asked."""
        with pytest.raises(ConfigurationError):
            place.open(**options)


class TestQuery:
    """What can be asked for is asked for, so that a night costs what is due and not what exists."""

    def asked(self, place: Place) -> str:
        """Return the last query."""
        return next(json.loads(r.body)["select_query"] for r, _ in reversed(place.proxy.seen) if r.path.endswith("/coql"))

    def test_days_are_asked_for(self, place: Place) -> None:
        """A day on or before another, and an empty one, are asked for; records that don't have it are not fetched."""
        source = place.open()
        selection = Union((OnOrBefore("seen_on", dt.date(2020, 1, 2)), Absent("seen_on")))
        assert [(ORIGIN + 1,), (ORIGIN + 2,)] == [key for key, _ in read(source, selection, ())]
        assert "(Seen_On <= '2020-01-02' or Seen_On is null)" in self.asked(place)

    def test_moments_are_asked_for_with_a_day_to_spare(self, place: Place) -> None:
        """A local day of a moment is asked for as an instant by which it is over everywhere."""
        read(place.open(), OnOrBefore("changed_at", dt.date(2022, 3, 4)), ())
        assert "Changed_At <= '2022-03-06T00:00:00+00:00'" in self.asked(place)

    def test_texts_are_not_asked_for(self, place: Place) -> None:
        """What Zoho compares in another way is looked at here, and nothing of a record's values stands in a query."""
        named = Compares(Compare("name", Op.EQ, ("Name 1",)))
        assert [(ORIGIN + 1,)] == [
            key for key, _ in read(place.open(), Intersection((named, OnOrBefore("seen_on", dt.date(2021, 1, 1)))), ())
        ]
        assert "Name 1" not in self.asked(place)
        assert "Seen_On <= '2021-01-01'" in self.asked(place)

    def test_too_many_criteria(self, place: Place) -> None:
        """A selection of more criteria than Zoho takes is read whole."""
        parts = tuple(OnOrBefore("seen_on", dt.date(2000, 1, 1) + dt.timedelta(days=n)) for n in range(30))
        assert [] == read(place.open(), Union(parts), ())
        assert "Seen_On <=" not in self.asked(place)
