"""Every treatment on real databases: planned, carried out, read back, and never due again."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.installation import Installation
from tests.systems.killing import apply_and_die, killed
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import Firm
from worker.ports import AFTER_COMMIT, BEFORE_COMMIT
from worker.usecases.planning import make_plan
from worker.usecases.verifying import verify

NOW = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
POLICIES = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"

[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
name = { treatment = "pseudonym" }
email = { type = "email", treatment = "random" }
phone = { type = "phone", treatment = "clear" }
nickname = { treatment = "random" }
street = { treatment = { constant = "-" } }
ip = { treatment = "truncate" }
postcode = { treatment = { generalise = "region" } }
born_on = { type = "date", treatment = { generalise = "year" }, earliest = 1850-01-01 }
joined_at = { type = "timestamp", timezone = "UTC", treatment = { generalise = "month" } }
age = { type = "number", treatment = { generalise = "range", size = 10 } }
remarks = { treatment = { scrub = ["name", "email", "phone"], countries = ["NL"] } }
subject = { treatment = { scrub = ["name"], language = "nl", within = 40 } }
seen_on = { type = "date" }

[[policies]]
source = "people"
disposition = "pseudonymise"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "phone", "nickname", "street", "ip", "postcode", "born_on", "joined_at", "age", "remarks", "subject"]
start = "seen_on"
keep = "P2Y"
"""
TABLE = """
CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(80), email VARCHAR(80) UNIQUE, phone VARCHAR(30), nickname VARCHAR(40) UNIQUE,
  street VARCHAR(80) NOT NULL, ip VARCHAR(45), postcode VARCHAR(10), born_on DATE, joined_at {timestamp}, age INTEGER, remarks TEXT,
  subject VARCHAR(40), seen_on DATE)
"""
OLD, YOUNG = dt.date(2020, 1, 1), dt.date(2026, 1, 1)
FULL = {
    "name": "Ada van Marienborn",
    "email": "ada@canary.example",
    "phone": "06-12345678",
    "nickname": "canary-ada",
    "street": "Canary street 1",
    "ip": "192.0.2.77",
    "postcode": "1234 AB",
    "born_on": dt.date(1980, 5, 17),
    "joined_at": dt.datetime(2019, 12, 31, 23, 30),
    "age": 46,
    "remarks": "Called Marienborn, A. (ada@canary.example, 0031612345678) and bob@canary.example. Paid NL91 ABNA 0417 1643 00.",
    "subject": "About Ada's order, written for Ada, b.v.",
    "seen_on": OLD,
}
EMPTY = dict.fromkeys(FULL) | {"street": "-", "seen_on": OLD}
ODD = EMPTY | {
    "remarks": "Order 20240517123: nothing to see.",
    "postcode": "12",
    "age": 40,
    "born_on": dt.date(1980, 1, 1),
    "ip": "192.0.2.0",
}
ROWS = [FULL, EMPTY, ODD, FULL | {"email": "young@canary.example", "nickname": "young", "seen_on": YOUNG}]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """Return an installation over a table of four people, on each of the databases."""
    if request.param == "sqlite":
        (tmp_path / "people.sqlite").touch()
        url = f"sqlite:///{tmp_path}/people.sqlite"
    else:
        server: Postgres | MariaDB = request.getfixturevalue("postgres" if request.param == "postgresql" else "mariadb")
        url = server.new_database("people")
    engine = sa.create_engine(url)
    names = ["id", *FULL]
    with engine.begin() as connection:
        connection.execute(sa.text(TABLE.format(timestamp="DATETIME(3)" if request.param == "mariadb" else "TIMESTAMP")))
        into = f"INSERT INTO people ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        connection.execute(sa.text(into), [{"id": number, **row} for number, row in enumerate(ROWS)])
    engine.dispose()
    environ = {"RETENTION_SOURCES__PEOPLE__WITNESS_TABLE": "yes"} if request.param == "mariadb" else {}
    return Installation(tmp_path, POLICIES, {"people": url}, NOW, environ)


def people(installation: Installation) -> list[dict[str, str | None]]:
    """Return every row with its values as texts."""
    engine = sa.create_engine(installation.urls["people"])
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM people ORDER BY id")).mappings().all()
    engine.dispose()
    return [{name: None if value is None else str(value).removesuffix(".000000") for name, value in row.items()} for row in rows]


def test_every_treatment(installation: Installation) -> None:
    """What is due is treated as declared, in the column's own type; the next plan finds nothing, and verification agrees."""
    before = people(installation)
    plan, result = installation.carry_out()
    assert ({"people": 1}, 0) == (plan.acting, result.exit_code), result.as_json()
    full, *others = people(installation)
    assert before[1:] == others
    tokens = {name: full.pop(name) for name in ("name", "email", "nickname")}
    assert re.fullmatch(r"p1-[a-z0-9-]+-[a-z2-7]{26}", str(tokens["name"]))
    assert re.fullmatch(r"r1-[a-z2-7]{26}@people\.invalid", str(tokens["email"]))
    assert re.fullmatch(r"r1-[a-z2-7]{26}", str(tokens["nickname"]))
    expected = {
        "id": "0",
        "phone": None,
        "street": "-",
        "ip": "192.0.2.0",
        "postcode": "12",
        "born_on": "1980-01-01",
        "joined_at": "2019-12-01 00:00:00",
        "age": "40",
        "remarks": "Called [name] ([e-mail], [phone]) and [e-mail]. Paid [IBAN].",
        "subject": "About * order, written for *, b.v.",
        "seen_on": "2020-01-01",
    }
    assert expected == full
    with installation.machine() as machine:
        assert {"people": 0} == make_plan(machine).acting
        assert verify(machine, result.run_id).whole
    assert b"canary" not in installation.written()


@pytest.mark.parametrize(("point", "done"), [(BEFORE_COMMIT, False), (AFTER_COMMIT, True)])
def test_a_kill_is_told_from_what_is_there(installation: Installation, point: str, *, done: bool) -> None:
    """Without a marker, what became of a batch is read back by whether each treatment is done; what was written is not written again."""
    firm = Firm(installation.folder, POLICIES, installation.urls, NOW)
    plan = firm.approved()
    killed(apply_and_die, firm, plan, point, 1)
    between = people(firm)
    assert done == (between[0]["phone"] is None)
    result = firm.apply(plan)
    assert 0 == result.exit_code, result.as_json()
    after = people(firm)
    assert (between == after) == done  # A token is made anew each time, so a second treatment would show.
    assert "Called [name] ([e-mail], [phone]) and [e-mail]. Paid [IBAN]." == after[0]["remarks"]
    assert 1 == len(firm.done())


def test_what_comes_back_is_due_again(installation: Installation) -> None:
    """A field that somebody fills again after it was treated is treated again, and nothing else of the record."""
    installation.carry_out()
    engine = sa.create_engine(installation.urls["people"])
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE people SET remarks = 'new: bob@canary.example', born_on = '1980-05-17' WHERE id = 0"))
    engine.dispose()
    plan, result = installation.carry_out()
    assert ({"people": 1}, 0) == (plan.acting, result.exit_code)
    treated = sorted((sorted(each.payload["retention.fields"]) for each in installation.effects()), key=len)
    assert [["born_on", "remarks"], 12] == [treated[0], len(treated[1])]
    assert ("new: [e-mail]", "1980-01-01") == (people(installation)[0]["remarks"], people(installation)[0]["born_on"])


def test_a_name_that_stays_is_taken_out_of_the_text(installation: Installation) -> None:
    """A text may be due before the name that it is scrubbed of: the name stays in its field, and the text is not treated again."""
    longer = POLICIES + '\n[[policies.purposes]]\nid = "tax"\nbasis = "legal-obligation"\nbound = "floor"\n'
    installation.policies = longer + 'fields = ["name", "email", "phone"]\nstart = "seen_on"\nkeep = "P7Y"\n'
    plan, result = installation.carry_out()
    assert ({"people": 1}, 0) == (plan.acting, result.exit_code)
    found = people(installation)[0]
    assert (FULL["name"], FULL["email"], FULL["phone"]) == (found["name"], found["email"], found["phone"])
    assert "Called [name] ([e-mail], [phone]) and [e-mail]. Paid [IBAN]." == found["remarks"]
    with installation.machine() as machine:
        assert {"people": 0} == make_plan(machine).acting
        assert verify(machine, result.run_id).whole
