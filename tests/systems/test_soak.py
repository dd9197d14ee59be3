"""The soak: an installation that runs by itself is hurt at random times, night after night, and nothing of it is to be seen afterwards.

`make test` plays a few; `make soak` plays RETENTION_SOAK_KILLS of them. RETENTION_SOAK_SEED is the seed of the first campaign, and every
failure names its own.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import sessions_killed
from tests.systems.soak.campaign import HURT_NIGHTS, SOURCES, Broker, Campaign, Stage, end_sessions
from tests.systems.soak.firm import NeverHurt, Places, never_hurt
from tests.systems.soak.proxy import running_proxy

KILLS = int(os.environ.get("RETENTION_SOAK_KILLS", "10"))
ON_MARIADB = max(6, KILLS // 10)
SEED = int(os.environ.get("RETENTION_SOAK_SEED", "1"))
PER_CAMPAIGN = 25


@dataclass
class Theatre:
    """Sets stages up for one kind of source, and knows what comes of nights that nothing happens in."""

    postgres: Postgres
    server: Postgres | MariaDB
    broker: Broker
    expected: NeverHurt
    stack: ExitStack
    environ: Mapping[str, str]

    def stage(self, folder: Path) -> Stage:
        """Return a stage with databases of its own."""
        places = Places(self.server.new_database("firm"), self.server.new_database("members"))
        folder.mkdir(parents=True)
        ports = {"firm": self.server.port, "members": self.server.port, "ledger": self.postgres.port}
        proxies = {name: self.stack.enter_context(running_proxy(port)) for name, port in ports.items()}

        def hurt(chance: random.Random) -> int:
            chosen = chance.choice([places.firm, places.members])
            if isinstance(self.server, Postgres):
                return end_sessions(chosen, chance)
            sessions_killed(chosen)
            return 1

        self.broker.server.emptied()
        return Stage(places, self.postgres.new_database("ledger"), proxies, self.broker, self.expected, folder, hurt, environ=self.environ)

    def play(self, folder: Path, kills: int) -> None:
        """Play campaigns until so many hurts were done."""
        total: Counter[str] = Counter()
        seed = SEED
        while total.total() < kills:
            wanted = min(PER_CAMPAIGN, kills - total.total())
            say(f"seed {seed}: {wanted} hurts")
            report = Campaign(self.stage(folder / f"seed-{seed}"), seed, wanted).play()
            say(str(report))
            total += report.hurts
            seed += 1


@contextmanager
def theatre(postgres: Postgres, server: Postgres | MariaDB, folder: Path, **environ: str) -> Iterator[Theatre]:
    """Give what sets stages up for sources on a server."""
    places = Places(server.new_database("firm"), server.new_database("members"))
    expected = never_hurt(folder / "never-hurt", places, HURT_NIGHTS, **environ)
    with ExitStack() as stack:
        yield Theatre(postgres, server, Broker(stack), expected, stack, environ)


def test_nights_of_random_hurts(postgres: Postgres, tmp_path: Path) -> None:
    """Killed workers, beats and sessions, a Redis that forgets, a network that drops: afterwards all is as if nothing had happened."""
    with theatre(postgres, postgres, tmp_path) as stages:
        stages.play(tmp_path, KILLS)


@pytest.mark.skipif("RETENTION_SOAK_KILLS" not in os.environ, reason="a minute more than make test has: make soak does it")
def test_on_another_database(postgres: Postgres, mariadb: MariaDB, tmp_path: Path) -> None:
    """The same where a marker row is the only witness of what was committed."""
    markers = {f"RETENTION_SOURCES__{name.upper()}__WITNESS_TABLE": "true" for name in SOURCES}
    with theatre(postgres, mariadb, tmp_path, **markers) as stages:
        stages.play(tmp_path, ON_MARIADB)


def say(text: str) -> None:
    """Tell a person who waits, past what pytest captures."""
    print(text, file=sys.__stderr__, flush=True)
