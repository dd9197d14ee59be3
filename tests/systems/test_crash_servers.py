"""The process, the session or the server dies in the middle of a batch on a real server, and the next start makes it as if it had not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.systems.killing import apply_and_die, approve_and_die, killed, plan_and_die, reconcile_and_die
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import (
    MIXED_BATCH,
    TREATING_BATCH,
    At,
    Firm,
    Unhurt,
    content,
    fill,
    make_firm,
    opened,
    source_environ,
    unhurt,
)
from worker.errors import Refused
from worker.ports import (
    AFTER_CLOSE,
    AFTER_COMMIT,
    AFTER_FSYNC,
    AFTER_INTENT,
    AFTER_LOCK,
    AFTER_WRITE,
    BEFORE_COMMIT,
    BEFORE_LOCK,
    FAULT_POINTS,
)
from worker.usecases.approving import open_plan
from worker.usecases.planning import make_plan
from worker.usecases.verifying import verify

WAYS = ("postgresql", "mariadb with markers", "mariadb", "postgresql ledger")
"""Source and, where it is not a file, ledger; MariaDB with its marker table and without, when a crash can only be presumed."""


@dataclass
class Place:
    """Makes firms in one way, and knows what a run comes to there when nothing happens."""

    way: str
    server: Postgres | MariaDB
    unhurt: Unhurt
    folder: Path
    made: int = 0

    def firm(self) -> Firm:
        """Return a firm with a database of its own and the keys of the run that nothing happened to."""
        self.made += 1
        url = self.server.new_database("firm")
        fill(url)
        return make_firm(self.folder / f"firm-{self.made}", url, keys=self.unhurt.keys, **self.environ())

    def environ(self) -> dict[str, str]:
        """Return what this way sets."""
        environ = source_environ(options__lock_timeout="5")
        if self.way == "mariadb with markers":
            environ.update(source_environ(witness_table="yes"))
        if self.way == "postgresql ledger":
            environ["RETENTION_LEDGER"] = self.server.new_database("ledger")
        return environ

    def assert_as_if_nothing_had_happened(self, firm: Firm) -> None:
        """Compare content and effects with those of the run that nothing happened to; no record twice, nothing left open."""
        assert self.unhurt.content == content(firm.url)
        assert self.unhurt.effects == firm.done()
        firm.runs()


@pytest.fixture(scope="module", params=WAYS)
def place(request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place for each way."""
    server: Postgres | MariaDB = mariadb if "mariadb" in request.param else postgres
    folder = tmp_path_factory.mktemp("crash")
    return Place(request.param, server, unhurt(folder / "unhurt", server.new_database("firm")), folder)


class TestKilled:
    """SIGKILL at every named point."""

    @pytest.mark.parametrize("point", FAULT_POINTS)
    def test_the_next_start_makes_it_as_if_nothing_had_happened(self, place: Place, point: str) -> None:
        """After a kill in a batch that deletes and treats, applying again gives the content and the effects of a run never hurt."""
        firm = place.firm()
        plan = firm.approved()
        killed(apply_and_die, firm, plan, point, MIXED_BATCH)
        result = firm.apply(plan)
        assert 0 == result.exit_code, result.as_json()
        place.assert_as_if_nothing_had_happened(firm)
        assert ["resolved_after_crash", "done"] == [run.state for run in firm.runs()]

    @pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
    def test_also_where_a_batch_only_treats(self, place: Place, point: str) -> None:
        """A batch that deletes nothing is told from one that was rolled back as well: no treatment without its event."""
        firm = place.firm()
        plan = firm.approved()
        killed(apply_and_die, firm, plan, point, TREATING_BATCH)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm)

    @pytest.mark.parametrize(("first", "second"), [(AFTER_COMMIT, BEFORE_COMMIT), (AFTER_INTENT, AFTER_COMMIT)])
    def test_two_kills_in_a_row(self, place: Place, first: str, second: str) -> None:
        """The start that ended what the first one left may die too."""
        firm = place.firm()
        plan = firm.approved()
        killed(apply_and_die, firm, plan, first, MIXED_BATCH)
        killed(apply_and_die, firm, plan, second, 1)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm)
        assert ["resolved_after_crash", "resolved_after_crash", "done"] == [run.state for run in firm.runs()]

    def test_a_kill_while_ending_what_another_kill_left(self, place: Place) -> None:
        """What became of a batch may be said twice; it counts once."""
        firm = place.firm()
        plan = firm.approved()
        killed(apply_and_die, firm, plan, AFTER_COMMIT, MIXED_BATCH)
        killed(reconcile_and_die, firm, plan)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm)


@pytest.fixture(scope="module")
def place_on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place with a ledger in a file."""
    folder = tmp_path_factory.mktemp("crash")
    return Place("postgresql", postgres, unhurt(folder / "unhurt", postgres.new_database("firm")), folder)


class TestKilledBesideBatches:
    """A kill while nothing is written to a source."""

    def test_between_plan_and_apply(self, place_on_postgres: Place) -> None:
        """A plan is carried out by whoever comes, not by who made it."""
        firm = place_on_postgres.firm()
        killed(approve_and_die, firm)
        [plan] = (firm.folder / "state" / "plans").glob("*.jsonl")
        firm.apply(plan)
        place_on_postgres.assert_as_if_nothing_had_happened(firm)

    def test_while_planning(self, place_on_postgres: Place) -> None:
        """Half a plan is no plan: nothing has a plan's name, what is there is refused, and the next plan is whole."""
        firm = place_on_postgres.firm()
        before = content(firm.url)
        killed(plan_and_die, firm, 2)
        plans = firm.folder / "state" / "plans"
        assert [] == list(plans.glob("*.jsonl"))
        with firm.machine() as machine:
            for part in plans.iterdir():
                with pytest.raises(Refused, match="not a whole plan"):
                    open_plan(machine, part)
        assert before == content(firm.url)
        firm.apply(firm.approved())
        place_on_postgres.assert_as_if_nothing_had_happened(firm)

    def test_what_was_resolved_is_verified_like_everything_else(self, place_on_postgres: Place) -> None:
        """Reading back a run that was killed finds what its audit trail says."""
        firm = place_on_postgres.firm()
        plan = firm.approved()
        killed(apply_and_die, firm, plan, AFTER_COMMIT, MIXED_BATCH)
        firm.apply(plan)
        [killed_run, _] = firm.runs()
        with firm.machine() as machine:
            found = verify(machine, killed_run.run_id)
        assert found.whole
        assert 2 * 40 == sum(found.gone.values()) + sum(found.treated.values())
