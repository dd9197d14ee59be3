"""A private S3 server (SeaweedFS, from PyPI): own data folder, free loopback ports, keys demanded, gone at the end."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from tests.systems.servers.process import LOOPBACK, Account, free_port, private_folder, program, running

KEY, READER = "retention", "reader"


@dataclass(frozen=True, slots=True)
class S3:
    """A running server. secret -- of `KEY`, who may do everything, and of `READER`, who may only look."""

    pid: int
    port: int
    secret: str = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"

    def client(self) -> Any:
        """Return another program's way to the server."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, max_pool_connections=20),
        )

    def new_bucket(self, *, versioned: bool = False, locking: bool = False) -> str:
        """Make an empty bucket of its own; `locking` ones are versioned too."""
        name = f"bucket-{next(self._numbers)}"
        with contextlib.closing(self.client()) as client:
            client.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if locking else {}))
            if versioned:
                client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@contextlib.contextmanager
def running_s3(parent: Path | None = None) -> Iterator[S3]:
    """Yield a private server and remove it with its data afterwards; raises ServerMissingError, ServerFailedError."""
    weed = program("weed", str(Path(sys.executable).parent))
    account = Account.other_than_root()
    secret = secrets.token_urlsafe(24)
    with private_folder("s3", account, parent) as folder:
        keys = folder / "keys.json"
        keys.write_text(
            json.dumps(
                {
                    "identities": [
                        _identity(KEY, secret, ["Admin", "Read", "Write", "List", "Tagging"]),
                        _identity(READER, secret, ["Read", "List"]),
                    ]
                }
            )
        )
        account.owns(keys)

        def command(port: int) -> list[str | Path]:
            others = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc")
            return [
                weed,
                f"-logdir={folder}",
                "server",
                f"-dir={folder}",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                "-filer",
                "-s3",
                f"-s3.port={port}",
                f"-s3.ip.bind={LOOPBACK}",
                f"-s3.config={keys}",
                f"-s3.localSocket={folder}/s3.sock",
                f"-filer.localSocket={folder}/filer.sock",
                # These would listen on ports that are always the same.
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                *(f"-{name}={free_port()}" for name in others),
                "-volume.max=1000",
                "-master.volumeSizeLimitMB=64",
                "-metricsPort=0",
                "-master.telemetry=false",
                "-volume.preStopSeconds=0",
            ]  # fmt: skip

        # What is stored is thrown away, so nothing need be put in order at the end.
        with running(account, folder, command, lambda port: _is_ready(port, secret), stop=signal.SIGKILL) as (pid, port):
            yield S3(pid, port, secret)


def _identity(name: str, secret: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}


def _is_ready(port: int, secret: str) -> bool:
    """Whether the server answers and can store."""
    try:
        urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        pass
    except OSError:
        return False
    with contextlib.closing(S3(0, port, secret).client()) as client:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"x")
        except Exception:  # noqa: BLE001 - whatever it says, it isn't ready
            return False
    return True
