"""The slips of whoever writes a policy file for the first time: each message says what to do, in words that are no programmer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigurationError, Problems
from worker.policyfile import load, loads
from worker.policyfile.loading import check_text

FIRST = """\
version = 1

[organisation]
name = "Office"
timezone = "Europe/Amsterdam"

[sources.visitors]
connector = "crm"
table = "visits"
key = "id"
subject = ["email"]
[sources.visitors.fields]
name = { personal = true }
email = { type = "email" }
visited_on = { type = "date" }
gifts = { type = "number" }
vip = { type = "boolean" }

[[policies]]
source = "visitors"
disposition = "delete"
[[policies.purposes]]
id = "premises"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "visited_on"
keep = "P6M"
[[policies.examples]]
given = { visited_on = 2025-08-31 }
due = 2026-02-28
"""

SYNTAX = [
    ('name = "Office"', "name = Office", "line 4", "straight quotation marks"),
    ('name = "Office"', "name = “Office”", "line 4", "typographic"),
    ('name = "Office"', 'name = "Office', "line 4", "A text ends"),
    ('name = "Office"', 'my name = "Office"', "line 4", "a name with a blank"),
    ('key = "id"', 'key = "id"\nkey = "id"', "line 11", "stands there already"),
    ("[organisation]", "[organisation]\n[organisation]", "line 4", "stands there already"),
    ('["name", "email"]', '["name" "email"]', "line 25", "A comma"),
    ('email = { type = "email" }', 'email = { type = "email"', "line 14", "missing"),
    ("due = 2026-02-28", "due = 28-02-2026", "line 30", "year-month-day"),
    ("due = 2026-02-28", "due = 28.02.2026", "line 30", "year-month-day"),
    ("visited_on = 2025-08-31", "visited_on = 31-8-2025", "line 29", "year-month-day"),
    ("due = 2026-02-28", "due = 2026-2-28", "line 30", "year-month-day"),
    ("due = 2026-02-28", "due = 2026-02-30", "line 30", "no such day"),
]

MEANING = [
    ("version = 1", 'version = "1"', "must be 1, without quotes"),
    ("version = 1\n", "", "begins with the line version = 1"),
    ('subject = ["email"]', 'subject = "email"', 'Put it in square brackets: ["email"].'),
    ("[[policies.purposes]]", "[policies.purposes]", "Write its header with two brackets: [[policies.purposes]]."),
    ('vip = { type = "boolean" }', 'vip = "boolean"', "Give it a header of its own, [sources.visitors.fields.vip]"),
    ('connector = "crm"', 'connector = "csv"', "There are: crm, mailing_list."),
    ('keep = "P6M"', "", 'keep = "indefinite" for what has no end'),
    ('keep = "P6M"', 'keep = "forever"', "or 'indefinite'"),
    ('basis = "legitimate-interests"', "", "One of consent, contract, legal-obligation"),
    ('disposition = "delete"', "", 'disposition = "delete", "pseudonymise" or "review"'),
    ("visited_on = 2025-08-31", 'visited_on = "2025-08-31"', "Write a day without quotes"),
    ("visited_on = 2025-08-31", "visited_on = 2025-08-31, x = 1", "there is no fact"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "hint"), SYNTAX)
def test_what_is_no_toml_says_where_and_what_to_do(right: str, wrong: str, line: str, hint: str) -> None:
    """File, line and column come first, then what is to be changed there."""
    assert right in FIRST
    with pytest.raises(ConfigurationError) as raised:
        loads(FIRST.replace(right, wrong, 1), "policies.toml")
    said = str(raised.value)
    assert said.startswith(f"policies.toml: {line}, column ")
    assert hint in said.partition("not valid TOML: ")[2]


@pytest.mark.parametrize(("right", "wrong", "hint"), MEANING)
def test_a_slip_is_told_with_what_to_write_instead(right: str, wrong: str, hint: str) -> None:
    """A list without brackets, a table that is a value, a day in quotes, a key that is missing."""
    assert right in FIRST
    with pytest.raises(Problems) as raised:
        loads(FIRST.replace(right, wrong, 1), "policies.toml", ["crm", "mailing_list"])
    assert hint in str(raised.value)


def test_the_file_of_these_slips_is_right_without_them() -> None:
    """Otherwise they would prove nothing."""
    assert () == check_text(FIRST, "policies.toml", ["crm"]).problems


def test_a_byte_order_mark_and_line_ends_of_another_system_say_nothing(tmp_path: Path) -> None:
    """An editor may put both into the file; it means the same, and lines are counted the same."""
    path = tmp_path / "policies.toml"
    path.write_text(FIRST, encoding="utf-8")
    plain = load(path)
    path.write_bytes(b"\xef\xbb\xbf" + FIRST.replace("\n", "\r\n").encode())
    assert [each.digest for each in plain.policies] == [each.digest for each in load(path).policies]
    path.write_bytes(b"\xef\xbb\xbf" + FIRST.replace('"P6M"', '"6M"').replace("\n", "\r\n").encode())
    with pytest.raises(Problems, match=r"keep \(line 27\)"):
        load(path)


def test_a_file_that_is_not_there_says_where_it_is_looked_for(tmp_path: Path) -> None:
    """The first mistake of all: the wrong folder."""
    with pytest.raises(ConfigurationError, match="--policies FILE`, or RETENTION_POLICIES"):
        load(tmp_path / "policies.toml")
