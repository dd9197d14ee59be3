"""One telephone number written in many ways, and what is left alone because it is none."""

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumber, PhoneNumberFormat

from tests.strategies import RULE
from worker.core.canonical import canonical, other_forms, plain
from worker.core.sources import Comparison, Identifier
from worker.core.telephone import COUNTRIES, ways_of_writing

NL = Comparison(Identifier.PHONE, "NL")
NOWHERE = Comparison(Identifier.PHONE)
MOBILE = ("0031612345678", "0612345678")
SOME = ("NL", "BE", "DE", "FR", "GB", "IT", "ES", "PL", "HU", "DK", "PT", "CH", "AT", "US", "TR")
"""Trunk prefixes 0, 06, 1 and none, zeros that belong to the number, numbers of four to twelve digits."""
_BETWEEN = st.sampled_from(["", " ", "-", ".", "/", "\u00a0", " - "])


def forms(comparison: Comparison, text: str) -> tuple[str, ...]:
    """Return all that a text is compared by."""
    first = canonical(comparison.kind, text)
    return tuple(dict.fromkeys((first, *other_forms(comparison, text)))) if first else ()


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, PhoneNumber]:
    """Draw a country and a valid number of it."""
    country = draw(st.sampled_from(SOME))
    kind = draw(st.sampled_from([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]))
    example = phonenumbers.example_number_for_type(country, kind)
    assert example is not None
    national = phonenumbers.national_significant_number(example)
    last = draw(st.text("0123456789", min_size=5, max_size=5))
    number = phonenumbers.parse(f"+{example.country_code}{national[:-5]}{last}")
    assume(phonenumbers.is_valid_number(number))
    return country, number


@st.composite
def spellings(draw: st.DrawFn, country: str, number: PhoneNumber) -> str:
    """Draw a way in which somebody in a country writes a number of any country."""
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    own = code == str(phonenumbers.country_code_for_region(country))
    trunk = phonenumbers.ndd_prefix_for_region(phonenumbers.region_code_for_country_code(number.country_code), True) or ""
    ways = [f"+{code}{{}}", f"00{code}{{}}", f"(+{code}){{}}", f"00 {code} {{}}", f"tel. +{code} {{}}", f"+{code} {{}} (home)"]
    if trunk == "0":
        ways += [f"+{code} (0){{}}", f"00{code}(0) {{}}", f"+{code} 0{{}}"]
    if own:
        ways.append(trunk + "{}" if trunk else "{}")
    between = draw(_BETWEEN)
    cut = draw(st.integers(1, len(national) - 1))
    text = draw(st.sampled_from(ways)).format(between.join((national[:cut], national[cut:])))
    return draw(st.sampled_from(["", " "])) + text


@RULE
@given(st.data(), numbers(), st.sampled_from(SOME))
def test_however_it_is_written(data: st.DataObject, drawn: tuple[str, PhoneNumber], abroad: str) -> None:
    """All ways of writing a number have the same other forms, at home and seen from any other country."""
    for country in (drawn[0], abroad):
        comparison = Comparison(Identifier.PHONE, country)
        one, other = (data.draw(spellings(country, drawn[1])) for _ in range(2))
        assert other_forms(comparison, one) == other_forms(comparison, other) != ()
        assert plain(comparison, one)


@RULE
@given(st.data(), numbers(), numbers(), st.sampled_from(SOME))
def test_different_numbers_share_nothing(
    data: st.DataObject, drawn: tuple[str, PhoneNumber], other: tuple[str, PhoneNumber], country: str
) -> None:
    """Whatever they are written like: nobody goes for another one's request."""
    assume(drawn[1] != other[1])
    comparison = Comparison(Identifier.PHONE, country)
    one, two = (set(forms(comparison, data.draw(spellings(country, each[1])))) for each in (drawn, other))
    assert set() == one & two


@RULE
@given(st.data(), numbers())
def test_what_was_kept_before_is_found(data: st.DataObject, drawn: tuple[str, PhoneNumber]) -> None:
    """A form that was kept when nobody knew the country is among those that are looked for now, however the number is written now."""
    country, number = drawn
    comparison = Comparison(Identifier.PHONE, country)
    written = [phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)]
    # What comes of the national way in the library is what people write.
    written.append(phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL))
    now = forms(comparison, data.draw(spellings(country, number)))
    for each in written:
        (before,) = forms(NOWHERE, each)
        assert before in now


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("06 12345678", MOBILE),
        ("+31 (0)6-1234 5678", MOBILE),
        ("0031(0)612345678", MOBILE),
        ("+31 06 12345678", MOBILE),
        ("31612345678", MOBILE),
        ("612345678", MOBILE),
        ("tel:+31612345678", MOBILE),
        ("mob. 06-12345678 (Jan)", MOBILE),
        ("٠٦ 12345678", MOBILE),
        ("+33 6 12 34 56 78", ("0033612345678",)),
        ("0039 02 1231 0000", ("00390212310000",)),
        ("00 31 6 00 00 10 00", ("0031600001000", "0600001000")),
        ("020 123 45 67 ext. 5", ("0031201234567;ext=5",)),
        ("+31 20 1234567 toestel 05", ("0031201234567;ext=5",)),
        ("020-1234567 x5", ("0031201234567;ext=5",)),
        ("020-1234567;ext=6", ("0031201234567;ext=6",)),
        ("fax 020-1234567", ("0031201234567", "0201234567")),
        ("14020", ("003114020", "014020")),
        # Long enough, though in no range that was ever given out.
        ("+31 99 9999999", ("0031999999999", "0999999999")),
    ],
)
def test_known_ways(text: str, expected: tuple[str, ...]) -> None:
    """What stands beside a number makes no difference, an extension makes another number."""
    assert expected == ways_of_writing(text, "NL")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "12345",
        "0000000000",
        "06-12345678 / 06-87654321",
        "020 624 WERK",
        "+999 123456",
        "06 123456789012",
        "1" * 300,
        "+31 6 12345678 " * 20,
        "\ud800",
    ],
)
def test_what_is_no_number(text: str) -> None:
    """It is compared as it stands: letters stand for no digits, and two numbers in one field are nobody's."""
    assert () == ways_of_writing(text, "NL")
    first = canonical(Identifier.PHONE, text)
    assert ((first,) if first else ()) == forms(NL, text)


@RULE
@given(st.text(max_size=40), st.sampled_from(["NL", "US", "XX", ""]))
def test_any_text(text: str, country: str) -> None:
    """No text raises, and the form as it stands comes first: what is kept by that alone is still found."""
    first = canonical(Identifier.PHONE, text)
    found = forms(Comparison(Identifier.PHONE, country), text)
    assert found[:1] == ((first,) if first else ())
    assert len(found) == len(set(found))


@RULE
@given(st.sampled_from(Identifier), st.sampled_from(["06 12345678", "no 5", "+31612345678"]))
def test_without_a_country_nothing_changes(kind: Identifier, text: str) -> None:
    """Nobody's records are matched otherwise before somebody says where numbers are dialled; and only telephone numbers are, then."""
    assert (canonical(kind, text),) == forms(Comparison(kind), text)
    if kind is not Identifier.PHONE:
        assert (canonical(kind, text),) == forms(Comparison(kind, "NL"), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0612345678", True),
        ("+31612345678", True),
        ("(0)6 12345678", True),
        ("612345678", False),
        ("31612345678", False),
        ("K-2024-0031", False),
        ("\uff0b31 6 12345678", True),
    ],
)
def test_a_customers_number_is_no_telephone_number(text: str, *, expected: bool) -> None:
    """Nine digits may be anything: whoever types them for a request has to say that they are dialled, by the 0 or the country's code."""
    assert expected == plain(NL, text)


def test_where_no_trunk_prefix_is_dialled() -> None:
    """A number as it is always written is plain, with or without the prefix where people leave it out as they like."""
    assert plain(Comparison(Identifier.PHONE, "ES"), "612 34 56 78")
    for text in ("(202) 555-0123", "1-202-555-0123"):
        assert plain(Comparison(Identifier.PHONE, "US"), text)


@pytest.mark.parametrize("country", sorted(COUNTRIES))
def test_every_way_is_one_of_the_same_number(country: str) -> None:
    """In every country of the world a number that is read back from how it is kept is the same one."""
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(country, kind)
        if number is None:
            continue
        ways = ways_of_writing(phonenumbers.format_number(number, PhoneNumberFormat.E164), country)
        for way in ways if country != "CO" else ways[:1]:
            assert ways_of_writing(way, country) in (ways, ()), "and where 00 is not dialled it may be none"
