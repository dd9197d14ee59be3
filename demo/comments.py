"""The website of the office: posts and comments with replies, addresses and browsers, most older than 180 days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random

from demo import database
from demo.cases import Case, Part
from demo.crm_cases import EVERYWHERE
from demo.people import Person, day_between, internet_address, office_hours, person, seeded, utc, years_before

SCHEMA = """
CREATE TABLE posts (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  published_at TIMESTAMP NOT NULL
);
CREATE TABLE comments (
  id INTEGER PRIMARY KEY,
  post_id INTEGER,
  parent_id INTEGER,
  author_name TEXT,
  author_email TEXT,
  author_ip TEXT,
  user_agent TEXT,
  body TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('approved', 'pending', 'spam')),
  commented_at TIMESTAMP,
  FOREIGN KEY (post_id) REFERENCES posts (id),
  FOREIGN KEY (parent_id) REFERENCES comments (id)
);
CREATE INDEX comments_post_id ON comments (post_id);
CREATE INDEX comments_parent_id ON comments (parent_id);
CREATE INDEX comments_author_email ON comments (author_email);
CREATE INDEX comments_commented_at ON comments (commented_at);
"""
_POSTS = 60
_BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
_BODIES = (
    "Wat een goed stuk, dank!",
    "Werkt dit ook voor een kleine vereniging?",
    "Ik ben het er niet mee eens, maar het is helder opgeschreven.",
    "Groeten, {name}",
    "Mail mij gerust: {email}",
    "Bij ons ging het precies zo.",
)
_TRACE = "partly due: address and browser; name and text stay with the post"


@dataclass(slots=True)
class Website:
    """The comments while they are being made; keys count up from 1, a reply always after what it answers."""

    draw: Random
    rows: list[database.Row] = field(default_factory=list)
    canaries: set[str] = field(default_factory=set)

    def comment(
        self,
        who: Person | None,
        commented_at: str | None,
        *,
        post: int | None = 1,
        parent: int | None = None,
        status: str = "approved",
        address: str | None = "",
    ) -> int:
        """Add a comment and return its key; an empty address draws one, None leaves address and browser out."""
        key = len(self.rows) + 1
        name, email, body = None, None, self.draw.choice(_BODIES[:3])
        if who is not None:
            name, email = who.name, who.email
            body = self.draw.choice(_BODIES).format(name=name, email=email)
            self.canaries.update((name, email))
        browser = None if address is None else self.draw.choice(_BROWSERS)
        address = internet_address(self.draw) if address == "" else address
        if address:
            self.canaries.add(address)
        self.rows.append((key, post, parent, name, email, address, browser, body, status, commented_at))
        return key


def write(path: Path, as_of: date, scale: int) -> Part:
    """Write the website with 60 posts and 1,500 comments times the scale."""
    draw = seeded("comments")
    site = Website(draw)
    cases = _cases(site, as_of)
    published = [day_between(years_before(as_of, 6), as_of - timedelta(days=20), draw) for _ in range(_POSTS * scale)]
    published[0] = years_before(as_of, 5)  # The post that the awkward comments stand under.
    while len(site.rows) < 1500 * scale:
        _thread(site, draw.randrange(len(published)) + 1, published, as_of)
    posts: list[database.Row] = [(number, f"Bericht {number}", utc(day, 8)) for number, day in enumerate(published, start=1)]
    database.write(path, SCHEMA, {"posts": posts, "comments": site.rows})
    return Part(cases, frozenset(site.canaries))


def _thread(site: Website, post: int, published: list[date], as_of: date) -> None:
    draw = site.draw
    day = day_between(published[post - 1], as_of - timedelta(days=1), draw)
    people = [person(draw.randrange(3300, 3900)) for _ in range(3)]
    chance = draw.random()
    status = "spam" if chance < 0.1 else "pending" if chance < 0.14 else "approved"
    # A part of the addresses was never recorded.
    address = None if draw.random() < 0.05 else ""
    thread = [site.comment(people[0], office_hours(day, draw), post=post, status=status, address=address)]
    if status != "approved":
        return
    for _ in range(draw.choice((0, 0, 0, 1, 1, 2, 4))):
        day = day_between(day, min(day + timedelta(days=10), as_of - timedelta(days=1)), draw)
        # Later in the day than anything else, so a reply is never older than what it answers.
        when = utc(day, 19, len(thread))
        thread.append(site.comment(draw.choice(people), when, post=post, parent=draw.choice(thread)))


def _cases(site: Website, as_of: date) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    old = years_before(as_of, 1)

    def case(name: str, key: int, why: str, expected: str, *others: int) -> None:
        cases[name] = Case("comments", str(key), why, expected, tuple(("comments", str(other)) for other in others))

    def on(days: int) -> str:
        return utc(old + timedelta(days=days))

    one, two, three = person(3200), person(3201), person(3202)
    case(
        "everywhere_comment",
        site.comment(EVERYWHERE, utc(as_of - timedelta(days=100))),
        "also a contact, a member and an applicant",
        "kept: not 180 days old",
    )
    parent = site.comment(one, on(0))
    reply = site.comment(two, on(1), parent=parent)
    case("comment_replied_by_other", parent, "somebody else answered it", _TRACE, reply)
    parent = site.comment(one, on(2))
    reply = site.comment(one, on(3), parent=parent)
    case("comment_replied_by_author", parent, "only its author answered it", _TRACE, reply)
    parent = site.comment(two, on(4))
    replies = [site.comment(who, on(5), parent=parent) for who in (one, two)]
    last = site.comment(one, on(6), parent=replies[1])
    case("thread_author_and_replier", parent, "two people, each author and replier", _TRACE, *replies, last)
    parent = site.comment(three, on(7))
    reply = site.comment(two, on(8), parent=parent, status="spam")
    case("comment_replied_by_spam", parent, "its only answer is spam", _TRACE, reply)
    parent = site.comment(three, on(9))
    reply = site.comment(one, on(10), parent=parent, status="pending")
    case("comment_replied_by_pending", parent, "its only answer waits for approval", _TRACE, reply)
    case("comment_of_gone_post", site.comment(three, on(11), post=None), "its post was removed", "due: with its post")
    border = as_of - timedelta(days=180)
    for name, days, expected in (
        ("comment_due_yesterday", -1, _TRACE),
        ("comment_due_today", 0, "kept: through the whole of today"),
        ("comment_due_tomorrow", 1, "kept: through tomorrow"),
    ):
        case(name, site.comment(three, utc(border + timedelta(days=days))), "180 days around the as-of date", expected)
    case("comment_without_author", site.comment(None, on(12)), "no name, no e-mail address", _TRACE)
    case("comment_without_address", site.comment(one, on(13), address=None), "no address was stored", "kept: no trace")
    case("comment_from_ipv6", site.comment(one, on(14), address="2001:db8:85a3::8a2e:370:7334"), "IPv6", _TRACE)
    mapped = site.comment(one, on(15), address="::ffff:192.0.2.77")
    case("comment_from_mapped_ipv4", mapped, "IPv4 written as IPv6", _TRACE)
    no_address = site.comment(one, on(16), address="unknown, 192.0.2.78")
    case("comment_from_no_address", no_address, "a proxy's header instead of an address", _TRACE)
    case("comment_without_time", site.comment(two, None), "no time", "undetermined: the time is empty")
    case("comment_zero_date", site.comment(two, "0000-00-00 00:00:00"), "zeroes for a time", "undetermined: not a date")
    case("comment_in_future", site.comment(two, utc(as_of + timedelta(days=5))), "ahead", "undetermined: in the future")
    return cases
