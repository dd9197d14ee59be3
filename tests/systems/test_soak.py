"""The soak: an installation that runs by itself is hurt at random times, night after night, and nothing of it is to be seen afterwards.

`make test` plays a few; `make soak` plays RETENTION_SOAK_KILLS of them. RETENTION_SOAK_SEED is the seed of the first campaign, and every
failure names its own.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.systems.servers.postgres import Postgres
from tests.systems.soak.campaign import HURT_NIGHTS, Broker, Campaign, Report, Stage, end_sessions
from tests.systems.soak.firm import NeverHurt, Places, never_hurt
from tests.systems.soak.proxy import running_proxy

KILLS = int(os.environ.get("RETENTION_SOAK_KILLS", "12"))
SEED = int(os.environ.get("RETENTION_SOAK_SEED", "1"))
PER_CAMPAIGN = 25


@pytest.fixture(scope="module")
def expected(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> NeverHurt:
    """Return what comes of nights that nothing happens in."""
    places = Places(postgres.new_database("firm"), postgres.new_database("members"))
    return never_hurt(tmp_path_factory.mktemp("never-hurt"), places, HURT_NIGHTS)


@pytest.fixture
def stage(postgres: Postgres, expected: NeverHurt) -> Iterator[Callable[[Path], Stage]]:
    """Return what sets a stage up in a folder, with databases of its own."""
    with ExitStack() as stack:
        broker = Broker(stack)

        def set_up(folder: Path) -> Stage:
            places = Places(postgres.new_database("firm"), postgres.new_database("members"))
            folder.mkdir(parents=True)
            proxies = {name: stack.enter_context(running_proxy(postgres.port)) for name in ("firm", "members", "ledger")}

            def hurt(chance: random.Random) -> int:
                return end_sessions(chance.choice([places.firm, places.members]), chance)

            broker.server.emptied()
            return Stage(places, postgres.new_database("ledger"), proxies, broker, expected, folder, hurt)

        yield set_up


def test_nights_of_random_hurts(stage: Callable[[Path], Stage], tmp_path: Path) -> None:
    """Killed workers, beats and sessions, a Redis that forgets, a network that drops: afterwards all is as if nothing had happened."""
    total: Counter[str] = Counter()
    seed = SEED
    while total.total() < KILLS:
        wanted = min(PER_CAMPAIGN, KILLS - total.total())
        say(f"seed {seed}: {wanted} hurts")
        report: Report = Campaign(stage(tmp_path / f"seed-{seed}"), seed, wanted).play()
        say(str(report))
        total += report.hurts
        seed += 1
    assert total.total() >= KILLS


def say(text: str) -> None:
    """Tell a person who waits, past what pytest captures."""
    print(text, file=sys.__stderr__, flush=True)
