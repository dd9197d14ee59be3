"""What holds for every test."""

import dataclasses
import gc
import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.thoroughness import examples

# Whoever runs the tests side by side sets the width of a terminal that isn't there; tables are as wide as in a pipe.
os.environ.pop("COLUMNS", None)

# Properties that don't say how many examples they try; none fails because the machine has other things to do.
settings.register_profile("tests", settings.default, max_examples=examples(100), deadline=None)
settings.load_profile("tests")


# While modules are loaded and tests are found hardly anything is let go again.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives as long as the tests do: modules and the tests themselves."""
    gc.freeze()
    gc.enable()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what reading very many records took, for whoever asked for the figures (`tests.large`)."""
    took = dict(report.user_properties).get("reading") if report.when == "call" else None
    if dataclasses.is_dataclass(took) and not isinstance(took, type) and "CONTRACT_FIGURES" in os.environ:
        Path(os.environ["CONTRACT_FIGURES"]).write_text(json.dumps(dataclasses.asdict(took)))
