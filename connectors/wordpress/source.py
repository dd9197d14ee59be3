"""A site's comments as a source: its reader, and its batches, which write one comment after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import httpx

from connectors.hosted.opening import refuse
from connectors.http import Service, address_of
from connectors.matching import matcher
from connectors.patience import known_options, limits_of
from connectors.wordpress.checks import check, declared
from connectors.wordpress.columns import COLUMNS, ID, META, PARENT, POST, POST_STATE, STATUS, Comment, value, wanted
from connectors.wordpress.requests import Requests
from connectors.wordpress.site import Site
from worker.core.compiled import RELATION
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Aggregate, Match, Source
from worker.errors import Changed, ConfigurationError, Problem
from worker.ports import Changes, Connection, Key, KeyRange, Level, Load, Resolution, Row, Shape, Undone

_BATCH = 100
_POSTS = 2_000
TRASH = "trash"
_NO_LOAD = "a site shows neither replicas nor transactions over REST; take the limit away"


def open_source(source: Source, connection: Connection) -> WordPressComments:
    """Open the comments of the site at the connection's address; ConfigurationError when the declaration or the address can't be right.

    Nothing is asked of the site yet. The connection's options `attempts`, `wait`, `timeout` and `per_second` say how patient to be.
    """
    refuse(declared(source))
    address = address_of(source.name, connection.url)
    if not address.user or not address.password:
        raise ConfigurationError(
            f"{source.name}: the address has no user name and application password: https://user:password@host. WordPress makes such a "
            "password on the page of the user's profile."
        )
    auth = httpx.BasicAuth(address.user, address.password)
    known_options(source.name, connection.options, ())
    limits = limits_of(source.name, connection.options, connection.batch_seconds)
    service = Service(source.name, address.base, auth=auth, limits=limits)
    site = Site(source.name, service, api=source.options.get("api", "/wp-json"), kind=source.options.get("type", "comment"))
    return WordPressComments(source, service, site, encrypted=address.encrypted, batch_seconds=connection.batch_seconds)


class WordPressComments:
    """The comments of one site. There are no transactions and no locks: each comment is read again directly before it is written."""

    transactional = False
    lanes = 1
    most: int | None = _BATCH

    def __init__(self, source: Source, service: Service, site: Site, *, encrypted: bool, batch_seconds: float) -> None:
        self.spec = source
        self.level = Level.SOFT if source.options.get("delete") == TRASH else Level.PERMANENT
        self._service = service
        self._site = site
        self._encrypted = encrypted
        self._batch_seconds = batch_seconds

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know) after asking the site what the account may do."""
        return check(self.spec, self._site, policy, encrypted=self._encrypted)

    def shape(self) -> Shape:
        """Return the columns of comments and of the comment meta that is registered for REST, and the replies where they are declared."""
        names = (*COLUMNS, POST_STATE, *(META + each for each in self._site.meta()))
        return Shape(tuple(sorted(names)), tuple(sorted(each.name for each in self.spec.relations if each.disposal)))

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what the account needs: WordPress gives rights by roles."""
        return [f"-- WordPress: {account or 'the account'} needs an application password and a role that may moderate comments (editor)."]

    def load(self) -> Load:
        """Return that nothing can be seen."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    @contextmanager
    def reader(self) -> Iterator[CommentReader]:
        """Return a view for reading; a site has no snapshots, so a comment is as it is when its page is read."""
        yield CommentReader(self.spec, self._site)

    @contextmanager
    def batch(
        self,
        batch_id: str,  # noqa: ARG002
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[CommentBatch]:
        """Return a batch on a range of comments."""
        yield CommentBatch(self.spec, self._site, within, selection, columns, until=time.monotonic() + self._batch_seconds)

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Return None: only reading back can tell, comment by comment."""
        return None

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Do nothing: nothing was kept."""

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()


class CommentReader:
    """Reads comments page by page, with the replies to a page's comments where they are asked for."""

    def __init__(self, source: Source, site: Site) -> None:
        self._source = source
        self._site = site
        self._fields = wanted([each.column for each in source.fields])
        self._with_trash = source.options.get("delete") != TRASH
        self._posts: dict[int, Raw] = {}
        self._parents: dict[int, int] = {}

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        for page in self._selected(selection, columns, within):
            yield [row for _, row in page]

    def count(self, selection: Selection) -> int:
        """Return how many rows the selection holds."""
        if selection == EVERYTHING:
            return self._site.count() - (0 if self._with_trash else self._site.count(status=TRASH))
        return sum(len(page) for page in self.rows(selection, ()))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        comment = next((each for page in self._site.comments(self._fields, first=_id(key), last=_id(key)) for each in page), None)
        if comment is None or not self._is_ours(comment):
            return None
        return self._row(comment, self._values([comment], columns)[comment[ID]], columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (comment's key, row of a reply) for the direct replies to some comments."""
        relation = self._source.relation(path[0]) if len(path) == 1 else None
        if relation is None:
            raise ConfigurationError(f"{self._source.name}: a site's comments have replies and no other relation.")
        found: list[tuple[Key, Row]] = []
        for reply in self._site.replies(self._fields, [_id(key) for key in keys]):
            if self._is_ours(reply):
                self._parents[reply[ID]] = reply[PARENT]
                found.append(((reply[PARENT],), self._row(reply, self._values([reply], columns)[reply[ID]], columns)))
        return sorted(found, key=lambda each: (each[0], each[1][0]))

    def _selected(self, selection: Selection, columns: Sequence[str], within: KeyRange | None) -> Iterator[list[tuple[Comment, Row]]]:
        """Yield pages of the comments that a selection holds, each with its row."""
        matches = matcher(self._source, selection)
        first, last = (0, None) if within is None else (_id(within.first), _id(within.last))
        facts = (*columns, *(() if selection == EVERYTHING else (each.name for each in self._source.aggregates)))
        for page in self._site.comments(self._fields, first=first, last=last):
            ours = [each for each in page if self._is_ours(each)]
            values = self._values(ours, facts)
            chosen = [each for each in ours if matches(partial(self._value, each, values[each[ID]]))]
            if chosen:
                yield [(each, self._row(each, values[each[ID]], columns)) for each in chosen]

    def _is_ours(self, comment: Comment) -> bool:
        """Whether a comment is a record: one in the trash is not, where that is what deleting means."""
        return self._with_trash or comment[STATUS] != TRASH

    def _row(self, comment: Comment, values: Mapping[str, Raw], columns: Sequence[str]) -> Row:
        """Return the key followed by the columns' values."""
        return (comment[ID], *(self._value(comment, values, name) for name in columns))

    def _value(self, comment: Comment, values: Mapping[str, Raw], name: str) -> Raw:
        """Return the value of a field, or of what was worked out for the comment."""
        return values[name] if name in values else self._field(comment, self._source.field(name).column)

    def _field(self, comment: Comment, column: str) -> Raw:
        """Return the value of a column; the state of a post is asked for once."""
        if column != POST_STATE:
            return value(comment, column)
        post = comment[POST]
        if post not in self._posts:
            if len(self._posts) >= _POSTS:
                self._posts.clear()
            state = self._site.post_state(comment)
            self._posts[post] = UNREADABLE if state is None else state
        return self._posts[post]

    def _values(self, comments: Sequence[Comment], names: Sequence[str]) -> dict[int, dict[str, Raw]]:
        """Return for each comment what its replies say about it, as far as these names ask for it."""
        aggregates = [each for each in self._source.aggregates if each.name in names]
        numbers = [name for name in names if name.startswith(RELATION)]
        found: dict[int, dict[str, Raw]] = {each[ID]: {} for each in comments}
        if not comments or not (aggregates or numbers):
            return found
        replies: dict[int, list[Comment]] = {}
        for reply in self._site.replies(self._fields, list(found)):
            if self._is_ours(reply):
                replies.setdefault(reply[PARENT], []).append(reply)
        for comment in comments:
            own = replies.get(comment[ID], [])
            found[comment[ID]] = {
                **dict.fromkeys(numbers, len(own)),
                **{each.name: _counted(each, comment, own) for each in aggregates},
            }
        return found


class CommentBatch(CommentReader):
    """One unit of work on comments; nothing is sent before it is committed."""

    def __init__(self, source: Source, site: Site, within: KeyRange, selection: Selection, columns: Sequence[str], *, until: float) -> None:
        super().__init__(source, site)
        self._until = until
        found = [each for page in self._selected(selection, columns, within) for each in page]
        self.rows: list[Row] = [row for _, row in found]  # type: ignore[assignment]
        self.witness: Mapping[str, str] = {}
        self._seen: dict[int, Comment] = {comment[ID]: comment for comment, _ in found}
        if source.relations:
            self._parents.update((each[ID], each[PARENT]) for each in site.replies(f"{ID},{PARENT}", list(self._seen)))
        self._changes = Changes()

    def write(self, changes: Changes) -> None:
        """Check that the batch holds what it is told to write; Changed when it doesn't."""
        keys = [*map(_id, changes.delete), *(_id(row) for update in changes.updates for row in update.rows)]
        if not {*keys} <= self._seen.keys() or (changes.whole and len(changes.delete) != len(self._seen)):
            raise Changed(f"{self._source.name}: the batch does not hold exactly the comments to write; nothing was sent.")
        if not {key[0] for along in changes.along for key in along.keys} <= self._parents.keys():
            raise Changed(f"{self._source.name}: the batch did not read all of the replies to write; nothing was sent.")
        self._changes = changes

    def commit(self) -> Sequence[Undone]:
        """Carry it out, one comment after the other, and return what was not done."""
        columns = [each.column for each in self._source.fields if each.column not in (PARENT, POST_STATE)]
        requests = Requests(self._source, self._site, self._seen, self._parents, columns, self._fields)
        return requests.carry_out(self._changes, until=self._until)


def _counted(aggregate: Aggregate, comment: Comment, replies: Sequence[Comment]) -> int:
    """Return how many replies an aggregate counts."""
    return sum(all(_holds(match, comment, reply) for match in aggregate.where) for reply in replies)


def _holds(match: Match, comment: Comment, reply: Comment) -> bool:
    """Whether a reply satisfies the restriction of an aggregate."""
    said = value(reply, match.column)
    if match.differs_from is not None:
        return said != value(comment, match.differs_from)
    return str(said) in [str(each) for each in match.values]


def _id(key: Sequence[object]) -> int:
    """Return the number of a comment out of its key or row."""
    return int(str(key[0]))
