"""Scrubbing: what is planted is gone, what was scrubbed stays as it is, and no text takes for ever."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import RULE
from tests.thoroughness import examples, size
from worker.core.folding import folded
from worker.core.naming import found_in, own
from worker.core.scrubbing import Scrubber, tells
from worker.core.sources import Scrubbing

DUTCH = Scrubber(Scrubbing(("name", "email", "phone"), language="nl", countries=("NL", "BE", "DE")))
ENGLISH = Scrubber(Scrubbing(("name",), countries=("NL",)))
PERSON = ("Pieter van der Graaff", "p.graaff@office.example", "+31 6 12345678", "https://www.graaff.example/")


class TestWhatIsFound:
    """Forms that are recognised without knowing the person."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Mail ada@post.example, please.", "Mail [e-mail], please."),
            ("<Ada.L+news@sub.post.example>", "<[e-mail]>"),
            ("jürgen@müller.example", "[e-mail]"),
            ("5 @ 3 and @ada, a@b", "5 @ 3 and @ada, a@b"),
            ("a@b.example@c.example", "[e-mail]@c.example"),
            ("Bel 06-12345678!", "Bel [telefoon]!"),
            ("Bel +31 (0)6 12 34 56 78.", "Bel [telefoon]."),
            ("020-1234567 of 0612345678 0687654321", "[telefoon] of [telefoon] [telefoon]"),
            ("Tel. 030 12345678", "Tel. [telefoon]"),
            ("+44 20 7946 0958", "[telefoon]"),
            ("order 20240517123, 17-05-2024 10.30", "order 20240517123, 17-05-2024 10.30"),
            ("NL91 ABNA 0417 1643 00 graag", "[IBAN] graag"),
            ("de89370400440532013000", "[IBAN]"),
            ("NL91ABNA0417164301", "NL91ABNA0417164301"),
            ("BSN 123456782", "BSN [BSN]"),
            ("BSN 1234.56.782", "BSN [BSN]"),
            ("klant 123456783", "klant 123456783"),
            ("van 192.0.2.77:443", "van [IP]:443"),
            ("van 2001:db8::1.", "van [IP]."),
            ("std::vector om 12:30:45", "std::vector om 12:30:45"),
            ("versie 1.2.3", "versie 1.2.3"),
            ("", ""),
        ],
    )
    def test_forms(self, text: str, expected: str) -> None:
        """E-mail addresses, telephone numbers, account numbers and citizen numbers with right check digits, and IP addresses go."""
        assert expected == DUTCH.scrubbed(text)

    def test_languages(self) -> None:
        """The words in brackets are in the declared language."""
        assert "[phone] [name]" == ENGLISH.scrubbed("0612345678 Graaff", PERSON)
        assert "[telefoon] [naam]" == DUTCH.scrubbed("0612345678 Graaff", PERSON)

    def test_countries(self) -> None:
        """Without an international prefix a number is recognised only where it is one."""
        nowhere = Scrubber(Scrubbing())
        assert ["0612345678", "[phone]"] == [nowhere.scrubbed("0612345678"), nowhere.scrubbed("+31612345678")]


class TestOwnIdentifiers:
    """What the record says of its person, however it is written."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Groet, Pieter", "Groet, [naam]"),
            ("GRAAFF belde", "[naam] belde"),
            ("pieter graaff's brief", "[naam] brief"),
            ("P. van der Graaff", "[naam]"),
            ("Graaff, P. van der", "[naam]"),
            ("de heer Graaff, P.", "de heer [naam]"),
            ("p.v.d. graaff", "p.v.d. [naam]"),
            ("pgraaff85 op linkedin.example/in/pieter-van-der-graaff-12", "[naam] op linkedin.example/in/[naam]-12"),
            ("P\u0131eter Gr\u00e1aff", "[naam]"),
            ("Gra\u0301aff!", "[naam]!"),
            ("06 1234 5678 of 0031612345678", "[telefoon] of [telefoon]"),
            ("intern 12345678", "intern 12345678"),
            ("zie www.graaff.example voor meer", "zie www.[website] voor meer"),
            ("p.graaff", "[naam]"),
            ("de graafschap, pieterbaas", "de graafschap, pieterbaas"),
            ("van der Meer", "van der Meer"),
        ],
    )
    def test_variants(self, text: str, expected: str) -> None:
        """Case, accents, initials, order, particles, mailbox names and formats of numbers make no difference; other words stay."""
        assert expected == DUTCH.scrubbed(text, PERSON)

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("Will Smit", "I will ask Will and mr. Smit", "I will ask [name] and mr. [name]"),
            ("Bo Li", "Bo, LI and bo", "[name] and bo"),
            ("Jürgen Müller", "Juergen Mueller, jurgen MULLER", "[name]"),
            ("Joergensen", "Jörgensen, Jørgensen", "[name]"),
            ("Weiß", "WEISS, Weiß", "[name]"),
            ("Łukasz", "lukasz", "[name]"),
            ("van de", "van de straat, de auto van", "[name] straat, de auto van"),
            ("Name", "a name", "a [name]"),
            ("Mail", "[e-mail] of Mail", "[e-mail] of [name]"),
            ("info@post.example", "more info", "more info"),
            ("O'Neil", "O'Neil, ONeil; o’neil", "[name], ONeil; [name]"),
            ("Anna-Maria Ní Bhriain", "anna maria and Bhriain, A.M.", "[name] and [name]"),
        ],
    )
    def test_names_of_every_kind(self, name: str, text: str, expected: str) -> None:
        """Names that are words count with a capital; letters of other alphabets' writing are found in both ways."""
        assert expected == ENGLISH.scrubbed(text, (name,))

    def test_what_is_no_name(self) -> None:
        """A whole letter in an identifying field is not taken apart: every word of every text would go."""
        letter = "this is what somebody wrote where a name belongs and it goes on and on"
        assert "somebody wrote this" == ENGLISH.scrubbed("somebody wrote this", (letter,))

    def test_empty_and_odd_identifiers(self) -> None:
        """Nothing beside a text, numbers and objects are no reason to fail."""
        assert "Ada" == ENGLISH.scrubbed("Ada", (None, "", 0, b"", object()))


_LETTERS = st.characters(categories=("Ll", "Lu"), include_characters="áüßøĳŁç", max_codepoint=0x17F)
_NAMES = st.text(_LETTERS, min_size=5, max_size=12).filter(lambda text: len(folded(text).text) >= 5 and text.isalpha())
_WRITINGS = (
    str,
    str.upper,
    str.lower,
    str.title,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFC", text),
    lambda text: folded(text).text,
)
_PHONES = st.builds(
    lambda form, digits: form.format(*digits),
    st.sampled_from(
        ("06{}{}{}{}{}{}{}{}", "06-{}{}{}{}{}{}{}{}", "06 {}{} {}{} {}{} {}{}", "+31 6 {}{}{}{} {}{}{}{}", "(06) {}{}.{}{}.{}{}.{}{}")
    ),
    st.lists(st.integers(0, 9), min_size=8, max_size=8),
)
_FILLINGS = st.text(st.characters(categories=("Zs", "Po"), exclude_characters="@'’.-_*[]"), max_size=3)


class TestPlanted:
    """Property tests: what was put in is not there any more."""

    @settings(RULE, max_examples=examples(150))
    @given(_NAMES, _NAMES, st.lists(st.sampled_from(_WRITINGS), min_size=2, max_size=5), st.text(max_size=60), _FILLINGS)
    def test_names(self, first: str, last: str, writings: list, around: str, filling: str) -> None:
        """No writing of a name is left, whatever stands around it, and what is left is scrubbed already."""
        planted = [writing(f"{first} {last}") for writing in writings] + [f"{last}, {first[0]}.", last.upper()]
        text = " \n".join(f"{around} {filling} {each} {filling}" for each in planted)
        result = ENGLISH.scrubbed(text, (f"{first} {last}",))
        left = folded(str(result)).text
        again = folded(ENGLISH.scrubbed(around, (f"{first} {last}",))).text
        assert left.count(folded(last).text) <= again.count(folded(last).text) * len(planted)
        assert ENGLISH.is_scrubbed(result, (f"{first} {last}",))

    @settings(RULE, max_examples=examples(100))
    @given(st.emails(), _PHONES, st.ip_addresses(), st.lists(st.text(max_size=30), min_size=4, max_size=4))
    def test_forms(self, mail: str, phone: str, address: object, around: list[str]) -> None:
        """Addresses and numbers are gone when they stand as words of their own."""
        text = f"{around[0]} {mail} {around[1]} \n{phone}\n {around[2]} {address} {around[3]}"
        result = str(DUTCH.scrubbed(text, (mail, phone)))
        assert mail.lower() not in result.lower()
        assert phone not in result
        assert f" {address} " not in result or str(address) in " ".join(around) or str(address) == "::"

    @settings(RULE, max_examples=examples(150))
    @given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=3), st.integers(1, 40))
    def test_total_and_idempotent(self, text: str, beside: list[str], room: int) -> None:
        """Never raises; a scrubbed text is recognised and changes no more; it never outgrows its column."""
        for within in (None, max(room, len(text))):
            scrubber = Scrubber(Scrubbing(("name",), countries=("NL",), within=within))
            once = scrubber.scrubbed(text, beside)
            assert scrubber.is_scrubbed(once, beside)
            assert once == scrubber.scrubbed(once, beside)
            assert (once == "") == (text == "")
            if within is not None:
                assert len(str(once)) <= within

    @settings(RULE, max_examples=examples(100))
    @given(st.text(st.sampled_from("0123456789 .-+()@:[]*/abcdefNLBE"), max_size=60), st.lists(st.text(max_size=8), max_size=2))
    def test_what_almost_has_a_form(self, text: str, beside: list[str]) -> None:
        """Texts of nothing but digits and signs settle too, and without a tell nothing but the record's own is taken out."""
        once = DUTCH.scrubbed(text, beside)
        assert DUTCH.is_scrubbed(once, beside)
        assert tells(text) or text == DUTCH.scrubbed(text)


def test_room() -> None:
    """Where a column is full, what would not fit is replaced by a sign; the words come back where there is room."""
    tight = Scrubber(Scrubbing(("name",), within=12))
    assert ["Regards, *", "[name] bye"] == [tight.scrubbed("Regards, Bob", ("Bob",)), tight.scrubbed("Robert bye", ("Robert",))]


def test_found_in_order_without_overlap() -> None:
    """Places come in order and none lies in another, also where a whole and its words are found."""
    places = found_in("Ada Lovelace; ada.lovelace@post.example; Ada", own(("Ada Lovelace", "ada.lovelace@post.example")))
    assert [(0, 12), (14, 39), (41, 44)] == [(start, end) for start, end, _ in places]


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "12345678 ",
        "a@a.",
        "@",
        "p. ",
        "graaff ",
        "é",
        "NL91 ABNA 0417 1643 01 ",
        "1.1.1.1 ",
        "::",
        "06 12 34 56 78 ",
        "(((1",
        "[naam]",
        "a:1:",
    ],
)
def test_a_megabyte(unit: str) -> None:
    """A text of a million signs, made to be slow, takes seconds and not minutes, and settles."""
    signs = size(10**6)
    text = (unit * (signs // len(unit) + 1))[:signs]
    before = time.process_time()
    result = DUTCH.scrubbed(text, PERSON)
    assert time.process_time() - before < 30
    assert DUTCH.is_scrubbed(result, PERSON)
