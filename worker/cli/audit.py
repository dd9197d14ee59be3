"""`retention audit`: the group of what is asked of the audit trail."""

from __future__ import annotations

import click


@click.group()
def audit() -> None:
    """Look into the audit trail."""
