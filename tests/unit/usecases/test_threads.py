"""Threads: what becomes of a comment does not depend on which of its answers was written, treated or removed first."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.usecases.conftest import Lab

FORUM = """
version = 1
[organisation]
name = "Laboratory"
timezone = "Europe/Amsterdam"

[sources.comments]
connector = "memory"
table = "comments"
key = "id"
subject = ["email"]
[sources.comments.fields]
email = { type = "email", treatment = "pseudonym", domain = "forum" }
posted_on = { type = "date" }
[sources.comments.children.answers]
table = "comments"
key = "id"
match = { answers_to = "id" }
on_delete = "detach"
source = "comments"
[sources.comments.facts]
answers = { count = "answers", differs = { email = "email" }, remaining = true }

[[policies]]
source = "comments"
disposition = [{ do = "pseudonymise", when = { answers = { gt = 0 } } }, { do = "delete" }]
[[policies.purposes]]
id = "publication"
basis = "legitimate-interests"
fields = ["email"]
start = "posted_on"
keep = "P1Y"
"""
OLD, NEW = "2024-01-01", "2026-06-01"


@pytest.mark.parametrize("size", ["1", "5000"])
@pytest.mark.parametrize("order", [*itertools.permutations((1, 2, 3, 4))][::8])
def test_an_answer_to_oneself_keeps_nothing_in_place(lab: Lab, order: tuple[int, ...], size: str) -> None:
    """Ada answered herself, then Zoe her: the second of Ada's stays without her, the first goes, in whatever order the batches come.

    The second is pseudonymised, perhaps in a batch before: it is still told to be Ada's, and so is one that she wrote in capitals.
    """
    first, second, answer, shouted = order
    lab.policies = FORUM
    lab.environ["RETENTION_BATCH_SIZE"] = size
    rows = {
        first: ("ada@forum.example", OLD, None),
        second: ("ada@forum.example", OLD, first),
        answer: ("zoe@forum.example", NEW, second),
        shouted: ("ADA@forum.example", NEW, first),
    }
    lab.memory.tables["comments"] = {
        (key,): {"id": key, "email": email, "posted_on": day, "answers_to": to} for key, (email, day, to) in rows.items()
    }
    with lab.machine() as machine:
        for _ in range(2):
            lab.plan_and_apply(machine)
            left = lab.table("comments")
            assert {second, answer, shouted} == set(left)
            assert str(left[second]["email"]).endswith("@forum.invalid")
            assert (None, None) == (left[second]["answers_to"], left[shouted]["answers_to"])


@pytest.mark.parametrize(
    ("where", "stored", "counts"),
    [
        ("true", 1, True),
        ("true", True, True),
        ("true", "1", True),
        ("true", "t", True),
        ("false", 0, True),
        ("1", True, True),
        ("1", 1.0, True),
        ('"1"', 1, True),
        ('"1"', "1", True),
        ('"true"', True, True),
        ("true", 0, False),
        ("true", None, False),
        ("true", "no", False),
        ("1", False, False),
        ('"1"', "01", False),
        ('["1", "hold"]', "hold", True),
    ],
)
def test_an_answer_counts_however_its_state_is_written(lab: Lab, where: str, stored: object, counts: bool) -> None:
    """Databases write true as 1, t or a text. Zoe's answer remains, so Ada's comment stays without her; if it does not count, it goes."""
    lab.policies = FORUM.replace("differs =", f"where = {{ shown = {where} }}, differs =").replace(
        "posted_on = {", 'shown = { type = "text" }\nposted_on = {'
    )
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    rows = {1: ("ada@forum.example", OLD, None), 2: ("zoe@forum.example", NEW, 1)}
    lab.memory.tables["comments"] = {
        (key,): {"id": key, "email": email, "posted_on": day, "answers_to": to, "shown": stored} for key, (email, day, to) in rows.items()
    }
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    assert counts is (1 in lab.table("comments"))
