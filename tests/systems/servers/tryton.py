"""A private Tryton (trytond, from PyPI): own virtual environment, own SQLite database, free loopback port, gone at the end.

The database is made once and kept beside the environment, because Tryton takes half a minute for it; every server works on a copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.systems.servers.process import LOOPBACK, Account, ServerMissingError, prepare, private_folder, running

USER = "retention"
PASSWORD = "Only-on-loopback-7f1c"
DATABASE = "crm"
MODULES = ("party", "retention")
HOME = Path(__file__).parents[3] / ".servers" / "tryton"
MODULE = Path(__file__).with_name("tryton_module")
SETTINGS = """[database]
uri = sqlite://
path = {folder}
[web]
listen = {host}:{port}
[email]
uri = smtp://127.0.0.1:1
[session]
max_attempt = 1000
max_attempt_ip_network = 1000
"""
ADD_USER = f"""
import sys
from trytond.config import config
config.update_etc(sys.argv[1])
from trytond.pool import Pool
from trytond.transaction import Transaction
Pool.start()
pool = Pool("{DATABASE}")
pool.init()
with Transaction().start("{DATABASE}", 0) as transaction:
    groups = pool.get("res.group").search([])
    added = [("add", [each.id for each in groups])]
    pool.get("res.user").create([{{"name": "Retention", "login": "{USER}", "password": "{PASSWORD}", "groups": added}}])
    pool.get("ir.model.access").create([{{"model": "retention.contract", "perm_read": True, "perm_create": True}}])
    transaction.commit()
"""


@dataclass(frozen=True, slots=True)
class Tryton:
    """A running server. file -- its database, where another program works."""

    pid: int
    port: int
    file: Path

    @property
    def url(self) -> str:
        """Where it listens, without database and user."""
        return f"http://{LOOPBACK}:{self.port}"

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Yield another program's way to the tables; committed at the end."""
        connection = sqlite3.connect(self.file, timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def running_tryton(parent: Path | None = None) -> Iterator[Tryton]:
    """Yield a private server and remove it with its data afterwards; raises ServerMissingError, ServerFailedError."""
    python = HOME / "bin" / "python"
    if not python.exists():
        raise ServerMissingError("Tryton is not installed: run make servers")
    # It has to share its database with the tests, another program.
    account = Account.other_than_root("root")
    with private_folder("tryton", account, parent) as folder:
        modules = folder / "modules"
        _install_module(modules)
        file = folder / f"{DATABASE}.sqlite"
        shutil.copyfile(_template(account, folder), file)

        def command(port: int) -> list[str | Path]:
            return [python, HOME / "bin" / "trytond", "-c", _settings(folder, port), "-d", DATABASE]

        with running(account, folder, command, _is_ready, environment={"PYTHONPATH": str(modules)}) as (pid, port):
            yield Tryton(pid, port, file)


def _template(account: Account, folder: Path) -> Path:
    """Return the file of a database with the modules and the users; made when there is none of this version."""
    said = b"".join(path.read_bytes() for path in sorted(MODULE.glob("*.*"))) + ADD_USER.encode() + repr(MODULES).encode()
    made = HOME / f"template-{hashlib.sha256(said).hexdigest()[:12]}.sqlite"
    if not made.exists():
        settings = _settings(folder, 8000)
        (folder / "password").write_text(PASSWORD)
        file = folder / f"{DATABASE}.sqlite"
        file.touch()
        script = folder / "add_user.py"
        script.write_text(ADD_USER)
        python, admin = HOME / "bin" / "python", HOME / "bin" / "trytond-admin"
        surroundings = ["env", f"PYTHONPATH={folder / 'modules'}", f"TRYTONPASSFILE={folder / 'password'}", python]
        activate = [admin, "-c", settings, "-d", DATABASE, "--email", "a@example.org", "-u", *MODULES, "--activate-dependencies"]
        prepare(account, [*surroundings, *activate], folder)
        prepare(account, [*surroundings, script, settings], folder)
        new = HOME / f"{made.name}.{os.getpid()}"
        shutil.copyfile(file, new)
        new.replace(made)
    return made


def _install_module(folder: Path) -> None:
    """Put the module for the contract where Python finds it, as pip would."""
    shutil.copytree(MODULE, folder / "trytond_retention", ignore=shutil.ignore_patterns("__pycache__"))
    about = folder / "trytond_retention-8.2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trytond_retention\nVersion: 8.2.0\n")
    (about / "entry_points.txt").write_text("[trytond.modules]\nretention = trytond_retention\n")


def _settings(folder: Path, port: int) -> Path:
    """Write the server's settings and return their file."""
    file = folder / "trytond.conf"
    file.write_text(SETTINGS.format(folder=folder, host=LOOPBACK, port=port))
    return file


def _is_ready(port: int) -> bool:
    asked = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/rpc/",
        data=b'{"id": 1, "method": "common.server.version", "params": []}',
        headers={"Content-Type": "application/json"},
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=30):
        return True
    return False
