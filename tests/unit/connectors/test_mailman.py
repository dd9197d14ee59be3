"""Declarations and addresses that can't be right are refused before anything is asked of a Mailman."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.contract.harness import reading
from connectors.plugins import mailman
from worker.core.facts import FieldType
from worker.core.sources import Aggregate, Field, Function, Source
from worker.errors import ConfigurationError
from worker.ports import Connection, Level

URL = "http://restadmin:secret@localhost:8001"
MEMBERS = Source("members", "mailman", "news.lists.example", ("member_id",), (Field("email", "email", reading(FieldType.TEXT)),))
COUNT = Aggregate("number", "replies", Function.COUNT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": "news@lists.example"}, "members.table"),
        ({"table": "news"}, "members.table"),
        ({"table": "news.lists.example/held"}, "members.table"),
        ({"key": ("email",)}, 'Declare key = "member_id"'),
        ({"table": "addresses"}, 'Declare key = "email"'),
        ({"table": "news.lists.example/requests"}, 'Declare key = "token"'),
        ({"options": {"delete": "all"}}, "is one of membership, address, user"),
        ({"options": {"role": "admin"}}, "is one of member, nonmember, owner, moderator"),
        ({"options": {"rolle": "owner"}}, "There are: role, delete"),
        ({"table": "addresses", "key": ("email",), "options": {"delete": "user"}}, "left-over addresses have none"),
        ({"fields": (Field("since", "registered_on", reading(FieldType.TEXT)),)}, "Did you mean '@registered_on'?"),
        ({"fields": (Field("secret", "password", reading(FieldType.TEXT)),)}, "have no column 'password'"),
        ({"aggregates": (COUNT,)}, "no relations"),
    ],
)
def test_what_can_not_be_declared(changes: dict[str, object], said: str) -> None:
    """A declaration that no Mailman could fulfil is refused, with what to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        mailman(replace(MEMBERS, **changes), Connection(URL))  # type: ignore[arg-type]
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("http://localhost:8001", {}, "admin_user"),
        (f"{URL}/3.0", {}, "version 3.1"),
        (URL, {"page": "0"}, "at least 1"),
        (URL, {"pages": "10"}, "unknown options pages"),
        (None, {}, "RETENTION_SOURCES__MEMBERS__URL"),
    ],
)
def test_settings_that_can_not_be(url: str | None, options: dict[str, str], said: str) -> None:
    """Settings that can't work are refused; no message holds the password."""
    with pytest.raises(ConfigurationError) as caught:
        mailman(MEMBERS, Connection(url, options=options))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("extent", [None, "membership", "address", "user"])
def test_the_level(extent: str | None) -> None:
    """Where address and user stay, the audit trail says that the person is not gone for good."""
    opened = mailman(replace(MEMBERS, options={"delete": extent} if extent else {}), Connection(f"{URL}/3.1/"))
    assert (Level.SOFT if extent == "membership" else Level.PERMANENT) == opened.level
    opened.close()


def test_nothing_secret_is_a_column() -> None:
    """A user's password, which Mailman gives out, is no column of anything."""
    opened = mailman(MEMBERS, Connection(URL))
    assert not [each for each in opened.shape().columns if "password" in each or "token" in each]
    opened.close()
