"""The two files of an installation, and the keys that are in them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.keys import Key, Keyring
from worker.keys.keyfile import Entry, KeyFile
from worker.keys.rootfile import RootFile

SECRETS = {"m-000001": "11" * 32, "p-000002": "22" * 32, "s-000003": "33" * 32}
FAMILIES = {"m-000001": "match", "p-000002": "pseudonym/customers", "s-000003": "seal"}
DOOMED = "p-000002"
ROOT = "0f" * 32


class Place:
    """The two files of one installation, in folders of their own, and what somebody copied of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys" / "keys.json"
        self.root = folder / "root" / "root.key"

    def open(self) -> Keyring:
        """Read them."""
        return Keyring.open(self.keys, self.root)

    def opens(self, keys: Path, root: Path) -> set[str]:
        """Return the secrets that these two files give away together."""
        try:
            return {each.key.secret.hex() for each in (KeyFile(keys, RootFile(root)).read() or pytest.fail("no file")).entries}
        except ConfigurationError:
            return set()

    def roots(self) -> list[str]:
        """Return the lines of the root's file."""
        return self.root.read_text().split()

    def everything(self) -> str:
        """Return the content of every file there is, drafts among them."""
        return "".join(each.read_text() for each in sorted(self.folder.rglob("*")) if each.is_file())

    def drafts(self) -> list[Path]:
        """Return what crashes left."""
        return list(self.folder.rglob("*.draft"))

    def put(self, path: Path, text: str, mode: int = 0o600) -> Path:
        """Write a file as its owner would."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=mode)
        path.write_text(text)
        path.chmod(mode)
        return path

    def unwrapped(self) -> None:
        """Make a key file from before there were roots."""
        keys = [{"id": key_id, "family": FAMILIES[key_id], "secret": secret} for key_id, secret in SECRETS.items()]
        self.put(self.keys, json.dumps({"format": 1, "keys": keys}))

    def wrapped(self) -> None:
        """Make a key file under a root that is known."""
        self.put(self.root, ROOT + "\n")
        entries = tuple(Entry(FAMILIES[key_id], Key(key_id, bytes.fromhex(secret))) for key_id, secret in SECRETS.items())
        self.keys.parent.mkdir(mode=0o700, exist_ok=True)
        (root,) = RootFile(self.root).read().keys
        KeyFile(self.keys, RootFile(self.root)).write(entries, root)

    def copy(self) -> Place:
        """Return a backup of both."""
        return Place(Path(shutil.copytree(self.folder, self.folder.with_name(f"copy-{time.monotonic_ns()}"))))


def secrets_of(ring: Keyring) -> dict[str, str]:
    return {key_id: key.secret.hex() for key_id in SECRETS if (key := ring.find(key_id)) is not None}


KEPT = {key_id: secret for key_id, secret in SECRETS.items() if key_id != DOOMED}
