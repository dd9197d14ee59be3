"""Treatments, and how a treated value is recognised."""

import base64
import hashlib
import hmac
import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import AMSTERDAM, KEYS, ORGANISATION, RULE
from tests.thoroughness import examples
from worker.core.facts import Empty, FieldType, Raw, Reading
from worker.core.sources import Coarse, Field, Identifier, Scrubbing, Treatment, TreatmentKind
from worker.core.treatments import (
    UNREADABLE_ADDRESS,
    PseudonymKey,
    is_pseudonym,
    pseudonym,
    pseudonym_pattern,
    treater,
    truncated,
)

KEY = KEYS["people"]
_TEXT = Reading(FieldType.TEXT, Empty.UNKNOWN, AMSTERDAM)


def field(kind: TreatmentKind, identifier: Identifier | None = None, value: str = "") -> Field:
    """Return a personal field with a treatment."""
    return Field("name", "name", _TEXT, personal=True, treatment=Treatment(kind, value, "people"), identifier=identifier)


FIELDS = [
    field(TreatmentKind.CLEAR),
    field(TreatmentKind.CONSTANT, value="removed"),
    field(TreatmentKind.TRUNCATE),
    field(TreatmentKind.PSEUDONYM),
    field(TreatmentKind.PSEUDONYM, Identifier.EMAIL),
    field(TreatmentKind.PSEUDONYM, Identifier.PHONE),
    field(TreatmentKind.RANDOM),
    field(TreatmentKind.RANDOM, Identifier.EMAIL),
    *(
        Field("name", "name", _TEXT, personal=True, treatment=Treatment(TreatmentKind.GENERALISE, coarse=coarse, size=3))
        for coarse in Coarse
    ),
    Field("name", "name", _TEXT, personal=True, treatment=Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(countries=("NL", "DE")))),
]
raws = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.integers(),
    st.ip_addresses(),
    st.ip_addresses().map(str),
    st.emails(),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()),
    st.decimals(),
    st.floats(),
)


@pytest.mark.parametrize("each", FIELDS, ids=lambda each: f"{each.treatment.kind}-{each.identifier}-{each.treatment.coarse}")
@settings(max_examples=examples(25), deadline=None)
@given(raw=raws)
def test_idempotent(each: Field, raw: Raw) -> None:
    """A treated value is recognised and never changes again; what is recognised at first sight stays as it is."""
    treats = treater(each, ORGANISATION, KEYS)
    once = treats.treat(raw)
    assert treats.is_treated(once)
    assert str(once) == str(treats.treat(once))  # Two numbers that are none are not equal.
    if treats.is_treated(raw):
        assert str(once) == str(raw) or float(once) == float(raw)


def test_clear_and_constant() -> None:
    """Clearing leaves nothing; a constant is recognised also when a driver answers it as a number."""
    cleared, constant = treater(FIELDS[0], ORGANISATION, {}), treater(field(TreatmentKind.CONSTANT, value="0"), ORGANISATION, {})
    assert [None, False, True] == [cleared.treat("Ada"), cleared.is_treated(""), cleared.is_treated(None)]
    assert ["0", False, True, True, True] == [constant.treat("Ada"), *(constant.is_treated(raw) for raw in ("Ada", "0", 0, None))]


def test_no_treatment_and_no_key() -> None:
    """A field without treatment has no treater; a missing key is an error and never another key."""
    with pytest.raises(ValueError, match="no treatment"):
        treater(Field("name", "name", _TEXT), ORGANISATION, KEYS)
    with pytest.raises(KeyError):
        treater(FIELDS[3], ORGANISATION, {})


class TestPseudonyms:
    """Keyed, recognisable, the same for the same person."""

    @staticmethod
    def by_hand(canonical: str, tail: str = "") -> str:
        """Return a pseudonym, computed independently: 128 bits of HMAC-SHA-256 in base 32."""
        message = f"Office\x1fpeople\x1fcontact\x1f{canonical}".encode()
        digest = hmac.new(b"\x07" * 32, message, hashlib.sha256).digest()
        return "p1-p-00ff00-" + base64.b32encode(digest[:16]).decode().lower()[:26] + tail

    @pytest.mark.parametrize(
        ("kind", "value", "canonical", "tail"),
        [
            (Identifier.EMAIL, "Ada@Example.ORG", "c1:email:ada@example.org", "@people.invalid"),
            (Identifier.TEXT, " Ada  Lovelace", "c1:text:ada lovelace", ""),
            (Identifier.PHONE, "+31 6 12345678", "c1:phone:0031612345678", ""),
        ],
    )
    def test_known_answers(self, kind: Identifier, value: str, canonical: str, tail: str) -> None:
        """The format is a promise to data that was already written."""
        assert self.by_hand(canonical, tail) == pseudonym(KEY, ORGANISATION, "people", "contact", kind, value)

    def test_fixed_vector(self) -> None:
        """One value written out, so that a change in both computations is seen."""
        assert "p1-p-00ff00-ytsx74b3if77gby72xnya45ovi" == pseudonym(
            KEY, ORGANISATION, "people", "contact", Identifier.TEXT, "Ada Lovelace"
        )

    def test_what_it_depends_on(self) -> None:
        """Key, organisation, domain, field, kind and person each make another pseudonym; the way of writing does not."""
        base = (KEY, ORGANISATION, "people", "contact", Identifier.TEXT, "Ada")
        others = [
            (PseudonymKey("p-00ff00", b"\x08" * 32), *base[1:]),
            (KEY, "Other", *base[2:]),
            (KEY, ORGANISATION, "guests", *base[3:]),
            (*base[:3], "owner", *base[4:]),
            (*base[:4], Identifier.PHONE, "Ada"),
            (*base[:5], "Bea"),
        ]
        assert 7 == len({pseudonym(*each) for each in (base, *others)})
        assert pseudonym(*base) == pseudonym(*base[:5], " ADA ")

    @RULE
    @given(st.text(max_size=40), st.sampled_from(Identifier))
    def test_recognised_with_certainty(self, value: str, kind: Identifier) -> None:
        """Every pseudonym is recognised, matches the SQL pattern, and nothing shorter, longer or around it is one."""
        made = pseudonym(KEY, ORGANISATION, "people", "contact", kind, value)
        assert is_pseudonym(made)
        assert not any(is_pseudonym(each) for each in (made[:-1], made + "a", " " + made, made + "\n", made.upper(), value))
        pattern = pseudonym_pattern(field(TreatmentKind.PSEUDONYM, kind))
        like = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
        assert re.fullmatch(like, made)

    def test_file_names_with_broken_bytes(self) -> None:
        """A lone surrogate, as file names hold it, is a value like any other."""
        assert is_pseudonym(pseudonym(KEY, ORGANISATION, "people", "contact", Identifier.TEXT, "cv\udcff"))

    def test_the_key_is_not_shown(self) -> None:
        """No representation of a key holds its secret."""
        assert "PseudonymKey(p-00ff00)" == repr(KEY) == str(KEY)


class TestTruncation:
    """Addresses of a neighbourhood, not of a person."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("192.0.2.77", "192.0.2.0"),
            (" 192.0.2.77\n", "192.0.2.0"),
            ("192.0.2.0", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("2001:DB8::1", "2001:db8::"),
            ("fe80::1%eth0", "fe80::"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("::ffff:c000:24d", "192.0.2.0"),
            ("2002:c000:024d::1", "2002:c000:200::"),
            ("::1", "::"),
            ("192.0.2.077", UNREADABLE_ADDRESS),
            ("192.0.2.77:443", UNREADABLE_ADDRESS),
            ("192.0.2.77, 10.0.0.1", UNREADABLE_ADDRESS),
            ("Ada", UNREADABLE_ADDRESS),
            ("", UNREADABLE_ADDRESS),
            ("3221225985", UNREADABLE_ADDRESS),
        ],
    )
    def test_known(self, value: str, expected: str) -> None:
        """The last octet or the last 80 bits go, also of an address inside an address; what can't be read goes whole."""
        assert expected == truncated(value)

    @RULE
    @given(st.ip_addresses())
    def test_neighbours(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """Truncating twice changes nothing, and a neighbour's address gives the same."""
        short = truncated(str(address))
        assert short == truncated(short)
        assert short == truncated(str(type(address)(int(address) ^ 1)))

    def test_drivers_that_answer_objects(self) -> None:
        """A truncated address is recognised also when it comes as an address object."""
        treats = treater(field(TreatmentKind.TRUNCATE), ORGANISATION, {})
        assert [True, False] == [treats.is_treated(ipaddress.ip_address(each)) for each in ("192.0.2.0", "192.0.2.7")]


class TestRandomTokens:
    """Made from nothing, new each time."""

    def test_form(self) -> None:
        """128 bits in base 32 behind a marker; an address of the subject stays one to which no mail gets."""
        made = treater(field(TreatmentKind.RANDOM), ORGANISATION, {}, random=bytes).treat("Ada")
        mail = treater(field(TreatmentKind.RANDOM, Identifier.EMAIL), ORGANISATION, {}, random=bytes).treat("ada@example.org")
        assert ["r1-" + "a" * 26, "r1-" + "a" * 26 + "@people.invalid"] == [made, mail]

    def test_not_linkable(self) -> None:
        """One value twice gives two tokens, and no key is asked for: nobody can tell that they were one person."""
        treats = treater(field(TreatmentKind.RANDOM), ORGANISATION, {})
        assert 100 == len({treats.treat("Ada") for _ in range(100)})

    @pytest.mark.parametrize("raw", ["r1-" + "a" * 25, "r1-" + "a" * 27, "r1-" + "A" * 26, " r1-" + "a" * 26, "p1-k1-" + "a" * 26, "Ada"])
    def test_what_is_none(self, raw: str) -> None:
        """Whatever is not exactly a token is treated."""
        assert not treater(field(TreatmentKind.RANDOM), ORGANISATION, {}).is_treated(raw)


class TestBesideEachOther:
    """A text is scrubbed of what stands beside it, as long as that is there."""

    NAME = Field("name", "name", _TEXT, personal=True, treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people"))
    CITY = Field("city", "city", _TEXT, personal=True)
    NOTE = Field(
        "note", "note", _TEXT, personal=True, treatment=Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(("name", "city"), language="nl"))
    )

    def test_in_rows(self) -> None:
        """Rows are treated from their untreated identifiers, wherever in the row these stand."""
        treats = treater(self.NOTE, ORGANISATION, KEYS, fields=(self.NOTE, self.CITY, self.NAME))
        positions = {"note": 2, "name": 0, "city": 1}
        treat, is_treated = treats.in_rows(positions.__getitem__)
        row = ("Ada Lovelace", "Marienborn", "Lovelace from Marienborn called")
        assert "[naam] from [naam] called" == treat(row)
        assert [False, True] == [is_treated(row), is_treated((*row[:2], treat(row)))]
        assert ["note", "name", "city"] == [treats.field.name, *treats.beside]

    def test_what_was_treated_is_no_identifier(self) -> None:
        """A pseudonym in the text is left: it is what the record is known by now."""
        name = treater(self.NAME, ORGANISATION, KEYS).treat("Ada Lovelace")
        treats = treater(self.NOTE, ORGANISATION, KEYS, fields=(self.NOTE, self.CITY, self.NAME))
        assert f"about {name}" == treats.treat(f"about {name}", name, None)

    def test_what_has_no_treatment_is_one(self) -> None:
        """What stays in the record is taken out of the text all the same."""
        treats = treater(self.NOTE, ORGANISATION, KEYS, fields=(self.NOTE, self.CITY, self.NAME))
        assert "lives in [naam]" == treats.treat("lives in Marienborn", None, "Marienborn")
