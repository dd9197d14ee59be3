"""What holds for every test."""

import gc
import os

# Whoever runs the tests side by side sets the width of a terminal that isn't there; tables are as wide as in a pipe.
os.environ.pop("COLUMNS", None)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives as long as the tests do: modules and the tests themselves."""
    gc.collect()
    gc.freeze()
