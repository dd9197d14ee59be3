"""A ledger in a file of its own, a clock that only moves when it is told to, and rows to fill it with."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.statements import compiled_once
from worker.ledger import BatchRow, HoldRow, Ledger, PlanRow, RequestRow, RunRow

START = dt.datetime(2026, 3, 1, 2, 0, tzinfo=dt.UTC)


class Clock:
    """Answers an instant that a test sets."""

    def __init__(self) -> None:
        self.instant = START

    def __call__(self) -> dt.datetime:
        return self.instant

    def forward(self, **by: int) -> None:
        self.instant += dt.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/ledger.sqlite"


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an empty ledger, migrated once for all tests."""
    path = tmp_path_factory.mktemp("blank") / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}", now=Clock()).close()
    return path


@pytest.fixture
def ledger(url: str, blank: Path, clock: Clock) -> Iterator[Ledger]:
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    shutil.copy(blank, path)
    with compiled_once(Ledger.open(url, now=clock, lock_wait=2)) as opened:
        yield opened


class Rows:
    """Makes rows of which a test only names what matters to it."""

    def plan(self, plan_id: str = "plan-1", made_at: dt.datetime = START) -> PlanRow:
        return PlanRow(
            plan_id=plan_id,
            made_at=made_at,
            made_by="maker",
            as_of=dt.date(2026, 3, 1),
            expires_at=made_at + dt.timedelta(days=7),
            mac="c-000000:00",
            policies={"crm": "d1"},
            counts={"crm": {"due": 3}},
            path="plans/plan-1.jsonl",
            ref_key_id="a-000000",
        )

    def run(self, run_id: str = "run-1", *, started_at: dt.datetime = START, day: dt.date = dt.date(2026, 3, 1)) -> RunRow:
        return RunRow(run_id, None, "run", day, started_at, "host", 4711, "night")

    def batch(self, number: int = 1, run_id: str = "run-1", source: str = "crm") -> BatchRow:
        return BatchRow(f"{run_id}-{source}-{number}", run_id, source, "crm", number, "sealed", 5000)

    def hold(self, hold_id: str = "hold-1") -> HoldRow:
        return HoldRow(
            hold_id=hold_id,
            kind="legal",
            scope="subject",
            source=None,
            token="m-000000:ab",
            key_id="m-000000",
            case=None,
            category=None,
            owner="legal",
            reason="proceedings",
            review_on=dt.date(2026, 9, 1),
            placed_at=START,
            placed_by="officer",
        )

    def request(self, request_id: str = "request-1") -> RequestRow:
        return RequestRow(
            request_id=request_id,
            kind="erase",
            tokens=["m-000000:ab", "m-000000:cd"],
            key_id="m-000000",
            consent=None,
            marketing=False,
            verified_by="officer",
            received_on=dt.date(2026, 2, 27),
            answer_by=dt.date(2026, 3, 27),
            received_by="desk",
        )


@pytest.fixture
def rows() -> Rows:
    return Rows()
