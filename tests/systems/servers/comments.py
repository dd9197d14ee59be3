"""The posts and comments that WordPress is asked to make: every case the rules on comments know, one label each.

A comment stays, without its author, when somebody else's approved or pending reply to it remains; else it goes. So there
are comments without a reply, with one of each status, with one by the same author, with one by the site's owner, and a
chain. IP address and user agent are one comment's alone and an e-mail address is one author's: finding one is finding a
leak. Only the site's owner is also a WordPress user, whose address stands in the users and the options as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Status = Literal["approved", "pending", "spam", "trash"]
POSTS = {"opening": "Opening hours", "prices": "Price list"}
AS_OF = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment as WordPress holds it.

    post, parent -- ids, parent 0 for none; written_at -- UTC, whole seconds (`comment_date_gmt`); is_older -- than the
    number of days that `seed` was asked for; user_id -- 0 for a visitor.
    """

    label: str
    id: int
    post: int
    parent: int
    author: str
    email: str
    url: str
    ip: str
    agent: str
    content: str
    status: Status
    written_at: datetime
    is_older: bool
    user_id: int

    @property
    def canaries(self) -> tuple[str, str, str]:
        """What may be left nowhere once the comment's personal data are due: e-mail address, IP address, user agent."""
        return self.email, self.ip, self.agent

    @property
    def avatar(self) -> str:
        """The digest of the e-mail address that WordPress shows to every visitor, as part of a picture's address."""
        return hashlib.md5(self.email.encode(), usedforsecurity=False).hexdigest()

    @property
    def meta_ip(self) -> str:
        """A second IP address, held in this comment's `wp_commentmeta` only."""
        return self.ip.replace("198.51.100.", "203.0.113.")


@dataclass(frozen=True, slots=True)
class Seed:
    """What WordPress made. as_of, days -- the instant and the age that `is_older` was reckoned with."""

    as_of: datetime
    days: int
    posts: Mapping[str, int]
    comments: tuple[Comment, ...]

    def __getitem__(self, label: str) -> Comment:
        """Return the comment with this label."""
        return next(comment for comment in self.comments if comment.label == label)

    def __iter__(self) -> Iterator[Comment]:
        """Go through the comments in the order they were made."""
        return iter(self.comments)

    def by(self, first_name: str) -> tuple[Comment, ...]:
        """Return all comments of one author, whatever their status."""
        return tuple(comment for comment in self.comments if comment.author.split()[0] == first_name)

    def replies_to(self, label: str) -> tuple[Comment, ...]:
        """Return the comments that answer this one directly."""
        return tuple(comment for comment in self.comments if comment.parent == self[label].id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One comment to be made. parent -- the label of what it answers; is_older -- than the limit in days."""

    label: str
    first_name: str
    parent: str = ""
    status: Status = "approved"
    is_older: bool = True
    post: str = "opening"


OWNER = "Olivia"
WANTED = (
    Wanted("replied", "Anna"),
    Wanted("reply_by_other", "Bram", parent="replied"),
    Wanted("alone", "Carla"),
    Wanted("replied_by_self", "Daan"),
    Wanted("reply_by_self", "Daan", parent="replied_by_self"),
    Wanted("replied_pending", "Eva"),
    Wanted("reply_pending", "Fred", parent="replied_pending", status="pending"),
    Wanted("replied_spam", "Gerda"),
    Wanted("reply_spam", "Hank", parent="replied_spam", status="spam"),
    Wanted("replied_trash", "Iris"),
    Wanted("reply_trash", "Joop", parent="replied_trash", status="trash"),
    Wanted("replied_by_owner", "Karin"),
    Wanted("reply_by_owner", OWNER, parent="replied_by_owner", is_older=False),
    Wanted("chain_top", "Lena"),
    Wanted("chain_middle", "Lena", parent="chain_top"),
    Wanted("chain_leaf", "Mark", parent="chain_middle", is_older=False),
    Wanted("old_pending", "Nico", status="pending"),
    Wanted("old_spam", "Otto", status="spam"),
    Wanted("old_trash", "Petra", status="trash"),
    Wanted("young", "Quinten", is_older=False),
    Wanted("young_pending", "Roos", status="pending", is_older=False),
    Wanted("young_spam", "Sjors", status="spam", is_older=False),
    Wanted("elsewhere_old", "Tess", post="prices"),
    Wanted("elsewhere_same_author", "Anna", post="prices", is_older=False),
)


def request(as_of: datetime, days: int) -> dict[str, Any]:
    """Return what the seeding script is told, as plain data: posts, and comments with their dates in UTC."""
    written = _dates(as_of, days)
    return {
        "posts": [{"label": label, "title": title} for label, title in POSTS.items()],
        "post_date_gmt": _text(as_of - timedelta(days=days + 400)),
        "comments": [
            {
                "label": wanted.label,
                "post": wanted.post,
                "parent": wanted.parent,
                "owner": wanted.first_name == OWNER,
                "author": f"{wanted.first_name} Canary",
                "email": f"{wanted.first_name.lower()}@canary.example",
                "url": f"https://{wanted.first_name.lower()}.example/",
                "ip": f"198.51.100.{number}",
                "meta_ip": f"203.0.113.{number}",
                "agent": f"Mozilla/5.0 (canary-{number:03d}; {wanted.label})",
                "content": f"What {wanted.label.replace('_', ' ')} says.",
                "status": wanted.status,
                "date_gmt": _text(written[wanted.label]),
            }
            for number, wanted in enumerate(WANTED, start=101)
        ],
    }


def made(as_of: datetime, days: int, posts: Mapping[str, int], comments: Mapping[str, Mapping[str, Any]]) -> Seed:
    """Return the description of what WordPress made, from what it says about it itself."""
    older = {wanted.label: wanted.is_older for wanted in WANTED}
    return Seed(
        as_of,
        days,
        posts,
        tuple(
            Comment(
                label,
                int(row["id"]),
                int(row["post"]),
                int(row["parent"]),
                row["author"],
                row["email"],
                row["url"],
                row["ip"],
                row["agent"],
                row["content"],
                row["status"],
                datetime.fromisoformat(row["date_gmt"]).replace(tzinfo=UTC),
                older[label],
                int(row["user_id"]),
            )
            for label, row in comments.items()
        ),
    )


def _dates(as_of: datetime, days: int) -> dict[str, datetime]:
    """Give each comment its instant: well past the limit or well before it, and every reply after its parent."""
    dates: dict[str, datetime] = {}
    for number, wanted in enumerate(WANTED):
        start = as_of - timedelta(days=days + 60 if wanted.is_older else min(days // 2, 30))
        dates[wanted.label] = start.replace(microsecond=0) + timedelta(hours=number)
    return dates


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
