"""Which version of the worker this is; apart from what needs it, because `retention --version` needs nothing else."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def service_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("retention-worker")
    except PackageNotFoundError:
        return "0"
