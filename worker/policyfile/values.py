"""The kinds of values that stand in a policy file, each with what a JSON Schema says of it: periods, zones, names, texts, switches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, StringConstraints, Tag, WithJsonSchema

from worker.core.periods import FiscalYear, Period
from worker.policyfile.periods import INDEFINITE, NAME, Written, written

TAGS = frozenset({"as text", "as list", "as table", "as generalise", "as scrub"})
"""What pydantic adds to the place of an error inside a value that may have several kinds; no part of the path in the file."""

FORM = "x-form"
"""Marks in a model's JSON Schema a value whose form `worker.policyfile.schema` describes by hand, because it is recursive or open."""


class Shape(BaseModel):
    """What all tables have in common: no unknown keys, no conversions, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


# --- Kinds of values ------------------------------------------------------------------------------------------------------------------


def _kind(value: object) -> str | None:
    """Return the tag of a value that may be a text, a list or a table."""
    match value:
        case str():
            return "as text"
        case list():
            return "as list"
        case dict():
            return "as table"
        case _:
            return None


def _period(value: object) -> Period:
    if not isinstance(value, str):
        raise ValueError("must be a period as text, such as 'P8W' or 'P2Y'")  # noqa: TRY004 - pydantic collects ValueError
    return Period.parse(value)


def _keep(value: object) -> Written | None:
    return None if value == INDEFINITE else written(value)


_FOREIGN_ZONES = ("posix/", "right/", "localtime", "posixrules", "Factory")


def zone(value: object) -> ZoneInfo:
    """Return a time zone of the IANA database by its name; ValueError for everything else."""
    wrong = "is not a time zone of the IANA database, such as 'Europe/Amsterdam' or 'UTC'"
    if not isinstance(value, str) or value.startswith(_FOREIGN_ZONES):
        raise ValueError(wrong)
    try:
        return ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{value!r} {wrong}") from error


def _stored_zone(value: object) -> ZoneInfo | Literal["offset"]:
    return "offset" if value == "offset" else zone(value)


def _fiscal_year(value: object) -> FiscalYear:
    if not isinstance(value, str):
        raise ValueError("must be a day of the year as text, such as '12-31'")  # noqa: TRY004 - pydantic collects ValueError
    try:
        return FiscalYear.parse(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a day that every year has, written MM-DD, such as '12-31'") from error


def _text(pattern: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


def _either(message: str) -> Discriminator:
    return Discriminator(_kind, custom_error_type="kind", custom_error_message=message)


_PERIOD_PATTERN = r"^P(?=\d)(\d{1,4}Y)?(\d{1,5}M)?(\d{1,6}W)?(\d{1,7}D)?$"
OwnPeriod = Annotated[Period, PlainValidator(_period), _text(_PERIOD_PATTERN)]
Duration = Annotated[Written, PlainValidator(written), _text(f"{_PERIOD_PATTERN}|{NAME}")]
Keep = Annotated[Written | None, PlainValidator(_keep), _text(f"{_PERIOD_PATTERN}|{NAME}")]
Zone = Annotated[ZoneInfo, PlainValidator(zone), WithJsonSchema({"type": "string", "examples": ["Europe/Amsterdam", "UTC"]})]
StoredZone = Annotated[
    ZoneInfo | Literal["offset"], PlainValidator(_stored_zone), WithJsonSchema({"type": "string", "examples": ["UTC", "offset"]})
]
YearEnd = Annotated[FiscalYear, PlainValidator(_fiscal_year), _text(r"^\d\d-\d\d$")]

NAME_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,62}$": "a name of small letters, digits and _ that begins with a letter",
    r"^[A-Za-z_][A-Za-z0-9_]{0,62}$": "a name of letters, digits and _ that does not begin with a digit",
    NAME: "a name of small letters, digits, - and _ that begins with a letter",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "a name of small letters, digits and - between them, as in an Internet domain",
    r"^[A-Z]{2}$": "the code of a country in two capitals, such as 'NL' (ISO 3166-1)",
}
_SOURCE, _FIELD, _ID, _DOMAIN, _COUNTRY = (StringConstraints(pattern=pattern) for pattern in NAME_PATTERNS)
SourceName = Annotated[str, _SOURCE]
FieldName = Annotated[str, _FIELD]
Id = Annotated[str, _ID]
DomainName = Annotated[str, _DOMAIN]
Country = Annotated[str, _COUNTRY]
Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
TextOrTexts = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[Texts, Tag("as list")],
    _either("must be a text or a list of texts"),
]
IdOrIds = Annotated[
    Annotated[Id, Tag("as text")] | Annotated[Annotated[list[Id], Field(min_length=1)], Tag("as list")],
    _either("must be a name or a list of names"),
]
Days = dt.date
Condition = Annotated[dict[str, Any], WithJsonSchema({FORM: "Condition"})]
Given = Annotated[Any, WithJsonSchema({FORM: "Given"})]
Scalars = Annotated[Any, WithJsonSchema({FORM: "Values"})]


def described(text: str) -> Any:
    """Return a key that has to be given, with what it is for."""
    return Field(description=text)


def optional(text: str) -> Any:
    """Return a key that may be left out."""
    return Field(default=None, description=text)


def usually(value: object, text: str) -> Any:
    """Return a key with what it is when left out."""
    return Field(default=value, description=text)


def switch(text: str) -> Any:
    """Return a key that is false unless said otherwise."""
    return Field(default=False, description=text)


def empty_by(factory: Callable[[], object], text: str) -> Any:
    """Return a key that is empty when left out."""
    return Field(default_factory=factory, description=text)
