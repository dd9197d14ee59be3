"""What an installation may choose, from the environment, a `.env` file and a folder of secrets, in that order.

Addresses and passwords live here and never in the policy file. An unknown variable is an error and not a default:
a misspelt brake would otherwise be no brake. No error and no description shows a secret.
"""

from __future__ import annotations

import difflib
import io
import os
import pwd
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from dotenv.parser import parse_stream
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from worker.core.expecting import checked as _cron
from worker.core.timetable import windows
from worker.errors import ConfigurationError, Problem, Problems
from worker.ports import BATCH_SECONDS

PREFIX = "RETENTION_"
SECRETS_VARIABLE = "RETENTION_SECRETS_DIR"
_SECRETS_DEFAULT = Path("/run/secrets/retention")
_SOURCES = "RETENTION_SOURCES"
_SOURCE_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_PERIOD = re.compile(r"P(?=\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?", re.ASCII)
_ROOT_KEY = PREFIX + "ROOT_KEY"
_ROOT_ITSELF = re.compile(r"(\s*[0-9a-fA-F]{64}\s*)+")
_HIDDEN = "***"
_LEASE_MARGIN_SECONDS = 60.0
_SHOWABLE_PARAMETERS = {"application_name", "charset", "connect_timeout", "mode", "sslmode", "unix_socket"}


def _period(value: str) -> str:
    if not _PERIOD.fullmatch(value) or not any(int(number) for number in re.findall(r"\d+", value)):
        raise ValueError("must be a calendar period longer than nothing, such as P7D, P8W or P1Y6M")
    return value


def _windows(value: str) -> str:
    windows(value)
    return value


def _no_root(value: Path) -> Path:
    if _ROOT_ITSELF.fullmatch(str(value)):
        raise ValueError("must be the path of a file that holds the root, not the root itself; whoever saw it here may know it now")
    return value


Cron = Annotated[str, AfterValidator(_cron)]
"""Minute, hour, day of the month, month, weekday: local time of the organisation."""

Period = Annotated[str, AfterValidator(_period)]
"""ISO 8601 calendar period in whole years, months, weeks and days."""


class SourceSettings(BaseModel):
    """Where one source is found and how to get in. Set as RETENTION_SOURCES__<NAME>__URL and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr | None = Field(None, description="Address of the system, with user and password.")
    path: Path | None = Field(None, description="Folder or file, for a source that is one.")
    options: dict[str, str] = Field(default_factory=dict, repr=False, description="What only this connector knows, by name; never shown.")
    schedule: Cron | None = Field(None, description="Cron expression of this source's runs, instead of the setting for all.")
    concurrency: int | None = Field(None, ge=1, le=256, description="Most batches of this source at once, instead of the setting for all.")
    witness_table: bool = Field(
        default=False, description="May a small table be kept in that database, which proves what a crash left behind?"
    )
    max_lag: float | None = Field(None, ge=0, allow_inf_nan=False, description="Wait while a replica is further behind, in seconds.")
    max_transaction: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Wait while somebody's transaction is older, in seconds."
    )


class Settings(BaseSettings):
    """Every setting of one installation; immutable. Made by `load`. Relative paths start at the current folder."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    policies: Path = Field(Path("policies.toml"), description="The policy file.")
    state: Path = Field(Path(".retention"), description="Folder for what the worker itself keeps.")
    ledger: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the ledger, SQLite or PostgreSQL; default: ledger.sqlite in `state`."
    )
    audit: Path | None = Field(None, description="Folder of the audit trail; default: audit in `state`.")
    audit_output: Literal["files", "stdout", "both"] = Field(
        "files", description="Where the audit trail goes: to its folder, or also line by line to standard output."
    )
    plans: Path | None = Field(None, description="Folder of plan files; default: plans in `state`.")
    keys: Path | None = Field(None, description="The key file, never inside `state`; default: ~/.config/retention/keys.json.")
    root_key: Annotated[Path, AfterValidator(_no_root)] | None = Field(
        None, description="File of the root that the keys are wrapped with; default: beside the key file, its name ending in .root."
    )
    approval: Literal["first_run", "always"] = Field(
        "first_run", description="Which plans need a person's yes: the first under a policy version, or every one."
    )
    four_eyes: bool = Field(default=False, description="Must somebody else than its maker approve a plan?")
    plan_expires: Period = Field("P7D", description="How long a plan can be applied after it was made.")
    batch_size: int = Field(5000, ge=1, le=20_000, description="Records in one transaction.")
    processes: int | None = Field(
        None, ge=1, le=64, description="Processes that carry out the batches of one call together; default: 2, or 1 on a single core."
    )
    broker: SecretStr | None = Field(None, description="URL of the Redis that wakes workers; without one a run is one command's.")
    schedule: Cron | None = Field(
        None, description="Cron expression of the runs that `retention beat` begins, in the organisation's time zone."
    )
    blackout: Annotated[str, AfterValidator(_windows)] | None = Field(
        None, description="When workers begin nothing, local time: `Mo-Fr 08:00-18:00; Sa 10:00-12:00`."
    )
    concurrency: int = Field(4, ge=1, le=256, description="Most batches of one source at once, over all workers.")
    max_records: int = Field(10_000, ge=0, description="Brake: most records one run may act on in a source.")
    max_share: float = Field(0.25, ge=0, le=1, allow_inf_nan=False, description="Brake: largest part of a source, 0.25 is a quarter.")
    max_jump: float = Field(5.0, ge=1, allow_inf_nan=False, description="Brake: how many times the median of earlier runs.")
    jump_floor: int = Field(100, ge=0, description="Up to this number of records `max_share` and `max_jump` don't stop a run.")
    max_clock_leap: Period = Field("P35D", description="Brake: longest time since the last run.")
    tranche: int | None = Field(None, ge=1, description="Most records per run of an approved plan; default: no limit.")
    max_minutes: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Time budget: after so many minutes a run begins no more batches; default: no limit."
    )
    pace: float = Field(0, ge=0, le=100, allow_inf_nan=False, description="How many times a batch's own time is rested after it.")
    max_pause: float = Field(
        30, ge=0, allow_inf_nan=False, description="Most minutes a source is waited for while its system is loaded or does not answer."
    )
    max_error_share: float = Field(
        0.2, ge=0, le=1, allow_inf_nan=False, description="Share of records that fail or are busy above which a source is given up."
    )
    error_floor: int = Field(25, ge=1, description="Up to this number of records tried `max_error_share` doesn't give a source up.")
    first_batch: int = Field(
        50, ge=1, description="Records in a source's first batch; each later one has five times as many, up to `batch_size`."
    )
    batch_seconds: int = Field(
        BATCH_SECONDS, ge=1, le=3600, description="How long a batch may take; the database ends a session that idles or works longer."
    )
    retries: int = Field(3, ge=0, le=10, description="How often a batch is tried again when its system is busy or the connection was lost.")
    retry_seconds: float = Field(1.0, ge=0, le=60, allow_inf_nan=False, description="Wait before the first such try; later ones double it.")
    log_format: Literal["console", "json"] = Field("console", description="Form of the operational log on stderr.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    operator: str | None = Field(None, min_length=1, description="Who runs this, for approvals; default: the operating system's user.")
    sources: dict[str, SourceSettings] = Field(default_factory=dict, description="Addresses, by name of the source.")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` gathered, so that the process's environment can't be mixed in a second time."""
        return (init_settings,)

    def found_in(self, origins: Mapping[str, str]) -> Self:
        """Return the same settings, knowing where each variable was found."""
        self._origins.update(origins)
        return self

    def origin(self, variable: str) -> str:
        """Return where a variable's value came from: the environment, a file (and line), or `default`."""
        return self._origins.get(variable, "default")

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger, with its password in plain text."""
        if self.ledger is not None:
            return self.ledger.get_secret_value()
        return f"sqlite:///{Path(os.path.abspath(self.state)) / 'ledger.sqlite'}"  # noqa: PTH100 - keeps links readable

    @property
    def audit_folder(self) -> Path:
        """Folder of the audit trail."""
        return self.audit or self.state / "audit"

    @property
    def stop_file(self) -> Path:
        """The file that stops every run on this machine as long as it is there, whatever it holds; it needs no ledger."""
        return self.state / "stop"

    @property
    def plans_folder(self) -> Path:
        """Folder of plan files."""
        return self.plans or self.state / "plans"

    @property
    def keys_file(self) -> Path:
        """The key file. Outside `state`, so that a copy of the ledger never carries the keys along."""
        keys = _at_home(self.keys) if self.keys is not None else _default_keys({})
        if keys is None:
            raise ConfigurationError("This user has no home folder for the keys: say with RETENTION_KEYS where they are, as a whole path.")
        return keys

    @property
    def root_file(self) -> Path:
        """The file of the root. By default beside the key file, links resolved, and named after it: two key files have a root each."""
        if self.root_key is not None:
            return _at_home(self.root_key) or self.root_key
        return Path(os.path.realpath(self.keys_file)).with_suffix(".root")

    @property
    def operator_name(self) -> str:
        """Who runs this: the setting, or else the name of the effective user, which the environment can't change."""
        if self.operator is not None:
            return self.operator
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return f"uid {os.geteuid()}"

    @property
    def process_count(self) -> int:
        """How many processes carry out the batches of one call together."""
        return self.processes if self.processes is not None else min(2, os.cpu_count() or 1)

    @property
    def lease_seconds(self) -> float:
        """For how long a batch is one worker's: longer than its transaction can be open, so that whoever comes next comes after it."""
        return 2 * self.batch_seconds + _LEASE_MARGIN_SECONDS

    def schedule_of(self, source: str) -> str | None:
        """Return the cron expression of a source's runs, None when nothing begins them but a person."""
        return self.source(source).schedule or self.schedule

    def concurrency_of(self, source: str) -> int:
        """Return how many batches of a source may be carried out at once, over all workers."""
        return self.source(source).concurrency or self.concurrency

    def source(self, name: str) -> SourceSettings:
        """Return the settings of a source, empty ones when none were given; `-` in its name is written `_` here."""
        return self.sources.get(name.lower().replace("-", "_"), SourceSettings())


class Shown(NamedTuple):
    """One setting as a person may see it: its variable, its value with secrets hidden, and where it came from."""

    name: str
    value: str
    origin: str


class _Given(NamedTuple):
    """A variable's value and a text that says where it was found."""

    value: str
    origin: str


class _Reader(EnvSettingsSource):
    """Turns gathered variables into nested values; every value stays text, so that an option `007` stays `007`."""

    def __init__(self, variables: Mapping[str, _Given]) -> None:
        super().__init__(Settings)
        self.env_vars = {name.lower(): given.value for name, given in variables.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - as inherited
        return value


def load(environ: Mapping[str, str] | None = None, *, folder: Path = Path()) -> Settings:
    """Read the settings from the environment, from `.env` in the folder, and from the folder of secrets.

    The environment wins over `.env`, which wins over secrets. An empty value counts as not given. Raises
    ConfigurationError with everything that is wrong at once, by variable and origin, never with a value.
    """
    environ = os.environ if environ is None else environ
    variables = _gather(environ, folder)
    problems = [problem for name, given in variables.items() if (problem := _unknown(name, given)) is not None]
    if problems:
        raise Problems("The settings have mistakes:", problems)
    origins = {name: given.origin for name, given in variables.items()}
    try:
        settings = Settings(**{"keys": _default_keys(environ), **_Reader(variables)()})
    except ValidationError as error:
        problems = [_invalid(detail["loc"], detail["msg"], origins) for detail in error.errors(include_input=False)]
        # The cause is not chained: it carries the values.
        raise Problems("The settings have mistakes:", problems) from None
    return settings.found_in(origins)


def describe(settings: Settings) -> list[Shown]:
    """Return every setting by the name of its variable, in the order of the documentation, with secrets hidden."""
    resolved = {
        "ledger": settings.ledger_url,
        "audit": settings.audit_folder,
        "plans": settings.plans_folder,
        "keys": settings.keys_file,
        "root_key": settings.root_file,
        "operator": settings.operator_name,
        "broker": settings.broker.get_secret_value() if settings.broker is not None else None,
        "processes": settings.process_count,
        "tranche": "no limit" if settings.tranche is None else settings.tranche,
        "max_minutes": "no limit" if settings.max_minutes is None else settings.max_minutes,
    }
    shown = []
    for field in Settings.model_fields:
        if field != "sources":
            name = PREFIX + field.upper()
            value = resolved.get(field, getattr(settings, field))
            text = hide_password(str(value)) if field in {"ledger", "broker"} and value is not None else str(value)
            shown.append(Shown(name, text, settings.origin(name)))
    for source, given in sorted(settings.sources.items()):
        for name, text in _describe_source(f"{_SOURCES}__{source.upper()}", given):
            shown.append(Shown(name, text, settings.origin(name)))
    return shown


def hide_password(url: str) -> str:
    """Return a URL that a person may see: scheme, user, host and path, with the password and unknown parameters hidden.

    Passwords with characters that should have been escaped are hidden as well: everything up to the last `@` may be one.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _HIDDEN
    access, at, place = rest.rpartition("@")
    place = place.partition("#")[0]
    if at:
        user, colon, _ = access.partition(":")
        # Without a colon it may be a user or a token: only what is certainly a user's name is shown.
        access = f"{user}:{_HIDDEN}@" if colon and re.fullmatch(r"[\w.%-]*", user) else f"{_HIDDEN}@"
    place, question, query = place.partition("?")
    parameters = [
        f"{name}{equals}{value if name in _SHOWABLE_PARAMETERS else _HIDDEN}"
        for name, equals, value in (part.partition("=") for part in query.split("&"))
    ]
    return f"{scheme}://{access}{place}{question}{'&'.join(parameters) if question else ''}"


def _default_keys(environ: Mapping[str, str]) -> Path | None:
    # The base directory specification has relative values ignored.
    base: Path | None = Path(environ.get("XDG_CONFIG_HOME", ""))
    if base is None or not base.is_absolute():
        base = _at_home(Path("~/.config"))
    return None if base is None else base / "retention" / "keys.json"


def _at_home(path: Path) -> Path | None:
    """Return a path with `~` resolved; None for a user without a home, such as a number that a container was given."""
    try:
        return path.expanduser()
    except RuntimeError:
        return None


def _describe_source(prefix: str, given: SourceSettings) -> Iterator[tuple[str, str]]:
    if given.url is not None:
        yield f"{prefix}__URL", hide_password(given.url.get_secret_value())
    if given.path is not None:
        yield f"{prefix}__PATH", str(given.path)
    for option in sorted(given.options):
        # Only the connector knows which of its options are secret, so all of them are treated as if they were.
        yield f"{prefix}__OPTIONS__{option.upper()}", _HIDDEN
    if given.schedule is not None:
        yield f"{prefix}__SCHEDULE", given.schedule
    if given.concurrency is not None:
        yield f"{prefix}__CONCURRENCY", str(given.concurrency)
    yield f"{prefix}__WITNESS_TABLE", str(given.witness_table)
    for name, limit in (("MAX_LAG", given.max_lag), ("MAX_TRANSACTION", given.max_transaction)):
        yield f"{prefix}__{name}", "no limit" if limit is None else str(limit)


def _gather(environ: Mapping[str, str], folder: Path) -> dict[str, _Given]:
    """Return the worker's variables by upper-case name, the strongest origin of each."""
    outside = {name.upper(): _Given(value, "environment") for name, value in environ.items()}
    written = _dotenv(folder / ".env")
    secrets = (outside.get(SECRETS_VARIABLE) or written.get(SECRETS_VARIABLE) or _Given("", "")).value
    merged = {**_secrets(Path(secrets) if secrets else None), **_given(written), **_given(outside)}
    merged.pop(SECRETS_VARIABLE, None)
    return merged


def _given(variables: Mapping[str, _Given]) -> dict[str, _Given]:
    return {name: given for name, given in variables.items() if name.startswith(PREFIX) and given.value != ""}


def _dotenv(path: Path) -> dict[str, _Given]:
    """Return the variables of a `.env` file as written: `$` has no meaning in it, because passwords contain it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}.") from error
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        name = (binding.key or "").upper()
        if binding.error or (name.startswith(PREFIX) and binding.value is None):
            raise ConfigurationError(f"{path}, line {binding.original.line}: write NAME=value, one to a line.")
        if binding.value is not None:
            found[name] = _Given(binding.value, f"{path}, line {binding.original.line}")
    return found


def _secrets(folder: Path | None) -> dict[str, _Given]:
    """Return the secrets in a folder: one file for each, named as the variable, with or without its prefix."""
    declared = folder is not None
    folder = folder or _SECRETS_DEFAULT
    if not declared and not folder.is_dir():
        return {}
    found: dict[str, _Given] = {}
    try:
        for file in sorted(folder.iterdir()):
            if file.name.startswith(".") or not file.is_file():
                continue
            name = file.name.upper()
            name = name if name.startswith(PREFIX) else PREFIX + name
            if name in found:
                raise ConfigurationError(f"{file} and {found[name].origin} are the same setting. Remove one of them.")
            # The root is read by whoever opens keys with it, and from nowhere else: its file is the setting.
            value = str(file) if name == _ROOT_KEY else file.read_text(encoding="utf-8").rstrip("\r\n")
            found[name] = _Given(value, str(file))
    except UnicodeDecodeError:
        raise ConfigurationError(f"A file in {folder} is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigurationError(
            f"The folder of secrets {folder} can't be read: {error.strerror}. Make it, or unset {SECRETS_VARIABLE}."
        ) from error
    return _given(found)


def _unknown(name: str, given: _Given) -> Problem | None:
    """Return what is wrong with a variable's name, or None."""
    plain = {PREFIX + field.upper() for field in Settings.model_fields if field != "sources"}
    if name in plain:
        return None
    first, *rest = name.split("__")
    parts = {field.upper() for field in SourceSettings.model_fields}
    if first == _SOURCES and rest and _SOURCE_NAME.fullmatch(rest[0].lower()):
        match rest[1:]:
            case ["OPTIONS", option] if option:
                return None
            case [part] if part in parts - {"OPTIONS"}:
                return None
        valid = [f"{_SOURCES}__{rest[0]}__{part}" for part in sorted(parts - {"OPTIONS"})]
        valid.append(f"{_SOURCES}__{rest[0]}__OPTIONS__<OPTION>")
    elif first == _SOURCES:
        valid = [f"{_SOURCES}__<NAME>__{part}" for part in ("URL", "PATH")]
    else:
        valid = sorted(plain | {SECRETS_VARIABLE})
        # A misspelt RETENTION_SOURCES__ still has its parts, which are what makes it one.
        if rest:
            valid = ["__".join((_SOURCES, *rest))]
    # Compared without the prefix, which would make every name look like every other.
    endings = [one.removeprefix(PREFIX) for one in valid]
    nearest = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1, cutoff=0.5)
    hint = f"Did you mean {PREFIX}{nearest[0]}?" if nearest else f"Valid here: {', '.join(valid)}."
    return Problem(f"{name} ({given.origin})", "there is no such setting.", hint)


def _invalid(location: tuple[int | str, ...], message: str, origins: Mapping[str, str]) -> Problem:
    name = PREFIX + "__".join(str(part) for part in location).upper()
    what = message.removeprefix("Value error, ").rstrip(".")
    return Problem(f"{name} ({origins.get(name, 'default')})", f"{what[:1].lower()}{what[1:]}.")
