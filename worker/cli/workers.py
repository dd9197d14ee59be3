"""`retention worker` and `retention beat`: the processes that carry out spread runs, and the one that begins them in time."""

from __future__ import annotations

import click

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_PASSED_ON, epilog="\b\nExamples:\n  retention worker --concurrency 4\n  retention worker -Q retention.crm")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[CELERY OPTIONS]")
def worker(options: tuple[str, ...]) -> int:
    """Carry out batches of runs that were handed to the workers.

    The same as `celery -A worker.app worker`, with its options. Any number of these, on any number of machines, may work on one run:
    they need the same ledger, keys and policy file, and RETENTION_BROKER. Stop one with SIGTERM: it ends the batch it is at.
    """
    _start("worker", options)
    return 0


@click.command(context_settings=_PASSED_ON, epilog="Example: retention beat")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[CELERY OPTIONS]")
def beat(options: tuple[str, ...]) -> int:
    """Begin scheduled runs in time, and wake workers for what nobody is at.

    The same as `celery -A worker.app beat`, with its options. One is enough, and a second one does no harm: a run is begun once for each
    source and local day. The schedules are settings: RETENTION_SCHEDULE, or one for each source.
    """
    _start("beat", options)
    return 0


def _start(what: str, options: tuple[str, ...]) -> None:
    """Become the process that was asked for. It reads its settings from the environment, as it does when Celery starts it."""
    # Imported late: no other command waits for it.
    from worker.app import app

    app.start([what, *options])
