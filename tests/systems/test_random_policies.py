"""Random policies on real databases: what a selection brings holds everything that `decide` would act on or have a person look at.

Rows are really inserted, by another program; the selection is read through the connector, and so is everything, and every row is decided
both times. Where a selection claims to be exact it brings nothing else either.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.sql import open_source
from tests.strategies import KEYS, ORGANISATION, facts_for, policies, purposes, todays
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.wide_table import MARIADB, POSTGRES, SQLITE, Filling, WideTable, border_days, declared, scribbles
from worker.core.compiled import RELATION, Judged, RowDecider, fact_columns
from worker.core.decide import Due, Held, Partly, Undecided, Waiting
from worker.core.facts import Fact, Unknown
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, StartEvent, Step
from worker.core.select import EVERYTHING, due, undetermined
from worker.core.sources import Consent, Disposal, Treatment, TreatmentKind
from worker.core.standing import NOTHING
from worker.core.treatments import treater
from worker.ports import Connection

RECORDS = 60
PERSONAL = ("name", "email", "phone", "ip")
_AT_ONCE = ((Step(DispositionKind.DELETE),), (Step(DispositionKind.REVIEW),), (Step(DispositionKind.PSEUDONYMISE),))
_KEEPING = (Disposal.KEEP_PARENT, Disposal.BLOCK)

# A failure is shown as it was found: making it smaller would take minutes on a server.
SLOWLY = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideTable]:
    """Give the wide table on each of the databases, in which days may be zero where the server knows such days."""
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("wide") / "wide.sqlite"
        made = WideTable(f"sqlite:///{path}", sa.create_engine(f"sqlite:///{path}"), SQLITE)
    elif request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database("wide")
        made = WideTable(url, sa.create_engine(url), POSTGRES)
    else:
        maria: MariaDB = request.getfixturevalue("mariadb")
        url = maria.new_database("wide")
        made = WideTable(url, sa.create_engine(url, connect_args={"init_command": "SET sql_mode = ''"}), MARIADB)
    made.create()
    yield made
    made.engine.dispose()


class Decided:
    """Every record of the table, read and decided, and what each selection brings.

    all -- by key; acted -- the keys that `due` has to bring; looked_at -- those that `undetermined` has to bring; unknown -- those with an
    unknown fact; due and undetermined -- what they brought, by key; counts -- how many, as the connector counts them.
    """

    def __init__(self, table: WideTable, policy: Policy, today: dt.date, outside: dict[int, list[object]]) -> None:
        columns = [name for name in fact_columns(policy) if policy.visible(name)]
        keepers = [each.name for each in policy.source.relations if each.disposal in _KEEPING]
        asked = (*columns, *(RELATION + name for name in keepers))
        elsewhere = [name for name in policy.deciding if not policy.visible(name)]
        decider = RowDecider(
            policy,
            today,
            ("id", *asked, *elsewhere),
            {each.name: treater(each, ORGANISATION, KEYS, fields=policy.source.fields) for each in policy.treatable},
        )

        def judged(row: tuple[object, ...]) -> Judged:
            whole = (*row, *outside[int(str(row[0]))])
            alone = decider.judge(whole)
            blocking = tuple(name for place, name in enumerate(keepers, len(columns) + 1) if row[place])
            deletes = isinstance(alone.decision.outcome, Due) and alone.decision.outcome.kind is DispositionKind.DELETE
            return decider.judge(whole, NOTHING, blocking) if blocking and deletes else alone

        with closing(open_source(policy.source, Connection(table.url))) as opened, opened.reader() as reader:

            def read(selection: object) -> dict[int, Judged]:
                return {row[0]: judged(row) for page in reader.rows(selection, asked) for row in page}  # type: ignore[arg-type, misc]

            self.all = read(EVERYTHING)
            self.due = read(due(policy, today))
            self.undetermined = read(undetermined(policy, today))
            self.counts = reader.count(due(policy, today)), reader.count(undetermined(policy, today))
        steps = [step for disposition in policy.dispositions for step in disposition.steps]
        at_once = any(step == Step(step.kind) and step.kind is not DispositionKind.PSEUDONYMISE for step in steps)
        listed = {name for each in policy.purposes for name in each.fields}
        acting = (Partly, Due, Waiting, Held, Undecided) if at_once else (Partly, Due, Waiting, Held)
        self.acted = {key for key, each in self.all.items() if isinstance(each.decision.outcome, acting)}
        self.looked_at = {
            key
            for key, each in self.all.items()
            if each.decision.undetermined or each.decision.waiting or set(each.decision.uncovered) & listed
        }
        self.unknown = {key for key, each in self.all.items() if each.decision.undetermined}


def draw_outside(data: st.DataObject, policy: Policy, today: dt.date, seed: Random, *, usual: bool) -> dict[int, list[object]]:
    """Return, for every record, what people set (nothing, where all is usual) and what other sources say: raw days, and facts."""
    names = [name for name in policy.deciding if not policy.visible(name)]
    if not names:
        return {key: [] for key in range(RECORDS)}
    near: list[object] = [None] if usual else [None, *border_days(policy, today)]
    gathered: list[Fact] = [data.draw(facts_for(policy, today)).get("quoted_on", Unknown("not gathered")) for _ in range(3)]
    return {
        key: [seed.choice(gathered) if policy.source.shared_fact(name) is not None else seed.choice(near) for name in names]
        for key in range(RECORDS)
    }


def check(table: WideTable, policy: Policy, today: dt.date, data: st.DataObject, *, usual: bool = False) -> Decided:
    """Fill the table for a policy, read it in every way, and assert that nothing is missed and that both readings agree."""
    seed = Random(data.draw(st.integers(0, 2**32)))
    days = [*border_days(policy, today) * 2, *(today - dt.timedelta(days=seed.randrange(1, 3000)) for _ in range(6))]
    days += [today + dt.timedelta(days=seed.choice((1, 400)))]
    filling = Filling(policy, today, table.dialect, seed, data.draw(scribbles), days, usual)
    table.fill(filling.content(RECORDS))
    found = Decided(table, policy, today, draw_outside(data, policy, today, seed, usual=usual))
    assert set(range(RECORDS)) == set(found.all)
    for selected, must in ((found.due, found.acted), (found.undetermined, found.looked_at)):
        missed = {key: found.all[key].decision for key in must - set(selected)}
        assert {} == missed, (policy, today)
        assert selected == {key: found.all[key] for key in selected}
    assert (len(found.due), len(found.undetermined)) == found.counts
    return found


@st.composite
def _narrow(draw: st.DrawFn) -> Policy:
    """Draw a policy in which every field rests on one day, and often on a consent that prolongs it: what decides is met more often."""
    drawn = draw(policies())
    first = replace(drawn.purposes[0], fields=PERSONAL, consents=(), when=draw(st.sampled_from((None, drawn.purposes[0].when))))
    alone = st.sampled_from(("contacted_at", "left_on", "last_invoice_on")).map(lambda name: StartEvent((name,)))
    first = replace(first, start=first.start and draw(st.one_of(alone, alone, st.just(first.start))))
    longer = replace(
        draw(purposes("longer")),
        basis=LegalBasis.CONSENT,
        fields=PERSONAL,
        consents=("news",),
        extends=draw(st.sampled_from((None, first.id))),
    )
    source = replace(drawn.source, controller=True, consents=(Consent("news", "agreed_on", "withdrew_on"),))
    listed = draw(st.sampled_from(((first,), (first, longer), (first, longer))))
    return replace(drawn, source=source, purposes=listed, dispositions=(Disposition(draw(st.sampled_from(_AT_ONCE))),), effective=None)


@settings(SLOWLY, max_examples=100)
@given(st.data(), st.one_of(policies(), _narrow()).flatmap(declared), todays)
def test_nothing_is_missed(table: WideTable, data: st.DataObject, policy: Policy, today: dt.date) -> None:
    """Whatever the policy and whatever stands in the rows, no record is left out that is due, waits, or has to be looked at."""
    check(table, policy, today, data)


# --- Where the selection is exact -----------------------------------------------------------------------------------------------------


@st.composite
def exact(draw: st.DrawFn) -> Policy:
    """Draw a policy whose selection claims to be exact.

    Every purpose starts at one day of the row, in a column of days, without condition, consent or waiting, and the one disposition has a
    step at once and neither conditions nor answers to reviews: then every part of `due` says what `decide` says. No text is scrubbed.
    """
    drawn = draw(policies())
    starts = st.sampled_from(("left_on", "quoted_on", "ends_on")).map(lambda name: StartEvent((name,)))
    listed = [replace(each, start=each.start and draw(starts), when=None, consents=(), extends=None, since=None) for each in drawn.purposes]
    # Whether a text still names somebody who is named beside it, no selection can say.
    scrubbed = {each.name for each in drawn.treatable if each.treatment is not None and each.treatment.beside}
    truncate = Treatment(TreatmentKind.TRUNCATE)
    fields = tuple(replace(each, treatment=truncate) if each.name in scrubbed else each for each in drawn.source.fields)
    source = replace(drawn.source, fields=fields)
    return replace(drawn, source=source, purposes=tuple(listed), dispositions=(Disposition(draw(st.sampled_from(_AT_ONCE))),))


@SLOWLY
@given(st.data(), exact(), todays)
def test_nothing_else_is_brought(table: WideTable, data: st.DataObject, policy: Policy, today: dt.date) -> None:
    """A selection that claims to be exact brings what is due and nothing else, and what a person must look at and nothing else."""
    found = check(table, policy, today, data, usual=True)
    needless = {key: each.decision for key, each in found.due.items() if key not in found.acted | found.unknown}
    assert {} == needless, (policy, today)
    needless = {key: each.decision for key, each in (found.due | found.undetermined).items() if key not in found.acted | found.looked_at}
    assert {} == needless, (policy, today)
