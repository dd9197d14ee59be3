"""VIP online services' demonstration office: what is in it, and what has to become of it, written down before it was ever run."""

from __future__ import annotations

from tests.acceptance.schedules.office import Night, Plan, Record, Sql, command, request

TRACES = "author_ip user_agent"
AUTHOR = "author_name author_email author_ip user_agent body"
WHO = ("--owner", "Legal", "--reason", "appeal", "--review-on", "2027-06-01")


def buyer(of: int) -> dict[str, str]:
    """Return a buyer's name and address."""
    return {"name": f"Buyer {of}", "email": f"b{of}@buyers.example"}


def caller(key: int, *expected: str, rule: str = "VO-3", entered_on: str) -> Record:
    """Return somebody who was in touch."""
    person = {"name": f"Caller {key}", "email": f"c{key}@callers.example", "phone": f"06{key}{key}{key}{key}", "social_account": f"@c{key}"}
    return Record(rule, "contacts", key, {**person, "entered_on": entered_on}, expected)


def reader(key: int, *expected: str, rule: str = "VO-4", email: str = "", ground: str | None, **facts: str) -> Record:
    """Return a member of the newsletter's list."""
    person = {"name": f"Reader {key}", "email": email or f"r{key}@readers.example", "ground": ground}
    asked = {"subscribed_at": "2020-01-01 08:00:00"} if ground == "asked" else {}
    return Record(rule, "members", key, {**person, **asked, **facts}, expected)


def quote(key: int, *expected: str, rule: str = "VO-5", of: int, quoted_on: str, invoice_id: int | None) -> Record:
    """Return a quote to a buyer."""
    return Record(rule, "quotes", key, {**buyer(of), "quoted_on": quoted_on, "invoice_id": invoice_id}, expected)


def invoice(key: int, *expected: str, rule: str = "VO-5", of: int, issued_on: str) -> Record:
    """Return an invoice to a buyer."""
    values = {"billing_name": buyer(of)["name"], "email": buyer(of)["email"], "issued_on": issued_on}
    return Record(rule, "invoices", key, values, expected)


def payment(key: int, *expected: str, rule: str = "VO-5", of: int, paid_on: str) -> Record:
    """Return a payment of a buyer."""
    values = {"account_holder": buyer(of)["name"], "account_number": f"NL{of}", "email": buyer(of)["email"], "paid_on": paid_on}
    return Record(rule, "payments", key, values, expected)


def agreement(key: int, *expected: str, of: int, ended_on: str | None) -> Record:
    """Return an agreement with a buyer."""
    return Record("VO-6", "agreements", key, {**buyer(of), "ended_on": ended_on}, expected)


def comment(
    key: int,
    by: str,
    *expected: str,
    post: int = 1,
    to: int | None = None,
    at: str = "2026-06-01",
    status: str = "approved",
    rule: str = "VO-1",
) -> Record:
    """Return a comment under a post, or a reply to another one."""
    author = {"author_name": by.title(), "author_email": f"{by}@forum.example", "author_ip": "198.51.100.7", "user_agent": "Mozilla/5.0"}
    place = {"post_id": post, "parent_id": to, "commented_at": f"{at} 12:00:00", "status": status, "body": f"I think so too, {by}"}
    return Record(rule, "comments", key, {**author, **place}, expected)


def case(key: str, *expected: str, **facts: str) -> Record:
    """Return a case file."""
    client = {"client_name": "Client", "client_email": f"{key}@clients.example"}
    opponent = {"opponent_name": "Other", "opponent_email": f"{key}@others.example"}
    return Record("VO-7", "cases", key, {**client, **opponent, **facts}, expected)


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
    # --- Contacts -----------------------------------------------------------------------------------------------------------------------
    caller(1, "deleted 2026-06-29", entered_on="2015-01-05"),
    caller(2, "kept", "deleted 2026-06-30", entered_on="2015-01-05"),
    # A newsletter is no contact.
    caller(3, "deleted 2023-01-05", entered_on="2018-01-05"),
    # Objects to direct marketing: this list never was for that.
    caller(4, "kept", rule="VO-10", entered_on="2024-01-05"),
    # --- The newsletter: one ground per member ------------------------------------------------------------------------------------------
    reader(1, "kept", ground="asked"),
    reader(2, "deleted 2026-06-29", ground="asked", unsubscribed_at="2026-06-29 08:00:00"),
    reader(3, "kept", ground="customer"),
    reader(4, "deleted 2026-06-29", ground="customer", customer_left_at="2026-06-29 08:00:00"),
    reader(5, "undetermined", ground=None),
    reader(6, "kept", "deleted 2026-06-30", rule="VO-10", email="c4@callers.example", ground="customer"),
    # Withdrawing a consent says nothing about who is on the list as a customer.
    reader(7, "kept", ground="customer"),
    # --- Quotes, invoices, payments -----------------------------------------------------------------------------------------------------
    quote(1, "deleted 2026-06-29", of=1, quoted_on="2018-06-29", invoice_id=None),
    quote(2, "kept", "deleted 2026-06-30", of=2, quoted_on="2018-06-30", invoice_id=2),
    # Buyer 3 asks for erasure: what the tax office may ask for stays, the rest goes.
    quote(3, "deleted 2026-06-29", rule="VO-10", of=3, quoted_on="2024-02-01", invoice_id=None),
    quote(4, "kept", rule="VO-10", of=3, quoted_on="2024-03-01", invoice_id=4),
    invoice(4, "kept", rule="VO-10", of=3, issued_on="2024-04-01"),
    payment(4, "kept", rule="VO-10", of=3, paid_on="2024-05-01"),
    # Of 2018: longer than the law asks, so it goes with the request and not in December.
    invoice(5, "deleted 2026-06-29", rule="VO-10", of=3, issued_on="2018-12-01"),
    invoice(1, "deleted 2026-06-29", of=1, issued_on="2018-06-29"),
    invoice(2, "kept", "kept", "kept", "deleted 2026-07-30", of=2, issued_on="2018-07-30"),
    payment(2, "kept", of=2, paid_on="2018-09-01"),
    # An objection: only stored while it is looked into; when it is upheld, it ended what nothing but our own interest kept.
    quote(6, "kept", "kept", "deleted 2026-06-29", of=6, quoted_on="2024-02-01", invoice_id=None),
    quote(8, "kept", of=6, quoted_on="2024-03-01", invoice_id=8),
    quote(7, "held 2026-02-01", "held 2026-02-01", "deleted 2026-02-01", of=6, quoted_on="2018-02-01", invoice_id=None),
    # --- Agreements ---------------------------------------------------------------------------------------------------------------------
    agreement(1, "deleted 2026-06-29", of=1, ended_on="2021-06-29"),
    agreement(2, "kept", of=2, ended_on="2021-06-29"),
    agreement(3, "kept", of=8, ended_on=None),
    agreement(4, "kept", "deleted 2026-06-30", of=3, ended_on="2021-06-30"),
    # --- Case files ---------------------------------------------------------------------------------------------------------------------
    case("settled", "deleted 2026-06-29", settled_on="2022-03-01", limitation_ends_on="2026-06-29", number="2022-1"),
    case("decided", "kept", "deleted 2026-06-30", decided_on="2026-06-30", limitation_ends_on="2024-01-31", number="2022-2"),
    case("forgotten", "review", limitation_ends_on="2025-01-31", number="2015-1"),
    case("open", "kept", limitation_ends_on="2030-01-31", number="2025-1"),
    case("unknown", "undetermined", closed_on="2020-03-01", number="2019-1"),
    # The other party asks for erasure, and a claim is still open; an appeal holds a file that is over.
    case("claimed", "kept", closed_on="2025-03-01", limitation_ends_on="2028-01-31", number="2023-1"),
    case(
        "appealed",
        "held 2026-06-29",
        "held 2026-06-29",
        "held 2026-06-29",
        "deleted 2026-06-29",
        closed_on="2022-03-01",
        limitation_ends_on="2026-06-29",
        number="2021-1",
    ),
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


PLAN = Plan(
    "vip-online-services",
    TABLES,
    RECORDS,
    (
        Night(
            "2026-06-30",
            (
                request("erase", "xavier@forum.example", "2026-06-29"),
                request("erase", "will@forum.example", "2026-06-29"),
                request("erase", "b3@buyers.example", "2026-06-29"),
                request("erase", "claimed@others.example", "2026-06-29"),
                request("object", "b6@buyers.example", "2026-06-29", name="objection"),
                request("withdraw", "r7@readers.example"),
                # Who asks for a copy of everything loses nothing by it.
                request("export", "c2@callers.example"),
                command("hold", "add", "--kind", "legal", "--scope", "case", "--case", "2021-1", *WHO, name="appeal"),
            ),
            {"SELECT contact_id FROM messages ORDER BY id": [(2,)], "SELECT agreement_id FROM reminders": [(2,)]},
        ),
        Night(
            "2026-07-01",
            (
                Sql("INSERT INTO posts VALUES (4, 'Back again', 'publish')"),
                request("object", "c4@callers.example", "2026-06-30", "--marketing"),
            ),
        ),
        Night(
            "2026-07-08",
            (
                Sql("DELETE FROM posts WHERE id = 4"),
                request("erase", "yara@forum.example", "2026-07-07"),
                command("request", "uphold", "{objection}", "--by", "D. Officer"),
            ),
        ),
        Night(
            "2026-08-28",
            (command("hold", "release", "{appeal}"), command("request", "close", "{objection}", "--outcome", "upheld, and gone but one")),
        ),
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
