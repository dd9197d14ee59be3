"""Application files in a bucket of S3, by the command and by the policy that the documentation shows; locks, versions and rights."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import FIELDS, FaultProxy
from connectors.plugins import s3_files
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.s3 import KEY, READER, S3
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Changes, Connection, KeyRange, Left, OpenSource

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: s3_files -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOON = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
CANARY = "Wilge"


@dataclass(frozen=True)
class Bucket:
    """A bucket as another program sees it."""

    server: S3
    name: str
    client: Any

    def put(self, key: str, body: bytes = b"%PDF", **more: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=f"hr/applications/{key}", Body=body, **more)

    def apply(self, who: str, ended: str) -> None:
        """Put in an application, as the form on the website does."""
        said = {"name": f"{who} {CANARY}", "applicant": {"email": f"{who}@{CANARY}.example"}, "procedure_ended_on": ended}
        self.put(f"{who}-{CANARY}/application.json", json.dumps(said).encode())
        self.put(f"{who}-{CANARY}/cv.pdf")

    def there(self) -> dict[str, int]:
        """Return how many versions and marks there are of each applicant."""
        found: dict[str, int] = {}
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix="hr/applications/"):
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                who = each["Key"].removeprefix("hr/applications/").partition("-")[0]
                found[who] = found.get(who, 0) + 1
        return found

    def opened(self, user: str = KEY) -> OpenSource:
        """Open the applications by the connector."""
        source = Source("applications", "s3_files", "applications", ("folder",), FIELDS[:1])
        return s3_files(source, Connection(f"s3://{self.name}/hr", options=self.options(user)))

    def options(self, user: str = KEY) -> dict[str, str]:
        return {"endpoint": self.server.url, "key": user, "secret": self.server.secret, "wait": "0.02", "attempts": "3"}


@pytest.fixture
def bucket(s3: S3) -> Iterator[Bucket]:
    """Give a bucket that keeps versions and can lock objects."""
    made = Bucket(s3, s3.new_bucket(locking=True), s3.client())
    yield made
    made.client.close()


def installation(folder: Path, bucket: Bucket) -> Installation:
    """Return an office whose applications are in a bucket."""
    (folder / "policies.toml").write_text(POLICIES, encoding="utf-8")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__APPLICATIONS__URL": f"s3://{bucket.name}/hr",
    }
    environ |= {f"RETENTION_SOURCES__APPLICATIONS__OPTIONS__{name.upper()}": said for name, said in bucket.options().items()}
    return Installation(folder, environ, now=NOON)


def test_plan_approve_apply_verify(bucket: Bucket, tmp_path: Path) -> None:
    """Due dossiers go with every version, over a thousand objects too; a locked one is left whole, said, and goes once it is free."""
    for who, ended in (("anna", "2026-01-05"), ("bram", "2026-06-01"), ("carla", "2026-01-05"), ("daan", "2026-01-05")):
        bucket.apply(who, ended)
    bucket.apply("anna", "2026-01-05")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bucket.put(f"anna-{CANARY}/mail/{number:04}.eml"), range(1_050)))
    for name in ("application.json", "cv.pdf"):
        bucket.client.delete_object(Bucket=bucket.name, Key=f"hr/applications/daan-{CANARY}/{name}")
    hold = {"Bucket": bucket.name, "Key": f"hr/applications/carla-{CANARY}/cv.pdf"}
    bucket.client.put_object_legal_hold(**hold, LegalHold={"Status": "ON"})
    assert {"anna": 1_054, "bram": 2, "carla": 2, "daan": 4} == bucket.there()
    office = installation(tmp_path, bucket)
    checked = office("sources", "check")
    assert "1 of the first 4 dossiers were deleted by somebody" in checked.out + checked.err
    applied = office("apply", office.approved())
    assert 5 == applied.code, applied.err
    assert {"bram": 2, "carla": 2} == bucket.there()
    (said,) = office.events("retention.record_skipped")
    assert ("failed", "object lock legal hold") == (said["event.reason"], said["retention.answer"])
    verified = office("verify", "--json", office("runs", "--json").json[0]["run_id"])
    assert 0 == verified.code, verified.err
    bucket.client.put_object_legal_hold(**hold, LegalHold={"Status": "OFF"})
    assert office("run").code in (0, 4)
    assert {"bram": 2} == bucket.there()
    assert [] == wrong_events(tmp_path)
    trail = "".join(path.read_text() for path in office.audit.glob("*.jsonl"))
    assert [] == [text for text in (*office.everything, trail) if CANARY in text or bucket.server.secret in text]


def test_half_a_dossier_is_found_and_finished(bucket: Bucket) -> None:
    """What one night left of a dossier still has its facts, so the next night finds it and takes the rest; only then is it gone."""
    bucket.apply("anna", "2026-01-05")
    bucket.put(f"anna-{CANARY}/scan.pdf")
    key = (f"anna-{CANARY}",)
    source = bucket.opened()
    storage = source._storage  # type: ignore[attr-defined]
    storage._locking = False  # As where locks may not be asked for: then S3 itself refuses one object in the middle.
    about = {"Bucket": bucket.name, "Key": f"hr/applications/anna-{CANARY}/scan.pdf"}
    bucket.client.put_object_legal_hold(**about, LegalHold={"Status": "ON"})
    with source.batch("b", KeyRange(key, key), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[key]))
        (undone,) = batch.commit()
    assert (key, Left.FAILED, "AccessDenied - 1 of 3 parts are gone") == (undone.key, undone.why, undone.answer)
    with source.reader() as reader:
        assert (*key, f"anna {CANARY}") == reader.get(key, ("name",))
    bucket.client.put_object_legal_hold(**about, LegalHold={"Status": "OFF"})
    with source.batch("c", KeyRange(key, key), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[key]))
        assert [] == list(batch.commit())
    assert {} == bucket.there()
    source.close()


def test_what_comes_in_while_a_dossier_goes_stays(bucket: Bucket) -> None:
    """An object that is put between the last look and the deletion is not deleted, and the dossier isn't said to be gone."""
    bucket.apply("anna", "2026-01-05")
    key = (f"anna-{CANARY}",)
    source = bucket.opened()
    storage = source._storage  # type: ignore[attr-defined]
    really = storage.remove

    def late(dossier: str, some: Any) -> None:
        storage.remove = really
        bucket.put(f"anna-{CANARY}/late.pdf")
        really(dossier, some)

    with source.batch("b", KeyRange(key, key), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[key]))
        storage.remove = late
        (undone,) = batch.commit()
    assert (Left.CHANGED, "2 of 2 parts are gone") == (undone.why, undone.answer)
    assert {"anna": 1} == bucket.there()
    source.close()


def test_sources_check_says_what_the_account_may_do(bucket: Bucket) -> None:
    """An account that may only look is refused; one that may everything hears of locks, versions and unfinished uploads."""
    bucket.apply("anna", "2026-01-05")
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"hr/applications/anna-{CANARY}/big.bin")
    bucket.put("stray.txt")
    before = bucket.there()
    reading, writing = bucket.opened(READER), bucket.opened()
    assert ["the account may not delete versions of objects."] == [each.what for each in reading.problems(None, {})[0]]
    problems, known = writing.problems(None, {})
    assert [] == problems
    for text in ("keeps versions", "can lock objects", "1 uploads were begun", "1 objects lie beside"):
        assert 1 == sum(text in each.what for each in known), text
    assert before == bucket.there()
    reading.close()
    writing.close()


def test_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    """A bucket that doesn't exist, or an address that is none, is an error of the settings and never an empty source."""
    source = Source("applications", "s3_files", ".", ("folder",), FIELDS[:1])
    opened = s3_files(source, Connection("s3://no-such-bucket", options=bucket.options()))
    with pytest.raises(ConfigurationError, match="no such bucket"), opened.reader() as reader:
        reader.count(EVERYTHING)
    opened.close()
    for url in (None, "https://example.com/bucket", f"s3://{KEY}:{bucket.server.secret}@bucket"):
        with pytest.raises(ConfigurationError) as caught:
            s3_files(source, Connection(url, options=bucket.options()))
        assert bucket.server.secret not in str(caught.value)


@pytest.mark.parametrize("name", ["Key", "VersionId", "LastModified", "IsLatest", "Size", "ETag", "Prefix"])
def test_what_the_service_tells_no_more(bucket: Bucket, name: str) -> None:
    """A service that is almost S3, and leaves out of its listing what S3 always says, is refused by name and never read as empty."""
    bucket.apply("anna", "2026-01-05")
    with FaultProxy(bucket.server.url, keeps_host=True).running() as proxy:
        source = Source("applications", "s3_files", "applications", ("folder",), FIELDS[:1])
        opened = s3_files(source, Connection(f"s3://{bucket.name}/hr", options={**bucket.options(), "endpoint": proxy.url}))
        proxy.renaming(f"<{name}>", f"</{name}>")
        with pytest.raises(SourceFailed, match=f"^applications: .*'{name}'"), opened.reader() as reader:
            list(reader.rows(EVERYTHING, ()))
        opened.close()
