"""Payloads: the same bytes from the template and from the mapping, and nothing that JSON can't say."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.audit.render import compile_template, flattened, fragment, instant, payload

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(min_size=1, max_size=8)


def test_an_instant_is_utc_with_milliseconds_and_z() -> None:
    """Event times are ISO 8601 in UTC, whatever zone they came in."""
    summer = dt.datetime(2026, 7, 1, 0, 30, 0, 999999, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert instant(summer) == "2026-06-30T22:30:00.999Z"


def test_a_naive_instant_is_refused() -> None:
    """A time without a zone is no time."""
    with pytest.raises(ValueError, match="aware"):
        instant(dt.datetime(2026, 7, 1))


def test_the_time_stamp_comes_first_and_mappings_are_unfolded() -> None:
    """Readers find the time at once, and every member under one dotted name."""
    rendered = payload({"event.action": "a", "retention.counts": {"due": 1, "kept": {"held": 2}}, "@timestamp": "t"})
    expected = b'{"@timestamp":"t","event.action":"a","retention.counts.due":1,"retention.counts.kept.held":2}'
    assert rendered == expected


def test_two_members_of_one_name_are_refused() -> None:
    """A member that hides another would make two readers read two things."""
    with pytest.raises(ValueError, match="twice"):
        flattened({"a.b": 1, "a": {"b": 2}})
    with pytest.raises(ValueError, match="twice"):
        compile_template({"@timestamp": "t", "a.b": 1}, ["a.b"])


def test_what_has_no_time_is_refused() -> None:
    """No event without a time."""
    with pytest.raises(ValueError, match="@timestamp"):
        payload({"event.action": "a"})
    with pytest.raises(ValueError, match="@timestamp"):
        compile_template({"event.action": "a"}, ["b"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), dt.date(2026, 1, 1), b"x"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """NaN and objects never reach the trail."""
    with pytest.raises((TypeError, ValueError)):
        fragment(value)  # type: ignore[arg-type]


def test_a_template_takes_exactly_its_members() -> None:
    """A member too few or too many is an error, in both shapes of the template."""
    for varying in (["@timestamp", "a"], ["a", "@timestamp"]):
        render = compile_template({"event.action": "x"}, varying)
        for values in (("1",), ("1", "2", "3")):
            with pytest.raises(TypeError):
                render(*values)


@given(st.dictionaries(NAMES, SCALARS, max_size=5), st.dictionaries(NAMES, SCALARS, max_size=5), st.booleans())
def test_a_template_renders_what_the_mapping_renders(fixed: dict[str, object], varying: dict[str, object], timed_late: bool) -> None:
    """The fast way and the plain way give the same bytes: ASCII, one line, valid JSON."""
    constant = {name: value for name, value in fixed.items() if name not in varying and name != "@timestamp"}
    changing = {name: value for name, value in varying.items() if name != "@timestamp"}
    changing = {**changing, "@timestamp": "t"} if timed_late else {"@timestamp": "t", **changing}
    render = compile_template(constant, list(changing))  # type: ignore[arg-type]
    rendered = render(*(fragment(value) for value in changing.values()))  # type: ignore[arg-type]
    assert rendered == payload({**constant, **changing})  # type: ignore[arg-type]
    assert json.loads(rendered) == {**constant, **changing}
    assert rendered.isascii()
    assert b"\n" not in rendered
