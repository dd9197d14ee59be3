"""A private S3 server (SeaweedFS, from PyPI): own data folder, free loopback ports, keys demanded, gone at the end."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import secrets
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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

    def put_many(self, bucket: str, contents: Iterator[tuple[str, bytes]], lanes: int = 4) -> None:
        """Put many small objects, faster than the library's client does; keys are such that no address has to quote them."""
        lock = threading.Lock()

        def put() -> None:
            connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
            while True:
                with lock:
                    key, content = next(contents, ("", b""))
                if not key:
                    break
                path = f"/{bucket}/{key}"
                connection.request("PUT", path, body=content, headers=self._signed("PUT", path))
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
            connection.close()

        with ThreadPoolExecutor(lanes) as pool:
            for each in [pool.submit(put) for _ in range(lanes)]:
                each.result()

    def _signed(self, method: str, path: str) -> dict[str, str]:
        """Return the headers that sign a request (AWS Signature Version 4); its content is not signed."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
        headers = {"host": f"{LOOPBACK}:{self.port}", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": moment}
        names = ";".join(headers)
        lines = "".join(f"{name}:{said}\n" for name, said in headers.items())
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        said = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(key, said.encode(), "sha256").hex()
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"}

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
