"""Rendering the payload of an audit line: flat JSON, ASCII only, `@timestamp` first.

Two ways lead to the same bytes: `payload` for the few events that are not per record, and a compiled template for the
many that are. ASCII only, so that no log shipper can break a hash by guessing an encoding.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

TIMESTAMP = "@timestamp"


def instant(moment: dt.datetime) -> str:
    """Return an aware instant as ISO 8601 in UTC with milliseconds and Z. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("an audit event needs an aware instant")
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def fragment(value: JsonValue) -> str:
    """Return the value as compact ASCII JSON. Raises TypeError or ValueError for what JSON can't say, NaN included."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def flattened(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the members with nested mappings unfolded into dotted names. Raises ValueError when two become one name."""
    flat: dict[str, JsonValue] = {}
    for name, value in fields.items():
        inner = {f"{name}.{key}": item for key, item in flattened(value).items()} if isinstance(value, Mapping) else {name: value}
        twice = flat.keys() & inner.keys()
        if twice:
            raise ValueError(f"an audit event says {min(twice)} twice")
        flat.update(inner)
    return flat


def payload(fields: Mapping[str, JsonValue]) -> bytes:
    """Return one event as a payload: flat, in the order given but `@timestamp` first.

    Raises ValueError when `@timestamp` is missing, or a name stands twice, and TypeError for what JSON can't say.
    """
    flat = flattened(fields)
    if TIMESTAMP not in flat:
        raise ValueError(f"an audit event needs {TIMESTAMP}")
    return fragment({TIMESTAMP: flat.pop(TIMESTAMP), **flat}).encode("ascii")


def compile_template(fixed: Mapping[str, JsonValue], varying: Sequence[str]) -> Callable[..., bytes]:
    """Return a function that renders payloads that differ only in the `varying` members.

    The function takes one argument per varying member, in that order, each already encoded as ASCII JSON (an int's
    digits, a quoted text: see `fragment`), and does not check them: it is the hot path. `@timestamp` is one of the fixed
    or of the varying members and comes out first; then the fixed ones, then the varying ones. The function raises
    TypeError for the wrong number of arguments. Raises ValueError when a name stands twice or `@timestamp` nowhere.
    """
    constant = flattened(fixed)
    names = [*constant, *varying]
    if len(set(names)) != len(names):
        raise ValueError("an audit template says a member twice")
    if TIMESTAMP not in names:
        raise ValueError(f"an audit template needs {TIMESTAMP}")
    members = {name: fragment(value).replace("%", "%%") for name, value in constant.items()}
    members |= dict.fromkeys(varying, "%s")
    # The varying members keep their order, so a varying time stamp that is not the first one is moved in the arguments.
    order = [varying.index(TIMESTAMP)] if TIMESTAMP in varying else []
    order += [position for position, name in enumerate(varying) if name != TIMESTAMP]
    sequence = [TIMESTAMP, *(name for name in members if name != TIMESTAMP)]
    text = "{" + ",".join(f"{fragment(name).replace('%', '%%')}:{members[name]}" for name in sequence) + "}"

    if order == list(range(len(varying))):

        def render(*values: str) -> bytes:
            return (text % values).encode("ascii")

        return render

    count = len(varying)

    def render_reordered(*values: str) -> bytes:
        if len(values) != count:
            raise TypeError(f"this audit template takes {count} members, not {len(values)}")
        return (text % tuple(values[position] for position in order)).encode("ascii")

    return render_reordered
