"""Members of a Mailchimp audience: the policy that the documentation shows, carried out by the command, and what is Mailchimp's own."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import FaultProxy
from connectors.hosted import HostedSource
from connectors.plugins import mailchimp
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.vendors.mailchimp import KEY, LIST, BarredError, Mailchimp, md5
from worker.audit.outcomes import outcomes
from worker.core.facts import UNREADABLE
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.errors import ConfigurationError, SourceFailed
from worker.policyfile.loading import loads
from worker.ports import Changes, Connection, KeyRange, Left, Level, Undone, Update

PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "mailchimp.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: mailchimp -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOON = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
OPTIONS = {"wait": "0.02", "attempts": "4"}
SOURCE = loads(POLICIES, "policies.toml").sources["newsletter"]


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


KINDS: dict[str, tuple[int, str, str, str | None]] = {
    "reads on": (110, "subscribed", "2021-01-10", None),
    "new": (60, "subscribed", "2026-05-01", None),
    "left long ago": (50, "unsubscribed", "2021-01-10", "2024-03-01"),
    "left lately": (20, "unsubscribed", "2021-01-10", "2025-09-01"),
    "left, nobody knows when": (25, "unsubscribed", "2021-01-10", None),
    "bounced": (15, "cleaned", "2021-01-10", None),
    "archived": (10, "archived", "2021-01-10", None),
    "asked": (5, "pending", "2026-06-29", None),
    "customer": (5, "transactional", "2026-06-01", None),
}
"""Kinds of members: how many, their status, when they opted in, and when they unsubscribed as their activity says."""


def audience(fake: Mailchimp) -> dict[str, str]:
    """Put 300 members in; return the kind of each by contact id."""
    fake.members.clear()
    fake.activity.clear()
    fake.barred.clear()
    fake.merge = {"FNAME": "text", "PHONE": "phone", "BIRTHDAY": "birthday"}
    fake.role_of_key = "manager"
    fake.between = lambda: None
    kinds: dict[str, str] = {}
    for kind, (number, status, opted, left) in KINDS.items():
        for _ in range(number):
            contact = md5(f"contact {len(kinds)}")
            merge = {"FNAME": f"Name {WORD} {len(kinds)}", "PHONE": f"+31 6 {WORD}", "BIRTHDAY": ""}
            fake.put(
                contact,
                f"{len(kinds)}.{WORD}@example.example",
                status,
                at=day(opted),
                merge_fields=merge,
                ip_opt=f"192.0.2.{77 + len(kinds) % 9}",
            )
            if left:
                did = {"action": "unsub", "timestamp": f"{left}T12:00:00+00:00", "title": f"News for {WORD}", "campaign_id": "c1"}
                fake.activity[contact] = [{**did, "action": "open"}, did, {**did, "timestamp": "2019-01-01T12:00:00+00:00"}]
            kinds[contact] = kind
    return kinds


@pytest.fixture(scope="module")
def fake() -> Iterator[Mailchimp]:
    with Mailchimp().running() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(fake: Mailchimp) -> Iterator[FaultProxy]:
    with FaultProxy(fake.url).running() as running:
        yield running


@pytest.fixture(autouse=True)
def _described(fake: Mailchimp, proxy: FaultProxy) -> Iterator[None]:
    """Every exchange of every test is as described."""
    proxy.heal()
    yield
    fake.assert_described()


def office(folder: Path, url: str, policies: str = POLICIES) -> Installation:
    """Return an office that has a newsletter."""
    (folder / "policies.toml").write_text(policies, encoding="utf-8")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__NEWSLETTER__URL": url,
        **{f"RETENTION_SOURCES__NEWSLETTER__OPTIONS__{name.upper()}": said for name, said in OPTIONS.items()},
    }
    return Installation(folder, environ, now=NOON)


def kinds_left(fake: Mailchimp, kinds: dict[str, str]) -> dict[str, int]:
    """Return how many members of each kind are left."""
    left = [kinds[each] for each in fake.members]
    return {kind: left.count(kind) for kind in dict.fromkeys(left)}


def test_plan_approve_apply_verify(fake: Mailchimp, proxy: FaultProxy, tmp_path: Path) -> None:
    """Who unsubscribed two years ago goes for good and is barred; of whom nobody knows when, the time runs from the first night.

    On a bad day: answers lost, Mailchimp busy in both of its ways, one member refused. Nothing of a member is written or printed.
    """
    kinds = audience(fake)
    before = copy.deepcopy(fake.members)
    command = office(tmp_path, fake.address(url=proxy.url))
    plan = command.approved()
    refused = next(contact for contact, kind in kinds.items() if kind == "left long ago")
    proxy.reading(403, after=2, times=2)
    proxy.writing(429, after=3, times=1)
    proxy.writing(403, body=b"<html>Access denied", after=6, times=1)
    proxy.writing(None, applied=True, after=9, times=1)
    proxy.writing(502, applied=True, after=20, times=1)
    proxy.about(lambda request: before[refused]["id"] in request.path, 403, body=b'{"title": "Forbidden", "status": 403}')
    applied = command("apply", plan)
    assert 5 == applied.code, applied.err
    expected = {kind: number for kind, (number, *_) in KINDS.items()} | {"left long ago": 1}
    assert expected == kinds_left(fake, kinds)
    (said,) = command.events("retention.record_skipped")
    assert ("failed", "HTTP 403 Forbidden") == (said["event.reason"], said["retention.answer"])
    assert {"permanent"} == {each["retention.level"] for each in command.events("retention.record_deleted")}
    verified = command("verify", "--json", command("runs", "--json").json[0]["run_id"])
    assert 0 == verified.code, verified.err
    with pytest.raises(BarredError):
        fake.put("again", next(each["email_address"] for contact, each in before.items() if contact not in fake.members))

    proxy.heal()
    assert command("run").code in (0, 4)
    assert expected | {"left long ago": 0} == {"left long ago": 0, **kinds_left(fake, kinds)}
    for contact, member in fake.members.items():
        was = before[contact]
        old = kinds[contact] not in ("new", "asked", "customer")
        assert (was["status"], was["email_address"], was["merge_fields"]["FNAME"]) == (
            member["status"],
            member["email_address"],
            member["merge_fields"]["FNAME"],
        )
        assert ("" if old else f"+31 6 {WORD}") == member["merge_fields"]["PHONE"]
        assert ("192.0.2.0" if old else was["ip_opt"]) == member["ip_opt"]
    third = command("plan", "--json", "-o", tmp_path / "third.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == third.json["sources"]["newsletter"]["actions"]

    # They were first seen on 30 June 2026: two years later that is the last day, and on the day after it they go.
    for now, still in ((day("2028-06-30"), 25), (day("2028-07-01"), 0)):
        command.now = now.replace(hour=10)
        assert command("apply", command.approved()).code in (0, 4)
        assert still == kinds_left(fake, kinds).get("left, nobody knows when", 0)
    assert {"reads on": 110, "new": 60, "asked": 5} == kinds_left(fake, kinds)
    assert 125 == sum(each.action == "retention.record_deleted" for each in outcomes(command.audit))
    assert [] == wrong_events(tmp_path)
    assert [] == found_under(tmp_path)
    assert set() == found_in("".join(command.everything).encode())
    trail = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert [] == [contact for contact, each in before.items() if contact.encode() in trail or each["id"].encode() in trail]
    assert KEY.encode() not in trail + "".join(command.everything).encode()


class TestPaging:
    """Every member who is there all along is met once, whatever others do between two pages."""

    NUMBER = 3_500

    @pytest.fixture
    def source(self, fake: Mailchimp) -> Iterator[HostedSource]:
        audience(fake)
        fake.members.clear()
        for number in range(self.NUMBER):
            fake.put(md5(f"c{number}"), f"{number}@example.example", at=day("2020-01-01") + dt.timedelta(minutes=number))
        opened = opened_at(fake)
        yield opened
        opened.close()
        fake.between = lambda: None
        fake.keeps_silent_about.clear()

    @pytest.mark.parametrize("gone", [1, 3, 150, 999, 1_200])
    def test_members_go_between_pages(self, fake: Mailchimp, source: HostedSource, gone: int) -> None:
        """Deletions by others move all behind them forward; nobody is skipped for that."""
        order = [md5(f"c{number}") for number in range(self.NUMBER)]
        pages = iter([order[10 : 10 + gone], order[1_500 : 1_500 + gone // 2]])
        fake.between = lambda: [fake.remove(each) for each in next(pages, [])]
        met = keys(source)
        assert sorted(met) == met
        assert len(set(met)) == len(met)
        assert set(fake.members) <= set(met)

    def test_members_come_and_change_between_pages(self, fake: Mailchimp, source: HostedSource) -> None:
        """Members who come, and those whose change moves them to the end, make nobody be met twice or never."""
        before = set(fake.members)
        numbers = iter(range(10_000, 20_000))

        def others_work() -> None:
            number = next(numbers)
            fake.put(md5(f"c{number}"), f"{number}@example.example", at=day("2019-01-01"))
            for each in list(fake.members)[5 + number % 7 : 60 : 9]:
                fake.members[each]["last_changed"] = f"2026-01-01T00:00:{number % 60:02}+00:00"
            fake.changed()

        fake.between = others_work
        met = keys(source)
        assert len(set(met)) == len(met)
        assert before <= set(met)

    def test_members_who_are_counted_and_not_shown(self, fake: Mailchimp, source: HostedSource) -> None:
        """When Mailchimp counts members that it doesn't show, that is an error and never a short list."""
        fake.keeps_silent_about.add(md5("c7"))
        with pytest.raises(SourceFailed, match="doesn't show"):
            keys(source)

    @pytest.mark.parametrize("total", [0, 2])
    def test_members_who_are_shown_and_not_counted(self, fake: Mailchimp, proxy: FaultProxy, total: int) -> None:
        """A count that is lower than what is shown is an error: the list would end there, and who lies behind would be kept for ever."""
        source = opened_at(fake, proxy)
        page = [{"contact_id": f"c{number}", "id": "h", "email_address": "a@b.example", "status": "subscribed"} for number in range(3)]
        proxy.reading(200, body=json.dumps({"members": page, "total_items": total}).encode())
        with pytest.raises(SourceFailed, match="more members than it counts"):
            keys(source)
        source.close()

    def test_a_batch_of_a_large_audience_is_asked_for(self, fake: Mailchimp, proxy: FaultProxy) -> None:
        """Of a large audience a batch takes a request for each of its members, not a walk through all; it holds what is there now."""
        fake.members.clear()
        for number in range(21_000):
            fake.put(f"{number:032x}", f"{number}@example.example")
        source = opened_at(fake, proxy)

        def of_batch(first: int) -> list[str]:
            within = KeyRange((f"{first:032x}",), (f"{first + 199:032x}",), "run")
            with source.batch("b", within, EVERYTHING, ()) as batch:
                return [str(row[0]) for row in batch.rows]

        assert [f"{number:032x}" for number in range(300, 500)] == of_batch(300)
        proxy.heal()
        fake.remove(f"{7_001:032x}")
        assert [f"{number:032x}" for number in range(7_000, 7_200) if number != 7_001] == of_batch(7_000)
        assert 200 == len(proxy.seen)
        source.close()

    def test_a_list_that_shrinks_to_nothing(self, fake: Mailchimp, source: HostedSource) -> None:
        """When everybody goes while the first page is read, reading ends."""
        fake.between = lambda: (fake.members.clear(), fake.changed())
        assert 1_000 == len(keys(source))


def opened_at(fake: Mailchimp, proxy: FaultProxy | None = None, source: Source = SOURCE, **how: Any) -> HostedSource:
    """Open the audience."""
    opened = mailchimp(replace(source, **how), Connection(fake.address(url=proxy.url if proxy else ""), options=OPTIONS))
    assert isinstance(opened, HostedSource)
    return opened


def keys(source: HostedSource) -> list[str]:
    """Return the keys of all records, in the order in which they come."""
    with source.reader() as reader:
        return [str(row[0]) for page in reader.rows(EVERYTHING, ()) for row in page]


def write(source: HostedSource, changes: Changes) -> list[Undone]:
    """Carry out changes and return what was not done."""
    every = keys(source)
    with source.batch("b", KeyRange((every[0],), (every[-1],)), EVERYTHING, ()) as batch:
        batch.write(changes)
        return list(batch.commit())


class TestOwnWays:
    """What is different at Mailchimp."""

    @pytest.fixture
    def kinds(self, fake: Mailchimp) -> dict[str, str]:
        return audience(fake)

    def test_archived_members_are_records(self, fake: Mailchimp, kinds: dict[str, str]) -> None:
        """Mailchimp's lists leave archived members out unless asked; they are records all the same, and can be deleted for good."""
        source = opened_at(fake)
        assert sorted(kinds) == keys(source)
        archived = [contact for contact, kind in kinds.items() if kind == "archived"]
        assert [] == write(source, Changes(delete=[(each,) for each in archived]))
        assert not set(archived) & set(fake.members)
        source.close()

    def test_archiving_is_soft(self, fake: Mailchimp, kinds: dict[str, str]) -> None:
        """With `delete = "archive"` the level is soft, the member stays at Mailchimp, and is no record any more."""
        source = opened_at(fake, options={"delete": "archive"})
        assert Level.SOFT == source.level
        first = keys(source)[0]
        assert [] == write(source, Changes(delete=[(first,)]))
        assert "archived" == fake.members[first]["status"]
        assert first not in keys(source)
        with source.reader() as reader:
            assert reader.get((first,), ()) is None
        assert set() == fake.barred
        source.close()

    @pytest.mark.parametrize("after", [{"status": "subscribed"}, {"merge_fields": {"PHONE": "still there"}}])
    def test_a_change_that_does_something_else_is_reported(
        self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str], after: dict[str, Any]
    ) -> None:
        """A member who has another status after an update, or not the new value, is failed and not done."""
        source = opened_at(fake, proxy)
        one = next(contact for contact, kind in kinds.items() if kind == "left lately")
        said = {**fake.members[one], "merge_fields": {"PHONE": ""}, **after}
        proxy.writing(200, body=json.dumps(said).encode())
        assert [Left.FAILED] == [each.why for each in write(source, Changes(updates=[Update(("phone",), [(one, None)])]))]
        source.close()

    def test_an_address_is_never_treated(self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str]) -> None:
        """An update of the address is refused before anything is sent, with everything else of that member."""
        source = opened_at(fake, proxy)
        one = next(iter(kinds))
        changes = Changes(updates=[Update(("email", "phone"), [(one, "p1-k1-x@newsletter.invalid", None)])])
        assert [(Left.FAILED, "an address is not treated")] == [(each.why, each.answer) for each in write(source, changes)]
        assert 0 == proxy.writes()
        source.close()

    def test_when_somebody_unsubscribed(self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str]) -> None:
        """It is the latest unsubscribing of a member who is unsubscribed now, and asked for once; nobody else is asked about."""
        source = opened_at(fake, proxy)
        with source.reader() as reader:
            rows = {row[0]: row[1:] for page in reader.rows(EVERYTHING, ("unsubscribed_at", "unsubscribed_at")) for row in page}
        assert {"2024-03-01T12:00:00+00:00", "2025-09-01T12:00:00+00:00", None} == {each[0] for each in rows.values()}
        assert {"left long ago", "left lately"} == {kinds[str(key)] for key, each in rows.items() if each[0]}
        asked = [request.path for request, _ in proxy.seen if "/activity" in request.path]
        assert 50 + 20 + 25 == len(set(asked)) == len(asked)
        source.close()

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (["2024-03-01T23:30:00-02:00", "2024-03-02T00:10:00+00:00"], "2024-03-01T23:30:00-02:00"),
            (["yesterday", "2024-03-02T00:10:00+00:00"], UNREADABLE),
            (["", "2024-03-02T00:10:00+00:00"], UNREADABLE),
            (["2020-12-31T23:30:00+00:00"], None),
            ([], None),
        ],
    )
    def test_the_latest_of_several(
        self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str], said: list[str], expected: object
    ) -> None:
        """The latest moment counts, whatever its offset; when one of them is no moment, it is unknown."""
        one = next(contact for contact, kind in kinds.items() if kind == "left lately")
        activity = [{"action": "unsub", "timestamp": each} for each in said]
        source = opened_at(fake, proxy)
        with source.reader() as reader:
            fault = proxy.reading(200, body=json.dumps({"activity": activity}).encode(), after=1)
            assert (one, expected) == reader.get((one,), ("unsubscribed_at",))
        assert 2 == fault.met
        source.close()

    def test_an_address_that_changed_is_not_gone(self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str]) -> None:
        """Under another address a member has another hash: what isn't found by the old one isn't said to be gone, nor deleted."""
        source = opened_at(fake, proxy)
        one = next(iter(kinds))
        for faults in (0, 1):
            proxy.writing(None, times=faults)
            proxy.writing(404, body=b'{"title": "Resource Not Found", "status": 404}', times=1)
            said = write(source, Changes(delete=[(one,)]))
            assert [(Left.FAILED, "HTTP 404 for its address")] == [(each.why, each.answer) for each in said]
            proxy.heal()
        assert one in fake.members
        source.close()

    @pytest.mark.parametrize("body", [b'{"status": 404, "error": "Not Found", "path": "/3.0"}', b'{"status": 404}', b"<html>Not found"])
    def test_not_found_by_something_on_the_way(self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str], body: bytes) -> None:
        """What a gateway doesn't find is not gone, also where it says so in JSON: only Mailchimp's own words count."""
        source = opened_at(fake, proxy)
        with source.reader() as reader:
            proxy.reading(404, body=body)
            with pytest.raises(SourceFailed):
                reader.get((next(iter(kinds)),), ())
        source.close()

    @pytest.mark.parametrize("left_out", ["status", "email_address"])
    def test_what_is_left_out_is_an_error(self, fake: Mailchimp, proxy: FaultProxy, kinds: dict[str, str], left_out: str) -> None:
        """Members of whom Mailchimp doesn't tell the status, or the address that holds are matched on, are an error of the source."""
        source = opened_at(fake, proxy)
        one = next(iter(kinds))
        told = {name: said for name, said in fake.members[one].items() if name != left_out}
        with source.reader() as reader:
            proxy.reading(200, body=json.dumps({"members": [told], "total_items": 1}).encode(), times=1)
            with pytest.raises(SourceFailed):
                reader.count(EVERYTHING)
            proxy.reading(200, body=json.dumps(told).encode(), times=2)
            with pytest.raises(SourceFailed):
                reader.get((one,), ())
        source.close()

    def test_the_hash_of_an_address_is_no_key(self) -> None:
        """Mailchimp's own id is a hash of the address that can be guessed, so it can't be declared."""
        with pytest.raises(ConfigurationError, match="can be guessed"):
            mailchimp(replace(SOURCE, key=("id",)), Connection("https://any:key-us1@us1.api.mailchimp.com"))

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("https://us1.api.mailchimp.com/3.0", "no API key"),
            ("https://any:secretkey-us6@us1.api.mailchimp.com/3.0", "data centre us6"),
        ],
    )
    def test_an_address_that_cannot_work(self, url: str, words: str) -> None:
        """An address without key, or with a key of another data centre, is refused before anything is sent; the key isn't shown."""
        with pytest.raises(ConfigurationError, match=words) as caught:
            mailchimp(SOURCE, Connection(url))
        assert "secretkey" not in str(caught.value)


class TestCheck:
    """What `sources check` says about an audience and a key."""

    @pytest.fixture(autouse=True)
    def _members(self, fake: Mailchimp) -> None:
        audience(fake)

    def test_all_is_well(self, fake: Mailchimp, tmp_path: Path) -> None:
        """With the key of a manager nothing is wrong; what deleting does and what is not declared is said, and nothing personal."""
        said = office(tmp_path, fake.address())("sources", "check")
        assert 0 == said.code, said.out + said.err
        text = " ".join((said.out + said.err).split())
        for words in (
            "bars the address",
            "10 members are archived",
            "last_note.note, merge_fields.BIRTHDAY are not declared",
            "latest 50 activities",
            "address is not treated",
        ):
            assert words in text
        assert set() == found_in(text.encode())

    def test_a_key_that_may_not_delete(self, fake: Mailchimp, tmp_path: Path) -> None:
        """The key of a viewer reads everything and can delete nothing: that is said by day."""
        fake.role_of_key = "viewer"
        said = office(tmp_path, fake.address())("sources", "check")
        assert said.code not in (0, 4)
        assert "viewer" in said.out + said.err

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ('table = "a1b2c3d4e5"', 'table = "other"', "no such audience"),
            ("merge_fields.PHONE", "merge_fields.TEL", "no merge field 'TEL'"),
            ("merge_fields.PHONE", "timestamp_signup", "can't be written"),
            ('merge_fields.PHONE", treatment = "clear"', 'merge_fields.BIRTHDAY", treatment = { constant = "x" }', "type birthday"),
            ("ip_opt", "ip_op", "Did you mean 'ip_opt'?"),
            ('key = "contact_id"', 'key = "id"', "can be guessed"),
            ('key = "contact_id"', 'key = "contact_id"\noptions = { delete = "bin" }', '"permanent" or "archive"'),
            ('disposition = "delete"', 'disposition = "pseudonymise"', "address is not treated"),
        ],
    )
    def test_a_declaration_that_cannot_work(self, fake: Mailchimp, tmp_path: Path, old: str, new: str, words: str) -> None:
        """What Mailchimp would refuse at night is said by day."""
        assert old in POLICIES
        said = office(tmp_path, fake.address(), POLICIES.replace(old, new, 1))("sources", "check")
        assert said.code not in (0, 4)
        assert words in " ".join((said.out + said.err).split())


def test_the_list_is_the_documented_one() -> None:
    """The page's policy names the audience that the fake has."""
    assert LIST == SOURCE.table
