"""Containers: the image's recipe, compose and Kubernetes, read by their own programs and schemas, and their commands run for real.

There is no engine and no cluster here, so no image is built: what its steps do with our code is done in a folder.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dockerfile
import kubernetes_validate
import pytest
import yaml

from tests.systems.servers.process import LOOPBACK, free_port, program, stop_process
from worker import clock
from worker.cli.main import retention
from worker.settings import PREFIX, Settings, SourceSettings

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "deploy" / "docker"
KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
RECIPE = DOCKER / "Dockerfile"
SCHEDULE = "0 3 * * *"
VERSIONS = ("1.27", "1.30", "1.33")
Document = dict[str, Any]


def is_setting(name: str) -> bool:
    """Whether a variable or a secret's file is one that the program knows."""
    variable = name.upper() if name.upper().startswith(PREFIX) else PREFIX + name.upper()
    known = {PREFIX + each.upper() for each in Settings.model_fields}
    _, *rest = variable.split("__")
    return variable in known or (len(rest) > 1 and rest[1].lower() in SourceSettings.model_fields)


def is_command(words: list[str]) -> bool:
    """Whether a command line is one of the program's."""
    if words[0] not in retention.commands:
        return False
    flags = {flag for each in retention.commands[words[0]].params for flag in each.opts}
    return {each for each in words[1:] if each.startswith("--")} <= flags


# --- The image ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps() -> list[Any]:
    """Return the steps of the recipe, as Docker's own parser reads them."""
    return list(dockerfile.parse_file(str(RECIPE)))


def test_the_image_runs_as_nobody_in_particular(steps: list[Any]) -> None:
    """The last user is a number other than root's; entry point and command are the program's; nothing secret has a place in it."""
    last = {each.cmd: each.value for each in steps}
    assert ("10001:10001",) == last["USER"]
    assert ("retention",) == last["ENTRYPOINT"]
    assert is_command(list(last["CMD"]))
    variables = dict(zip(last["ENV"][0::2], last["ENV"][1::2], strict=True))
    assert all(is_setting(name) for name in variables if name.startswith(PREFIX))
    assert not [each for each in steps if each.cmd == "ADD" or (each.cmd == "COPY" and "." in each.value[:-1])]


def test_what_is_copied_is_all_that_is_let_through(steps: list[Any]) -> None:
    """The list of what may enter a build names exactly what is copied: a key or a .env can't slip in."""
    copied = {name for each in steps if each.cmd == "COPY" for name in each.value[:-1]}
    lines = [line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert "*" == lines[0]
    assert {f"!{name}" for name in copied} == {line for line in lines if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in copied)


@pytest.fixture(scope="module")
def image(steps: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the steps make of our code: copied, built, and installed from the wheel alone."""
    root = tmp_path_factory.mktemp("image")
    for each in steps:
        for name in each.value[:-1] if each.cmd == "COPY" else ():
            target = root / "src" / name
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(exist_ok=True)
                shutil.copy(REPOSITORY / name, target)
    build, install = (each.value[0] for each in steps if each.cmd == "RUN" and each.value[0].startswith("pip "))
    # The requirements are in this environment already, and the registry is left alone.
    for command, more in ((build, "--no-deps --no-build-isolation"), (install, f"--no-deps --target {root / 'installed'}")):
        line = [sys.executable, "-m", *shlex.split(command.replace("/wheels", str(root / "wheels"))), *shlex.split(more)]
        done = subprocess.run(line, cwd=root / "src", capture_output=True, text=True, check=False, timeout=300)
        assert 0 == done.returncode, done.stdout + done.stderr
    return root / "installed"


def test_the_installed_wheel_works(image: Path, tmp_path: Path) -> None:
    """What is in the wheel is enough: plug-ins are found, the ledger's migrations run, templates are there."""
    policies = yaml.safe_load_all((KUBERNETES / "settings.yaml").read_text())
    text = next(each["data"]["policies.toml"] for each in policies if "policies.toml" in each["data"])
    (tmp_path / "policies.toml").write_text(text)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(image), "LANG": "C.UTF-8"}

    def said(*args: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "worker.cli.main", *args]
        done = subprocess.run(line, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    script = [sys.executable, "-c", "import worker; print(worker.__file__)"]
    where = subprocess.run(script, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert where.stdout.startswith(str(image))
    assert 0 == said("policies", "check")[0], said("policies", "check")
    assert 5 == said("status")[0], said("status")
    assert 0 == said("policies", "statement", "--lang", "nl")[0], said("policies", "statement", "--lang", "nl")


# --- compose ------------------------------------------------------------------------------------------------------------------------------


def compose(folder: Path) -> subprocess.CompletedProcess[str]:
    """Let Docker Compose itself read the file; it needs no engine for that."""
    command = [program("docker-compose", str(Path(sys.executable).parent)), "--file", folder / "compose.yaml", "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def composed(tmp_path: Path) -> Document:
    """Return what Docker Compose makes of the file."""
    shutil.copy(DOCKER / "compose.yaml", tmp_path)
    done = compose(tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    found: Document = json.loads(done.stdout)
    return found


def test_compose_does_see_mistakes(tmp_path: Path) -> None:
    """A misspelt word, and a service that waits for one that is not there, are refused."""
    text = (DOCKER / "compose.yaml").read_text()
    for right, wrong in (("cap_drop", "cap_dorp"), ("depends_on: *ready", "depends_on: [nobody]")):
        assert right in text
        (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
        assert 0 != compose(tmp_path).returncode


def test_the_services(composed: Document) -> None:
    """Ours may do nothing but their work; Redis and the ledger are reached by nobody else; no port is open to the outside."""
    services = composed["services"]
    ours = {name: each for name, each in services.items() if each["image"] == "retention-worker"}
    assert {"prepare", "worker", "beat"} == ours.keys()
    for each in ours.values():
        assert (True, ["ALL"], "10001:10001") == (each["read_only"], each["cap_drop"], each["user"])
        assert ["no-new-privileges:true"] == each["security_opt"]
        assert is_command(each["command"]), each["command"]
        assert all(is_setting(name) for name in each["environment"])
        targets = [Path(secret["target"]) for secret in each["secrets"]]
        assert all(is_setting(path.name) and Path("/run/secrets/retention") == path.parent for path in targets), targets
        assert SCHEDULE == each["environment"]["RETENTION_SCHEDULE"]
    assert not [name for name, each in services.items() if each.get("ports") or each.get("privileged")]
    assert composed["networks"]["inside"]["internal"]
    assert {("inside",)} == {tuple(services[name]["networks"]) for name in ("redis", "ledger")}


def test_nobody_starts_before_what_it_needs(composed: Document) -> None:
    """The tables are made once, before workers that could make them side by side; a secret in use is one that is declared."""
    for name in ("worker", "beat"):
        waits = {other: each["condition"] for other, each in composed["services"][name]["depends_on"].items()}
        assert {"prepare": "service_completed_successfully", "ledger": "service_healthy", "redis": "service_healthy"} == waits
    used = {secret["source"] for each in composed["services"].values() for secret in each.get("secrets", ())}
    assert composed["secrets"].keys() == used


def test_redis_as_it_is_composed(composed: Document, tmp_path: Path) -> None:
    """Its command starts a Redis that demands the password from the secret, and its health check knows the difference."""
    service, port = composed["services"]["redis"], free_port()
    secret = tmp_path / "redis_password"
    secret.write_text("s3cret pass")

    def line(text: str) -> list[str]:
        return ["/bin/sh", "-c", text.replace("$$", "$").replace("/run/secrets/redis_password", str(secret))]

    started = f"{service['command'][2]} --port {port} --bind {LOOPBACK} --dir {tmp_path}"
    healthy = line(service["healthcheck"]["test"][1].replace("redis-cli", f"redis-cli -p {port}"))
    process = subprocess.Popen(line(started), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until = clock.monotonic() + 20
        while subprocess.run(healthy, stderr=subprocess.DEVNULL, check=False).returncode:
            assert clock.monotonic() < until
            time.sleep(0.1)
        secret.write_text("another")
        assert 0 != subprocess.run(healthy, stderr=subprocess.DEVNULL, check=False).returncode
    finally:
        stop_process(process)


# --- Kubernetes ---------------------------------------------------------------------------------------------------------------------------


def documents(path: Path) -> list[Document]:
    """Return the documents of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


MANIFESTS = [
    (path.name, each) for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml" for each in documents(path)
]
PODS = [(name, each) for name, each in MANIFESTS if each["kind"] in ("Deployment", "CronJob")]


def pod(manifest: Document) -> Document:
    """Return the description of a manifest's pods."""
    spec = manifest["spec"]["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else manifest["spec"]
    found: Document = spec["template"]["spec"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "manifest"), MANIFESTS, ids=[f"{name}-{each['metadata']['name']}" for name, each in MANIFESTS])
def test_the_manifests_fit_the_schemas(name: str, manifest: Document, version: str) -> None:
    """Every manifest has the form that these versions of Kubernetes want, with no word that they don't know."""
    kubernetes_validate.validate(copy.deepcopy(manifest), version, strict=True)
    wrong = {**manifest, "spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_list_of_manifests() -> None:
    """Every file is in the list, in use or ready to be: none is forgotten, and none that is gone is named."""
    text = (KUBERNETES / "kustomization.yaml").read_text()
    listed = [line.strip().removeprefix("# ").removeprefix("- ") for line in text.splitlines() if line.strip(" #").startswith("- ")]
    assert sorted({name for name, _ in MANIFESTS}) == sorted(listed)
    assert {"retention"} == {each["metadata"].get("namespace", each["metadata"]["name"]) for _, each in MANIFESTS}


@pytest.mark.parametrize(("name", "manifest"), PODS, ids=[name for name, _ in PODS])
def test_the_pods(name: str, manifest: Document) -> None:
    """The tightest profile, no token, a disk that can't be written but for what is meant, and names that exist."""
    spec = pod(manifest)
    assert False is spec["automountServiceAccountToken"]
    assert (True, 10001, "RuntimeDefault") == (
        spec["securityContext"]["runAsNonRoot"],
        spec["securityContext"]["runAsUser"],
        spec["securityContext"]["seccompProfile"]["type"],
    )
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert (False, True, ["ALL"]) == (
        security["allowPrivilegeEscalation"],
        security["readOnlyRootFilesystem"],
        security["capabilities"]["drop"],
    )
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in spec["volumes"]}
    claims = {each["metadata"]["name"] for _, each in MANIFESTS}
    for volume in spec["volumes"]:
        named = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
        named = named or volume.get("persistentVolumeClaim", {}).get("claimName")
        assert named is None or named in claims
    words = container["args"] if "command" not in container else shlex.split(container["args"][0].partition(";")[0])[1:]
    assert is_command(words), words


def test_names_and_schedules() -> None:
    """Maps and secret hold settings; the job and RETENTION_SCHEDULE call for the same moment; there is one beat, and never two at once."""
    named = {each["metadata"]["name"]: each for _, each in MANIFESTS}
    assert all(is_setting(name) for name in named["retention-settings"]["data"])
    assert all(is_setting(name) for name in named["retention-secrets"]["stringData"])
    job = named["retention-run"]["spec"]
    assert SCHEDULE == job["schedule"] == named["retention-settings"]["data"]["RETENTION_SCHEDULE"]
    assert f'timezone = "{job["timeZone"]}"' in named["retention-policies"]["data"]["policies.toml"]
    assert ("Forbid", 0) == (job["concurrencyPolicy"], job["jobTemplate"]["spec"]["backoffLimit"])
    beat = next(each for _, each in MANIFESTS if each["kind"] == "Deployment" and each["metadata"]["name"] == "retention-beat")
    assert (1, "Recreate") == (beat["spec"]["replicas"], beat["spec"]["strategy"]["type"])


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (4, 0), (1, 1), (2, 2), (3, 3), (5, 5)])
def test_what_the_job_calls_a_failure(code: int, expected: int, tmp_path: Path) -> None:
    """A night with findings is done; one that was refused or partial is a failed job. The job's own shell line decides."""
    (container,) = pod(next(each for _, each in MANIFESTS if each["kind"] == "CronJob"))["containers"]
    stand_in = tmp_path / "retention"
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = "run --json" ] || exit 99\nexit {code}\n')
    stand_in.chmod(0o755)
    done = subprocess.run([*container["command"], *container["args"]], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False)
    assert expected == done.returncode


# --- The index ----------------------------------------------------------------------------------------------------------------------------


def test_the_index_names_every_file() -> None:
    """deploy/README.md leads to all that is here, and to nothing that is not; the commands it shows exist."""
    folder = REPOSITORY / "deploy"
    text = (folder / "README.md").read_text(encoding="utf-8")
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)} - {""}
    assert [] == [each for each in links if not (folder / each).exists()]
    shown = text + (KUBERNETES / "kustomization.yaml").read_text()
    named = {path.name for path in folder.rglob("*") if path.is_file() and path.parent.name not in ("schedules", "retention")}
    beside = {"README.md", "Dockerfile.dockerignore"} | {path.name for path in folder.rglob("*.timer")}
    assert set() == {each for each in named - beside if each not in shown}
    for words in re.findall(r"(?m)^[$#] retention ([^\n|>#]+)", text):
        assert words.split()[0] in retention.commands, words
