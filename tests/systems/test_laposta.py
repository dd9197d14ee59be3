"""Laposta: what the contract doesn't know of it, and the policy that the documentation shows, carried out by the command."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.contract import FaultProxy, Request
from connectors.contract.harness import everything, reading
from connectors.laposta import open_source
from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.mailing_lab import PSEUDONYM, TEXT, Open, documented, policy_of, rewritten, treated
from tests.vendors.laposta import KEY, LIST, Laposta
from worker.audit.outcomes import outcomes
from worker.core.facts import UNREADABLE, Empty, FieldType
from worker.core.select import EVERYTHING
from worker.core.sources import Field, Source, Treatment, TreatmentKind
from worker.errors import ConfigurationError, RetentionError, SourceFailed
from worker.ports import Changes, Connection, KeyRange, Left

POLICIES = documented("laposta")
QUICK = {"attempts": "4", "wait": "0.02", "timeout": "10", "per_second": "0"}
FIELDS = (
    Field("email", "email", TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people")),
    Field("first_name", "custom_fields.voornaam", TEXT, personal=True, treatment=Treatment(TreatmentKind.CLEAR)),
    Field("state", "state", TEXT),
)
LEFT_AT = Field("left_at", "@unsubscribed_at", reading(FieldType.TIMESTAMP))


def source_of(*fields: Field, table: str = LIST) -> Source:
    """Return a source as a policy file would declare it."""
    return Source("people", "laposta", table, ("member_id",), fields or FIELDS)


@pytest.fixture
def vendor() -> Iterator[Laposta]:
    """Return a fake with one field; a request for what is not described fails the test."""
    with Laposta().running() as running:
        running.make_field("voornaam")
        yield running


@pytest.fixture
def opened(proxy: FaultProxy) -> Iterator[Open]:
    """Return what opens sources."""
    url = f"{proxy.url.replace('://', f'://{KEY}@')}/v2"
    with Open(open_source, source_of(), url, QUICK).closing() as opener:
        yield opener


class TestStates:
    """A change never subscribes anybody."""

    @pytest.mark.parametrize("activates", ["never", "unless told"])
    @pytest.mark.parametrize("state", ["active", "unsubscribed"])
    def test_a_new_address_keeps_the_state(self, vendor: Laposta, proxy: FaultProxy, activates: str, state: str, opened: Open) -> None:
        """A member whose address is treated has the state that it had, also where Laposta would activate it unless told."""
        vendor.activates = activates
        vendor.add("m1", "zoe@example.example", state)
        assert [] == treated(opened(), ("m1", PSEUDONYM))
        assert (PSEUDONYM, state, 1) == (vendor.members["m1"]["email"], vendor.members["m1"]["state"], proxy.writes())

    def test_what_was_activated_all_the_same_is_unsubscribed_again(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Where Laposta activates a member whatever is sent along, that is noticed and mended before the record is called done."""
        vendor.activates = "always"
        vendor.add("m1", "zoe@example.example", "unsubscribed")
        assert [] == treated(opened(), ("m1", PSEUDONYM))
        assert (PSEUDONYM, "unsubscribed") == (vendor.members["m1"]["email"], vendor.members["m1"]["state"])
        assert 2 == proxy.writes()

    def test_the_same_when_no_answer_came(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """An answer that is lost hides no member that was activated."""
        vendor.activates = "always"
        vendor.add("m1", "zoe@example.example", "unsubscribed")
        proxy.writing(None, applied=True, times=1)
        assert [] == treated(opened(), ("m1", PSEUDONYM))
        assert "unsubscribed" == vendor.members["m1"]["state"]

    def test_what_laposta_ignores_is_not_done(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """A success whose answer tells the old value is no change, and said to be none."""
        vendor.add("m1", "zoe@example.example", voornaam="Zoë")
        proxy.writing(200, body=json.dumps({"member": vendor.members["m1"]}).encode())
        (undone,) = treated(opened(), ("m1", None), fields=("first_name",))
        assert (Left.FAILED, "HTTP 200 ignored") == (undone.why, undone.answer)

    @pytest.mark.parametrize("state", ["cleaned", "unconfirmed"])
    def test_a_state_that_cant_be_sent(self, vendor: Laposta, proxy: FaultProxy, state: str, opened: Open) -> None:
        """The address of a member in a state that Laposta takes from nobody is not changed; its other fields are."""
        vendor.activates = "unless told"
        vendor.add("m1", "zoe@example.example", state, voornaam="Zoë")
        (undone,) = treated(opened(), ("m1", PSEUDONYM))
        assert (Left.FAILED, 0) == (undone.why, proxy.writes())
        assert [] == treated(opened(), ("m1", None), fields=("first_name",))
        assert ("zoe@example.example", state, "") == tuple(
            vendor.members["m1"][name] if name != "voornaam" else vendor.members["m1"]["custom_fields"][name]
            for name in ("email", "state", "voornaam")
        )

    def test_two_members_with_one_address(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """What Laposta refuses is named by its number, without the address that its text quotes."""
        vendor.add("m1", "zoe@example.example")
        vendor.add("m2", PSEUDONYM)
        (undone,) = treated(opened(), ("m1", PSEUDONYM))
        assert (Left.FAILED, "HTTP 400 invalid_input 204") == (undone.why, undone.answer)


class TestNothingElse:
    """Lists are never emptied or deleted."""

    @pytest.mark.parametrize(
        "key", ["", " ", ".", "..", "../list", "m1/history", "m1?x=1", "zoe@example.example", "%2e%2e", "m\n", "\u0661"]
    )
    def test_no_key_leads_elsewhere(self, vendor: Laposta, proxy: FaultProxy, key: str, opened: Open) -> None:
        """No request is made for a key that is no member's id: not to read, not to delete, not to change."""
        vendor.add("m1", "zoe@example.example")
        records = opened()._records  # type: ignore[attr-defined]
        item = next(iter(records.pages(EVERYTHING, None)))[0]
        item.id = key
        proxy.heal()
        for act in (lambda: records.get((key,)), lambda: records.delete(item), lambda: records.update(item, {"email": PSEUDONYM})):
            with pytest.raises(ConfigurationError, match="nothing was sent"):
                act()
        assert [] == proxy.seen

    def test_a_member_without_an_id(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """A list in which a member has no id is an error, not a record with an empty key."""
        vendor.add("", "zoe@example.example")
        with pytest.raises(SourceFailed):
            everything(opened())

    @pytest.mark.parametrize("table", ["", "BaImMu3JZA/members", "..", "a b"])
    def test_no_table_leads_elsewhere(self, proxy: FaultProxy, table: str, opened: Open) -> None:
        """A table that is no id of a list is refused before anything is asked."""
        with pytest.raises(ConfigurationError, match="table"):
            opened(source_of(table=table))
        assert [] == proxy.seen

    def test_only_members_are_deleted(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Whatever a batch deletes, every DELETE goes to one member; the list stands when all of them are gone."""
        for number in range(5):
            vendor.add(f"m{number}", f"m{number}@example.example", "unsubscribed")
        source = opened()
        keys, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys, whole=True))
            assert [] == list(batch.commit())
        sent = [request.path for request, _ in proxy.seen if request.method == "DELETE"]
        assert [f"/v2/member/m{number}?list_id={LIST}" for number in range(5)] == sent
        with source.reader() as reader:
            assert 0 == reader.count(EVERYTHING)


class TestGone:
    """Code 203 says that something is unknown; only when it is the member, the member is gone."""

    @pytest.mark.parametrize("says_parameter", [True, False])
    def test_a_member_that_is_gone(self, vendor: Laposta, proxy: FaultProxy, says_parameter: bool, opened: Open) -> None:
        """A member that isn't there is none, whether or not Laposta says what is unknown."""
        vendor.says_parameter = says_parameter
        with opened().reader() as reader:
            assert reader.get(("m9",), ("state",)) is None

    @pytest.mark.parametrize("says_parameter", [True, False])
    def test_a_list_that_is_gone(self, vendor: Laposta, proxy: FaultProxy, says_parameter: bool, opened: Open) -> None:
        """A list that isn't there is an error, and no member of it is called gone."""
        vendor.says_parameter = says_parameter
        vendor.add("m1", "zoe@example.example")
        with opened(source_of(table="Another1")).reader() as reader, pytest.raises(ConfigurationError):
            reader.get(("m1",), ("state",))
        with pytest.raises(ConfigurationError, match="no list"):
            everything(opened(source_of(table="Another1")))

    def test_an_answer_about_a_member_that_is_there(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """An answer to a deletion that tells the member as it was proves nothing: it is read back, and asked for again."""
        vendor.add("m1", "zoe@example.example")
        source = opened()
        _, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[("m1",)]))
            proxy.writing(200, body=json.dumps({"member": vendor.members["m1"]}).encode(), times=1)
            assert [] == list(batch.commit())
        assert {} == vendor.members


class TestListing:
    """The whole list is one answer: all of it is read, or it is an error."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"data": {}}',
            b'{"data": [{"member": {}}]}',
            b'{"data": [{"member": {"member_id": "m1"}}',
            b'{"data": [1]}',
        ],
    )
    def test_what_is_no_list(self, vendor: Laposta, proxy: FaultProxy, body: bytes, opened: Open) -> None:
        """An answer that is something else, or breaks off, is an error and never an empty or shorter list."""
        proxy.reading(200, body=body)
        with pytest.raises(SourceFailed), opened().reader() as reader:
            reader.count(EVERYTHING)

    def test_what_php_makes_of_nothing_and_of_much(self, proxy: FaultProxy, opened: Open) -> None:
        """A list without fields has an empty array for them: no value. Several choices are unreadable. What says it is deleted is."""
        customs: dict[str, object] = {"m1": [], "m2": {"voornaam": ["Zoë", "Zo"]}, "m3": {}, "m4": {"voornaam": ""}, "m5": "?"}
        told = [
            {"member": {"member_id": key, "state": "active", "email": "a@b.example", "custom_fields": said}}
            for key, said in customs.items()
        ]
        told[2]["member"]["state"] = "deleted"
        proxy.reading(200, body=json.dumps({"data": told}).encode(), times=1)
        with opened().reader() as reader:
            rows = [row for page in reader.rows(EVERYTHING, ("first_name",)) for row in page]
            assert [("m1", None), ("m2", UNREADABLE), ("m4", None), ("m5", UNREADABLE)] == rows
            proxy.reading(200, body=json.dumps(told[2]).encode(), times=1)
            assert reader.get(("m3",), ("state",)) is None

    @pytest.mark.parametrize("left_out", ["ip", "custom_fields", "signup_date_iso"])
    def test_what_is_left_out_is_not_empty(self, vendor: Laposta, opened: Open, left_out: str) -> None:
        """A value that Laposta tells no more, under that name, is unreadable: empty it could make something due."""
        vendor.add("m1", "zoe@example.example", voornaam="Zoë")
        del vendor.members["m1"][left_out]
        signed_up = Field("signed_up", "signup_date_iso", reading(FieldType.TIMESTAMP, Empty.NOT_APPLICABLE))
        names = {"ip": "ip", "custom_fields": "first_name", "signup_date_iso": "signed_up"}
        with opened(source_of(*FIELDS, signed_up, Field("ip", "ip", TEXT, personal=True))).reader() as reader:
            rows = [row for page in reader.rows(EVERYTHING, (names[left_out],)) for row in page]
            assert [("m1", UNREADABLE)] == rows == [reader.get(("m1",), (names[left_out],))]

    @pytest.mark.parametrize("left_out", ["state", "email"])
    def test_a_member_without_a_state(self, proxy: FaultProxy, opened: Open, left_out: str) -> None:
        """Members without a state, which could end a period, or without the address that holds are matched on, are not Laposta's."""
        member: dict[str, object] = {"member_id": "m1", "state": "active", "email": "a@b.example", "custom_fields": {}}
        said = {"member": {name: value for name, value in member.items() if name != left_out}}
        with opened().reader() as reader:
            proxy.reading(200, body=json.dumps({"data": [said]}).encode(), times=1)
            with pytest.raises(SourceFailed):
                list(reader.rows(EVERYTHING, ("state",)))
            proxy.reading(200, body=json.dumps(said).encode(), times=2)
            with pytest.raises(SourceFailed):
                reader.get(("m1",), ("state",))

    def test_every_state_is_a_record(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Active, unsubscribed, unconfirmed and cleaned members are records."""
        for state in ("active", "unsubscribed", "unconfirmed", "cleaned"):
            vendor.add(f"m{state}", f"{state}@example.example", state)
        with opened().reader() as reader:
            rows = [row for page in reader.rows(EVERYTHING, ("state",)) for row in page]
        assert [(f"m{state}", state) for state in ("active", "cleaned", "unconfirmed", "unsubscribed")] == rows

    def test_memory_for_a_large_list(self, vendor: Laposta) -> None:
        """A large list, which is one answer, takes no more memory than a small one, in a process of its own."""
        many = 10_000
        for number in range(many):
            vendor.add(f"m{number:09}", f"person{number}@example.example", "active", voornaam=f"Name {number}", woonplaats="Utrecht" * 5)
        done = subprocess.run(
            [sys.executable, "-c", LARGE, f"{vendor.url.replace('://', f'://{KEY}@')}/v2", LIST], capture_output=True, text=True, check=True
        )
        read, peak = json.loads(done.stdout)
        assert many == read
        assert peak < 2e6, peak


LARGE = """
import json, sys, tracemalloc
from connectors.laposta import open_source
from tests.systems.test_laposta import source_of
from worker.core.select import EVERYTHING
from worker.ports import Connection
source = open_source(source_of(), Connection(sys.argv[1]))
tracemalloc.start()
with source.reader() as reader:
    read = sum(len(page) for page in reader.rows(EVERYTHING, ("email", "first_name", "state")))
print(json.dumps([read, tracemalloc.get_traced_memory()[1]]))
"""


class TestHistory:
    """When somebody unsubscribed stands in the member's history alone."""

    def rows(self, opened: Open) -> list[tuple[object, ...]]:
        with opened(source_of(*FIELDS, LEFT_AT)).reader() as reader:
            return [row for page in reader.rows(EVERYTHING, ("left_at",)) for row in page]

    def test_the_latest_counts(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Of several the latest counts, on whatever page of the history it stands; an old one of somebody who is back does not."""
        vendor.add("m1", "a@example.example")
        vendor.unsubscribe("m1", "2024-01-01T10:00:00+01:00")
        vendor.unsubscribe("m1", "2026-05-18T14:30:00+02:00")
        vendor.events["m1"] += [("opened", f"2026-06-0{day}T10:00:00+02:00") for day in range(1, 9)]
        vendor.add("m2", "b@example.example")
        vendor.unsubscribe("m2", "2024-01-01T10:00:00+01:00")
        vendor.members["m2"]["state"] = "active"
        assert [("m1", "2026-05-18T14:30:00+02:00"), ("m2", None)] == self.rows(opened)
        assert [] == [request.path for request, _ in proxy.seen if "m2/history" in request.path]

    def test_in_whatever_order(self, vendor: Laposta, opened: Open) -> None:
        """The latest counts too where the history comes in another order than it was asked for: an earlier one would be due too early."""
        vendor.add("m1", "zoe@example.example")
        vendor.unsubscribe("m1", "2026-05-01T01:00:00+02:00")
        vendor.unsubscribe("m1", "2021-05-01T10:00:00+02:00")
        vendor.events["m1"].append(("subscribed", "2021-04-01T10:00:00+02:00"))
        with opened(source_of(LEFT_AT)).reader() as reader:
            assert ("m1", "2026-05-01T01:00:00+02:00") == reader.get(("m1",), ("left_at",))

    def test_an_earlier_subscription_is_another(self, vendor: Laposta, opened: Open) -> None:
        """Who subscribed again and is unsubscribed now without an event left later than the history says: the old day ends nothing."""
        vendor.add("m1", "zoe@example.example")
        vendor.unsubscribe("m1", "2021-05-01T10:00:00+02:00")
        vendor.events["m1"].append(("subscribed", "2022-05-01T10:00:00+02:00"))
        assert [("m1", UNREADABLE)] == self.rows(opened)

    def test_a_history_that_does_not_say(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Somebody who is unsubscribed without a day is unknown, whatever an empty day was declared to mean."""
        vendor.add("m1", "a@example.example", "unsubscribed")
        assert [("m1", UNREADABLE)] == self.rows(opened)


class TestCheck:
    """What `sources check` says."""

    def problems(self, opened: Open, source: Source) -> tuple[str, str]:
        found = opened(source).problems(policy_of(source, "state"), {})
        return "\n".join(map(str, found[0])), "\n".join(map(str, found[1]))

    def test_all_is_well(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Nothing stops a list that is declared as it is; a field that looks personal and isn't declared is named, and no value is."""
        vendor.make_field("achternaam")
        vendor.add("m1", "zoe@example.example", "unsubscribed", achternaam="Wilgenboom")
        problems, warnings = self.problems(opened, source_of())
        assert "" == problems
        assert "custom_fields.achternaam is not declared and looks like names" in warnings
        assert "Wilgenboom" not in warnings

    def test_a_listing_that_leaves_states_out(self, vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
        """Members who would never be looked at, because the listing of all leaves them out, are a problem and no silence."""
        vendor.add("m1", "a@example.example")
        vendor.add("m2", "b@example.example", "unsubscribed")
        vendor.lists = ("active", "unconfirmed", "cleaned")
        problems, _ = self.problems(opened, source_of())
        assert "leaves members out that are unsubscribed" in problems

    @pytest.mark.parametrize(
        ("declared", "said"),
        [
            (Field("email", "email", TEXT, personal=True, treatment=Treatment(TreatmentKind.CLEAR)), "has to have an e-mail address"),
            (Field("ip", "ip", TEXT, personal=True, treatment=Treatment(TreatmentKind.CLEAR)), "can't be written"),
            (Field("name", "custom_fields.naam", TEXT), "no field 'naam'"),
            (Field("kind", "custom_fields.soort", TEXT, personal=True, treatment=Treatment(TreatmentKind.CLEAR)), "mandatory"),
            (Field("born", "custom_fields.geboren", TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM)), "kind date"),
        ],
        ids=lambda each: each.name if isinstance(each, Field) else "",
    )
    def test_what_laposta_would_refuse(self, vendor: Laposta, proxy: FaultProxy, declared: Field, said: str, opened: Open) -> None:
        """Whatever would fail at night is said by day."""
        vendor.make_field("soort", required=True)
        vendor.make_field("geboren", "date")
        problems, _ = self.problems(opened, source_of(declared))
        assert said in problems

    @pytest.mark.parametrize(("column", "said"), [("modified", "Declare modified_iso"), ("emial", "Did you mean 'email'")])
    def test_columns_that_no_member_has(self, proxy: FaultProxy, column: str, said: str, opened: Open) -> None:
        """A column that can't be, or that has no offset, is refused with the one to declare instead."""
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            opened(source_of(Field("x", column, TEXT)))

    def test_batches_fit_into_their_time(self, proxy: FaultProxy, opened: Open) -> None:
        """The slower an account, the fewer records a batch holds, so that none ends for want of time; unless told one request a second."""
        assert (100, 25, 6) == tuple(opened(per_second=each).most for each in ("0", "1", "0.25"))
        unless_told = open_source(source_of(), Connection(f"https://{KEY}@laposta.example/v2"))
        assert 25 == unless_told.most
        unless_told.close()


class TestEndToEnd:
    """The policy of the documentation over 300 members."""

    @pytest.fixture
    def office(self, vendor: Laposta, proxy: FaultProxy, tmp_path: Path) -> Installation:
        for number in range(300):
            vendor.add(f"m{number:05}", f"{WORD}{number}@post.example", "active", voornaam=f"{WORD.title()}{number}")
            if number % 10 == 0:
                vendor.unsubscribe(f"m{number:05}", f"2026-0{1 + number % 6}-15T23:30:00+01:00")
        (tmp_path / "policies.toml").write_text(POLICIES, encoding="utf-8")
        environ = {
            "RETENTION_POLICIES": str(tmp_path / "policies.toml"),
            "RETENTION_STATE": str(tmp_path / "state"),
            "RETENTION_KEYS": str(tmp_path / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "dora",
            "RETENTION_MAX_SHARE": "1",
            "RETENTION_SOURCES__NEWSLETTER__URL": f"{proxy.url.replace('://', f'://{KEY}@')}/v2",
            **{f"RETENTION_SOURCES__NEWSLETTER__OPTIONS__{name.upper()}": said for name, said in QUICK.items()},
        }
        return Installation(tmp_path, environ, now=dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC))

    def test_a_night(self, vendor: Laposta, proxy: FaultProxy, office: Installation) -> None:
        """Who unsubscribed goes on a bad day too, who is subscribed stays, the trail and a second night agree, and nobody is named."""
        gone = {f"m{number:05}" for number in range(0, 300, 10)}
        before = {key: json.dumps(each) for key, each in vendor.members.items() if key not in gone}
        plan = office.approved()
        proxy.reading(429, headers={"Retry-After": "0"}, after=3, times=2)
        proxy.writing(None, applied=True, after=2, times=1)
        proxy.writing(503, after=5, times=1)
        proxy.about(lambda request: _is_about(request, "m00000"), 400, body=b'{"error": {"type": "internal", "message": "m", "code": 999}}')
        applied = office("apply", plan)
        assert 5 == applied.code, applied.err
        assert "m00000" in vendor.members
        (said,) = office.events("retention.record_skipped")
        assert ("failed", "HTTP 400 internal 999") == (said["event.reason"], said["retention.answer"])
        assert 29 == len(list(outcomes(office.audit)))
        proxy.heal()
        again = office("run")
        assert again.code in (0, 4), again.err
        assert before == {key: json.dumps(each) for key, each in vendor.members.items()}
        third = office("plan", "--json", "-o", office.folder / "third.jsonl")
        assert {"delete": 0, "pseudonymise": 0, "treat": 0} == third.json["sources"]["newsletter"]["actions"]
        assert [] == wrong_events(office.folder)
        assert [] == found_under(office.state, office.folder)
        assert set() == found_in("".join(office.everything).encode())
        assert KEY not in "".join(office.everything)

    def test_pseudonyms(self, vendor: Laposta, office: Installation) -> None:
        """Where members stay under a pseudonym nobody is subscribed again, `verify` agrees, and a second night has nothing to do."""
        vendor.activates = "always"
        text = rewritten(
            POLICIES,
            {
                '{ type = "email" }': '{ type = "email", treatment = "pseudonym" }',
                "ip = { personal = true }\n": "",
                ', "ip"]': "]",
                "personal = true": 'treatment = "clear"',
                'disposition = "delete"': 'disposition = "pseudonymise"',
            },
        )
        (office.folder / "policies.toml").write_text(text, encoding="utf-8")
        applied = office("apply", office.approved())
        assert applied.code in (0, 4), applied.err
        treated = [each for each in vendor.members.values() if WORD not in each["email"]]
        assert 30 == len({each["email"] for each in treated})
        assert {("unsubscribed", "")} == {(each["state"], each["custom_fields"]["voornaam"]) for each in treated}
        assert 270 == sum(each["state"] == "active" for each in vendor.members.values())
        verified = office("verify", "--json", office("runs", "--json").json[0]["run_id"])
        assert 0 == verified.code, verified.err
        again = office("plan", "--json", "-o", office.folder / "again.jsonl")
        assert {"delete": 0, "pseudonymise": 0, "treat": 0} == again.json["sources"]["newsletter"]["actions"]

    def test_check(self, vendor: Laposta, office: Installation) -> None:
        """`sources check` finds nothing that stops the documented policy."""
        checked = office("sources", "check")
        assert checked.code in (0, 4), checked.out + checked.err
        assert set() == found_in((checked.out + checked.err).encode())


def _is_about(request: Request, member: str) -> bool:
    return f"/member/{member}" in request.path


def test_errors_name_nobody(vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
    """Neither keys nor values stand in what a source raises."""
    vendor.add("m1", "zoe@example.example")
    proxy.any(500)
    with pytest.raises(RetentionError) as caught, opened().batch("b", KeyRange(("m1",), ("m1",)), EVERYTHING, ()):
        pass
    assert KEY not in str(caught.value)
