"""What WordPress does besides what it was asked, and what somebody else does meanwhile: on a real site, record by record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.contract.harness import reading
from connectors.plugins import wordpress as open_source
from connectors.wordpress.columns import POST_STATE
from tests.systems.servers.site import Rest, rest
from tests.systems.servers.wordpress import WordPress
from worker.core.facts import UNREADABLE, FieldType
from worker.core.select import EVERYTHING
from worker.core.sources import Aggregate, Disposal, Field, Function, Match, Relation, Source
from worker.errors import SourceFailed
from worker.ports import Along, Changes, Connection, KeyRange, Left, OpenSource, Update

TEXT = reading(FieldType.TEXT)
REPLIES = Relation("replies", "comments", ("id",), ("parent",), ("id",), Disposal.DETACH)
SOURCE = Source(
    "comments",
    "wordpress",
    "comments",
    ("id",),
    tuple(Field(name, name, TEXT) for name in ("author_name", "author_ip", "author_user_agent", "status", "content")),
    (Aggregate("others", "replies", Function.COUNT, where=(Match("status", ("approved", "hold")),)),),
    (REPLIES,),
)


@dataclass(frozen=True)
class Place:
    """A post on a site. `rows` is what the table holds, by the comment's id."""

    way: Rest
    post: int

    def comment(self, parent: int = 0, **members: str) -> int:
        """Write a comment and return its id."""
        told = {
            "comment_post_ID": self.post,
            "comment_parent": parent,
            "comment_author": "Anna",
            "comment_author_IP": "192.0.2.9",
            "comment_agent": "Browser",
            "comment_content": "Hello",
            "comment_approved": "1",
            **members,
        }
        return int(self.way.site.php(f"echo wp_insert_comment(json_decode({json.dumps(json.dumps(told))}, true));"))

    def rows(self) -> dict[int, dict[str, Any]]:
        engine = sa.create_engine(self.way.site.database_url)
        with engine.connect() as connection:
            found = {int(row["comment_ID"]): dict(row) for row in connection.execute(sa.text("SELECT * FROM wp_comments")).mappings()}
        engine.dispose()
        return found

    def open(self, source: Source = SOURCE) -> OpenSource:
        return open_source(source, Connection(self.way.url(), options={"attempts": "4", "wait": "0.02"}))


@pytest.fixture(scope="module")
def place(wordpress: WordPress) -> Iterator[Place]:
    """Return a post on a site of its own."""
    with rest(wordpress) as way:
        post = way.site.php("echo wp_insert_post(['post_title' => 'A post', 'post_status' => 'publish', 'post_author' => 1]);")
        yield Place(way, int(post))


@pytest.fixture(autouse=True)
def _empty(place: Place) -> Iterator[None]:
    """Every test begins without comments, on a good day."""
    yield
    place.way.proxy.heal()
    place.way.site.php("foreach (get_comments(['status' => 'any', 'fields' => 'ids']) as $id) { wp_delete_comment($id, true); }")


def around(keys: Sequence[int]) -> KeyRange:
    return KeyRange((min(keys),), (max(keys),))


@pytest.mark.parametrize(
    ("address", "agent", "expected"),
    [("192.0.2.9", "Browser", ("192.0.2.9", "Browser")), ("", "", ("0.0.0.0", "-")), ("unknown", "x", ("0.0.0.0", "x"))],
)
def test_a_change_never_leaves_our_own_address(place: Place, address: str, agent: str, expected: tuple[str, str]) -> None:
    """WordPress overwrites address and user agent with its client's unless both are sent: what stood there stays, or becomes nobody's."""
    key = place.comment(comment_author_IP=address, comment_agent=agent)
    source = place.open()
    with source.batch("b", around([key]), EVERYTHING, ("author_name",)) as batch:
        batch.write(Changes(updates=[Update(("author_name",), [(key, None)])]))
        assert [] == list(batch.commit())
    source.close()
    row = place.rows()[key]
    assert ("", *expected) == (row["comment_author"], row["comment_author_IP"], row["comment_agent"])


def test_comments_of_every_status_are_records(place: Place) -> None:
    """Approved, pending, spam and trash are read, and so are the comments of a post in the trash, which no list of a status has."""
    keys = {status: place.comment(comment_approved=status) for status in ("1", "0", "spam", "trash", "post-trashed")}
    source = place.open()
    with source.reader() as reader:
        found = {row[0]: row[1] for page in reader.rows(EVERYTHING, ("status",)) for row in page}
        assert 5 == reader.count(EVERYTHING)
    source.close()
    expected = {"1": "approved", "0": "hold", "spam": "spam", "trash": "trash", "post-trashed": "post-trashed"}
    assert {key: expected[status] for status, key in keys.items()} == found


def test_a_reply_that_comes_in_between_is_a_change(place: Place) -> None:
    """A comment that is answered after it was decided on is left: with the reply it might have been decided otherwise."""
    answered, alone = place.comment(), place.comment()
    source = place.open()
    with source.batch("b", around([answered, alone]), EVERYTHING, ("others",)) as batch:
        place.comment(answered)
        batch.write(Changes(delete=[(answered,), (alone,)]))
        assert [((answered,), Left.CHANGED)] == [(each.key, each.why) for each in batch.commit()]
    source.close()
    assert (True, False) == (answered in place.rows(), alone in place.rows())


def test_replies_that_our_own_deletions_move_are_no_change(place: Place) -> None:
    """Of a chain the middle goes and then the top: the leaf, which moved up to the top in between, keeps it from nothing."""
    top = place.comment()
    middle = place.comment(top)
    leaf = place.comment(middle)
    source = place.open()
    with source.batch("b", around([top, leaf]), EVERYTHING, ("others",)) as batch:
        replies = batch.related(("replies",), [(top,), (middle,)], ())
        assert [((top,), (middle,)), ((middle,), (leaf,))] == replies
        batch.write(Changes(delete=[(top,), (middle,)], along=[Along(("replies",), [(leaf,)], detach=True)]))
        assert [] == list(batch.commit())
    source.close()
    assert {leaf: 0} == {key: row["comment_parent"] for key, row in place.rows().items()}
    assert 1 == place.way.site.comment_count(place.post)


def test_no_comment_is_begun_after_the_batch_has_had_its_time(place: Place) -> None:
    """When a batch takes longer than batches may, what was not begun is left for a later run: by then somebody else may do it."""
    keys = [place.comment(), place.comment()]
    source = open_source(SOURCE, Connection(place.way.url(), batch_seconds=1))
    with source.batch("b", around(keys), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[(key,) for key in keys]))
        time.sleep(1.1)
        assert {((key,), Left.BUSY) for key in keys} == {(each.key, each.why) for each in batch.commit()}
    source.close()
    assert keys == sorted(place.rows())


def test_meta_goes_with_its_comment(place: Place) -> None:
    """What plug-ins keep beside a comment, and REST doesn't show, goes with it."""
    key = place.comment()
    place.way.site.php(f"add_comment_meta({key}, 'filter', 'anna@canary.example');")
    source = place.open()
    with source.batch("b", around([key]), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[(key,)]))
        assert [] == list(batch.commit())
    source.close()
    assert "0" == place.way.site.php("echo $GLOBALS['wpdb']->get_var(\"SELECT COUNT(*) FROM wp_commentmeta\");")


@pytest.mark.parametrize("refused", [False, True])
def test_replies_that_go_along(place: Place, refused: bool) -> None:
    """With `on_delete = "delete"` replies go before their comment; when one is refused it stays with the others, and that is said."""
    parent = place.comment()
    replies = [place.comment(parent), place.comment(parent), place.comment(parent)]
    source = place.open(replace(SOURCE, relations=(replace(REPLIES, disposal=Disposal.DELETE),)))
    if refused:
        place.way.proxy.about(lambda request: f"/comments/{replies[1]}?" in request.path, 403, body=b'{"code": "no"}')
    with source.batch("b", around([parent]), EVERYTHING, ()) as batch:
        batch.related(("replies",), [(parent,)], ())
        batch.write(Changes(delete=[(parent,)], along=[Along(("replies",), [(each,) for each in replies])]))
        undone = batch.commit()
    source.close()
    left = sorted(place.rows())
    if not refused:
        assert ([], []) == (left, list(undone))
        return
    assert [parent, *replies[1:]] == left
    assert {((parent,), (), Left.FAILED)} | {((each,), ("replies",), Left.FAILED) for each in replies[1:]} == {
        (each.key, each.path, each.why) for each in undone
    }


def test_reading_while_somebody_else_deletes(place: Place) -> None:
    """Comments that others delete behind and before the place where a reader is never make it miss one that stays."""
    way = place.way
    way.site.php(
        f"for ($n = 0; $n < 350; $n++) {{ $GLOBALS['wpdb']->insert('wp_comments', ['comment_post_ID' => {place.post},"
        " 'comment_author' => 'x', 'comment_content' => 'y', 'comment_date' => '2020-01-01', 'comment_date_gmt' => '2020-01-01']); }"
    )
    keys = sorted(place.rows())
    gone = {*keys[10:90], *keys[150:170]}
    met: list[int] = []
    source = place.open(replace(SOURCE, relations=(), aggregates=()))
    with source.reader() as reader:
        for number, page in enumerate(reader.rows(EVERYTHING, ())):
            met += [int(str(row[0])) for row in page]
            if number == 0:
                listed = ", ".join(map(str, gone))
                way.site.php(f"$GLOBALS['wpdb']->query('DELETE FROM wp_comments WHERE comment_ID IN ({listed})');")
    source.close()
    assert sorted(met) == met
    assert len(set(met)) == len(met)
    assert set(keys) - gone <= set(met)


class TestRenamed:
    """What a plug-in or a new version calls otherwise is refused or unreadable, and says which it is: never empty, never a traceback."""

    @pytest.mark.parametrize("name", ["status", "parent", "post"])
    def test_what_the_worker_goes_by(self, place: Place, name: str) -> None:
        """Without it nobody can tell which comments may go: the source fails, and the error names source and field."""
        key = place.comment()
        place.comment(key)
        state = Field("state", POST_STATE, TEXT)
        source = place.open(
            replace(
                SOURCE, fields=(*SOURCE.fields, state), relations=(replace(REPLIES, disposal=Disposal.DELETE),), options={"delete": "trash"}
            )
        )
        place.way.proxy.renaming(f'"{name}":')
        for ask in (lambda reader: list(reader.rows(EVERYTHING, ("state", "others"))), lambda reader: reader.get((key,), ("state",))):
            with source.reader() as reader, pytest.raises(SourceFailed, match=f"^comments: the site doesn't tell '{name}'"):
                ask(reader)
        source.close()

    def test_what_is_only_read(self, place: Place) -> None:
        """It is unreadable in every record."""
        key = place.comment()
        place.way.proxy.renaming('"author_name":')
        source = place.open()
        with source.reader() as reader:
            assert [(key, UNREADABLE, "Hello")] == [row for page in reader.rows(EVERYTHING, ("author_name", "content")) for row in page]
        source.close()

    @pytest.mark.parametrize(("names", "way"), [(('"deleted":',), "permanent"), (('"author_name":',), "treated")])
    def test_the_answer_to_a_change(self, place: Place, names: tuple[str, ...], way: str) -> None:
        """An answer that doesn't say what was done is no refusal: it is read back what was done, or nothing is said about it."""
        key = place.comment()
        source = place.open()
        with source.batch("b", around([key]), EVERYTHING, ("author_name",)) as batch:
            treated = Changes(updates=[Update(("author_name",), [(key, None)])])
            batch.write(treated if way == "treated" else Changes(delete=[(key,)]))
            place.way.proxy.renaming(*names)
            if way == "permanent":
                assert [] == list(batch.commit())
                assert {} == place.rows()
            else:
                # Read again before it is written, it is no longer what was decided on.
                assert [Left.CHANGED] == [each.why for each in batch.commit()]
                assert "Anna" == place.rows()[key]["comment_author"]
        source.close()
