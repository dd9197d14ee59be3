"""Brevo: what the contract doesn't know of it, and the policy that the documentation shows, carried out by the command."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.brevo import open_source
from connectors.contract import FaultProxy
from connectors.contract.harness import everything, reading
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.mailing_lab import PSEUDONYM, TEXT, Open, deleted, documented, policy_of, rewritten, treated
from tests.vendors.brevo import KEY, Brevo
from worker.audit.outcomes import outcomes
from worker.core.facts import UNREADABLE, Empty, FieldType
from worker.core.select import EVERYTHING
from worker.core.sources import Field, Source, Treatment, TreatmentKind
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Changes, KeyRange, Left, Level, Update

POLICIES = documented("brevo")
QUICK = {"attempts": "4", "wait": "0.02", "timeout": "10"}
CLEAR = Treatment(TreatmentKind.CLEAR)
FIELDS = (
    Field("email", "email", TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people")),
    Field("first_name", "attributes.FIRSTNAME", TEXT, personal=True, treatment=CLEAR),
    Field("phone", "attributes.SMS", TEXT, personal=True, treatment=CLEAR),
    Field("blocked", "emailBlacklisted", reading(FieldType.BOOLEAN)),
)


def source_of(*fields: Field, table: str = "contacts", delete: str = "") -> Source:
    """Return a source as a policy file would declare it."""
    return Source("people", "brevo", table, ("id",), fields or FIELDS, options={"delete": delete} if delete else {})


@pytest.fixture
def vendor() -> Iterator[Brevo]:
    """Return a fake with a few attributes; a request for what is not described fails the test."""
    with Brevo().running() as running:
        running.attributes = {"FIRSTNAME": "text", "SMS": "text", "BORN": "date"}
        yield running


@pytest.fixture
def opened(proxy: FaultProxy) -> Iterator[Open]:
    """Return what opens sources."""
    url = f"{proxy.url.replace('://', f'://{KEY}@')}/v3"
    with Open(open_source, source_of(), url, QUICK).closing() as opener:
        yield opener


class TestBlocks:
    """A change of an address lets nobody be written to who was blocked."""

    @pytest.mark.parametrize("lifts", ["unless told", "always"])
    def test_a_block_outlives_a_new_address(self, vendor: Brevo, proxy: FaultProxy, opened: Open, lifts: str) -> None:
        """Whether Brevo heeds the block in the same request or lifts it all the same, the contact is blocked when it is done."""
        vendor.lifts = lifts
        vendor.add(1, "zoe@example.example", blocked=True)
        assert [] == treated(opened(), (1, PSEUDONYM))
        assert (PSEUDONYM, True) == (vendor.contacts[1]["email"], vendor.contacts[1]["emailBlacklisted"])
        assert {"unless told": 1, "always": 2}[lifts] == proxy.writes()

    def test_who_may_be_written_to_still_may(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """A contact that was not blocked is not blocked by a change, and it takes one request."""
        vendor.add(1, "zoe@example.example")
        assert [] == treated(opened(), (1, PSEUDONYM))
        assert (PSEUDONYM, False, 1) == (vendor.contacts[1]["email"], vendor.contacts[1]["emailBlacklisted"], proxy.writes())

    @pytest.mark.parametrize(("after", "status"), [(0, None), (1, None), (1, 429), (1, 500), (1, 400)])
    def test_on_bad_days_too(self, vendor: Brevo, proxy: FaultProxy, opened: Open, after: int, status: int | None) -> None:
        """An answer that is lost, or a second request that is refused, hides no lifted block: it is read back and set again."""
        vendor.lifts = "always"
        vendor.add(1, "zoe@example.example", blocked=True)
        source = opened()
        proxy.writing(status, applied=status is None, after=after, times=1)
        assert [] == treated(source, (1, PSEUDONYM))
        assert (PSEUDONYM, True) == (vendor.contacts[1]["email"], vendor.contacts[1]["emailBlacklisted"])

    def test_a_block_that_cant_be_seen_is_in_doubt(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """When Brevo is gone right after the address changed nobody says done, nor that nothing happened: the batch stays open."""
        vendor.lifts = "always"
        vendor.add(1, "zoe@example.example", blocked=True)
        source = opened()
        _, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(updates=[Update(("email",), [(1, PSEUDONYM)])]))
            proxy.heal()
            proxy.reading(None, after=1)
            with pytest.raises((Retriable, SourceFailed)):
                batch.commit()

    def test_a_telephone_number_too(self, vendor: Brevo, opened: Open) -> None:
        """Clearing the telephone number sends the block of text messages along, and leaves that of mail alone."""
        vendor.add(1, "zoe@example.example", blocked=True, SMS="31612345678")
        assert [] == treated(opened(), (1, None), fields=("phone",))
        assert ({}, True, True) == tuple(vendor.contacts[1][name] for name in ("attributes", "smsBlacklisted", "emailBlacklisted"))

    @pytest.mark.parametrize(("new", "why"), [(dt.date(1990, 1, 1), None), (None, None), ("about 1990", "HTTP 204 ignored")])
    def test_what_brevo_ignores_is_not_done(self, vendor: Brevo, opened: Open, new: object, why: str | None) -> None:
        """Brevo says 204 to a value that it ignores: it is read back, and what is not there was not done."""
        vendor.add(1, "zoe@example.example", BORN="1990-05-06")
        undone = treated(opened(source_of(*FIELDS, Field("born", "attributes.BORN", TEXT))), (1, new), fields=("born",))
        assert ([why] if why else []) == [each.answer for each in undone]

    def test_two_contacts_with_one_address(self, vendor: Brevo, opened: Open) -> None:
        """What Brevo refuses is named by its word, without the address that its text quotes."""
        vendor.add(1, "zoe@example.example")
        vendor.add(2, PSEUDONYM)
        (undone,) = treated(opened(), (1, PSEUDONYM))
        assert (Left.FAILED, "HTTP 400 duplicate_parameter") == (undone.why, undone.answer)


class TestLists:
    """A contact may be in many lists, and a record of a list is about one of them."""

    def test_membership(self, vendor: Brevo, opened: Open) -> None:
        """Taken off a list, a contact is no record of it any more and stays in the account and in its other lists: the level is soft."""
        vendor.add(1, "a@example.example", (7, 8))
        vendor.add(2, "b@example.example", (8,))
        source = opened(source_of(table="7", delete="membership"))
        assert Level.SOFT == source.level
        assert [(1,)] == everything(source)[0]
        assert [] == deleted(source, (1,))
        assert [8] == vendor.contacts[1]["listIds"]
        with source.reader() as reader:
            assert reader.get((1,), ("blocked",)) is None

    def test_a_contact_goes_with_its_last_list(self, vendor: Brevo, opened: Open) -> None:
        """For the sake of a list a contact is deleted only when it is in no other; else it is left and named."""
        vendor.add(1, "a@example.example", (7, 8))
        vendor.add(2, "b@example.example", (7,))
        source = opened(source_of(table="7", delete="contact"))
        assert Level.PERMANENT == source.level
        (undone,) = deleted(source, (1,), (2,))
        assert ((1,), Left.FAILED, "in other lists too") == (undone.key, undone.why, undone.answer)
        assert [1] == list(vendor.contacts)

    def test_a_membership_that_stays_is_not_deleted(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """Brevo says 204 to what it ignores: a contact that is on the list afterwards isn't said to have left it."""
        vendor.add(1, "a@example.example", (7, 8))
        source = opened(source_of(table="7", delete="membership"))
        proxy.writing(204)
        (undone,) = deleted(source, (1,))
        assert (Left.FAILED, "HTTP 204 ignored") == (undone.why, undone.answer)

    def test_lists_that_are_not_told(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """When Brevo no longer says in which lists a contact is, none is left out of a plan and none is said to have left its list."""
        vendor.add(1, "a@example.example", (7,))
        untold = {name: said for name, said in vendor.contacts[1].items() if name != "listIds"}
        source = opened(source_of(table="7", delete="membership"))
        _, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(1,)]))
            proxy.writing(None, times=1)
            proxy.reading(200, after=1, body=json.dumps(untold).encode())
            with pytest.raises(SourceFailed):
                batch.commit()
        proxy.heal()
        proxy.reading(200, body=json.dumps({"count": 1, "contacts": [untold]}).encode())
        with source.reader() as reader, pytest.raises(SourceFailed):
            reader.count(EVERYTHING)

    @pytest.mark.parametrize("source", [source_of(table="7"), source_of(table="7", delete="all"), source_of(delete="membership")])
    def test_what_deleting_means_is_declared(self, opened: Open, source: Source) -> None:
        """A list that does not say what deleting means is refused; nothing is deleted by default."""
        with pytest.raises(ConfigurationError, match="delete"):
            opened(source)

    @pytest.mark.parametrize("table", ["", "0", "-7", "7/contacts", "newsletter", "\u0667"])
    def test_no_table_leads_elsewhere(self, proxy: FaultProxy, opened: Open, table: str) -> None:
        """A table that is no number of a list is refused before anything is asked."""
        with pytest.raises(ConfigurationError, match="table"):
            opened(source_of(table=table, delete="contact"))
        assert [] == proxy.seen


class TestDeletingShowsLater:
    """What is deleted may be shown for a while."""

    def test_a_lost_answer(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """A deletion without an answer that shows only later is asked for again, and then it is done, and not somebody else's."""
        vendor.lingers = 1
        vendor.add(1, "zoe@example.example")
        source = opened()
        proxy.writing(None, applied=True, times=1)
        assert [] == deleted(source, (1,))
        assert {} == vendor.contacts

    def test_somebody_elses(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """A contact that somebody else deleted right before us is theirs."""
        vendor.add(1, "zoe@example.example")
        source = opened()
        proxy.writing(404, body=b'{"code": "document_not_found", "message": "m"}', times=1)
        (undone,) = deleted(source, (1,))
        assert ((1,), Left.GONE) == (undone.key, undone.why)


class TestPages:
    """Every contact once, whatever goes and comes between pages."""

    def test_others_delete_and_add_between_pages(self, vendor: Brevo, opened: Open) -> None:
        """Contacts that somebody else deletes behind us and adds at the end move the pages; none that stays is missed, none comes twice."""
        for number in range(1, 4001):
            vendor.add(number, f"p{number}@example.example")
        met: list[int] = []
        with opened().reader() as reader:
            for page in reader.rows(EVERYTHING, ()):
                met += [int(str(row[0])) for row in page]
                for number in range(met[-1] - 400, met[-1] - 100):
                    vendor.remove(number)
                vendor.add(max(vendor.contacts) + 1, f"new{met[-1]}@example.example")
        assert sorted(set(met)) == met
        assert set(range(1, 4001)) <= set(met)

    def test_another_order_is_an_error(self, vendor: Brevo, opened: Open) -> None:
        """Contacts that don't come in the order of their numbers are an error, because some could be missed."""
        vendor.shuffled = True
        for number in range(1, 4):
            vendor.add(number, f"p{number}@example.example")
        with pytest.raises(SourceFailed, match='order = "any"'):
            everything(opened())

    def test_any_order(self, vendor: Brevo, opened: Open) -> None:
        """Declared to come in any order, contacts are all read, sorted, found in ranges, changed and deleted like others."""
        vendor.shuffled = True
        for number in range(1, 2501):
            vendor.add(number, f"p{number}@example.example", blocked=number == 9, FIRSTNAME="Zoë", BORN="1990-01-01")
        source = opened(Source("people", "brevo", "contacts", ("id",), FIELDS, options={"order": "any"}))
        with source.reader() as reader:
            rows = [row for page in reader.rows(EVERYTHING, ("email", "first_name", "blocked")) for row in page]
        assert [(number, f"p{number}@example.example", "Zoë", number == 9) for number in range(1, 2501)] == rows
        with source.batch("b", KeyRange((8,), (10,)), EVERYTHING, ("email",)) as batch:
            batch.write(Changes(delete=[(8,)], updates=[Update(("email",), [(9, PSEUDONYM)])]))
            assert [] == list(batch.commit())
        assert (None, True) == (vendor.contacts.get(8), vendor.contacts[9]["emailBlacklisted"])

    @pytest.mark.parametrize("order", ["", "any"])
    def test_what_is_left_out_is_not_empty(self, proxy: FaultProxy, opened: Open, order: str) -> None:
        """A value that Brevo tells no more, under that name, is unreadable: empty it could make something due."""
        proxy.reading(200, body=b'{"count": 1, "contacts": [{"id": 1, "email": "a@b.example", "attributes": {}}]}')
        options = {"order": order} if order else {}
        with opened(Source("people", "brevo", "contacts", ("id",), FIELDS, options=options)).reader() as reader:
            assert [[(1, "a@b.example", None, UNREADABLE)]] == list(reader.rows(EVERYTHING, ("email", "first_name", "blocked")))

    def test_a_contact_without_an_address(self, proxy: FaultProxy, opened: Open) -> None:
        """A contact may have a telephone number instead."""
        proxy.reading(200, body=b'{"count": 1, "contacts": [{"id": 1, "attributes": {"SMS": "31612345678"}}]}')
        with opened().reader() as reader:
            assert [[(1, None, "31612345678")]] == list(reader.rows(EVERYTHING, ("email", "phone")))

    def test_contacts_that_are_counted_and_not_shown(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """A page that is shorter than it has to be is asked for again, and then an error: no source just ends early."""
        proxy.reading(200, body=b'{"count": 3, "contacts": []}')
        with pytest.raises(SourceFailed, match="doesn't show"):
            everything(opened())

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"[]",
            b'{"count": 1}',
            b'{"contacts": []}',
            b'{"count": 1, "contacts": [{"email": "a@b.example"}]}',
            b'{"count": 1, "contacts": [{"id": 1, "email": "a@b.example", "fields": {}}]}',
            b'{"count": 1, "contacts": [{"id": 1, "mail": "a@b.example", "attributes": {}}]}',
        ],
    )
    def test_what_is_no_page(self, proxy: FaultProxy, opened: Open, body: bytes) -> None:
        """An answer that is something else is an error and never an empty account."""
        proxy.reading(200, body=body)
        with opened().reader() as reader, pytest.raises(SourceFailed):
            reader.count(EVERYTHING)

    def test_a_batch_reads_its_own_range(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """A batch far behind the beginning finds its place in a few requests and reads no more than its range."""
        for number in range(1, 3001):
            vendor.add(number, f"p{number}@example.example")
        source = opened()
        with source.batch("b", KeyRange((2001,), (2050,)), EVERYTHING, ()) as batch:
            assert [(number,) for number in range(2001, 2051)] == batch.rows
        assert len(proxy.seen) < 20
        assert max(int(re.findall(r"limit=(\d+)", request.path)[0]) for request, _ in proxy.seen if "/attributes" not in request.path) < 60

    def test_the_wait_that_brevo_asks_for(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """After 429 the seconds that Brevo names in a header of its own are waited for; too many are left to a later run."""
        vendor.add(1, "zoe@example.example")
        proxy.reading(429, headers={"x-sib-ratelimit-reset": "86400"})
        with pytest.raises(Retriable) as caught:
            everything(opened())
        assert 86400 == caught.value.retry_after
        assert 1 == len(proxy.seen)

    def test_a_number_is_a_contacts_number(self, vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
        """Whatever is looked up, changed or deleted is said to be a contact's number, so that none is taken for a telephone number."""
        vendor.add(31612345678, "zoe@example.example")
        assert [] == treated(opened(), (31612345678, None), fields=("first_name",))
        assert [] == deleted(opened(), (31612345678,))
        single = [request.path for request, _ in proxy.seen if re.search("/contacts/(?!attributes)", request.path)]
        assert 5 == len(single)
        assert {"/v3/contacts/31612345678?identifierType=contact_id"} == set(single)


class TestCheck:
    """What `sources check` says."""

    def problems(self, opened: Open, source: Source) -> tuple[str, str]:
        found = opened(source).problems(policy_of(source, "blocked"), {})
        return "\n".join(map(str, found[0])), "\n".join(map(str, found[1]))

    def test_all_is_well(self, vendor: Brevo, opened: Open) -> None:
        """Nothing stops an account that is declared as it is; what deleting leaves open, and what isn't declared, is said; no value is."""
        assert vendor.attributes is not None
        vendor.attributes["LASTNAME"] = "text"
        vendor.add(1, "zoe@example.example", LASTNAME="Wilgenboom")
        problems, warnings = self.problems(opened, source_of())
        assert "" == problems
        assert "attributes.LASTNAME is not declared and looks like names" in warnings
        assert "takes its block along" in warnings
        assert "Wilgenboom" not in warnings

    def test_attributes_that_cant_be_seen(self, vendor: Brevo, opened: Open) -> None:
        """An account that doesn't show its attributes can be used, and it is said that nobody can tell what isn't declared."""
        vendor.attributes = None
        problems, warnings = self.problems(opened, source_of())
        assert "" == problems
        assert "doesn't show this account's attributes" in warnings

    def test_what_decides_has_to_be_seen(self, vendor: Brevo, opened: Open) -> None:
        """An attribute that decides and can't be looked up is a problem: renamed, it would look empty and might make something due."""
        vendor.attributes = None
        last = Field("last", "attributes.LAST", reading(FieldType.DATE, Empty.NOT_APPLICABLE))
        made = policy_of(source_of(*FIELDS, last), "last")
        problems, _ = opened(made.source).problems(made, {})
        assert ["people.last"] == [each.where for each in problems]

    @pytest.mark.parametrize(
        ("declared", "said"),
        [
            (Field("email", "email", TEXT, personal=True, treatment=CLEAR), "has an e-mail address of its own"),
            (Field("made", "createdAt", TEXT, personal=True, treatment=CLEAR), "can't be written"),
            (Field("name", "attributes.FRSTNAME", TEXT), "Did you mean attributes.FIRSTNAME"),
            (Field("phone", "attributes.SMS", TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM)), "telephone numbers"),
            (Field("born", "attributes.BORN", TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM)), "kind date"),
        ],
        ids=lambda each: each.name if isinstance(each, Field) else "",
    )
    def test_what_brevo_would_refuse(self, opened: Open, declared: Field, said: str) -> None:
        """Whatever would fail at night is said by day."""
        problems, _ = self.problems(opened, source_of(declared))
        assert said in problems


class TestEndToEnd:
    """The policy of the documentation over 1,200 contacts."""

    @pytest.fixture
    def office(self, vendor: Brevo, proxy: FaultProxy, tmp_path: Path) -> Installation:
        for number in range(1, 1201):
            vendor.add(number, f"{WORD}{number}@post.example", blocked=number % 20 == 0, FIRSTNAME=f"{WORD.title()}{number}")
        (tmp_path / "policies.toml").write_text(POLICIES, encoding="utf-8")
        environ = {
            "RETENTION_POLICIES": str(tmp_path / "policies.toml"),
            "RETENTION_STATE": str(tmp_path / "state"),
            "RETENTION_KEYS": str(tmp_path / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "dora",
            "RETENTION_MAX_SHARE": "1",
            "RETENTION_SOURCES__CONTACTS__URL": f"{proxy.url.replace('://', f'://{KEY}@')}/v3",
            **{f"RETENTION_SOURCES__CONTACTS__OPTIONS__{name.upper()}": said for name, said in QUICK.items()},
        }
        return Installation(tmp_path, environ, now=dt.datetime(2026, 6, 1, 10, tzinfo=dt.UTC))

    def test_a_fortnight(self, vendor: Brevo, proxy: FaultProxy, office: Installation) -> None:
        """What a run saw a fortnight ago goes on a bad day too, who subscribed again in between stays, and nobody is named anywhere."""
        first = office("apply", office.approved())
        assert first.code in (0, 4), first.err
        assert 1200 == len(vendor.contacts)
        later = office.now + dt.timedelta(days=7)
        vendor.contacts[40]["emailBlacklisted"] = False
        assert office("run", now=later).code in (0, 4)
        office.now = office.now + dt.timedelta(days=15)
        gone = {number for number in range(1, 1201) if number % 20 == 0} - {40}
        before = {number: json.dumps(each) for number, each in vendor.contacts.items() if number not in gone}
        plan = office.approved()
        proxy.reading(429, headers={"x-sib-ratelimit-reset": "0"}, after=3, times=2)
        proxy.writing(None, applied=True, after=2, times=1)
        proxy.writing(503, after=5, times=1)
        proxy.about(lambda request: "/contacts/20?" in request.path, 400, body=b'{"code": "method_not_allowed", "message": "m"}')
        applied = office("apply", plan)
        assert 5 == applied.code, applied.err
        (said,) = office.events("retention.record_skipped")
        assert ("failed", "HTTP 400 method_not_allowed") == (said["event.reason"], said["retention.answer"])
        assert len(gone) - 1 == len(list(outcomes(office.audit)))
        proxy.heal()
        again = office("run")
        assert again.code in (0, 4), again.err
        assert before == {number: json.dumps(each) for number, each in vendor.contacts.items()}
        assert [] == wrong_events(office.folder)
        assert [] == found_under(office.state, office.folder)
        assert set() == found_in("".join(office.everything).encode())
        assert KEY not in "".join(office.everything)

    def test_pseudonyms(self, vendor: Brevo, office: Installation) -> None:
        """Where contacts stay under a pseudonym those who were blocked still are, `verify` agrees, and a second night has nothing to do."""
        vendor.lifts = "always"
        text = rewritten(
            POLICIES,
            {
                '{ type = "email" }': '{ type = "email", treatment = "pseudonym" }',
                "personal = true": 'treatment = "clear"',
                'disposition = "delete"': 'disposition = "pseudonymise"',
                'watch = "P1Y"\nunchanging = ["email"]\n': "",
            },
        )
        (office.folder / "policies.toml").write_text(text, encoding="utf-8")
        assert office("apply", office.approved()).code in (0, 4)
        office.now = office.now + dt.timedelta(days=15)
        applied = office("apply", office.approved())
        assert applied.code in (0, 4), applied.err
        treated = [each for number, each in vendor.contacts.items() if number % 20 == 0]
        assert 60 == len({each["email"] for each in treated})
        assert all(re.fullmatch(r"p1-.*\.invalid", each["email"]) for each in treated)
        assert {(True, ())} == {(each["emailBlacklisted"], tuple(each["attributes"])) for each in treated}
        assert 1140 == sum(WORD in each["email"] for each in vendor.contacts.values())
        verified = office("verify", "--json", office("runs", "--json").json[0]["run_id"])
        assert 0 == verified.code, verified.err
        again = office("plan", "--json", "-o", office.folder / "again.jsonl")
        assert {"delete": 0, "pseudonymise": 0, "treat": 0} == again.json["sources"]["contacts"]["actions"]

    def test_check(self, office: Installation) -> None:
        """`sources check` finds nothing that stops the documented policy."""
        checked = office("sources", "check")
        assert checked.code in (0, 4), checked.out + checked.err
        assert set() == found_in((checked.out + checked.err).encode())
