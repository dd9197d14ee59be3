"""Application files on a WebDAV share and behind SFTP, by the command and by the policy that the documentation shows."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.sftp import USER as SFTP_USER
from tests.systems.servers.sftp import Sftp, running_sftp
from tests.systems.servers.webdav import USER as DAV_USER
from tests.systems.servers.webdav import WebDav, running_webdav

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: s3_files -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
NOON = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
CANARY = "Wilge"
LONG_AGO, LATELY = "2026-01-05", "2026-06-01"


@dataclass(frozen=True)
class Place:
    """Where dossiers lie: as the connector reaches it, and the folder in which another program works."""

    connector: str
    url: str
    options: dict[str, str]
    folder: Path
    password: str

    def apply(self, who: str, ended: str, documents: int = 2) -> Path:
        """Put in an application, as the form on the website does."""
        dossier = self.folder / f"{who}-{CANARY}"
        dossier.mkdir()
        said = {"name": f"{who} {CANARY}", "applicant": {"email": f"{who}@{CANARY}.example"}, "procedure_ended_on": ended}
        (dossier / "application.json").write_text(json.dumps(said))
        for number in range(documents):
            (dossier / f"letter {number} {CANARY}.pdf").write_bytes(b"%PDF")
        return dossier

    def there(self) -> list[str]:
        """Return who has a dossier."""
        return sorted(each.name.partition("-")[0] for each in self.folder.iterdir())

    def office(self, folder: Path, policies: str = POLICIES) -> Installation:
        """Return an office whose applications lie here."""
        (folder / "policies.toml").write_text(policies.replace('"s3_files"', f'"{self.connector}"'), encoding="utf-8")
        settings = {
            "RETENTION_POLICIES": str(folder / "policies.toml"),
            "RETENTION_STATE": str(folder / "state"),
            "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "dora",
            "RETENTION_MAX_SHARE": "1",
            "RETENTION_SOURCES__APPLICATIONS__URL": self.url,
        }
        options = {f"RETENTION_SOURCES__APPLICATIONS__OPTIONS__{name.upper()}": said for name, said in self.options.items()}
        return Installation(folder, {**settings, **options}, now=NOON)


@pytest.fixture(scope="module")
def share() -> Iterator[WebDav]:
    with running_webdav() as running:
        yield running


@pytest.fixture(scope="module")
def host() -> Iterator[Sftp]:
    with running_sftp() as running:
        yield running


@pytest.fixture(params=["webdav_files", "sftp_files"])
def place(request: pytest.FixtureRequest, share: WebDav, host: Sftp) -> Place:
    """Return an empty folder on each server."""
    patience = {"attempts": "3", "wait": "0.02"}
    if request.param == "webdav_files":
        url, password, data = share.url.replace("://", f"://{DAV_USER}:{quote(share.password)}@"), share.password, share.data
    else:
        url, password, data = f"sftp://{SFTP_USER}:{quote(host.password)}@127.0.0.1:{host.port}", host.password, host.data
        patience["host_key"] = host.host_key
    folder = data / "hr" / "applications"
    shutil.rmtree(data / "hr", ignore_errors=True)
    folder.mkdir(parents=True)
    return Place(request.param, f"{url}/hr", patience, folder, password)


def test_plan_approve_apply_verify(place: Place, tmp_path: Path) -> None:
    """What is due goes with everything in it, what is held or not due stays, and a second night finds nothing left."""
    for number in range(60):
        place.apply(f"due{number:02}", LONG_AGO)
    for who in ("held", "late"):
        place.apply(who, LONG_AGO if who == "held" else LATELY)
    office = place.office(tmp_path)
    assert 0 == office("sources", "check").code
    why = ("--kind", "legal", "--reason", "case 7", "--owner", "dora", "--review-on", "2027-01-01")
    placed = office("hold", "add", "--scope", "subject", "--subject", "-", *why, typed=f"held@{CANARY}.example\n")
    assert 0 == placed.code, placed.err
    applied = office("apply", office.approved())
    assert applied.code in (0, 4), applied.err
    assert ["held", "late"] == place.there()
    assert 60 == len(office.events("retention.record_deleted"))
    verified = office("verify", "--json", office("runs", "--json").json[0]["run_id"])
    assert 0 == verified.code, verified.err
    office("run")
    assert 60 == len(office.events("retention.record_deleted"))
    assert ["held", "late"] == place.there()
    assert [] == wrong_events(tmp_path)
    trail = "".join(path.read_text() for path in office.audit.glob("*.jsonl"))
    assert [] == [text for text in (*office.everything, trail) if CANARY in text or place.password in text]


def test_a_dossier_with_documents_is_never_said_to_be_treated(place: Place, tmp_path: Path) -> None:
    """Facts are treated where dossiers are nothing but their facts; one that is more, however late it comes, stops check and plan."""
    policies = POLICIES.replace('disposition = "delete"', 'disposition = "pseudonymise"')
    for number in range(104):
        place.apply(f"p{number:03}", LONG_AGO, documents=0)
    last = place.apply("zz", LONG_AGO, documents=1)
    office = place.office(tmp_path, policies)
    for command in (("sources", "check"), ("plan", "-o", tmp_path / "refused.jsonl")):
        said = office(*command)
        assert 2 == said.code
        assert "whose contents can't be treated" in said.out + said.err
    assert CANARY in (last / "application.json").read_text()
    shutil.rmtree(last)
    assert 0 == office("sources", "check").code
    applied = office("apply", office.approved())
    assert applied.code in (0, 4), applied.err
    assert [] == [each for each in place.folder.glob("p*/application.json") if CANARY in each.read_text()]
