"""The tests that make a connector a connector. Needs pytest, so nothing but tests imports this package.

Subclass `ConnectorContract` in a class whose name starts with `Test`, and give it a fixture `harness` that returns a `Harness`: a small
adapter that puts records into the system, takes them out again without the connector, and plays another program that uses it. A system with
related tables subclasses `RelationsContract` as well, one behind HTTP `ServiceContract`. `docs/connectors.md` shows both.
"""

import pytest

# Before the modules are imported, so that a failing assertion shows both sides.
pytest.register_assert_rewrite(
    "connectors.contract.reading", "connectors.contract.writing", "connectors.contract.relations", "connectors.contract.services"
)

from connectors.contract.harness import AWKWARD, CANARY, COLUMNS, FIELDS, Harness, Record, RelationsHarness  # noqa: E402
from connectors.contract.proxy import Fault, FaultProxy, Request  # noqa: E402
from connectors.contract.reading import ReadingContract  # noqa: E402
from connectors.contract.relations import AGGREGATES, RELATIONS, RelationsContract  # noqa: E402
from connectors.contract.services import ServiceContract, ServiceHarness  # noqa: E402
from connectors.contract.writing import WritingContract  # noqa: E402

__all__ = [
    "AGGREGATES",
    "AWKWARD",
    "CANARY",
    "COLUMNS",
    "FIELDS",
    "RELATIONS",
    "ConnectorContract",
    "Fault",
    "FaultProxy",
    "Harness",
    "Record",
    "RelationsContract",
    "RelationsHarness",
    "Request",
    "ServiceContract",
    "ServiceHarness",
]


class ConnectorContract(ReadingContract, WritingContract):
    """What every connector promises."""
