"""What headers of all kinds come to: a value that is certain, nothing, or unreadable."""

from __future__ import annotations

import base64
import datetime as dt
import random
from zoneinfo import ZoneInfo

import pytest

from connectors.imap.address import address_of
from connectors.imap.message import Message, decoded, headers_for, headers_in, is_column, sent, value
from connectors.imap.reach import ALL, NONE, Reach, reach
from connectors.matching import matcher
from connectors.patience import Turns
from worker.core.facts import UNREADABLE, Empty, FieldType, Raw, Reading
from worker.core.select import EVERYTHING, NOTHING, Absent, Intersection, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import Field, Source
from worker.errors import ConfigurationError

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def message(headers: bytes = b"", *flags: str) -> Message:
    """Return a message with these headers and flags."""
    return Message(7, 1, dt.datetime(2026, 3, 1, tzinfo=dt.UTC), 99, frozenset(flags), headers_in(headers))


class TestTexts:
    """Encoded words (RFC 2047)."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("plain", "plain"),
            ("", None),
            ("=?utf-8?q?Z=C3=B6e?=", "Zöe"),
            ("=?UTF-8?B?Wm/DqQ?=", "Zoé"),
            ("=?iso-8859-1?Q?caf=E9_noir?= au lait", "café noir au lait"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?= and =?utf-8?q?b?=", "a and b"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "ö"),
            ("=?iso-8859-1?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8*nl?q?a?=", "a"),
            ("=?utf-8?b?IHNwYWNlcyA=?=", " spaces "),
            ("no =? word ?=", "no =? word ?="),
            ("=?utf-8?q?=C3?=", UNREADABLE),
            ("=?nonsense?q?a?=", UNREADABLE),
            ("=?utf-8?b?A?=", UNREADABLE),
        ],
    )
    def test_each(self, text: str, expected: Raw) -> None:
        """A word is what it encodes, white space between two of them is none, and what is damaged is unreadable."""
        assert expected == decoded(text)

    def test_any_text_comes_back(self) -> None:
        """Whatever text is cut into words, in the middle of a letter too, comes back."""
        draw = random.Random(20260630)
        for _ in range(500):
            text = "".join(draw.choice("aé🌻\t =?") for _ in range(draw.randrange(1, 30)))
            raw = text.encode()
            at = draw.randrange(len(raw) + 1)
            words = [f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in (raw[:at], raw[at:])]
            assert text == decoded(" ".join(words))

    def test_bytes_of_no_character_set(self) -> None:
        """A header in plain UTF-8 is read; other bytes are unreadable."""
        assert "Zoë" == value(message("Subject: Zoë\r\n".encode()), "subject", "")
        assert UNREADABLE == value(message(b"Subject: Zo\xeb\r\n"), "subject", "")

    def test_folded(self) -> None:
        """A header on several lines is one."""
        assert "one two" == value(message(b"Subject: one\r\n two\r\n"), "subject", "")


class TestAddresses:
    """Who wrote, and to whom."""

    @pytest.mark.parametrize(
        ("said", "column", "expected"),
        [
            ("a@b.example", "from", "a@b.example"),
            ("Anna <a@b.example>", "from", "a@b.example"),
            ("Anna <a@b.example>", "from_name", "Anna"),
            ("=?utf-8?q?Zo=C3=AB?= <a@b.example>", "from_name", "Zoë"),
            ("a@b.example", "from_name", None),
            ('"x@y.example" <a@b.example>', "from", "a@b.example"),
            ("a@b.example, c@d.example", "from", UNREADABLE),
            ("Anna", "from", UNREADABLE),
            ("@", "from", UNREADABLE),
            ("a@", "from", UNREADABLE),
            ("", "from", None),
            ("undisclosed-recipients:;", "to", None),
            ('a@b.example, "C, D" <c@d.example>', "to", "a@b.example, c@d.example"),
        ],
    )
    def test_each(self, said: str, column: str, expected: Raw) -> None:
        """One address is one, none is nothing, and what is neither is unreadable; to whom may be several."""
        name = b"To: " if column == "to" else b"From: "
        assert expected == value(message(name + said.encode() + b"\r\n"), column, "")

    def test_two_headers(self) -> None:
        """A header that stands there twice says nothing for certain."""
        assert UNREADABLE == value(message(b"From: a@b.example\r\nFrom: c@d.example\r\n"), "from", "")


class TestDates:
    """The header Date (RFC 5322)."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Sun, 01 Mar 2026 10:00:00 +0100", dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)),
            ("1 Mar 2026 10:00 GMT", dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)),
            ("Sun, 01 Mar 2026 10:00:00 -0000", dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)),
            ("Sun, 01 Mar 2026 10:00:00 +0200 (CEST)", dt.datetime(2026, 3, 1, 8, tzinfo=dt.UTC)),
            ("Sun, 01 Mar 2026 10:00:00 EST", dt.datetime(2026, 3, 1, 15, tzinfo=dt.UTC)),
            ("", None),
            ("Sun, 01 Mar 2026 10:00:00", UNREADABLE),
            ("Sun, 01 Mar 2026 10:00:00 CEST", UNREADABLE),
            ("Sun, 31 Feb 2026 10:00:00 +0100", UNREADABLE),
            ("Sun, 01 Mar 2026 10:00:00 +9900", UNREADABLE),
            ("yesterday", UNREADABLE),
            ("2026-03-01 10:00 +0100", UNREADABLE),
        ],
    )
    def test_each(self, text: str, expected: Raw) -> None:
        """A date with a zone is a moment; without one, or when it is none, it is unreadable and never guessed."""
        assert expected == sent(text)


class TestColumns:
    """What a message has besides."""

    def test_flags(self) -> None:
        """Flags of the protocol and keywords, in any case; a keyword named like a flag is not the flag."""
        marked = message(b"", "\\Seen", "$Hired")
        assert [True, True, True, False] == [value(marked, each, "") for each in ("flag.Seen", "flag.seen", "flag.$hired", "flag.Deleted")]
        assert value(message(b"", "Seen"), "flag.Seen", "") is False
        assert "$Hired \\Seen" == value(marked, "@flags", "")
        assert value(message(), "@flags", "") is None

    def test_the_others(self) -> None:
        """Key, size, content, folder, and the moment it was received; unreadable where the server didn't say."""
        assert [7, 1, 99, 99, "In"] == [value(message(), each, "In") for each in ("uidvalidity", "uid", "@size", "@content", "@folder")]
        assert UNREADABLE == value(Message(7, 1, None, 9, frozenset(), {}), "@received", "")

    def test_names(self) -> None:
        """Only names that can be asked for are columns, and only headers that are needed are asked for."""
        assert [True, True, False, False, False, False] == [
            is_column(each) for each in ("header.X-A", "flag.$Hired", "header.X A", "header.", "flag.\\Seen", "@body")
        ]
        assert ["date", "from", "subject", "x-a"] == headers_for(["from", "from_name", "@sent", "subject", "header.X-A", "@size"])


class TestReach:
    """What the server is asked to leave out."""

    RECEIVED = Field("at", "@received", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, AMSTERDAM, None, dt.date(2000, 1, 1)))
    SENT = Field("sent", "@sent", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, AMSTERDAM))
    SOURCE = Source("mail", "imap_mailbox", "In", ("uidvalidity", "uid"), (RECEIVED, SENT))

    def test_never_too_little(self) -> None:
        """Over random selections, moments and zones of the server: whatever a selection holds is in its reach."""
        draw = random.Random(7)
        start = dt.datetime(2025, 12, 20, tzinfo=dt.UTC)

        def selection(depth: int) -> Selection:
            if depth and draw.random() < 0.6:
                parts = tuple(selection(depth - 1) for _ in range(draw.randrange(4)))
                return draw.choice((Union, Intersection))(parts)
            day = start.date() + dt.timedelta(days=draw.randrange(40))
            leaves = (OnOrBefore("at", day), Suspect("at", day), OnOrBefore("sent", day), Absent("at"), Absent("sent"))
            return draw.choice(leaves)

        narrow = 0
        for _ in range(3_000):
            chosen = selection(3)
            at = draw.choice([start + dt.timedelta(minutes=draw.randrange(60_000)), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)])
            holds = matcher(self.SOURCE, chosen)({"at": at, "sent": UNREADABLE}.__getitem__)
            found = reach(self.SOURCE, chosen)
            for hours in (-12, 0, 14):
                day = at.astimezone(dt.timezone(dt.timedelta(hours=hours))).date()
                inside = found.is_all or (not found.is_none and (day < found.before or day >= found.since))
                narrow += not inside
                assert inside or not holds, (chosen, at, hours)
        assert narrow > 500

    def test_what_is_asked(self) -> None:
        """One day, both ends, everything and nothing."""
        day = dt.date(2026, 3, 1)
        assert ["BEFORE", dt.date(2026, 3, 4)] == reach(self.SOURCE, OnOrBefore("at", day)).criteria()
        both = reach(self.SOURCE, Union((OnOrBefore("at", day), Suspect("at", dt.date(2026, 6, 30)))))
        assert ["OR", "BEFORE", dt.date(2026, 3, 4), "SINCE", dt.date(2026, 6, 27)] == both.criteria()
        assert (ALL, [], NONE) == (
            reach(self.SOURCE, EVERYTHING),
            reach(self.SOURCE, OnOrBefore("sent", day)).criteria(),
            reach(self.SOURCE, NOTHING),
        )
        assert dt.date(1970, 1, 4) == reach(self.SOURCE, OnOrBefore("at", dt.date(1950, 1, 1))).before
        assert Reach(dt.date(9990, 1, 4), dt.date.max) == reach(self.SOURCE, OnOrBefore("at", dt.date.max))


class TestAddress:
    """Where a mailbox is."""

    def test_taken_apart(self) -> None:
        """User and password are decoded, ports are the usual ones, and neither is shown."""
        found = address_of("mail", "imaps://hr%40firm.example:p%3Ass@mail.example")
        assert ("imaps", "mail.example", 993, "hr@firm.example", "p:ss") == (
            found.scheme,
            found.host,
            found.port,
            found.user,
            found.password,
        )
        assert [] == [each for each in ("hr@firm", "p:ss") if each in repr(found)]
        assert 143 == address_of("mail", "imap+starttls://a:b@mail.example").port

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "https://a:secret@mail.example",
            "imaps://mail.example",
            "imaps://a@mail.example",
            "imaps://a:secret@mail.example/INBOX",
            "imaps://a:secret@mail.example:99999",
            "imap://a:secret@mail.example",
        ],
    )
    def test_refused(self, url: str | None) -> None:
        """What is no address, names a folder, or would send a password in plain text is refused, and shows no password."""
        with pytest.raises(ConfigurationError) as caught:
            address_of("mail", url)
        assert "secret" not in str(caught.value)


def test_turns_keep_to_a_rate() -> None:
    """So many requests a second go, and without a limit nobody waits."""
    import time

    for per_second, least, most in ((50.0, 0.07, 1.0), (0.0, 0.0, 0.05)):
        turns, began = Turns(per_second), time.monotonic()
        for _ in range(5):
            turns.wait()
        assert least <= time.monotonic() - began <= most
