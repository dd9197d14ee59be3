"""VIP online services' demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from typing import Any

from tests.acceptance.schedules.office import Night, Plan, Record, Sql, command

TRACES = "author_ip user_agent"
AUTHOR = "author_name author_email author_ip user_agent body"
WHO = ("--owner", "Legal", "--reason", "appeal", "--review-on", "2027-06-01")


def row(rule: str, source: str, key: int, *expected: str, **values: Any) -> Record:
    """Return a row of a table."""
    return Record(rule, source, key, values, expected)


def comment(
    key: int, by: str, *expected: str, post: int = 1, to: int | None = None, at: str = "2026-06-01", status: str = "approved", rule: str = "VO-1"
) -> Record:
    """Return a comment under a post, or a reply to another one."""
    author = {"author_name": by.title(), "author_email": f"{by}@forum.example", "author_ip": "198.51.100.7", "user_agent": "Mozilla/5.0"}
    place = {"post_id": post, "parent_id": to, "commented_at": f"{at} 12:00:00", "status": status, "body": f"I think so too, {by}"}
    return Record(rule, "comments", key, {**author, **place}, expected)


def case(key: str, *expected: str, **facts: str) -> Record:
    """Return a case file."""
    values = {"client_name": "Client", "client_email": f"{key}@clients.example", "opponent_name": "Other", "opponent_email": f"{key}@others.example"}
    return Record("VO-7", "cases", key, {**values, **facts}, expected)


COMMENTS = (
    # Young; three months old; three months old under a post in the bin, which is still a post.
    comment(1, "olga", "kept"),
    comment(2, "olga", f"treated 2026-06-29: {TRACES}", "kept", at="2026-03-31", rule="VO-2"),
    comment(3, "olga", "kept", f"treated 2026-06-30: {TRACES}", "kept", post=2, at="2026-04-01", rule="VO-2"),
    # The post is gone for good: a week after that was first seen the whole thread goes, whoever answered whom.
    comment(10, "anna", "kept", "kept", "deleted 2026-07-07", post=3),
    comment(11, "bram", "kept", "kept", "deleted 2026-07-07", post=3, to=10),
    comment(12, "anna", "kept", "kept", "deleted 2026-07-07", post=3, to=11),
    # A post that was away and came back within the week, and goes for good later.
    comment(20, "cleo", "kept", "kept", "kept", "deleted 2026-07-15", post=4),
    # Xavier asks for removal, and a week later Yara does.
    comment(30, "xavier", f"pseudonymised 2026-06-29: {AUTHOR}", "kept", "deleted 2026-06-29"),
    comment(31, "yara", "kept", "kept", "deleted 2026-07-07", to=30),
    comment(32, "xavier", "deleted 2026-06-29", to=31),
    # An answer to oneself keeps nothing in place.
    comment(40, "xavier", "deleted 2026-06-29"),
    comment(41, "xavier", "deleted 2026-06-29", to=40),
    # An answer that nobody sees doesn't either, one that waits for approval does.
    comment(50, "xavier", "deleted 2026-06-29"),
    comment(51, "zoe", "kept: parent_id", "kept", to=50, status="spam"),
    comment(60, "xavier", f"pseudonymised 2026-06-29: {AUTHOR}", "kept", "deleted 2026-06-29"),
    comment(61, "yara", "kept", "kept", "deleted 2026-07-07", to=60, status="pending"),
    # Both ask at once.
    comment(70, "xavier", "deleted 2026-06-29"),
    comment(71, "will", "deleted 2026-06-29", to=70),
    # Zoe's answer keeps the comment it answers; that one is Xavier's own, so what it answers goes and it moves up.
    comment(80, "zoe", "kept"),
    comment(81, "xavier", "deleted 2026-06-29", to=80),
    comment(82, "xavier", f"pseudonymised 2026-06-29: {AUTHOR} parent_id", "kept", to=81),
    comment(83, "zoe", "kept", to=82),
)

RECORDS = (
    *COMMENTS,
    # --- Contacts ---------------------------------------------------------------------------------------------------------------------------------
    row("VO-3", "contacts", 1, "deleted 2026-06-29", name="Caller 1", email="c1@callers.example", phone="0611111111", social_account="@c1", entered_on="2015-01-05"),
    row("VO-3", "contacts", 2, "kept", "deleted 2026-06-30", name="Caller 2", email="c2@callers.example", phone="0622222222", social_account="@c2", entered_on="2015-01-05"),
    # A newsletter is no contact.
    row("VO-3", "contacts", 3, "deleted 2023-01-05", name="Caller 3", email="c3@callers.example", phone="0633333333", social_account="@c3", entered_on="2018-01-05"),
    # Objects to direct marketing: this list never was for that.
    row("VO-10", "contacts", 4, "kept", name="Caller 4", email="c4@callers.example", phone="0644444444", social_account="@c4", entered_on="2024-01-05"),
    # --- The newsletter: one ground per member ------------------------------------------------------------------------------------------------------
    row("VO-4", "members", 1, "kept", name="Reader 1", email="r1@readers.example", ground="asked", subscribed_at="2020-01-01 08:00:00"),
    row("VO-4", "members", 2, "deleted 2026-06-29", name="Reader 2", email="r2@readers.example", ground="asked", subscribed_at="2020-01-01 08:00:00", unsubscribed_at="2026-06-29 08:00:00"),
    row("VO-4", "members", 3, "kept", name="Reader 3", email="r3@readers.example", ground="customer"),
    row("VO-4", "members", 4, "deleted 2026-06-29", name="Reader 4", email="r4@readers.example", ground="customer", customer_left_at="2026-06-29 08:00:00"),
    row("VO-4", "members", 5, "undetermined", name="Reader 5", email="r5@readers.example", ground=None),
    row("VO-10", "members", 6, "kept", "deleted 2026-06-30", name="Caller 4", email="c4@callers.example", ground="customer"),
    # Withdrawing a consent says nothing about who is on the list as a customer.
    row("VO-4", "members", 7, "kept", name="Reader 7", email="r7@readers.example", ground="customer"),
    # --- Quotes, invoices, payments -------------------------------------------------------------------------------------------------------------------
    row("VO-5", "quotes", 1, "deleted 2026-06-29", name="Buyer 1", email="b1@buyers.example", quoted_on="2018-06-29", invoice_id=None),
    row("VO-5", "quotes", 2, "kept", "deleted 2026-06-30", name="Buyer 2", email="b2@buyers.example", quoted_on="2018-06-30", invoice_id=2),
    # Buyer 3 asks for erasure: what the tax office may ask for stays, the rest goes.
    row("VO-10", "quotes", 3, "deleted 2026-06-29", name="Buyer 3", email="b3@buyers.example", quoted_on="2024-02-01", invoice_id=None),
    row("VO-10", "quotes", 4, "kept", name="Buyer 3", email="b3@buyers.example", quoted_on="2024-03-01", invoice_id=4),
    row("VO-10", "invoices", 4, "kept", billing_name="Buyer 3", email="b3@buyers.example", issued_on="2024-04-01"),
    row("VO-10", "payments", 4, "kept", account_holder="Buyer 3", account_number="NL4", email="b3@buyers.example", paid_on="2024-05-01"),
    # Of 2018: longer than the law asks, so it goes with the request and not in December.
    row("VO-10", "invoices", 5, "deleted 2026-06-29", billing_name="Buyer 3", email="b3@buyers.example", issued_on="2018-12-01"),
    row("VO-5", "invoices", 1, "deleted 2026-06-29", billing_name="Buyer 1", email="b1@buyers.example", issued_on="2018-06-29"),
    row("VO-5", "invoices", 2, "kept", "kept", "kept", "deleted 2026-07-30", billing_name="Buyer 2", email="b2@buyers.example", issued_on="2018-07-30"),
    row("VO-5", "payments", 2, "kept", account_holder="Buyer 2", account_number="NL2", email="b2@buyers.example", paid_on="2018-09-01"),
    # An objection: only stored while it is looked into; when it is upheld, erased.
    row("VO-5", "quotes", 6, "kept", "kept", "deleted 2026-07-07", name="Buyer 6", email="b6@buyers.example", quoted_on="2024-02-01", invoice_id=None),
    row("VO-5", "quotes", 7, "held 2026-02-01", "held 2026-02-01", "deleted 2026-02-01", name="Buyer 6", email="b6@buyers.example", quoted_on="2018-02-01", invoice_id=None),
    # --- Agreements -----------------------------------------------------------------------------------------------------------------------------------
    row("VO-6", "agreements", 1, "deleted 2026-06-29", name="Buyer 1", email="b1@buyers.example", ended_on="2021-06-29"),
    row("VO-6", "agreements", 2, "kept", name="Buyer 2", email="b2@buyers.example", ended_on="2021-06-29"),
    row("VO-6", "agreements", 3, "kept", name="Buyer 8", email="b8@buyers.example", ended_on=None),
    row("VO-6", "agreements", 4, "kept", "deleted 2026-06-30", name="Buyer 3", email="b3@buyers.example", ended_on="2021-06-30"),
    # --- Case files -------------------------------------------------------------------------------------------------------------------------------------
    case("settled", "deleted 2026-06-29", settled_on="2022-03-01", limitation_ends_on="2026-06-29", number="2022-1"),
    case("decided", "kept", "deleted 2026-06-30", decided_on="2026-06-30", limitation_ends_on="2024-01-31", number="2022-2"),
    case("forgotten", "review", limitation_ends_on="2025-01-31", number="2015-1"),
    case("open", "kept", limitation_ends_on="2030-01-31", number="2025-1"),
    case("unknown", "undetermined", closed_on="2020-03-01", number="2019-1"),
    # The other party asks for erasure, and a claim is still open; an appeal holds a file that is over.
    case("claimed", "kept", closed_on="2025-03-01", limitation_ends_on="2028-01-31", number="2023-1"),
    case("appealed", "held 2026-06-29", "held 2026-06-29", "held 2026-06-29", "deleted 2026-06-29", closed_on="2022-03-01", limitation_ends_on="2026-06-29", number="2021-1"),
)

TABLES = """
    CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT, status TEXT);
    CREATE TABLE comments (
      id INTEGER PRIMARY KEY, post_id INTEGER, parent_id INTEGER REFERENCES comments (id), author_name TEXT, author_email TEXT,
      author_ip TEXT, user_agent TEXT, body TEXT, commented_at TIMESTAMP, status TEXT);
    CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, social_account TEXT, entered_on DATE);
    CREATE TABLE messages (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), channel TEXT, sent_at TIMESTAMP);
    CREATE TABLE members (
      id INTEGER PRIMARY KEY, email TEXT, name TEXT, ground TEXT, subscribed_at TIMESTAMP, unsubscribed_at TIMESTAMP,
      customer_left_at TIMESTAMP);
    CREATE TABLE quotes (id INTEGER PRIMARY KEY, name TEXT, email TEXT, quoted_on DATE, invoice_id INTEGER);
    CREATE TABLE invoices (id INTEGER PRIMARY KEY, billing_name TEXT, email TEXT, issued_on DATE);
    CREATE TABLE payments (id INTEGER PRIMARY KEY, account_holder TEXT, account_number TEXT, email TEXT, paid_on DATE);
    CREATE TABLE agreements (id INTEGER PRIMARY KEY, name TEXT, email TEXT, ended_on DATE);
    CREATE TABLE reminders (id INTEGER PRIMARY KEY, agreement_id INTEGER REFERENCES agreements (id), sent_on DATE);
    """

POSTS = tuple(("posts", {"id": key, "title": "News", "status": status}) for key, status in ((1, "publish"), (2, "trash")))


def erasure(who: str, received: str) -> Any:
    """Return a verified request for erasure."""
    args = ("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "The owner", "--received-on", received)
    return command(*args, typed=who)


PLAN = Plan(
    "vip-online-services",
    TABLES,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (
                erasure("xavier@forum.example", "2026-06-29"),
                erasure("will@forum.example", "2026-06-29"),
                erasure("b3@buyers.example", "2026-06-29"),
                erasure("claimed@others.example", "2026-06-29"),
                command("request", "add", "--kind", "object", "--subject", "-", typed="b6@buyers.example", name="objection"),
                command("request", "add", "--kind", "withdraw", "--subject", "-", typed="r7@readers.example"),
                command("hold", "add", "--kind", "legal", "--scope", "case", "--case", "2021-1", *WHO, name="appeal"),
            ),
            {"SELECT contact_id FROM messages ORDER BY id": [(2,)], "SELECT agreement_id FROM reminders": [(2,)]},
        ),
        Night(
            "2026-07-01",
            (
                Sql("INSERT INTO posts VALUES (4, 'Back again', 'publish')"),
                command(
                    "request", "add", "--kind", "object", "--marketing", "--subject", "-", "--received-on", "2026-06-30", typed="c4@callers.example"
                ),
            ),
        ),
        Night(
            "2026-07-08",
            (
                Sql("DELETE FROM posts WHERE id = 4"),
                erasure("yara@forum.example", "2026-07-07"),
                command("request", "close", "{objection}", "--outcome", "upheld"),
                erasure("b6@buyers.example", "2026-07-07"),
            ),
        ),
        Night("2026-08-28", (command("hold", "release", "{appeal}"),)),
    ),
    folders={"cases": "case.json"},
    more=(
        *POSTS,
        ("messages", {"id": 1, "contact_id": 1, "channel": "mail", "sent_at": "2021-06-29 10:00:00"}),
        ("messages", {"id": 2, "contact_id": 2, "channel": "phone", "sent_at": "2021-06-30 10:00:00"}),
        ("messages", {"id": 3, "contact_id": 3, "channel": "newsletter", "sent_at": "2026-05-01 10:00:00"}),
        ("reminders", {"id": 1, "agreement_id": 1, "sent_on": "2021-03-01"}),
        ("reminders", {"id": 2, "agreement_id": 2, "sent_on": "2022-01-10"}),
    ),
)
