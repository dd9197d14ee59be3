"""The one place where everything is joined: settings, policies, ledger, keys, audit trail, connectors.

Nothing is opened before it is needed: checking a policy file needs no ledger, and a command that writes no event leaves no audit file.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

from worker import clock, policyfile, registry
from worker.audit.events import Action
from worker.audit.note import Signer
from worker.audit.trail import SERVICE, AuditTrail
from worker.core.model import Schedule
from worker.core.sources import Source
from worker.errors import ConfigurationError, RetentionError
from worker.helpers import Errand, Helpers
from worker.keys import ROOT, Keyring
from worker.ledger.ledger import Ledger
from worker.log import get_logger
from worker.ports import Begun, Connection, Faults, NoFaults, OpenSource
from worker.release import service_version
from worker.settings import Settings
from worker.usecases.draining import Drain
from worker.usecases.halves import recalled
from worker.usecases.keykeeping import end_destruction
from worker.usecases.keyrotating import resume_rotation
from worker.usecases.machine import Machine
from worker.usecases.resaying import lost_closings

_COLLECT_AFTER = 100_000
_POLL_SECONDS = 0.05


@contextmanager
def machine(
    settings: Settings,
    *,
    schedule: Schedule | None = None,
    now: clock.Now = clock.now,
    faults: Faults | None = None,
    returned_keys: bool = False,
    helpers: bool = False,
) -> Iterator[Machine]:
    """Join everything for one command; closes it all again. Raises ConfigurationError for whatever does not fit together.

    returned_keys -- go on although keys that were destroyed are in the key file again: for whoever destroys them anew; helpers -- have the
    other processes come up that one run of this machine may be carried out with.
    """
    _collect_rarely()
    schedule = schedule or policyfile.load(settings.policies, connectors=registry.names())
    _keep_apart(settings, schedule)
    # Two processes that write their trails to one standard output could tear each other's lines.
    count = settings.process_count - 1 if helpers and settings.audit_output == "files" else 0
    with (
        closing(Helpers(count, partial(_help, settings, schedule), lambda: (now() - clock.now()).total_seconds())) as others,
        Ledger.open(_ledger_url(settings), now=now, lease_seconds=settings.lease_seconds) as ledger,
    ):
        in_use = ledger.settle_on_keys()
        keyring = Keyring.open(settings.keys_file, settings.root_file, allow_create=not ledger.knows_keys())
        keyring.go_by(in_use.match)
        begun = ledger.keys_being_destroyed()
        if begun is not None:
            keyring.destroy(begun.key_ids)
        checks = keyring.checks()
        if returned_keys:
            checks = _without_returned(ledger, checks)
        ledger.confirm_keys(checks)
        known = set(keyring.checks())
        lay_open = bool(known) and keyring.root is None
        sources = _Sources(settings, schedule.sources, lambda name: recalled(ledger, keyring, name))
        trail = _Trail(settings, now, keyring, ledger)
        joined = Machine(
            settings,
            schedule,
            ledger,
            keyring,
            sources.open,
            trail.open,
            now,
            faults or NoFaults(),
            helpers=others.at_work,
        )
        try:
            if begun is not None:
                end_destruction(joined, begun)
            rotation = ledger.rotation_begun()
            if rotation is not None:
                resume_rotation(joined, rotation)
            yield joined
        finally:
            sources.close()
            try:
                checks = keyring.checks()
                # When somebody else rotated or destroyed keys meanwhile, what was read here is no longer what there has to be.
                if not ledger.keys_changed():
                    ledger.confirm_keys(_without_returned(ledger, checks) if returned_keys else checks)
                for key_id in sorted(set(checks) - known):
                    family = checks[key_id].rpartition(":")[0]
                    trail.open().emit(Action.KEY_CREATED, {"retention.key": key_id, "retention.key_family": family}, sync=True)
                if keyring.root is not None and ledger.root_since(keyring.root) is None:
                    trail.open().emit(Action.KEY_CREATED, {"retention.key": keyring.root, "retention.key_family": ROOT}, sync=True)
                    ledger.note_root(keyring.root)
                    if lay_open:
                        # Nobody asked for it: whoever backs up the key file alone would lose the keys with the disk.
                        get_logger().warning("retention.keys_wrapped", root=keyring.root, back_up=str(keyring.root_path))
            finally:
                trail.close()


def _without_returned(ledger: Ledger, checks: Mapping[str, str]) -> dict[str, str]:
    """Return the checks of keys that were never destroyed."""
    destroyed = {each.key_id for each in ledger.known_keys() if each.destroyed_at is not None}
    return {key_id: check for key_id, check in checks.items() if key_id not in destroyed}


@contextmanager
def beside(joined: Machine, schedule: Schedule) -> Iterator[Machine]:
    """Give the same machine with the policies of another file, its sources opened as that file declares them."""
    _keep_apart(joined.settings, schedule)
    sources = _Sources(joined.settings, schedule.sources, lambda name: recalled(joined.ledger, joined.keyring, name))
    try:
        yield replace(joined, schedule=schedule, open_source=sources.open)
    finally:
        sources.close()


def _collect_rarely() -> None:
    """Make the interpreter look for reference cycles less often: a batch is thousands of live rows and no cycles to find in them."""
    if gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 20, 100)


def connection(settings: Settings, source: Source, siblings: Mapping[str, Source]) -> Connection:
    """Return where a source is, from the settings; ConfigurationError when nothing says so."""
    given = settings.source(source.name)
    if given.url is None and given.path is None and not given.options:
        variable = f"RETENTION_SOURCES__{source.name.upper().replace('-', '_')}"
        raise ConfigurationError(
            f"Nothing says where the source {source.name} is: set {variable}__URL (a database) or {variable}__PATH (a folder)."
        )
    return Connection(
        given.url.get_secret_value() if given.url is not None else None,
        given.path,
        dict(given.options),
        given.witness_table,
        siblings,
        settings.batch_seconds,
    )


class _Sources:
    """The sources that were opened, each once."""

    def __init__(self, settings: Settings, siblings: Mapping[str, Source], begun: Callable[[str], Sequence[Begun]]) -> None:
        self._settings = settings
        self._siblings = siblings
        self._begun = begun
        self._opened: dict[str, OpenSource] = {}

    def open(self, source: Source) -> OpenSource:
        """Return a source, opened on first use."""
        found = self._opened.get(source.name)
        if found is None:
            made = replace(connection(self._settings, source, self._siblings), begun=partial(self._begun, source.name))
            found = self._opened[source.name] = registry.connector(source.connector)(source, made)
        return found

    def close(self) -> None:
        """Close every source."""
        for each in self._opened.values():
            each.close()


def _help(settings: Settings, schedule: Schedule, errand: Errand) -> None:
    """Carry out batches of the sources of a run in their turn, as a helper, until no source has any that a helper may take."""
    with machine(settings, schedule=schedule, now=lambda: clock.now() + dt.timedelta(seconds=errand.ahead)) as joined:
        for name in errand.sources:
            # What is wrong with one is said by whoever works on it.
            with suppress(RetentionError):
                joined.open_source(joined.policy(name).source)
        run_id = errand.sent()
        if run_id is None:
            return
        with Drain(joined, run_id, go_on=errand.go_on, apart_only=True) as drain:
            while errand.go_on():
                open_ones = [each for each in joined.ledger.work_of(run_id) if each.waiting and each.source.lanes > 1]
                if not open_ones:
                    return
                for each in open_ones:
                    drain.source(each.source.source)
                errand.rest(_POLL_SECONDS)


def signer(keyring: Keyring) -> Signer:
    """Return who signs the audit trail; the key's id is part of the name, so every signature says which key made it."""
    key = keyring.sign_key()
    return Signer.of(f"{SERVICE}/{key.id}", key.secret)


def _to_standard_output(lines: bytes) -> None:
    """Put whole lines of the audit trail on standard output, behind whatever was printed before, and have them leave this process."""
    sys.stdout.flush()
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


class _Trail:
    """The audit file of this process, opened on first use."""

    def __init__(self, settings: Settings, now: clock.Now, keyring: Keyring, ledger: Ledger) -> None:
        self._settings = settings
        self._now = now
        self._keyring = keyring
        self._ledger = ledger
        self._opening = Lock()
        self.opened: AuditTrail | None = None

    def open(self) -> AuditTrail:
        """Return the trail; the first two lanes of a process may ask for it at once."""
        with self._opening:
            if self.opened is None:
                self.opened = AuditTrail.open(
                    self._settings.audit_folder,
                    now=self._now,
                    service_version=service_version(),
                    sign=signer(self._keyring).sign,
                    copy_to=None if self._settings.audit_output == "files" else _to_standard_output,
                    resay=lost_closings(self._ledger),
                )
            return self.opened

    def close(self) -> None:
        """Close the trail, if it was opened."""
        if self.opened is not None:
            self.opened.close()


def _ledger_url(settings: Settings) -> str:
    """Return the ledger's address, after making the state folder of a ledger that is a file."""
    if settings.ledger is None:
        try:
            settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The state folder {settings.state} can't be made: {error.strerror}. Choose another one (RETENTION_STATE)."
            ) from None
    return settings.ledger_url


def _keep_apart(settings: Settings, schedule: Schedule) -> None:
    """Refuse a ledger, an audit trail or keys that lie inside a source: cleaning one up would destroy the other."""
    ledger = _file_of(settings.ledger_url)
    own = {"ledger": ledger, "audit folder": settings.audit_folder, "key file": settings.keys_file, "root key": settings.root_file}
    for source in schedule.sources.values():
        given = settings.source(source.name)
        database = _file_of(given.url.get_secret_value()) if given.url is not None else None
        for what, path in own.items():
            if path is None:
                continue
            real = Path(os.path.realpath(path))
            if database is not None and real == Path(os.path.realpath(database)):
                raise ConfigurationError(
                    f"The {what} is the same file as the source {source.name}: give it one of its own (RETENTION_LEDGER)."
                )
            if given.path is not None and real.is_relative_to(os.path.realpath(given.path)):
                raise ConfigurationError(f"The {what} lies inside the folder of the source {source.name}: move it elsewhere.")
    for what, path in (("key file", settings.keys_file), ("root key", settings.root_file)):
        if ledger is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(settings.state)):
            raise ConfigurationError(f"The {what} {path} lies in the state folder: a copy of one would carry the other along.")
    if Path(os.path.realpath(settings.keys_file)) == Path(os.path.realpath(settings.root_file)):
        raise ConfigurationError(
            f"The root key can't be the key file {settings.keys_file} itself: give it another place (RETENTION_ROOT_KEY)."
        )


def _file_of(url: str) -> Path | None:
    """Return the file of an SQLite address, else None."""
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme.startswith("sqlite") and rest else None
