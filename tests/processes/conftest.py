"""The key files, the ledger and the laboratory of the unit tests, for those of them that take several processes."""

from tests.unit.keys.conftest import before, place  # noqa: F401
from tests.unit.ledger.conftest import blank, clock, ledger, url  # noqa: F401
from tests.unit.usecases.conftest import _events_are_of_the_closed_set, lab, unhurt  # noqa: F401
