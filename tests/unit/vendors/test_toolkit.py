"""The toolkit for fakes of vendors: what is not described fails, and a description that contradicts the vendor's is found out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.vendors.compare import compare, documents_in, main
from tests.vendors.described import Call, Description
from tests.vendors.server import Asked, Reply, Vendor, route

PERSON = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "state": {"enum": ["on", "off"]}, "seen": {"type": "string", "format": "date-time"}},
    "required": ["id"],
}
ERROR = {"type": "object", "properties": {"code": {"type": "string"}}}
CALLS = (
    Call("GET", "/people", {200: {"type": "array", "items": PERSON}, "default": ERROR}, query={"limit": {"type": "integer"}}),
    Call("PUT", "/people/{id}", {204: None}, places={"id": {"type": "integer"}}, body={"type": "object", "properties": {"state": {}}}),
    Call("POST", "/people/{id}", {200: PERSON}, body=PERSON, form=True),
)


class Fake(Vendor):
    """A vendor that answers what it is told to."""

    description: ClassVar[Description] = Description("example", "/v1", CALLS)
    said: Any = ()

    def admits(self, asked: Asked) -> Reply | None:
        return None if asked.headers.get("authorization") == "key" else Reply(401, {"code": "who"})

    @route("GET", "/people")
    def people(self, asked: Asked) -> Reply:
        return Reply(200, list(self.said))

    @route("PUT", "/people/{id}")
    def change(self, asked: Asked) -> Reply:
        return Reply(204) if asked.json else Reply(200, {})

    @route("POST", "/people/{id}")
    def filled(self, asked: Asked) -> Reply:
        return Reply(200, {"id": int(asked.form["id"])})


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake().running() as running:
        yield running
        running.violations.clear()


def ask(fake: Fake, method: str, path: str, key: str = "key", **how: Any) -> httpx.Response:
    with httpx.Client(base_url=fake.url, trust_env=False, headers={"Authorization": key}) as client:
        return client.request(method, path, **how)


def test_what_is_described_is_served(fake: Fake) -> None:
    """Requests and answers as described pass, JSON and forms alike; the calls that were made are known, and those that were not."""
    fake.said = [{"id": 1, "state": "on", "seen": "2026-01-01T00:00:00Z"}]
    assert fake.said == ask(fake, "GET", "/v1/people?limit=3").json()
    assert ["POST /people/{id}", "PUT /people/{id}"] == fake.unused()
    assert 204 == ask(fake, "PUT", "/v1/people/1", json={"state": "off"}).status_code
    assert {"id": 7} == ask(fake, "POST", "/v1/people/1", data={"id": "7", "state": "on"}).json()
    assert (401, {"code": "who"}) == ((got := ask(fake, "GET", "/v1/people", key="other")).status_code, got.json())
    fake.assert_described()


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("GET", "/v1/persons", {}),
        ("GET", "/people", {}),
        ("DELETE", "/v1/people", {}),
        ("PUT", "/v1/people/", {"json": {"state": "off"}}),
        ("PUT", "/v1/people/one", {"json": {"state": "off"}}),
        ("GET", "/v1/people?page=2", {}),
        ("GET", "/v1/people?limit=many", {}),
        ("GET", "/v1/people", {"json": {}}),
        ("PUT", "/v1/people/1", {"json": {"name": "x"}}),
        ("PUT", "/v1/people/1", {"content": b"<xml>"}),
        ("PUT", "/v1/people/1", {"json": {}}),
        ("POST", "/v1/people/1", {"data": {"id": "seven"}}),
        ("POST", "/v1/people/1", {"data": {"state": "on"}}),
    ],
)
def test_a_request_that_is_not_described_fails(fake: Fake, method: str, path: str, how: dict[str, Any]) -> None:
    """A call, a parameter, a member or a value that the description doesn't know is kept, and fails the test."""
    assert 422 == ask(fake, method, path, **how).status_code
    with pytest.raises(AssertionError):
        fake.assert_described()


@pytest.mark.parametrize(
    "said", [[{"id": "1"}], [{"state": "on"}], [{"id": 1, "x": 1}], [{"id": 1, "seen": "yesterday"}], [{"id": 1, "state": ""}]]
)
def test_an_answer_that_is_not_described_fails(fake: Fake, said: list[object]) -> None:
    """What the fake answers is held against the description too, so that it can't drift from the vendor."""
    fake.said = said
    assert 422 == ask(fake, "GET", "/v1/people").status_code
    assert 1 == len(fake.violations)


def test_leaving_with_violations_fails() -> None:
    """A test that forgets to look fails when its server stops."""
    with pytest.raises(AssertionError), Fake().running() as fake:
        ask(fake, "GET", "/v1/nothing")


def test_the_clock_moves_only_when_told() -> None:
    """The vendor's clock is a value that tests move."""
    with Fake().running() as fake:
        before = fake.clock.now
        fake.clock.advance(hours=1)
        assert 3600 == (fake.clock.now - before).total_seconds()


PUBLISHED: Mapping[str, Any] = {
    "openapi": "3.0.0",
    "paths": {
        "/people": {
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
            "get": {
                "responses": {
                    "200": {
                        "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Person"}}}}
                    },
                    "default": {"content": {"application/json": {"schema": {"$ref": "other.json#/Error"}}}},
                }
            },
        },
        "/people/{person}": {
            "put": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/Person"}]}}}
                },
                "responses": {"204": {}},
            },
            "post": {
                "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": {"allOf": [{"$ref": "#/components/schemas/Person"}]}}}
                },
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}}},
            },
        },
    },
    "components": {
        "schemas": {
            "Person": {
                "type": "object",
                "properties": {
                    "id": {"type": "number"},
                    "state": {"type": "string", "enum": ["on", "off", "else"]},
                    "seen": {"type": "string"},
                },
            }
        }
    },
}
OTHER = {"Error": {"type": "object", "properties": {"code": {"type": "string"}, "more": {}}}}


def contradictions(published: Mapping[str, Any]) -> list[str]:
    return compare(Fake.description, {"main.json": published, "other.json": OTHER}).contradictions


def test_what_agrees_is_no_contradiction() -> None:
    """The vendor may know more than we use; references, alternatives and combinations are followed."""
    assert [] == contradictions(PUBLISHED)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("paths", "/people", "get"), None, "GET /people: there is no such call"),
        (("paths", "/people", "parameters"), [], "the query parameter 'limit' is unknown"),
        (("paths", "/people", "parameters"), [{"name": "limit", "in": "query", "type": "string"}], "integer here, string there"),
        (("paths", "/people", "get", "parameters"), [{"name": "x", "in": "query", "required": True}], "'x' is required"),
        (("paths", "/people/{person}", "put", "responses"), {"200": {}}, "the status 204 is unknown"),
        (("paths", "/people/{person}", "put", "requestBody"), {}, "no body is known"),
        (("components", "schemas", "Person", "properties", "state", "enum"), ["on"], "the value 'off' is unknown"),
        (("components", "schemas", "Person", "properties"), {"id": {"type": "number"}}, "[].state is unknown"),
        (("components", "schemas", "Person", "required"), ["seen"], "request.seen is required"),
    ],
)
def test_every_kind_of_contradiction_is_found(place: tuple[str, ...], value: object, words: str) -> None:
    """Path, parameter, type, requirement, status, body, enumeration and member: each difference is found."""
    published = copy.deepcopy(dict(PUBLISHED))
    at: Any = published
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    assert [each for each in contradictions(published) if words in each]


def test_a_parameter_that_stands_elsewhere_is_a_remark() -> None:
    """A query parameter that the published document leaves out may be said to stand elsewhere: then it is remarked, with the reason."""
    call = Call("GET", "/people", {"default": None}, query={"kind": {"type": "string"}}, beyond={"kind": "it is in the handbook"})
    found = compare(Description("Fake", "", [call]), {"main.json": PUBLISHED, "other.json": OTHER})
    assert ([], True) == (found.contradictions, "GET /people: query parameter kind: not compared: it is in the handbook" in found.remarks)


def test_documents_are_read_from_a_folder(tmp_path: Path) -> None:
    """A folder's documents go by their file names, JSON and YAML alike."""
    (tmp_path / "a.json").write_text('{"paths": {}}')
    (tmp_path / "b.yml").write_text("paths: {}")
    assert {"a.json": {"paths": {}}, "b.yml": {"paths": {}}} == documents_in(tmp_path)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with 1 and the differences when there are any, and with 2 when it is called wrongly."""
    (tmp_path / "published.yml").write_text("swagger: '2.0'\npaths: {}")
    assert 1 == main(["mailchimp", str(tmp_path / "published.yml")])
    said = capsys.readouterr().out
    assert "contradiction: GET /lists/{list_id}/members: there is no such call." in said
    assert "remark: GET /: not compared" in said
    assert 2 == main(["mailchimp"])
