"""What holds for every test."""

import gc
import os

from hypothesis import settings

from tests.thoroughness import examples

# Whoever runs the tests side by side sets the width of a terminal that isn't there; tables are as wide as in a pipe.
os.environ.pop("COLUMNS", None)

# Properties that don't say how many examples they try; none fails because the machine has other things to do.
settings.register_profile("tests", settings.default, max_examples=examples(100), deadline=None)
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives as long as the tests do: modules and the tests themselves."""
    gc.collect()
    gc.freeze()
