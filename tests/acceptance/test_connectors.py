"""`retention connectors`: what is installed, and a new plug-in that works from the first day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def command(tmp_path: Path) -> Installation:
    """Return the command in an empty folder; nothing is configured."""
    return Installation(tmp_path, {})


def python(*args: object, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run the interpreter with this project and a folder of packages on its path, and no more of this process."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(PROJECT)))}
    return subprocess.run(
        [sys.executable, *map(str, args)], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_new_connector_passes_the_contract(command: Installation, tmp_path: Path) -> None:
    """What `new` writes is a package: it installs, registers its connector, passes its own tests, and does a night's work."""
    said = command("connectors", "new", "wiki_accounts")
    assert 0 == said.code, said.err
    package, site = tmp_path / "retention-wiki-accounts", tmp_path / "site"
    install = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", site, package)
    made = python(*install, folder=tmp_path, path=tmp_path)
    assert 0 == made.returncode, made.stderr
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=package, path=site)
    assert 0 == tested.returncode, tested.stdout
    assert "skipped" not in tested.stdout.replace("a reader of this system has a view of its own", "")
    listed = python("-m", "worker.cli.main", "connectors", "list", "--json", folder=tmp_path, path=site)
    (mine,) = [each for each in json.loads(listed.stdout) if each["name"] == "wiki_accounts"]
    assert ("retention-wiki-accounts 0.1.0", True) == (mine["package"], mine["loads"])
    assert 3 == night(tmp_path, site)["acted"]


def night(folder: Path, site: Path) -> dict[str, Any]:
    """Plan, approve and apply a policy on records of the new connector; return what its source came to."""
    (folder / "records").mkdir()
    for number in range(6):
        record = {"email": f"p{number}@canary.example", "seen_on": "2020-01-01" if number < 3 else "2999-01-01"}
        (folder / "records" / f"{number}.json").write_text(json.dumps(record))
    (folder / "policies.toml").write_text(
        """
        version = 1
        [organisation]
        name = "Wiki"
        timezone = "Europe/Amsterdam"
        [sources.people]
        connector = "wiki_accounts"
        table = "people"
        key = "id"
        subject = ["email"]
        [sources.people.fields]
        email = { type = "email" }
        seen_on = { type = "date", planned = true }
        [[policies]]
        source = "people"
        disposition = "delete"
        [[policies.purposes]]
        id = "account"
        basis = "contract"
        fields = ["email"]
        start = "seen_on"
        keep = "P1Y"
        """
    )
    (folder / ".env").write_text(
        f"RETENTION_SOURCES__PEOPLE__PATH={folder / 'records'}\nRETENTION_KEYS={folder / 'keys.json'}\nRETENTION_MAX_SHARE=1\n"
    )
    plan = folder / "plan.jsonl"
    for args in (("plan", "-o", plan), ("approve", plan)):
        done = python("-m", "worker.cli.main", *args, folder=folder, path=site)
        assert done.returncode in (0, 4), done.stderr
    applied = python("-m", "worker.cli.main", "apply", "--json", plan, folder=folder, path=site)
    assert applied.returncode in (0, 4), applied.stderr
    assert 3 == len(list((folder / "records").iterdir()))
    found: dict[str, Any] = json.loads(applied.stdout)["sources"]["people"]
    return found


def test_the_list_says_what_each_is_for(command: Installation) -> None:
    """Every built-in connector is in the list with its package and a line about itself, for people and for programs."""
    said = command("connectors", "list", "--json")
    assert 0 == said.code
    names = {each["name"]: each for each in said.json}
    assert {"crm", "mailing_list", "comments", "wordpress", "application_files"} <= set(names)
    assert all(each["what"].endswith(".") and each["package"].startswith("retention-worker ") for each in names.values())
    assert "Open the comments of a WordPress site" in command("connectors", "list").out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Wiki", "can't be a connector's name"),
        ("class", "can't be a connector's name"),
        ("../up", "can't be"),
        ("crm", "There is a connector"),
    ],
)
def test_a_name_that_cannot_be(command: Installation, tmp_path: Path, name: str, words: str) -> None:
    """A name that no package could have, or that is taken, is refused before anything is written."""
    said = command("connectors", "new", name)
    assert 2 == said.code
    assert words in said.err
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_overwritten(command: Installation, tmp_path: Path) -> None:
    """A folder that is there is left as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    said = command("connectors", "new", "wiki", "--folder", "mine")
    assert 2 == said.code
    assert "mine" == (tmp_path / "mine" / "README.md").read_text()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without httpx the connectors over HTTP say which extra to install, and everything else works."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['httpx'] = None\n")
    code = (
        "from connectors.plugins import wordpress\nfrom worker.core.model import Source\nfrom worker.ports import Connection\n"
        "from worker.errors import ConfigurationError\n"
        "try:\n    wordpress(Source('c', 'wordpress', 'c', ('id',), ()), Connection())\n"
        "except ConfigurationError as error:\n    print(error)"
    )
    said = python("-c", code, folder=tmp_path, path=tmp_path)
    assert "pip install 'retention-worker[rest]'" in said.stdout, said.stderr
    assert 0 == python("-m", "worker.cli.main", "connectors", "list", folder=tmp_path, path=tmp_path).returncode
