"""What the in-memory connector does beyond the contract."""

from __future__ import annotations

import pytest

from connectors.memory import Memory, MemorySource
from worker.core.select import EVERYTHING
from worker.core.sources import Match, Recount, Relation, Source
from worker.errors import ConfigurationError
from worker.ports import Changes, KeyRange

POST = Relation("post", "posts", ("post_id",), ("id",), ("id",), recount=(Recount("comment_count", (Match("status", ("1",)),)),))


@pytest.fixture
def memory() -> Memory:
    comments = {(number,): {"id": number, "post_id": 1, "status": "1" if number else "spam"} for number in range(4)}
    return Memory({"comments": comments, "posts": {(1,): {"id": 1, "comment_count": 3}, (2,): {"id": 2, "comment_count": 7}}})


def test_parents_are_counted_again(memory: Memory) -> None:
    """After a deletion the parents of what went count what is left, and other parents stay as they were."""
    source = MemorySource(Source("comments", "memory", "comments", ("id",), (), relations=(POST,)), memory)
    with source.batch("b", KeyRange((0,), (9,)), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[(0,), (2,)]))
        batch.commit()
    assert {(1,): {"id": 1, "comment_count": 2}, (2,): {"id": 2, "comment_count": 7}} == memory.tables["posts"]


def test_a_missing_table_is_refused(memory: Memory) -> None:
    """A source whose table is not there can't be opened; a relation whose table is not there is a problem."""
    with pytest.raises(ConfigurationError):
        MemorySource(Source("none", "memory", "none", ("id",), ()), memory)
    del memory.tables["posts"]
    source = MemorySource(Source("comments", "memory", "comments", ("id",), (), relations=(POST,)), memory)
    problems, _ = source.problems(None, {})
    assert ["comments.post: there is no table 'posts' in memory"] == [str(problem) for problem in problems]
