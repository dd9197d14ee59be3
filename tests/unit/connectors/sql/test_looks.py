"""What columns, tables and values look like: told by name in three languages and by form, in numbers and never in values."""

from __future__ import annotations

import pytest

from connectors.sql.looks import forms, is_copy, is_soft_delete, named_like


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("name", "names"),
        ("firstName", "names"),
        ("achternaam", "names"),
        ("Nachname", "names"),
        ("billing_name", "names"),
        ("email2", "e-mail addresses"),
        ("e_mail_adres", "e-mail addresses"),
        ("telefoonnummer", "telephone numbers"),
        ("Handy", "telephone numbers"),
        ("postcode", "addresses"),
        ("strasse", "addresses"),
        ("geboortedatum", "days of birth"),
        ("dateOfBirth", "days of birth"),
        ("bsn", "numbers that identify people"),
        ("kenteken", "numbers that identify people"),
        ("iban", "bank accounts"),
        ("remote_addr", "traces of devices"),
        ("user_agent", "traces of devices"),
        ("opmerkingen", "free text"),
        ("geschlecht", "what is special about a person"),
        ("avatar_url", "pictures"),
    ],
)
def test_columns(name: str, kind: str) -> None:
    """Columns are told by names in Dutch, English and German, in whatever style they are written."""
    assert kind == named_like(name)


@pytest.mark.parametrize(
    "name", ["id", "status", "amount", "created_at", "quantity", "emailed", "description", "telemetry", "shipped_on", "scores"]
)
def test_columns_that_say_nothing(name: str) -> None:
    """A part of a word is not the word."""
    assert named_like(name) is None


@pytest.mark.parametrize(
    "name", ["deleted_at", "isDeleted", "deleted", "archived", "removed_on", "verwijderd_op", "geloescht_am", "trashed_at"]
)
def test_soft_deletion(name: str) -> None:
    """Marks of deletion are told by name."""
    assert is_soft_delete(name)


@pytest.mark.parametrize("name", ["delivered_at", "status", "undeleted_rows", "completed"])
def test_no_soft_deletion(name: str) -> None:
    """Other days and flags are not."""
    assert not is_soft_delete(name)


def test_copies() -> None:
    """Tables of old content are told by name."""
    assert all(
        is_copy(each) for each in ("people_history", "PeopleAudit", "audit_people", "people_bak", "people_old2", "contacts_versions")
    )
    assert not any(is_copy(each) for each in ("people", "logistics", "blog", "catalogue", "versioning"))


def test_forms() -> None:
    """Every value is counted once, as what the whole of it is; what is no text is not looked at."""
    values = [
        "ada@canary.example",
        " 06-12345678 ",
        "+31 20 794 0958",
        "NL91 ABNA 0417 1643 00",
        "123456782",
        "192.0.2.7",
        "2001:db8::1",
        "Ada Lovelace",
        "Jan van der Berg",
        "call ada@canary.example tomorrow",
        "x " * 200 + "ada@canary.example",
        "open",
        "Two Words Here",
        "",
        None,
        7,
        b"ada@canary.example",
    ]
    expected = {
        "e-mail addresses": 1,
        "telephone numbers": 2,
        "bank account numbers": 1,
        "citizen service numbers": 1,
        "IP addresses": 2,
        "names": 2,
        "texts that mention people": 2,
    }
    assert expected == dict(forms(values))
