"""The five shipped schedules, each in a demonstration office of its own, night by night; and what the table of their rules says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.schedules.office import SCHEDULES, Night, Plan, Record, build, spend
from worker.policyfile.schema import json_schema

NAMES = ("red-rocket-online", "koel-ict", "connaxis", "alsjelieft", "vip-online-services")
DECLARED = {"attestation": "attestations", "review": "reviews", "gap": "gaps"}
RULES = (
    *(f"RR-{number}" for number in (1, 2, 3, 4, 5, "5b", *range(6, 17))),
    *(f"KI-{number}" for number in range(1, 7)),
    *(f"CX-{number}" for number in range(1, 10)),
    *(f"AL-{number}" for number in range(1, 13)),
    *(f"VO-{number}" for number in range(1, 12)),
)
"""Every rule of the five statements."""

_LANGUAGE = json.dumps(json_schema())


def written_down(name: str) -> Plan:
    """Return what is written down about one office."""
    plan: Plan = importlib.import_module(f"tests.acceptance.schedules.{name.replace('-', '_')}").PLAN
    return plan


def schedule(name: str) -> dict[str, Any]:
    """Return a schedule as plain tables."""
    return tomllib.loads((SCHEDULES / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_record_becomes_what_was_written_down(name: str, tmp_path: Path) -> None:
    """Record by record and night by night: the decision, its due day and not a day earlier, the plan's figures, and what is left."""
    office = build(written_down(name), tmp_path)
    wrong = spend(office)
    assert [] == wrong, "\n".join(wrong)
    kept = b"".join(path.read_bytes() for path in office.state.rglob("*") if path.is_file())
    assert b".example" not in kept.replace(b"retention.example", b"")
    assert ".example" not in "".join(office.everything)


# --- What the statements say beside periods -----------------------------------------------------------------------------------------------


def test_what_is_over_is_deleted_and_not_only_pseudonymised() -> None:
    """RR-9: in that schedule a field that is due is emptied and a record deleted; only answers are pseudonymised, and those end, too."""
    table = schedule("red-rocket-online")
    for policy in table["policies"]:
        steps = policy["disposition"] if isinstance(policy["disposition"], list) else [{"do": policy["disposition"]}]
        ways = [step["do"] for each in steps for step in (each, *each.get("then", ()))]
        assert (["pseudonymise", "delete"] == ways) if policy["source"] == "answers" else {"delete", "review"} >= set(ways)
    treatments = {each.get("treatment") for name, of in table["sources"].items() if name != "answers" for each in of["fields"].values()}
    assert {None, "clear"} == treatments


def test_no_decision_without_a_person(tmp_path: Path) -> None:
    """RR-12: with `approval = always` a night decides nothing by itself; it makes a plan and a person says yes."""
    office = build(written_down("red-rocket-online"), tmp_path)
    env = {"RETENTION_APPROVAL": "always"}
    before = office.contents()
    for action in office.written_down.nights[0].before:
        office.act(action)
    said = office("run", "--json", env=env)
    assert (3, before) == (said.code, office.contents())
    assert 0 == office("approve", said.json["plan_file"], env=env).code
    assert office("apply", said.json["plan_file"], env=env).code in (0, 4)
    assert before != office.contents()


def test_a_missed_night_is_noticed(tmp_path: Path) -> None:
    """KI-2: after a time without any run the next one stops before it writes and says so, until a person looked."""
    office = build(written_down("koel-ict"), tmp_path)
    env = {"RETENTION_MAX_CLOCK_LEAP": "P35D"}
    assert 0 == office("policies", "approve").code
    for source in office.sources:
        assert 0 == office("sources", "approve", source).code
    assert office("run", env=env).code in (0, 4)
    office.now += dt.timedelta(days=36)
    said = office("run", "--json", env=env)
    assert (3, ["clock"]) == (said.code, [each["brake"] for each in said.json["brakes"]])


def test_a_system_that_cannot_be_read_keeps_everybody(tmp_path: Path) -> None:
    """KI-1: the last contact is unknown for all as long as one system is away, so nobody goes from any of them; then it is all again."""
    office = build(written_down("koel-ict"), tmp_path)
    assert 0 == office("policies", "approve").code
    for source in office.sources:
        assert 0 == office("sources", "approve", source).code
    (tmp_path / "away.sqlite").write_bytes(b"no database" * 100)
    before = office.contents()
    said = office("run", "--json", env={"RETENTION_SOURCES__SIGN_UPS__URL": f"sqlite:///{tmp_path / 'away.sqlite'}"})
    assert 5 == said.code, said.err
    after = office.contents()
    assert {"contacts", "mails", "sign_ups"}.isdisjoint(source for source, _ in before.keys() - after.keys())
    assert ("invoices", 2) not in after
    office.now += dt.timedelta(hours=1)
    assert office("run").code in (0, 4)
    assert ("contacts", 1) not in office.contents()


def _threads(plan: Plan, keys: dict[int, int]) -> Plan:
    """Return the office with its comments under other keys."""
    records = []
    for each in plan.records:
        if each.source == "comments":
            to = each.values["parent_id"]
            values = {**each.values, "parent_id": keys[to] if to is not None else None}
            records.append(dataclasses.replace(each, key=keys[int(each.key)], values=values))
    nights = tuple(dataclasses.replace(each, rows={}) for each in plan.nights[:2])
    return dataclasses.replace(plan, records=tuple(records), nights=nights)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", ["1", "2"])
def test_threads_in_any_order_of_processing(size: str, tmp_path: Path, *, backwards: bool) -> None:
    """VO-1: what becomes of a comment and its answers depends neither on the order of their keys nor on how batches cut them."""
    plan = written_down("vip-online-services")
    keys = [int(each.key) for each in plan.records if each.source == "comments"]
    plan = _threads(plan, dict(zip(keys, sorted(keys, reverse=backwards), strict=True)))
    office = build(plan, tmp_path)
    office.environ["RETENTION_BATCH_SIZE"] = size
    wrong = spend(office)
    assert [] == wrong, "\n".join(wrong)


def test_a_comment_that_stays_is_scrubbed_of_its_author(tmp_path: Path) -> None:
    """VO-1: what a comment says stays under the post, its author's name, address and number do not; nothing is left for the next night."""
    plan = _threads(written_down("vip-online-services"), {int(each.key): int(each.key) for each in _comments()})
    said = "Xavier here: mail me, XAVIER@forum.example or 06-12345678. Zoë and I agree.\n- xavier"
    records = [dataclasses.replace(each, values={**each.values, "body": said}) if each.key in (30, 82) else each for each in plan.records]
    office = build(dataclasses.replace(plan, records=records), tmp_path)
    wrong = spend(office)
    assert [] == wrong, "\n".join(wrong)
    expected = "[naam] here: mail me, [e-mail] or [telefoon]. Zoë and I agree.\n- [naam]"
    assert [(82, expected)] == office.sql("SELECT id, body FROM comments WHERE id IN (30, 82) AND author_email LIKE 'p1-%'")[-1:]
    assert [] == office.sql("SELECT id FROM comments WHERE body LIKE '%xavier%' AND author_email LIKE 'p1-%'")


def _comments() -> list[Record]:
    """Return what is written down about comments."""
    return [each for each in written_down("vip-online-services").records if each.source == "comments"]


def test_what_no_server_can_enforce_is_shown(tmp_path: Path) -> None:
    """RR-16, KI-3, KI-5, CX-9, VO-8, VO-9, VO-11: every attestation and review is on the list until it is done, and every gap is told."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        office = build(written_down(name), tmp_path / name)
        table = schedule(name)
        listed = office("reviews", "list", "--json").json
        wanted = {each["id"] for kind in ("attestations", "reviews") for each in table.get(kind, ())}
        assert wanted <= set(re.findall(r'"id": "([\w-]+)"', json.dumps(listed))), name
        checked = office("policies", "check")
        assert 0 == checked.code, checked.err
        told = " ".join((checked.out + checked.err).split())
        for each in table.get("gaps", ()):
            assert each["id"] in told


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_can_be_written_from_what_is_enforced(name: str, tmp_path: Path) -> None:
    """The retention section in both languages, and the register in every form, come out of every schedule and name all its purposes."""
    office = build(written_down(name), tmp_path)
    labels = [purpose["label"] for policy in schedule(name)["policies"] for purpose in policy["purposes"]]
    for args in (
        ("statement", "--lang", "nl"),
        ("statement", "--lang", "en"),
        ("register", "--lang", "nl", "--format", "csv"),
        ("register",),
    ):
        said = office("policies", *args)
        assert (0, "") == (said.code, said.err)
        lang = "nl" if "nl" in args else "en"
        assert [] == [each[lang] for each in labels if each[lang] not in said.out.replace("\\", "")], args


# --- The table of rules -----------------------------------------------------------------------------------------------------------------


def rows() -> dict[str, tuple[str, list[str], str]]:
    """Return the table of rules: by id, the schedule it stands under, where it is, and what proves it."""
    found: dict[str, tuple[str, list[str], str]] = {}
    headings = iter(NAMES)
    name = ""
    for line in (SCHEDULES / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            name = next(headings)
        cells = [each.strip() for each in line.strip("|").split("|")]
        if re.fullmatch(r"[A-Z]{2}-\d+b?", cells[0]):
            assert cells[0] not in found, f"{cells[0]} is there twice"
            found[cells[0]] = (name, re.findall(r"`([^`]+)`", cells[2]), cells[3].strip("`"))
    return found


def test_every_rule_has_a_place_and_a_proof() -> None:
    """Every rule of the statements stands in the table, where it says that it is something is, and what proves it exists."""
    table = rows()
    assert sorted(RULES) == sorted(table)
    for rule, (name, places, proof) in table.items():
        tables = schedule(name)
        purposes = {f"{policy['source']}.{purpose['id']}" for policy in tables["policies"] for purpose in policy["purposes"]}
        declared = {f"{kind}.{each['id']}" for kind, key in DECLARED.items() for each in tables.get(key, ())}
        assert places, rule
        assert set(places) <= purposes | declared, rule
        if proof == "records":
            assert rule in {each.rule for each in written_down(name).records}, rule
        else:
            assert proof in globals(), rule


def test_every_purpose_and_declaration_is_in_the_table() -> None:
    """Nothing in a schedule is there without a rule: every purpose, attestation, review and gap stands in the table."""
    named = {(name, place) for name, places, _ in rows().values() for place in places}
    follow = re.compile(r"^accounts\.telephone-(contract|consent|interest)$")
    for name in NAMES:
        tables = schedule(name)
        there = {f"{policy['source']}.{purpose['id']}" for policy in tables["policies"] for purpose in policy["purposes"]}
        there |= {f"{kind}.{each['id']}" for kind, key in DECLARED.items() for each in tables.get(key, ())}
        assert {each for each in there if not follow.match(each)} <= {place for of, place in named if of == name}


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_says_where_it_comes_from(name: str) -> None:
    """Statement, heading and our own words for every policy, words for every purpose, and an example in which every purpose has a say."""
    for policy in schedule(name)["policies"]:
        assert all(policy.get(key) for key in ("statement", "clause", "description")), policy["source"]
        assert all(purpose.get("description") for purpose in policy["purposes"]), policy["source"]
        assert policy["examples"], policy["source"]


def test_records_name_rules() -> None:
    """A record of an office shows a rule of its own schedule, so that the table's `records` is no empty word."""
    for name in NAMES:
        prefixes = {rule.split("-")[0] for rule, (of, _, _) in rows().items() if of == name}
        plan = written_down(name)
        records: list[Record] = list(plan.records)
        nights: list[Night] = list(plan.nights)
        assert {each.rule for each in records} <= set(RULES)
        assert {each.rule.split("-")[0] for each in records} == prefixes
        assert len(nights) > 2
