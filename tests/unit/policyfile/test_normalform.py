"""The digest of a policy: what changes it, and what must not."""

from __future__ import annotations

import dataclasses

import pytest

from worker.core.model import Policy
from worker.policyfile import digest, loads
from worker.policyfile.changes import changes

TEXT = """\
version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"

[sources.customers]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]
[sources.customers.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "clear" }
seen_on = { type = "date" }
score = { type = "number" }

[[policies]]
source = "customers"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "seen_on"
keep = "P2Y"
when = { score = { gt = 1 } }
[[policies.purposes]]
id = "other"
basis = "contract"
fields = ["name"]
keep = "indefinite"
when = { score = 0 }
"""


def policy(text: str) -> Policy:
    """Return the one policy of a text."""
    return loads(text, "policies.toml").policies[0]


SAME = [
    ("version = 1", "# a comment\nversion = 1"),
    ("connector", "  connector"),
    ('disposition = "delete"', 'disposition = "delete"\nclause = "5"\ndescription = "Said in other words."'),
    ('keep = "indefinite"', 'keep = "indefinite"\ndescription = "Why."'),
    ('keep = "indefinite"', 'keep = "indefinite"\nlabel = { en = "Why" }'),
    ('table = "contacts"', 'table = "contacts"\nlabel = { nl = "Klanten" }'),
    ('score = { type = "number" }', 'score = { type = "number", label = { nl = "de score" }, values = { 0 = { en = "you lost" } } }'),
    ('disposition = "delete"', 'disposition = [{ do = "delete" }]'),
    ('disposition = "delete"', 'disposition = "delete"\nwindow = "P0D"'),
    ('start = "seen_on"', 'start = { latest_of = ["seen_on"] }'),
    ('fields = ["name", "email"]', 'fields = ["email", "name"]'),
    ('key = "id"', 'key = ["id"]'),
    ("{ gt = 1 }", "{ gt = 1.0 }"),
    ('seen_on = { type = "date" }\nscore = { type = "number" }', 'score = { type = "number" }\nseen_on = { type = "date" }'),
    ('keep = "P2Y"', 'keep = "P2Y"\nbound = "ceiling"'),
    ('keep = "P2Y"', 'keep = "P2Y"\nrecipients = ["the bank"]'),
    ('disposition = "delete"', 'disposition = "delete"\nversion = "2"\nowner = "Ada"\nlead = "P30D"\nstatement = "Privacy"'),
    ('key = "id"', 'key = "id"\nbackups = "P35D"\nrecipients = ["the bank"]'),
    ('timezone = "Europe/Amsterdam"', 'timezone = "Europe/Amsterdam"\nowner = "Ada"\nlead = "P30D"'),
    ("[[policies]]", "[[policies]]\nexamples = [{ given = { score = 0 }, today = 2026-01-01, outcome = 'kept' }]"),
]
DIFFERENT = [
    ('keep = "P2Y"', 'keep = "P24M"'),
    ('keep = "P2Y"', 'keep = "P2Y"\nbound = "floor"'),
    ('keep = "P2Y"', 'keep = "P2Y"\nwas = [{ keep = "P1Y", through = 2020-12-31 }]'),
    ('keep = "P2Y"', 'keep = "P2Y"\nwas = [{ keep = "P1Y", through = 2020-12-31 }]\nstretch = true'),
    ('disposition = "delete"', 'disposition = "delete"\neffective = 2026-01-01'),
    ("[sources.customers]", "[[organisation.fiscal_years]]\nfirst = 2020-01-01\nlast = 2020-06-30\n[sources.customers]"),
    ("{ gt = 1 }", "{ ge = 1 }"),
    ("{ gt = 1 }", "{ gt = 2 }"),
    ('timezone = "Europe/Amsterdam"', 'timezone = "Europe/London"'),
    ('timezone = "Europe/Amsterdam"', 'timezone = "Europe/Amsterdam"\nfiscal_year_ends = "06-30"'),
    ('timezone = "Europe/Amsterdam"', 'timezone = "Europe/Amsterdam"\nwindow = "P7D"'),
    ('disposition = "delete"', 'disposition = "review"'),
    ('disposition = "delete"', 'disposition = "delete"\ncategories = ["people"]'),
    ('table = "contacts"', 'table = "people"'),
    ('name = { treatment = "clear" }', 'name = { treatment = { constant = "x" } }'),
    ('seen_on = { type = "date" }', 'seen_on = { type = "date", empty = "not_yet" }'),
    ('seen_on = { type = "date" }', 'seen_on = { type = "date", planned = true }'),
    ('id = "other"', 'id = "another"'),
    ('key = "id"', 'key = "id"\nprocessor = true'),
]


class TestDigest:
    """An approval holds for a policy as long as nothing changes that a decision or a write depends on."""

    @pytest.mark.parametrize(("right", "other"), SAME)
    def test_same(self, right: str, other: str) -> None:
        """Comments, layout, texts for people, examples, spelled-out defaults and order change nothing."""
        assert right in TEXT
        assert policy(TEXT).digest == policy(TEXT.replace(right, other, 1)).digest

    @pytest.mark.parametrize(("right", "other"), DIFFERENT)
    def test_different(self, right: str, other: str) -> None:
        """Whatever changes a decision, a write, or what an event names, is another policy."""
        assert right in TEXT
        assert policy(TEXT).digest != policy(TEXT.replace(right, other, 1)).digest

    def test_labels_of_what_a_purpose_uses(self) -> None:
        """What people call a consent or a fact over several sources is no other policy either."""
        text = TEXT.replace(
            "[[policies]]",
            '[facts.contact]\nlatest = ["customers.seen_on"]\n[sources.customers.consents]\nnews = { given = "seen_on" }\n[[policies]]',
        )
        text = text.replace('"legitimate-interests"', '"consent"\nconsent = "news"').replace('start = "seen_on"', 'start = "contact"')
        labelled = text.replace('given = "seen_on"', 'given = "seen_on", label = { nl = "je toestemming" }')
        labelled = labelled.replace("[facts.contact]", '[facts.contact]\nlabel = { en = "the last contact" }')
        assert 2 == labelled.count("label")
        assert policy(text).digest == policy(labelled).digest != policy(TEXT).digest

    def test_where_telephones_are_dialled(self) -> None:
        """Whoever is recognised by a telephone is found by more than before; everybody else's policy is the same."""
        said = TEXT.replace('timezone = "Europe/Amsterdam"', 'timezone = "Europe/Amsterdam"\ncountry = "NL"')
        assert policy(TEXT).digest == policy(said).digest
        known_by = ('seen_on = { type = "date" }', 'seen_on = { type = "date" }\nphone = { type = "phone" }')
        subject = ('subject = ["email"]', 'subject = ["email", "phone"]')
        before, after = (text.replace(*known_by, 1).replace(*subject, 1) for text in (TEXT, said))
        assert policy(before).digest != policy(after).digest
        assert ("source: fields (phone) declared otherwise",) == changes(policy(before), policy(after))

    def test_known_answer(self) -> None:
        """The normal form is kept from version to version: approvals in ledgers refer to it."""
        assert "sha256:585775e556378b5da0959f8b954a20de8d4fd19d27bc75f63aac94f80777f9da" == policy(TEXT).digest

    def test_does_not_depend_on_itself(self) -> None:
        """A policy that carries its digest has the same digest as one that does not yet."""
        found = policy(TEXT)
        assert found.digest == digest(found) == digest(dataclasses.replace(found, digest=""))
