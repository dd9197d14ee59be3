"""What the tests of services with members and contacts have in common: sources behind a proxy, a policy for them, one change of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.contract.harness import everything, reading
from worker.core.facts import Empty, FieldType
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.ports import Changes, Connection, Key, OpenSource, Undone, Update

PSEUDONYM = "p1-k1-x@people.invalid"
TEXT = reading(FieldType.TEXT, Empty.NOT_APPLICABLE)
_PAGES = Path(__file__).parents[2] / "docs" / "connectors"


def documented(vendor: str) -> str:
    """Return the policy file that the documentation of a connector shows."""
    page = (_PAGES / f"{vendor}.md").read_text(encoding="utf-8")
    return str(re.findall(rf"<!-- example: {vendor} -->\n```toml\n(.*?)```", page, re.DOTALL)[0])


def rewritten(text: str, changes: Mapping[str, str]) -> str:
    """Return a policy file with other words in some places."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def policy_of(source: Source, start: str) -> Policy:
    """Return a policy that may treat every field that has a treatment."""
    names = tuple(each.name for each in source.personal)
    purpose = Purpose("letter", LegalBasis.CONSENT, names, StartEvent((start,)), Term(Period(years=2)))
    return Policy(source, (purpose,), (Disposition((Step(DispositionKind.DELETE),)),))


@dataclass
class Open:
    """Opens sources at an address; all are closed at the end of the test."""

    open_source: Callable[[Source, Connection], OpenSource]
    usual: Source
    url: str
    options: Mapping[str, str]
    all: list[OpenSource] = field(default_factory=list)

    def __call__(self, source: Source | None = None, **options: str) -> OpenSource:
        self.all.append(self.open_source(source or self.usual, Connection(self.url, options={**self.options, **options})))
        return self.all[-1]

    @contextmanager
    def closing(self) -> Iterator[Open]:
        """Close them in the end."""
        yield self
        for each in self.all:
            each.close()


def treated(source: OpenSource, *rows: tuple[object, ...], fields: tuple[str, ...] = ("email",)) -> list[Undone]:
    """Give fields of records new values and return what was not done."""
    return _committed(source, Changes(updates=[Update(fields, rows)]))


def deleted(source: OpenSource, *keys: Key) -> list[Undone]:
    """Delete records and return what was not done."""
    return _committed(source, Changes(delete=keys))


def _committed(source: OpenSource, changes: Changes) -> list[Undone]:
    _, whole = everything(source)
    with source.batch("b", whole, EVERYTHING, ()) as batch:
        batch.write(changes)
        return list(batch.commit())
