"""Comments on a real website: what VO-1 and VO-2 promise, enforced on the tables of a real WordPress."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.installation import Installation
from tests.systems.servers.comments import Comment, Seed
from tests.systems.servers.wordpress import WordPress
from worker.usecases.planning import make_plan
from worker.usecases.standing import add_request

POLICIES = """
version = 1
[organisation]
name = "Website"
timezone = "Europe/Amsterdam"

[sources.comments]
connector = "comments"
table = "wp_comments"
key = "comment_ID"
subject = ["email"]
[sources.comments.fields]
author = { column = "comment_author", treatment = "pseudonym" }
email = { column = "comment_author_email", type = "email", treatment = "pseudonym" }
url = { column = "comment_author_url", treatment = { constant = "" } }
ip = { column = "comment_author_IP", treatment = { constant = "" } }
agent = { column = "comment_agent", treatment = { constant = "" } }
content = { column = "comment_content", treatment = { scrub = ["author", "email", "url"], language = "nl", countries = ["NL"] } }
status = { column = "comment_approved" }
written_at = { column = "comment_date_gmt", type = "timestamp", timezone = "UTC" }
[sources.comments.parents.post]
table = "wp_posts"
key = "ID"
match = { ID = "comment_post_ID" }
recount = { comment_count = { comment_approved = ["1"] } }
[sources.comments.children.replies]
table = "wp_comments"
key = "comment_ID"
match = { comment_parent = "comment_ID" }
on_delete = "detach"
[sources.comments.children.meta]
table = "wp_commentmeta"
key = "meta_id"
match = { comment_id = "comment_ID" }
on_delete = "delete"
on_pseudonymise = "delete"
[sources.comments.facts.replies]
count = "replies"
where = { comment_approved = ["1", "0"] }
differs = { comment_author_email = "comment_author_email" }
remaining = true

[[policies]]
source = "comments"
disposition = [{ do = "pseudonymise", when = { replies = { gt = 0 } } }, { do = "delete" }]
[[policies.purposes]]
id = "publish"
basis = "legitimate-interests"
fields = ["author", "email", "url", "content"]
keep = "indefinite"
[[policies.purposes]]
id = "spam"
basis = "legitimate-interests"
fields = ["ip", "agent"]
start = "written_at"
keep = "P90D"

[sources.comment_meta]
connector = "comments"
table = "wp_commentmeta"
key = "meta_id"
[sources.comment_meta.fields]
content = { column = "meta_value", treatment = "clear" }
[sources.comment_meta.parents.comment]
table = "wp_comments"
key = "comment_ID"
match = { comment_ID = "comment_id" }
[sources.comment_meta.facts]
written_at = { latest = "comment.comment_date_gmt", type = "timestamp", timezone = "UTC" }

[[policies]]
source = "comment_meta"
disposition = "delete"
[[policies.purposes]]
id = "spam"
basis = "legitimate-interests"
fields = ["content"]
start = "written_at"
keep = "P90D"
"""
ASKED = ("Anna", "Bram", "Carla", "Daan", "Eva", "Gerda", "Iris", "Karin", "Lena")
"""Who asked for removal, the day before."""


@pytest.fixture(scope="module")
def enforced(wordpress: WordPress, tmp_path_factory: pytest.TempPathFactory) -> tuple[WordPress, Seed, Installation]:
    """Return a site on which the policies were carried out, after several authors had asked for removal."""
    seed = wordpress.seed()
    sign(wordpress, seed["replied_by_owner"])
    folder = tmp_path_factory.mktemp("wordpress")
    urls = dict.fromkeys(("comments", "comment_meta"), wordpress.database_url)
    installation = Installation(folder, POLICIES, urls, seed.as_of)
    with installation.machine() as machine:
        for name in ASKED:
            add_request(
                machine,
                kind="erase",
                identifiers=[seed.by(name)[0].email.upper()],
                verified_by="ann",
                received_on=machine.today() - dt.timedelta(days=1),
            )
    installation.carry_out()
    return wordpress, seed, installation


def sign(site: WordPress, comment: Comment) -> None:
    """Let the author of a comment write name, address and number below it."""
    engine = sa.create_engine(site.database_url)
    with engine.begin() as connection:
        signed = "UPDATE wp_comments SET comment_content = CONCAT(comment_content, :below) WHERE comment_ID = :id"
        below = f"\n-- {comment.author.upper()}, {comment.email}, 06-12345678"
        connection.execute(sa.text(signed), {"below": below, "id": comment.id})
    engine.dispose()


def everything(site: WordPress) -> str:
    """Return every value of every table of the site's database as one text."""
    engine = sa.create_engine(site.database_url)
    try:
        with engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
            return "\n".join(repr(tuple(row)) for table in tables for row in connection.execute(sa.text(f"SELECT * FROM `{table}`")))
    finally:
        engine.dispose()


def comments(site: WordPress) -> dict[int, dict[str, object]]:
    """Return the comments that are left, by their id."""
    engine = sa.create_engine(site.database_url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT * FROM wp_comments")).mappings()
            return {int(row["comment_ID"]): dict(row) for row in rows}
    finally:
        engine.dispose()


def erased(seed: Seed) -> list[Comment]:
    """Return the comments whose authors asked for removal."""
    return [comment for comment in seed if comment.author.split()[0] in ASKED]


def test_comments_without_a_reply_that_remains_are_deleted(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """VO-1: without an approved or pending reply by somebody else that remains, a comment on request is deleted, meta included."""
    site, seed, _ = enforced
    gone = {comment.label for comment in seed} - {comment.label for comment in seed if comment.id in comments(site)}
    expected = {
        "reply_by_other",
        "replied",
        "alone",
        "replied_by_self",
        "reply_by_self",
        "replied_spam",
        "replied_trash",
        "elsewhere_same_author",
        "chain_top",
    }
    assert expected == gone


def test_comments_with_a_reply_that_remains_stay_under_a_pseudonym(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """VO-1: what somebody else answered stands, its author is a pseudonym, on the website's own page too."""
    site, seed, _ = enforced
    left = comments(site)
    for label in ("replied_pending", "replied_by_owner", "chain_middle"):
        assert str(left[seed[label].id]["comment_author"]).startswith("p1-"), label
    page = site.post_page(seed.posts["opening"])
    assert seed["replied_by_owner"].content in page
    assert seed["replied_by_owner"].author not in page
    assert seed["replied_by_owner"].avatar not in page


def test_what_stays_of_a_text_is_scrubbed_of_its_author(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """VO-1: the text that others answered stands word for word but for what names its author; other people's texts are untouched."""
    site, seed, _ = enforced
    left = comments(site)
    signed = seed["replied_by_owner"]
    assert f"{signed.content}\n-- [naam], [e-mail], [telefoon]" == left[signed.id]["comment_content"]
    assert seed["chain_leaf"].content == left[seed["chain_leaf"].id]["comment_content"]


def test_nothing_personal_of_who_asked_is_left_in_any_table(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """No e-mail address, IP address or user agent of a due comment stands in any table, meta included."""
    site, seed, _ = enforced
    text = everything(site)
    left = [(comment.label, value) for comment in erased(seed) for value in (*comment.canaries, comment.meta_ip) if value in text]
    assert [] == left


def test_addresses_of_old_comments_are_gone_whoever_wrote_them(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """VO-2: IP address and user agent of a comment older than the period are gone, the younger ones stay."""
    site, seed, _ = enforced
    text = everything(site)
    others = [comment for comment in seed if comment not in erased(seed)]
    assert [] == [(each.label, value) for each in others if each.is_older for value in (each.ip, each.agent, each.meta_ip) if value in text]
    assert [] == [each.label for each in others if not each.is_older and each.ip not in text]


def test_who_did_not_ask_keeps_name_and_address(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """A comment whose author did not ask stands as it was, with its author."""
    site, seed, _ = enforced
    assert seed["chain_leaf"].author == comments(site)[seed["chain_leaf"].id]["comment_author"]
    assert seed["elsewhere_old"].email == comments(site)[seed["elsewhere_old"].id]["comment_author_email"]


def test_the_site_works_and_its_counts_are_right(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """WordPress' own pages answer, and `comment_count` is the number of approved comments that are left."""
    site, seed, _ = enforced
    for post in seed.posts.values():
        assert 200 == site.get(f"/?p={post}")[0]
        approved = [row for row in comments(site).values() if row["comment_post_ID"] == post and row["comment_approved"] == "1"]
        assert len(approved) == site.comment_count(post)


def test_no_reply_hangs_on_a_comment_that_is_gone(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """Replies of a deleted comment that stay are cut loose, not left pointing at nothing."""
    site, _, _ = enforced
    left = comments(site)
    assert [] == [key for key, row in left.items() if row["comment_parent"] and row["comment_parent"] not in left]


def test_the_second_night_has_nothing_to_do(enforced: tuple[WordPress, Seed, Installation]) -> None:
    """The outcome is final although the requests are still open: nothing is due any more."""
    _, _, installation = enforced
    with installation.machine() as machine:
        assert {"comments": 0, "comment_meta": 0} == make_plan(machine).acting


def test_nothing_the_worker_wrote_names_anybody(enforced: tuple[WordPress, Seed, Installation], tmp_path: Path) -> None:
    """Ledger, plans and audit trail hold no value of any comment."""
    _, seed, installation = enforced
    written = installation.written()
    assert [] == [comment.label for comment in seed for value in (comment.author, *comment.canaries) if value.encode() in written]
