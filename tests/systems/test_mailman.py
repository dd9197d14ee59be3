"""People on a real Mailman: the policy that the documentation shows, carried out by the command on good and bad days."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.contract import FaultProxy
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.mailman import USER, Mailman, running_mailman

PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "mailman.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: mailman -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOW = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
OLD, NEW, BOUNCED = "2021-05-30 12:00:00", "2026-06-20 12:00:00", "2026-01-10 12:00:00"
PEOPLE = 200


def email(number: int) -> str:
    """Return the address of one of the people; the name that goes with it is a canary too."""
    return f"{WORD}{number}@post.example"


LAPSED, BOUNCING, WITHDRAWN, ERASED = range(40), range(40, 50), range(50, 53), range(53, 55)
ELSEWHERE = range(5)
"""Who is on another list too, of those whose five years are over."""
LEFT, JUST_LEFT = range(200, 210), range(210, 212)
REFUSED = 7


@dataclass(frozen=True)
class Office:
    """An office with a mailing list, and the command."""

    server: Mailman
    proxy: FaultProxy
    command: Installation
    news: str

    def members(self) -> set[str]:
        """Return who is on the list."""
        return {each["email"] for each in self.server.members(self.news)}

    def addresses(self) -> set[str]:
        """Return all addresses that Mailman has."""
        _, said = self.server.call("GET", "/addresses")
        return {each["email"] for each in said["entries"]}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Return an office with 200 members, 12 people who left and 2 who only asked, on a list that says goodbye and tells its owners."""
    folder = tmp_path_factory.mktemp("mailman")
    with running_mailman() as server, FaultProxy(server.url).running() as proxy:
        news, other = server.make_list("news"), server.make_list("other")
        fill(server, news, other)
        (folder / "policies.toml").write_text(POLICIES, encoding="utf-8")
        environ = {
            "RETENTION_POLICIES": str(folder / "policies.toml"),
            "RETENTION_STATE": str(folder / "state"),
            "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "dora",
            "RETENTION_MAX_SHARE": "1",
        }
        for source in ("MEMBERS", "LEFTOVERS", "REQUESTS"):
            environ[f"RETENTION_SOURCES__{source}__URL"] = proxy.url.replace("://", f"://{USER}:{server.password}@")
            environ[f"RETENTION_SOURCES__{source}__OPTIONS__WAIT"] = "0.02"
            environ[f"RETENTION_SOURCES__{source}__OPTIONS__ATTEMPTS"] = "4"
        yield Office(server, proxy, Installation(folder, environ, now=NOW), news)


def fill(server: Mailman, news: str, other: str) -> None:
    """Put the people where they are."""
    server.enrol(news, [email(each) for each in LAPSED], OLD)
    server.enrol(news, [email(each) for each in range(len(LAPSED), PEOPLE)], NEW)
    server.enrol(news, [email(each) for each in LEFT], OLD)
    server.enrol(news, [email(each) for each in JUST_LEFT], NEW)
    for number in (*LEFT, *JUST_LEFT):
        server.call("DELETE", f"/lists/{news}/roster/member", {"emails": email(number)})
    for number in ELSEWHERE:
        server.subscribe(other, email(number))
    with server.database() as database:
        for number in BOUNCING:
            database.execute(
                "UPDATE member SET last_bounce_received = ? WHERE address_id = (SELECT id FROM address WHERE email = ?)",
                (BOUNCED, email(number)),
            )
    ids = {each["email"]: each["member_id"] for each in server.members(news)}
    for number in BOUNCING:
        server.call("PATCH", f"/members/{ids[email(number)]}/preferences", {"delivery_status": "by_bounces"})
    for number in (300, 301):
        status, _ = server.call("POST", "/members", {"list_id": news, "subscriber": email(number), "display_name": email(number)})
        assert status == 202, status
    with server.database() as database:
        asked = json.dumps(OLD.replace(" ", "T"))
        first = "SELECT pended_id FROM pendedkeyvalue WHERE key = 'email' AND value = ?"
        database.execute(
            f"UPDATE pendedkeyvalue SET value = ? WHERE key = 'when' AND pended_id = ({first})", (asked, json.dumps(email(300)))
        )
        database.execute("UPDATE address SET registered_on = ? WHERE email IN (?, ?)", (NEW, email(300), email(301)))
    server.call("PATCH", f"/lists/{news}/config", {"send_goodbye_message": "true", "admin_notify_mchanges": "true"})
    server.call("POST", f"/lists/{news}/bans", {"email": f"{WORD}-banned@post.example"})


@pytest.fixture(scope="module")
def mails(office: Office) -> int:
    """Return how many mails Mailman had written before the first night."""
    return office.server.mails()


@pytest.fixture(scope="module")
def enforced(office: Office, mails: int) -> Office:
    """Return the office after a bad night: answers lost, Mailman busy, one member refused."""
    del mails
    command = office.command
    asked = [("withdraw", email(each)) for each in WITHDRAWN] + [("erase", email(each)) for each in ERASED]
    how = ("--subject", "-", "--verified-by", "ann", "--received-on", "2026-06-28")
    for kind, who in asked:
        said = command("request", "add", "--kind", kind, *how, typed=who.upper() + "\n")
        assert 0 == said.code, said.err
    plan = command.approved()
    user = next(each["user"] for each in office.server.members(office.news) if each["email"] == email(REFUSED)).rsplit("/", 1)[1]
    office.proxy.reading(429, headers={"Retry-After": "0"}, after=3, times=2)
    # First, because a request meets the first fault that is meant for it, and members go in an order that is another one each time.
    office.proxy.about(lambda request: user in request.path, 403, body=b'{"title": "Forbidden"}')
    office.proxy.writing(None, applied=True, after=2, times=1)
    office.proxy.writing(503, after=5, times=1)
    applied = command("apply", plan)
    assert 5 == applied.code, applied.err
    return office


def test_sources_check(office: Office) -> None:
    """The check says in numbers what else the list keeps, and names nobody."""
    said = office.command("sources", "check")
    assert said.code in (0, 4), said.err
    text = said.out + said.err
    for words in ("2 requests for subscription", "1 bans"):
        assert words in " ".join(text.split())
    assert set() == found_in(text.encode())


def test_the_bad_night_is_said(enforced: Office) -> None:
    """The member whom Mailman refused is left and named with what it said; everybody else who is due is gone; verify agrees."""
    assert email(REFUSED) in enforced.members()
    (said,) = enforced.command.events("retention.record_skipped")
    assert ("failed", "HTTP 403 Forbidden") == (said["event.reason"], said["retention.answer"])
    verified = enforced.command("verify", "--json", enforced.command("runs", "--json").json[0]["run_id"])
    assert 0 == verified.code, verified.err
    assert [] == wrong_events(enforced.command.folder)


def test_the_next_night_does_the_rest(enforced: Office, mails: int) -> None:
    """After the next night exactly those are left who may be; whoever is on another list is still there; nobody got a mail."""
    enforced.proxy.heal()
    said = enforced.command("run")
    assert said.code in (0, 4), said.err
    due = {*LAPSED, *BOUNCING, *WITHDRAWN, *ERASED}
    assert {email(each) for each in range(PEOPLE) if each not in due} == enforced.members()
    staying = {email(each) for each in (*range(PEOPLE), *JUST_LEFT, 300, 301) if each not in due or each in ELSEWHERE}
    assert staying == enforced.addresses()
    _, users = enforced.server.call("GET", "/users")
    assert len(staying) == users["total_size"]
    _, waiting = enforced.server.call("GET", f"/lists/{enforced.news}/requests")
    assert [email(301)] == [each["email"] for each in waiting["entries"]]
    assert {email(each) for each in ELSEWHERE} == {each["email"] for each in enforced.server.members("other.lists.example")}
    assert mails == enforced.server.mails()
    third = enforced.command("plan", "--json", "-o", enforced.command.folder / "third.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == third.json["sources"]["members"]["actions"]


def test_nobody_is_named(enforced: Office) -> None:
    """No address and no name is in anything that was printed or kept: audit trail, ledger, plans, logs."""
    assert set() == found_in("".join(enforced.command.everything).encode())
    assert [] == found_under(enforced.command.folder)
