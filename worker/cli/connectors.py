"""`retention connectors`: which plug-ins are installed, and a new one to begin with."""

from __future__ import annotations

import inspect
import keyword
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import click

from worker import registry
from worker.cli.session import Session
from worker.cli.tables import connector_table
from worker.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "retention_NAME/__init__.py": "__init__.py.txt",
    "retention_NAME/connector.py": "connector.py.txt",
    "tests/test_contract.py": "test_contract.py.txt",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """A plug-in. package -- where it comes from, with its version; what -- its first line about itself, or why it can't be loaded."""

    name: str
    package: str
    what: str
    loads: bool


@click.group()
def connectors() -> None:
    """List the connectors, and begin a new one."""


@connectors.command("list", epilog="Example: retention connectors list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_connectors(session: Session, *, as_json: bool) -> int:
    """List the installed connectors, and what each is for.

    A policy file names them under `connector`. Exit code 5 when one can't be loaded.
    """
    found = [_described(each, package) for each, package in registry.installed()]
    if as_json:
        session.data([asdict(each) for each in found])
    else:
        session.show(connector_table([(each.name, each.package, each.what) for each in found]))
    return 0 if all(each.loads for each in found) else 5


@connectors.command("new", epilog="Example: retention connectors new wiki_accounts")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where to put it; ./retention-NAME by default.")
@click.pass_obj
def new_connector(session: Session, name: str, folder: Path | None) -> int:
    """Write a package with a new connector NAME, which passes the contract's tests as it is.

    It keeps records as files in a folder; let it talk to your system instead. docs/connectors.md tells how.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigurationError(f"{name!r} can't be a connector's name: small letters, digits and single _, a letter first.")
    if name in registry.names():
        raise ConfigurationError(f"There is a connector {name!r} already. Choose another name.")
    target = session.folder / (folder or Path(f"retention-{name.replace('_', '-')}"))
    if target.exists():
        raise ConfigurationError(f"{target} exists already. Choose another folder (--folder).")
    try:
        for path, template in _FILES.items():
            file = target / path.replace("NAME", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_filled_in(template, name), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{target} can't be written: {error.strerror}.") from None
    session.show(f"{target} holds the connector {name}. Next:")
    session.show(f"  cd {target} && pip install -e '.[test]' && pytest")
    return 0


def _filled_in(template: str, name: str) -> str:
    """Return the text of one file for a connector of this name."""
    text = (files("worker.cli") / "scaffold" / template).read_text(encoding="utf-8")
    words = {"NAME-DASHED": name.replace("_", "-"), "NAME_CLASS": "".join(each.title() for each in name.split("_")), "NAME": name}
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text


def _described(name: str, package: str) -> Installed:
    """Return what a plug-in says about itself."""
    try:
        said = inspect.getdoc(registry.connector(name)) or ""
    except ConfigurationError as error:
        return Installed(name, package, str(error), loads=False)
    return Installed(name, package, said.partition("\n")[0], loads=True)
