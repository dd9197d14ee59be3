"""The worker's Celery application as the soak starts it: by a clock that nights are played with, sweeping twice a second."""

from __future__ import annotations

import faulthandler
import signal
from typing import Any

from celery import signals

from tests.systems.soak import played_clock  # noqa: F401 - first, because the worker's modules keep the clock they find
from tests.systems.worker_app import app

__all__ = ["app"]


@signals.worker_process_init.connect
def _can_be_asked(**_: Any) -> None:
    """Say on SIGUSR2 what every thread is at, for a night that doesn't end."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
