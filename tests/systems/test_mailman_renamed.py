"""What another version of Mailman calls otherwise, on a real one whose answers are reworded on their way."""

# ruff: noqa: F811 - tests name the fixtures that they take

from __future__ import annotations

import pytest

from tests.systems.test_mailman_traps import ALL, ANN, Place, ann, place, proxy, rows, server  # noqa: F401 - fixtures
from worker.core.facts import UNREADABLE
from worker.core.select import EVERYTHING
from worker.errors import SourceFailed
from worker.ports import Changes, KeyRange, Left


class TestRenamed:
    """What another version of Mailman calls otherwise is refused or unreadable: never empty, never a traceback, and never a deletion."""

    @pytest.mark.parametrize("name", ["member_id", "entries"])
    def test_what_the_worker_goes_by(self, place: Place, name: str) -> None:
        """Without it nobody can tell who is a member: the source fails, and names what is missing where that can be told."""
        place.server.subscribe(place.news, ANN, "Ann")
        source = place.source()
        place.proxy.renaming(f'"{name}":')
        with pytest.raises(SourceFailed, match=f"^people: .*({name}|faster|another number)"):
            rows(source)

    @pytest.mark.parametrize(
        ("name", "column"), [("email", "email"), ("bounce_score", "bounce_score"), ("registered_on", "@registered_on")]
    )
    def test_what_is_only_read(self, place: Place, name: str, column: str) -> None:
        """It is unreadable; what Mailman leaves out where there is nothing is empty."""
        place.server.subscribe(place.news, ANN, "Ann")
        source = place.source(columns=(column, "moderation_action"))
        place.proxy.renaming(f'"{name}":')
        assert [(UNREADABLE, None)] == list(rows(source, (column, "moderation_action")).values())

    @pytest.mark.parametrize("name", ["is_server_owner", "total_size", "mail_host"])
    def test_nothing_goes_that_nobody_can_tell_about(self, place: Place, name: str) -> None:
        """Who owns the server, or what else an address is used for, has to be said before anything goes."""
        place.server.subscribe(place.news, ANN, "Ann")
        source = place.source(delete="user")
        key = ann(source)
        with source.batch("b", KeyRange(key, key), EVERYTHING, ("email",)) as batch:
            batch.write(Changes(delete=[key]))
            place.proxy.renaming(f'"{name}":')
            assert [Left.BUSY] == [each.why for each in batch.commit()]
        assert ALL | {"news": True, "address": True, "user": True} == place.left()
