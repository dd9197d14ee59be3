"""The worker's Celery application as the soak starts it: by a clock that nights are played with, sweeping twice a second."""

from __future__ import annotations

from tests.systems.soak import played_clock  # noqa: F401 - first, because the worker's modules keep the clock they find
from tests.systems.worker_app import app

__all__ = ["app"]
