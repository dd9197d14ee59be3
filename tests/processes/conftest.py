"""The key files and the ledger of the unit tests, for those of them that take several processes."""

from tests.unit.keys.conftest import before, place  # noqa: F401
from tests.unit.ledger.conftest import blank, clock, ledger, url  # noqa: F401
