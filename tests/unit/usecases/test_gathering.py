"""Facts over several sources: what is joined, what is unknown, and that disposing of records moves no clock back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.memory import MemoryReader
from tests.strategies import RULE
from tests.unit.usecases.conftest import Killed, Lab
from worker.core.facts import UNREADABLE, Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.shared import Seen
from worker.errors import SourceFailed
from worker.ports import AFTER_COMMIT
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.explaining import explain_record
from worker.usecases.gathering import gather, packed, unpacked
from worker.usecases.judging import Judge
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.sampling import sample

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[facts.last_contact]
latest = ["people.met_on", "mails.sent_on", "calls.called_on"]

[sources.people]
connector = "memory"
table = "people"
key = "id"
subject = ["email", "phone"]
[sources.people.fields]
email = { type = "email", treatment = "pseudonym" }
phone = { type = "phone", treatment = "clear" }
met_on = { type = "date", empty = "not_applicable" }

[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email", "phone"]
start = "last_contact"
keep = "P2Y"

[sources.mails]
connector = "memory"
table = "mails"
key = "id"
subject = ["address"]
[sources.mails.fields]
address = { type = "email" }
sent_on = { type = "date" }

[[policies]]
source = "mails"
disposition = "delete"
[[policies.purposes]]
id = "mail"
basis = "legitimate-interests"
fields = ["address"]
start = "sent_on"
keep = "P1Y"

[sources.calls]
connector = "memory"
table = "calls"
key = "id"
subject = ["number"]
[sources.calls.fields]
number = { type = "phone" }
called_on = { type = "date", empty = "not_yet" }

[[policies]]
source = "calls"
disposition = "delete"
[[policies.purposes]]
id = "call"
basis = "legitimate-interests"
fields = ["number"]
start = "last_contact"
keep = "P2Y"
"""
CHILDREN = """[sources.people.children.mails]
table = "mails"
key = "id"
match = { person = "id" }
on_delete = "delete"
source = "mails"
"""
TODAY = dt.date(2026, 6, 30)
ADA = "ada@canary.example"
OPENED = 'opened_on = { type = "date", empty = "not_applicable" }'
NO_CUSTOMERS = ((1, ADA, "0031612345678"), (2, "bob@canary.example", "0201234567"), (3, "eve@canary.example", None))
CANARIES = (b"canary", b"612345678")
SAID = st.one_of(st.just(Seen()), st.integers(0, 3_652_059).map(lambda day: Seen(1, day)))


def table(lab: Lab, name: str, *rows: dict[str, object]) -> None:
    """Fill a table; the id is the first value."""
    lab.memory.tables[name] = {(row["id"],): row for row in rows}  # type: ignore[misc]


def person(number: int, met_on: object = None, email: object = None, phone: object = None) -> dict[str, object]:
    """Return one record of the CRM."""
    return {"id": number, "email": email, "phone": phone, "met_on": met_on}


def mail(number: int, address: object, sent_on: object) -> dict[str, object]:
    """Return one mail."""
    return {"id": number, "address": address, "sent_on": sent_on}


def call(number: int, phone: object, called_on: object) -> dict[str, object]:
    """Return one call."""
    return {"id": number, "number": phone, "called_on": called_on}


@pytest.fixture
def shop(tmp_path: Path) -> Lab:
    """Return a laboratory in which one person is in all three systems."""
    return filled(tmp_path)


def filled(folder: Path) -> Lab:
    """Make that laboratory in a folder."""
    lab = Lab(folder, POLICIES)
    table(lab, "people", person(1, "2023-05-01", "Ada@canary.example", "+31 612345678"))
    table(lab, "mails", mail(1, "ada@CANARY.example", "2025-03-01"), mail(2, "bob@canary.example", "2026-03-01"))
    table(lab, "calls", call(1, "0031612345678", "2022-02-02"))
    return lab


def facts(machine: Machine, source: str, today: dt.date = TODAY) -> dict[object, Fact]:
    """Return the last contact of every record of a source, by its key."""
    policy = machine.policy(source)
    with gather(machine, machine.policies(), today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered)
        return {
            verdict.key[0]: judge.facts(verdict)["last_contact"]
            for page in reader.rows(judge.selection(full=True), judge.columns)
            for verdict in judge.judge(page, reader.related)
        }


def done(lab: Lab, machine: Machine) -> MadePlan:
    """Plan, approve, apply; return the plan."""
    return lab.plan_and_apply(machine)[0]


@contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch, table_name: str) -> Iterator[None]:
    """Let one table fail to be read."""
    real = MemoryReader.rows

    def rows(self: Any, *args: Any, **options: Any) -> Any:
        if self._source.table == table_name:
            raise SourceFailed(f"{table_name}: connection refused")
        return real(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryReader, "rows", rows)
        yield


class TestJoining:
    """Records are one person's when they share an identifier in its canonical form, directly or through another record."""

    def test_every_source_uses_the_same_value(self, shop: Lab) -> None:
        """The mail and the call share nothing but a person in the CRM: the call's last contact is the mail."""
        with shop.machine() as machine:
            assert {1: Known(dt.date(2025, 3, 1))} == facts(machine, "people") == facts(machine, "calls")

    def test_a_record_without_identifiers_stands_alone(self, shop: Lab) -> None:
        """Its own value counts, and nothing else joins it: two records without an address are not one person."""
        table(shop, "people", person(1, "2020-01-01"), person(2, "2026-01-01", "", " "), person(3))
        with shop.machine() as machine:
            found = facts(machine, "people")
        assert {1: Known(dt.date(2020, 1, 1)), 2: Known(dt.date(2026, 1, 1)), 3: NotApplicable()} == found

    def test_an_unknown_day_of_one_record_makes_it_unknown_for_its_person_only(self, shop: Lab) -> None:
        """A mail whose date can't be read may be the latest: its person is kept and reported, with the source, others are not."""
        table(shop, "mails", mail(1, "ada@canary.example", "the other day"))
        table(shop, "people", person(1, "2020-01-01", "ada@canary.example"), person(2, "2020-01-01", "bob@canary.example"))
        with shop.machine() as machine:
            assert {1: Unknown("a record of mails can't tell"), 2: Known(dt.date(2020, 1, 1))} == facts(machine, "people")
            plan = make_plan(machine)
        assert 1 == plan.acting["people"]
        assert "contact: last_contact: a record of mails can't tell" in [each.detail for each in plan.findings]

    def test_a_record_of_nobody_knows_whom_makes_it_unknown_for_all(self, shop: Lab) -> None:
        """A damaged file may be about anybody and the latest of all."""
        table(shop, "mails", mail(1, UNREADABLE, UNREADABLE))
        with shop.machine() as machine:
            assert {1: Unknown("a record of mails can't be read")} == facts(machine, "people")

    def test_a_treated_identifier_is_still_found(self, shop: Lab) -> None:
        """After a person was pseudonymised in the CRM the mails still count for what is left there."""
        shop.policies = shop.policies.replace(
            'disposition = "delete"',
            'disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "P9Y" }] }]',
            1,
        )
        table(shop, "mails", mail(1, "ada@canary.example", "2024-06-01"))
        with shop.machine() as machine:
            done(shop, machine)
            assert str(shop.table("people")[1]["email"]).startswith("p1-")
            assert shop.table("people")[1]["phone"] is None
            table(shop, "mails", mail(7, "ADA@canary.example", "2026-06-01"))
            table(shop, "calls", call(7, "+31612345678", "2026-06-02"))
            assert {1: Known(dt.date(2026, 6, 2))} == facts(machine, "people")

    def test_treated_as_reported(self, shop: Lab) -> None:
        """A record that was just pseudonymised is read back with its person's value: its own old day alone would call for the next step."""
        steps = 'disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "P1Y" }] }]'
        shop.policies = shop.policies.replace('disposition = "delete"', steps, 1)
        table(shop, "people", person(1, "2020-01-01", "ada@canary.example", "0031612345678"))
        table(shop, "mails", mail(1, "ada@canary.example", "2024-06-01"), mail(2, "", "2026-06-01"))
        with shop.machine() as machine:
            result = shop.plan_and_apply(machine)[1]
        assert str(shop.table("people")[1]["email"]).startswith("p1-")
        assert (0, 0) == (result.unverified, result.exit_code)

    def test_batches_stay_small(self, shop: Lab) -> None:
        """A batch reads its range whole, so the range ends before many records that are kept, however few of them are due."""
        shop.environ["RETENTION_BATCH_SIZE"] = "10"
        table(shop, "people", *(person(number, "2020-01-01" if number % 100 == 0 else "2026-01-01") for number in range(400)))
        with shop.machine() as machine, pytest.MonkeyPatch.context() as patched:
            patched.setattr("connectors.memory._PAGE", 10)
            plan, result = shop.plan_and_apply(machine)
            batches = [each for each in machine.ledger.batches(result.run_id) if each.source == "people"]
        assert (4, 4, 396) == (plan.acting["people"], len(batches), len(shop.table("people")))

    def test_a_source_that_only_uses_it(self, shop: Lab) -> None:
        """Records of a source that has no such day take the others'; who can't be looked for is unknown, who isn't found as declared."""
        shop.policies = shop.policies.replace('table = "calls"', 'uses = ["last_contact"]\ntable = "calls"')
        shop.policies = shop.policies.replace(', "calls.called_on"]', ']\nnone = "not_applicable"')
        table(shop, "calls", call(1, "+31612345678", None), call(2, "", None), call(3, "0201234567", None))
        with shop.machine() as machine:
            expected = {1: Known(dt.date(2025, 3, 1)), 2: Unknown("nothing to find its subject by"), 3: NotApplicable()}
            assert expected == facts(machine, "calls")

    def test_without_gathering_nothing_is_known(self, shop: Lab) -> None:
        """A judge that was given nothing keeps everything."""
        with shop.machine() as machine:
            policy = machine.policy("people")
            with machine.open_source(policy.source).reader() as reader:
                judge = Judge(machine, policy, TODAY)
                (page,) = reader.rows(judge.selection(full=True), judge.columns)
                (verdict,) = judge.judge(page, reader.related)
        assert {"last_contact": Unknown("not gathered")} == judge.facts(verdict)


class TestHighWater:
    """Disposing of one member never moves the clock back."""

    def test_a_purged_mail_goes_on_to_count(self, shop: Lab) -> None:
        """The mail goes by its own rule; the next night the last contact is where it was, also when the whole source is empty."""
        with shop.machine() as machine:
            before = facts(machine, "people")
            done(shop, machine)
            assert {2} == set(shop.table("mails"))
            assert before == facts(machine, "people") == facts(machine, "calls")
            shop.memory.tables["mails"].clear()
            assert before == facts(machine, "people")
            assert {"people": 0, "mails": 0, "calls": 0} == make_plan(machine).acting

    def test_a_person_that_went_still_joins_the_others(self, shop: Lab) -> None:
        """The CRM record that joined mail and call is deleted: what it joined stays joined."""
        shop.policies = shop.policies.replace('start = "last_contact"', 'start = "met_on"', 1)
        with shop.machine() as machine:
            before = facts(machine, "calls")
            done(shop, machine)
            assert set() == set(shop.table("people"))
            assert before == facts(machine, "calls")

    def test_an_event_that_never_happened_counts_until_its_record_went(self, shop: Lab) -> None:
        """A record that was open, or whose day nobody could read, leaves the day on which it was disposed of."""
        shop.policies = shop.policies.replace('start = "sent_on"', 'start = "opened_on"').replace(
            'sent_on = { type = "date" }', 'sent_on = { type = "date" }\nopened_on = { type = "date" }'
        )
        table(shop, "mails", {**mail(1, "ada@canary.example", "?"), "opened_on": "2020-01-01"})
        with shop.machine() as machine:
            done(shop, machine)
            assert {} == shop.table("mails")
            assert {1: Known(TODAY)} == facts(machine, "people")

    def test_children_that_go_along_count_too(self, shop: Lab) -> None:
        """Records that go with their parent leave their days as if they had gone by themselves."""
        shop.policies = shop.policies.replace(
            "[sources.people.fields]",
            CHILDREN + "[sources.people.fields]",
        ).replace('start = "last_contact"', 'start = "met_on"', 1)
        table(shop, "mails", {**mail(1, "ada@canary.example", "2025-03-01"), "person": 1})
        with shop.machine() as machine:
            done(shop, machine)
            assert ({}, {}) == (shop.table("people"), shop.table("mails"))
            assert {1: Known(dt.date(2025, 3, 1))} == facts(machine, "calls")

    def test_durable_before_the_write(self, shop: Lab) -> None:
        """A process that dies right after the source's commit has left the day already."""
        with shop.machine() as machine:
            before = facts(machine, "people")
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            shop.faults.point = AFTER_COMMIT
            with pytest.raises(Killed):
                apply_plan(machine, open_plan(machine, plan.path))
            assert {2} == set(shop.table("mails"))
            assert before == facts(machine, "people")

    @RULE
    @given(st.dictionaries(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3).map(tuple), SAID))
    def test_comes_back_as_it_was_kept(self, days: dict[tuple[bytes, ...], Seen]) -> None:
        """Every record's tokens and day are read as they were written, and that it did not count."""
        assert [(list(tokens), what) for tokens, what in days.items()] == list(unpacked(packed(days)))


class TestWhatCounts:
    """A newsletter is no contact: of a member with a condition only the records count for which it is true."""

    @pytest.fixture
    def shop(self, shop: Lab) -> Lab:
        """Return the laboratory in which only personal mails and replies count, and among the people only customers."""
        shop.policies = (
            shop.policies.replace('"people.met_on"', '{ field = "people.met_on", where = { customer = true } }')
            .replace('"mails.sent_on"', '{ field = "mails.sent_on", where = { kind = ["personal", "reply"] } }, "mails.opened_on"')
            .replace('sent_on = { type = "date" }', 'sent_on = { type = "date" }\nkind = {}\n' + OPENED)
            .replace('start = "sent_on"', 'start = "last_contact"')
            .replace('met_on = { type = "date"', 'customer = { type = "boolean" }\nmet_on = { type = "date"')
        )
        table(shop, "people", {**person(1, "2023-05-01", "ada@canary.example", "0031612345678"), "customer": True})
        table(shop, "calls", call(1, "0031612345678", "2022-02-02"))
        return shop

    def test_bulk_mail_does_not_move_it(self, shop: Lab) -> None:
        """The personal mail counts and the later bulk mail does not, for its own record neither; another day of it does."""
        bulk, personal = {**mail(1, ADA, "2026-06-01"), "kind": "bulk"}, {**mail(2, ADA, "2025-03-01"), "kind": "personal"}
        table(shop, "mails", bulk, personal)
        with shop.machine() as machine:
            expected = Known(dt.date(2025, 3, 1))
            assert {1: expected, 2: expected} == facts(machine, "mails")
            assert {1: expected} == facts(machine, "people") == facts(machine, "calls")
            table(shop, "mails", {**bulk, "opened_on": "2026-06-02"}, personal)
            assert {1: Known(dt.date(2026, 6, 2))} == facts(machine, "people")

    def test_who_got_nothing_but_bulk_mail(self, shop: Lab) -> None:
        """Nobody is in touch with them: the fact is what the policy says without any record, and unknown where nobody could be found."""
        shop.policies = shop.policies.replace('"mails.opened_on", "calls.called_on"]', '"calls.called_on"]\nnone = "not_yet"')
        sent = ((1, "eve@canary.example", "bulk"), (2, "", "bulk"), (3, "eve@canary.example", "bulk"))
        table(shop, "mails", *({**mail(number, address, "2026-06-01"), "kind": kind} for number, address, kind in sent))
        with shop.machine() as machine:
            assert {1: NotYet(), 2: Unknown("nothing to find its subject by"), 3: NotYet()} == facts(machine, "mails")

    def test_nobody_knows_what_kind_it_is(self, shop: Lab) -> None:
        """A mail of which nobody can tell whether it counts may be the last contact: unknown for its person, and for no other."""
        unsorted = {**mail(1, ADA, "2020-01-01"), "kind": ""}
        table(shop, "mails", unsorted, {**mail(2, "eve@canary.example", "2020-01-01"), "kind": "reply"})
        with shop.machine() as machine:
            assert {1: Unknown("a record of mails can't tell")} == facts(machine, "people")
            assert Known(dt.date(2020, 1, 1)) == facts(machine, "mails")[2]

    def test_what_is_purged_leaves_as_little_as_it_said(self, shop: Lab) -> None:
        """A bulk mail that goes by its own rule moves nothing; a reply that goes with it goes on to count."""
        shop.policies = shop.policies.replace('start = "last_contact"\nkeep = "P1Y"', 'start = "sent_on"\nkeep = "P1M"')
        table(shop, "mails", {**mail(1, ADA, "2026-05-20"), "kind": "bulk"}, {**mail(2, ADA, "2025-03-01"), "kind": "reply"})
        with shop.machine() as machine:
            before = facts(machine, "people")
            done(shop, machine)
            assert {} == shop.table("mails")
            assert {1: Known(dt.date(2025, 3, 1))} == before == facts(machine, "people")
            assert 20 == sum(len(blob) for blob in machine.ledger.high_water("mails", "sent_on"))

    def test_what_did_not_count_still_joins(self, shop: Lab) -> None:
        """A person who is no customer joins their mail to their call, also after the record has gone."""
        shop.policies = shop.policies.replace('start = "last_contact"', 'start = "met_on"', 1)
        shop.policies = shop.policies.replace('"calls.called_on"]', '"calls.called_on"]\nnone = "not_yet"')
        table(shop, "people", *({**person(key, "2023-05-01", email, phone), "customer": False} for key, email, phone in NO_CUSTOMERS))
        table(shop, "mails", {**mail(1, ADA, "2026-03-01"), "kind": "reply"})
        table(shop, "calls", call(1, "0031612345678", "2022-02-02"), call(2, "0201234567", None))
        shop.policies = shop.policies.replace('empty = "not_yet"', 'empty = "not_applicable"')
        with shop.machine() as machine:
            before = facts(machine, "calls")
            done(shop, machine)
            assert {} == shop.table("people")
            assert {1: Known(dt.date(2026, 3, 1)), 2: NotApplicable()} == before == facts(machine, "calls")


class TestAllOrNone:
    """One source that can't be read, and nothing that depends on the fact is touched."""

    def test_unreadable_when_planned(self, shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plan goes on with what does not depend on it; the rest is undetermined, with the source's name, and the run is partial."""
        table(shop, "people", person(1, "2020-01-01", "ada@canary.example"))
        table(shop, "calls", call(1, "0031612345678", "2020-01-01"))
        table(shop, "mails", mail(1, "ada@canary.example", "2020-01-01"))
        with shop.machine() as machine:
            with unreadable(monkeypatch, "calls"):
                plan = make_plan(machine)
            assert {"people": 0, "mails": 1} == plan.acting
            assert {"calls": "calls: connection refused"} == plan.failed
            assert {("undetermined", "contact: last_contact: calls could not be read"), ("failed", "the source could not be read")} == {
                (each.kind, each.detail) for each in plan.findings
            }
            assert {"people": 1, "mails": 1, "calls": 1} == make_plan(machine).acting

    def test_a_member_without_a_policy(self, shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """A source that is only read from fails like any other, and its finding ends when it answers again."""
        shop.policies = shop.policies[: shop.policies.rindex("[[policies]]")]
        with shop.machine() as machine:
            with unreadable(monkeypatch, "calls"):
                plan = make_plan(machine)
                approve(machine, plan.path, "ann")
                result = apply_plan(machine, open_plan(machine, plan.path))
            assert (5, {"calls"}) == (result.exit_code, set(result.failed))
            assert "failed" in {each.finding.kind for each in machine.ledger.open_findings()}
            make_plan(machine)
            assert [] == [each.finding for each in machine.ledger.open_findings() if each.finding.kind == "failed"]

    def test_unreadable_when_applied(self, shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was planned with it is left whole in every source that uses it; a later run does it."""
        table(shop, "people", person(1, "2020-01-01", "ada@canary.example", "0031612345678"), person(2, "2026-01-01"))
        table(shop, "calls", call(1, "0031612345678", "2020-01-01"), call(2, "", "2026-01-01"))
        table(shop, "mails", mail(1, "ada@canary.example", "2020-01-01"), mail(2, "", "2026-01-01"))
        with shop.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            with unreadable(monkeypatch, "calls"):
                result = apply_plan(machine, open_plan(machine, plan.path))
            assert (5, {"people", "calls"}) == (result.exit_code, set(result.failed))
            assert ({1, 2}, {2}, {1, 2}) == tuple(set(shop.table(name)) for name in ("people", "mails", "calls"))
            assert 0 == apply_plan(machine, open_plan(machine, plan.path)).exit_code
        assert [{2}] * 3 == [set(shop.table(name)) for name in ("people", "mails", "calls")]

    def test_new_contact_between_plan_and_run(self, shop: Lab) -> None:
        """Somebody mails after the plan was made: the record is left, and so is the call, and it is said."""
        table(shop, "people", person(1, "2020-01-01", "ada@canary.example", "0031612345678"))
        table(shop, "mails")
        table(shop, "calls", call(1, "0031612345678", "2020-01-01"))
        with shop.machine() as machine:
            plan = make_plan(machine)
            assert {"people": 1, "mails": 0, "calls": 1} == plan.acting
            approve(machine, plan.path, "ann")
            table(shop, "mails", mail(9, "ada@canary.example", "2026-06-29"))
            result = apply_plan(machine, open_plan(machine, plan.path))
        assert (1, 1) == tuple(result.results[name].skipped["changed"] for name in ("people", "calls"))
        assert ({1}, {1}) == (set(shop.table("people")), set(shop.table("calls")))

    def test_read_once_whatever_uses_it_and_not_at_all_unused(self, shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plan of a source that decides by nothing outside reads nothing outside."""
        with shop.machine() as machine, unreadable(monkeypatch, "calls"):
            assert {} == make_plan(machine, sources=("mails",)).failed


class TestWhatIsSaid:
    """Who reads events, explanations and files learns what was used, and about nobody."""

    def test_intents_say_that_the_facts_were_not_locked(self, shop: Lab) -> None:
        """The event of a record decided by it names the fact and how it was read; that of another record doesn't."""
        table(shop, "people", person(1, "2020-01-01", "zoe@canary.example"))
        with shop.machine() as machine:
            done(shop, machine)
        text = "".join(path.read_text() for path in (shop.folder / "state" / "audit").iterdir())
        assert 2 == text.count("last_contact: read again in all their sources before the first batch, not locked")
        assert 3 == text.count('"retention.record_deleted"')

    def test_explained_and_sampled_with_it(self, shop: Lab) -> None:
        """`explain` and `plan sample` decide alike."""
        with shop.machine() as machine:
            assert ("last_contact: 2025-03-01",) == explain_record(machine, "people", "1").purposes[0].facts
            assert (1, 0) == tuple(len(sample(machine, machine.policy(name), 5).rows) for name in ("mails", "people"))

    def test_no_personal_data_anywhere(self, shop: Lab) -> None:
        """Neither the gathered file nor ledger, plan and trail hold an address or a number, or a leftover file."""
        with shop.machine() as machine:
            done(shop, machine)
            with gather(machine, machine.policies(), TODAY) as gathered:
                kept = gathered.indexes["last_contact"]._connection.serialize()
        files = [path for path in (shop.folder / "state").rglob("*") if path.is_file()]
        assert [] == [path for path in files if path.name.startswith("facts-")]
        assert len(kept) > 4096
        for content in (kept, *(path.read_bytes() for path in files)):
            assert not any(canary in content.lower() for canary in CANARIES)
