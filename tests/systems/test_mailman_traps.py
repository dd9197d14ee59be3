"""What goes with a membership and what doesn't, and what Mailman would have done by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from connectors.contract import FaultProxy
from connectors.contract.harness import reading
from connectors.hosted import HostedSource
from connectors.http import Answer, Service
from connectors.mailman.members import Members
from connectors.mailman.server import Server
from connectors.plugins import mailman
from tests.systems.servers.mailman import DOMAIN, USER, Mailman, running_mailman
from worker.core.facts import FieldType
from worker.core.model import Disposition, DispositionKind, Policy, Step
from worker.core.select import EVERYTHING
from worker.core.sources import Field, Source, Treatment, TreatmentKind
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Changes, Connection, Key, KeyRange, Left, Level, Undone, Update

ANN, BOB = "ann@post.example", "bob@post.example"
_SECOND = "ann.second@post.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Mailman]:
    with running_mailman() as running:
        running.make_list("news")
        running.make_list("other")
        yield running


@pytest.fixture(scope="module")
def proxy(server: Mailman) -> Iterator[FaultProxy]:
    with FaultProxy(server.url).running() as made:
        yield made


@pytest.fixture
def place(server: Mailman, proxy: FaultProxy) -> Iterator[Place]:
    """Return an empty Mailman whose list says goodbye and tells its owners."""
    proxy.heal()
    server.emptied()
    server.call("PATCH", f"/lists/news.{DOMAIN}/config", {"send_goodbye_message": "true", "admin_notify_mchanges": "true"})
    made = Place(server, proxy)
    yield made
    for each in made.opened:
        each.close()


class Place:
    """A Mailman, and sources that are opened on it."""

    def __init__(self, server: Mailman, proxy: FaultProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.news = f"news.{DOMAIN}"
        self.other = f"other.{DOMAIN}"
        self.opened: list[HostedSource] = []

    def source(self, table: str = "", page: int = 500, columns: Sequence[str] = ("email", "display_name"), **options: str) -> HostedSource:
        """Open a source: members unless `table` says otherwise."""
        table = table or self.news
        key = "email" if table == "addresses" else "token" if table.endswith("/requests") else "member_id"
        fields = tuple(Field(each, each, reading(FieldType.TEXT)) for each in columns)
        declared = Source("people", "mailman", table, (key,), fields, options=options)
        patience = {"attempts": "3", "wait": "0.02", "page": str(page)}
        opened = mailman(declared, Connection(self.proxy.url.replace("://", f"://{USER}:{self.server.password}@"), options=patience))
        assert isinstance(opened, HostedSource)
        self.opened.append(opened)
        return opened

    def user(self, email: str) -> str:
        """Return the id of the user of an address."""
        _, said = self.server.call("GET", f"/addresses/{email}")
        return str(said["user"]).rsplit("/", 1)[1]

    def preferred(self, email: str) -> None:
        """Make an address its user's preferred one."""
        self.server.call("POST", f"/addresses/{email}/verify", {})
        status, _ = self.server.call("POST", f"/users/{self.user(email)}/preferred_address", {"email": email})
        assert status == 201, status

    def second_address(self) -> None:
        """Give Ann a second address."""
        status, _ = self.server.call("POST", f"/users/{self.user(ANN)}/addresses", {"email": _SECOND})
        assert status == 201, status

    def left(self) -> dict[str, Any]:
        """Return what there is of Ann: on the list, on the other, addresses, the user's name."""
        has = self.server.has
        return {
            "news": any(each["email"] == ANN for each in self.server.members(self.news)),
            "other": any(each["email"] == ANN for each in self.server.members(self.other)),
            "address": has(f"/addresses/{ANN}"),
            "second": has(f"/addresses/{_SECOND}"),
            "user": has(f"/users/{ANN}") or has(f"/users/{_SECOND}"),
        }


def rows(source: HostedSource, columns: Sequence[str] = ("email",)) -> dict[Key, tuple[object, ...]]:
    """Return all rows by key."""
    with source.reader() as reader:
        return {(str(row[0]),): tuple(row[1:]) for page in reader.rows(EVERYTHING, columns) for row in page}


def ann(source: HostedSource) -> Key:
    """Return the key of Ann's record."""
    return next(key for key, row in rows(source).items() if row == (ANN,))


def delete(source: HostedSource, key: Key) -> list[Undone]:
    """Delete one record."""
    with source.batch("b", KeyRange(key, key), EVERYTHING, ("email",)) as batch:
        batch.write(Changes(delete=[key]))
        return list(batch.commit())


def rename(source: HostedSource, key: Key, name: str | None) -> list[Undone]:
    """Give one member another name."""
    with source.batch("b", KeyRange(key, key), EVERYTHING, ("display_name",)) as batch:
        batch.write(Changes(updates=[Update(("display_name",), [(*key, name)])]))
        return list(batch.commit())


ALL = {"news": False, "other": False, "address": False, "second": False, "user": False}


class TestDeleting:
    """What nothing else uses goes with a membership; what anything uses stays."""

    @pytest.mark.parametrize(("extent", "stays"), [("membership", ("address", "user")), ("address", ()), ("user", ())])
    def test_the_only_membership(self, place: Place, extent: str, stays: Sequence[str]) -> None:
        """One who is on no other list is gone altogether, or stays in Mailman, as declared; the level says so. Nobody gets a mail."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.server.subscribe(place.news, BOB, "Bob")
        source = place.source(delete=extent)
        before = place.server.mails()
        assert [] == delete(source, ann(source))
        assert ALL | dict.fromkeys(stays, True) == place.left()
        assert (Level.SOFT if stays else Level.PERMANENT) == source.level
        assert [(BOB,)] == list(rows(source).values())
        assert before == place.server.mails()

    def test_mailman_itself_would_have_written(self, place: Place) -> None:
        """The usual way of ending the same membership writes to the member and to the owners, so the test above proves something."""
        place.server.subscribe(place.news, BOB, role="owner")
        member = place.server.subscribe(place.news, ANN, "Ann")
        before = place.server.mails()
        place.server.call("DELETE", f"/members/{member}")
        assert before + 2 == place.server.mails()

    @pytest.mark.parametrize("role", ["member", "nonmember", "owner", "moderator"])
    def test_another_membership_keeps_the_address(self, place: Place, role: str) -> None:
        """Who has to do with another list, in whatever role, loses this membership and nothing else."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.server.subscribe(place.other, ANN, "Ann", role=role)
        source = place.source()
        before = place.server.mails()
        assert [] == delete(source, ann(source))
        assert {**ALL, "other": role == "member", "address": True, "user": True} == place.left()
        assert [ANN] == [each["email"] for each in place.server.members(place.other, role)]
        assert before == place.server.mails()

    @pytest.mark.parametrize(("extent", "second"), [("address", True), ("user", False)])
    def test_a_second_address(self, place: Place, extent: str, second: bool) -> None:
        """A second address that has no membership stays with its user, unless all of the user is to go."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.second_address()
        source = place.source(delete=extent)
        assert [] == delete(source, ann(source))
        assert {**ALL, "second": second, "user": second} == place.left()

    def test_a_second_address_with_a_membership(self, place: Place) -> None:
        """Not even where all of the user is to go does a membership by another address end."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.second_address()
        place.server.subscribe(place.other, _SECOND)
        source = place.source(delete="user")
        assert [] == delete(source, ann(source))
        assert {**ALL, "second": True, "user": True} == place.left()
        assert [_SECOND] == [each["email"] for each in place.server.members(place.other)]

    @pytest.mark.parametrize("of", ["the server", "a domain"])
    def test_an_owner_of_more_than_a_list(self, place: Place, of: str) -> None:
        """Who owns the server or a domain loses the membership only."""
        place.server.subscribe(place.news, ANN, "Ann")
        if of == "the server":
            status, _ = place.server.call("PATCH", f"/users/{ANN}", {"is_server_owner": "true"})
        else:
            status, _ = place.server.call("POST", f"/domains/{DOMAIN}/owners", {"owner": ANN})
        assert status == 204, status
        try:
            source = place.source()
            assert [] == delete(source, ann(source))
            assert {**ALL, "address": True, "user": True} == place.left()
            assert {} == rows(place.source("addresses"))
        finally:
            place.server.call("DELETE", f"/domains/{DOMAIN}/owners")

    @pytest.mark.parametrize("second", [False, True])
    def test_a_member_by_the_preferred_address(self, place: Place, second: bool) -> None:
        """A membership that goes by the user's preferred address takes the same along; a user who has a further address keeps both."""
        place.server.subscribe(place.other, ANN, "Ann")
        place.preferred(ANN)
        _subscribe_user(place)
        place.server.call("DELETE", f"/lists/{place.other}/roster/member", {"emails": ANN})
        if second:
            place.second_address()
        source = place.source(columns=("email", "subscription_mode"))
        assert [(ANN, "as_user")] == list(rows(source, ("email", "subscription_mode")).values())
        assert [] == delete(source, ann(source))
        assert {**ALL, "address": second, "second": second, "user": second} == place.left()
        assert ({(ANN,), (_SECOND,)} if second else set()) == {*rows(place.source("addresses"))}

    def test_twice_with_one_address(self, place: Place) -> None:
        """Who is on the list by the address and by the user who prefers it is left: nothing could end only one of them without a mail."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.second_address()
        place.preferred(_SECOND)
        _subscribe_user(place)
        place.preferred(ANN)
        source = place.source()
        assert 2 == len(rows(source))
        assert [(Left.FAILED, "subscribed twice with one address")] == [(each.why, each.answer) for each in delete(source, ann(source))]
        assert 2 == len(rows(source))

    @pytest.mark.parametrize("role", ["nonmember", "owner", "moderator"])
    def test_other_roles(self, place: Place, role: str) -> None:
        """People in another role are records of a source of their own, and of no other; members stay."""
        place.server.subscribe(place.news, BOB, "Bob")
        place.server.subscribe(place.news, ANN, "Ann", role=role)
        assert [(BOB,)] == list(rows(place.source()).values())
        source = place.source(role=role)
        assert [(ANN,)] == list(rows(source).values())
        assert [] == delete(source, ann(source))
        assert ALL == place.left()
        assert [BOB] == [each["email"] for each in place.server.members(place.news)]

    def test_who_left_and_came_back_is_somebody_new(self, place: Place) -> None:
        """Who unsubscribes and subscribes again between decision and deletion has another membership, and keeps it."""
        place.server.subscribe(place.news, ANN, "Ann")
        source = place.source()
        key = ann(source)
        with source.batch("b", KeyRange(key, key), EVERYTHING, ("email",)) as batch:
            place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": ANN})
            place.server.subscribe(place.news, ANN, "Ann")
            batch.write(Changes(delete=[key]))
            assert [Left.GONE] == [each.why for each in batch.commit()]
        assert {**ALL, "news": True, "address": True, "user": True} == place.left()


def _subscribe_user(place: Place) -> None:
    """Put Ann on the list by her user."""
    form = {"list_id": place.news, "subscriber": place.user(ANN), "pre_verified": "true", "pre_confirmed": "true", "pre_approved": "true"}
    status, said = place.server.call("POST", "/members", form)
    assert status == 201, (status, said)


class TestNames:
    """A name stands with the address and with the user."""

    @pytest.mark.parametrize("new", [None, "p1-k1-abc", "Zoë 🌻"])
    def test_both_places(self, place: Place, new: str | None) -> None:
        """A name is cleared or replaced in both, and nothing else changes."""
        place.server.subscribe(place.news, ANN, "Ann Archer")
        source = place.source(columns=("email", "display_name", "subscription_mode", "delivery_mode", "role"))
        before = rows(source, ("email", "subscription_mode", "delivery_mode", "role"))
        assert [] == rename(source, ann(source), new)
        assert [(new,)] == list(rows(source, ("display_name",)).values())
        kept = [place.server.call("GET", path)[1].get("display_name") for path in (f"/addresses/{ANN}", f"/users/{ANN}")]
        assert [new, new] == kept
        assert before == rows(source, ("email", "subscription_mode", "delivery_mode", "role"))

    @pytest.mark.parametrize("fault", [{"status": 503}, {"status": None, "applied": True}, {"status": 429}])
    @pytest.mark.parametrize("after", [0, 1])
    def test_a_change_that_gets_lost(self, place: Place, fault: Mapping[str, Any], after: int) -> None:
        """Whatever happens to one of the two requests: what is said to be done is done in both places, and no name is left in one."""
        place.server.subscribe(place.news, ANN, "Ann Archer")
        source = place.source()
        key = ann(source)
        place.proxy.writing(after=after, times=1, **fault)
        assert [] == rename(source, key, None)
        kept = [place.server.call("GET", path)[1].get("display_name") for path in (f"/addresses/{ANN}", f"/users/{ANN}")]
        assert [None, None] == kept

    def test_a_shared_name(self, place: Place) -> None:
        """A name that another membership needs is left, and said."""
        place.server.subscribe(place.news, ANN, "Ann Archer")
        place.server.subscribe(place.other, ANN, "Ann Archer")
        source = place.source()
        assert [(Left.FAILED, "the name is that of another membership too")] == [
            (each.why, each.answer) for each in rename(source, ann(source), None)
        ]
        assert [("Ann Archer",)] == list(rows(source, ("display_name",)).values())


class TestLeftovers:
    """Addresses that no membership goes by."""

    def test_who_is_left_over(self, place: Place) -> None:
        """Who unsubscribed and who only asked is left over; members, strangers who wrote, and owners are not."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": ANN})
        place.server.subscribe(place.news, BOB, "Bob")
        for role in ("nonmember", "owner", "moderator"):
            place.server.subscribe(place.other, f"{role}@post.example", role=role)
        source = place.source("addresses", page=2, columns=("email", "display_name", "@user_memberships", "@user_created_on"))
        found = rows(source, ("display_name", "@user_memberships"))
        assert {(ANN,): ("Ann", 0)} == found
        assert [] == delete(source, (ANN,))
        assert ALL == place.left()
        assert {} == rows(source)
        assert [BOB] == [each["email"] for each in place.server.members(place.news)]

    def test_a_further_address_of_a_member(self, place: Place) -> None:
        """A member's unused address says how many memberships its user has, and goes without the user."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.second_address()
        source = place.source("addresses", columns=("email", "@user_memberships"))
        assert {(_SECOND,): (1,)} == rows(source, ("@user_memberships",))
        assert [] == delete(source, (_SECOND,))
        assert {**ALL, "news": True, "address": True, "user": True} == place.left()

    def test_who_subscribes_meanwhile(self, place: Place) -> None:
        """Who subscribes between decision and deletion is no left-over any more, and stays."""
        place.server.subscribe(place.news, ANN, "Ann")
        place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": ANN})
        source = place.source("addresses")
        with source.batch("b", KeyRange((ANN,), (ANN,)), EVERYTHING, ("email",)) as batch:
            place.server.subscribe(place.other, ANN)
            batch.write(Changes(delete=[(ANN,)]))
            assert [Left.GONE] == [each.why for each in batch.commit()]
        assert {**ALL, "other": True, "address": True, "user": True} == place.left()


class TestRequests:
    """Requests for subscription."""

    def test_discarding(self, place: Place) -> None:
        """A request is discarded without a mail; those of another list, and those to leave this one, are no records."""
        for list_id, who in ((place.news, ANN), (place.other, BOB)):
            place.server.call("POST", "/members", {"list_id": list_id, "subscriber": who, "display_name": who.title()})
        leaving = "carl@post.example"
        member = place.server.subscribe(place.news, leaving)
        place.server.call("DELETE", f"/members/{member}", {"pre_confirmed": "false"})
        source = place.source(f"{place.news}/requests", columns=("email", "display_name", "when", "token_owner"))
        (key,) = rows(source)
        assert {key: (ANN, "subscriber")} == rows(source, ("email", "token_owner"))
        (theirs,) = rows(place.source(f"{place.other}/requests"))
        with source.reader() as reader:
            assert reader.get(theirs, ("email",)) is None
        before = place.server.mails()
        assert [] == delete(source, key)
        assert {} == rows(source)
        assert before == place.server.mails()
        _, waiting = place.server.call("GET", f"/lists/{place.news}/requests?request_type=unsubscription")
        assert [leaving] == [each["email"] for each in waiting["entries"]]
        # Whoever still waits for an answer is no left-over: deciding on the request needs the address.
        assert {(ANN,)} == {*rows(place.source("addresses"))}


class Meddling(Service):
    """Something happens before each second page of a listing is asked for."""

    act: Callable[[], None]

    def read(self, path: str, params: Mapping[str, Any] | None = None, **how: Any) -> Answer:
        if (params or {}).get("page") == 2 and (params or {}).get("count") != 1:
            self.act()
        return super().read(path, params, **how)


@pytest.mark.parametrize("page", [3, 2])
class TestListing:
    """A listing in pages misses nobody."""

    def listed(self, place: Place, act: Callable[[], None], page: int) -> list[str]:
        """Return who is found on the list while something happens."""
        service = Meddling("people", f"{place.server.url}/3.1", auth=httpx.BasicAuth(USER, place.server.password))
        service.act = act
        declared = Source("people", "mailman", place.news, ("member_id",), (Field("email", "email", reading(FieldType.TEXT)),))
        source = HostedSource(declared, Members(declared, Server("people", service, page=page), encrypted=True), batch_seconds=60)
        place.opened.append(source)
        return sorted(str(row[0]) for row in rows(source).values())

    def test_who_leaves_between_two_pages(self, place: Place, page: int) -> None:
        """When somebody unsubscribes while keys are listed, which moves all behind, they are listed again; whoever stayed is met."""
        people = [f"m{number:02}@post.example" for number in range(65)]
        place.server.enrol(place.news, people)
        leaving = people[:2]

        def act() -> None:
            if leaving:
                place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": leaving.pop(0)})

        assert people[2:] == self.listed(place, act, page)

    def test_who_leaves_while_another_comes(self, place: Place, page: int) -> None:
        """The same when somebody subscribes in the same moment, so that the total is as it was."""
        people = [f"m{number:02}@post.example" for number in range(65)]
        place.server.enrol(place.news, people[:64])
        coming = people[64:]

        def act() -> None:
            if coming:
                place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": people[0]})
                place.server.enrol(place.news, [coming.pop()])

        assert people[1:] == self.listed(place, act, page)

    def test_a_list_that_never_rests(self, place: Place, page: int) -> None:
        """Where people go faster than they can be listed, that is an error and no short list."""
        people = [f"m{number:02}@post.example" for number in range(40)]
        place.server.enrol(place.news, people)

        def act() -> None:
            place.server.call("DELETE", f"/lists/{place.news}/roster/member", {"emails": people.pop(0)})

        with pytest.raises(SourceFailed, match="came and went"):
            self.listed(place, act, page)


class TestChecks:
    """What `sources check` says."""

    def test_what_a_list_keeps_besides(self, place: Place) -> None:
        """Other roles, requests, bans and members who can't be seen are said in numbers."""
        place.server.subscribe(place.news, BOB, "Bob")
        place.server.subscribe(place.news, "stranger@post.example", role="nonmember")
        place.server.subscribe(place.other, ANN, "Ann")
        place.preferred(ANN)
        _subscribe_user(place)
        place.server.call("DELETE", f"/users/{place.user(ANN)}/preferred_address")
        place.server.call("POST", "/members", {"list_id": place.news, "subscriber": "wait@post.example"})
        place.server.call("POST", f"/lists/{place.news}/bans", {"email": "banned@post.example"})
        place.server.call("POST", "/bans", {"email": "also@post.example"})
        problems, worth = place.source(columns=("email",), delete="membership").problems(None, {})
        assert [] == problems
        said = "\n".join(str(each) for each in worth)
        for words in (
            "1 members have a user without a preferred address",
            "1 people are on the list as nonmember",
            "1 requests for subscription wait",
            "2 bans hold addresses",
            "display_name is not declared",
            "only the membership is deleted",
        ):
            assert words in said
        assert "post.example" not in said

    def test_a_list_that_is_not_there(self, place: Place) -> None:
        """A list with another name is a problem with a hint, and an error for whoever reads it; never an empty source."""
        source = place.source(f"newz.{DOMAIN}")
        problems, _ = source.problems(None, {})
        assert [f"Did you mean 'news.{DOMAIN}'?"] == [each.hint for each in problems]
        with pytest.raises(ConfigurationError, match="set the table"):
            rows(source)

    def test_an_address_is_never_treated(self, place: Place) -> None:
        """A policy that would treat the address in a member who stays is refused, and one that clears the name is not."""
        source = place.source()
        treated = tuple(
            replace(each, personal=True, treatment=Treatment(kind), identifier=None)
            for each, kind in zip(source.spec.fields, (TreatmentKind.PSEUDONYM, TreatmentKind.CLEAR), strict=True)
        )
        spec = replace(source.spec, fields=treated)
        policy = Policy(spec, (), (Disposition((Step(DispositionKind.PSEUDONYMISE),)),))
        problems, _ = source.problems(policy, {})
        assert ["people.email"] == [each.where for each in problems]
