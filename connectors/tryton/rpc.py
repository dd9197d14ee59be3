"""Calls to one Tryton: signing in by a session, and telling apart what it did, what it refused and what nobody knows.

Threat model. Every call is a POST, and an error comes with HTTP 200: so what reads and what writes is said by the caller, and a change is
only sent again when Tryton itself said that it wasn't carried out. An error's text is made for people and names records: only what is known
of its beginning is handed on, in words of our own. A session is made with user name and password, and made anew when it has expired.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hosted import Refused
from connectors.http import Address, Answer, Service, Token
from connectors.patience import InDoubt, Limits
from worker.errors import ConfigurationError, SourceFailed

_SEARCHED = {"language": "en", "active_test": False}
"""Messages in the language that `_WORDS` are in; records that were made inactive are records all the same."""
_FORBIDDEN, _NOT_FOUND = 403, 404
_USED_BY = re.compile(r"are used by field \"([A-Za-z0-9 ]{1,30})\" of \"([A-Za-z0-9 ]{1,30})\"")
_WORDS = (
    ("You are not allowed", "not allowed"),
    ("You are trying to", "not there or hidden"),
    ("A value is required", "a value is required"),
    ("is not valid", "not valid"),
    ("is too long", "too long"),
    ("cannot be erased", "may not be erased yet"),
)


Definition = Mapping[str, Mapping[str, Any]]
"""What Tryton says about the fields of a model, by name."""


class Changed(Exception):
    """Tryton itself found that the record was written since it was read."""


class Rpc:
    """One database of one Tryton. Threads may share it. definitions -- by model what it said about the fields, as long as this is open."""

    def __init__(self, source: str, address: Address, limits: Limits) -> None:
        self._source = source
        self.definitions: dict[str, Definition] = {}
        self._user, self._password = address.user, address.password
        self._door = Service(source, address.base, limits=limits)
        self._service = Service(source, address.base, limits=limits, auth=Token(self._session, prefix="Session "))

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()
        self._door.close()

    def read(self, method: str, *parameters: Any) -> Any:
        """Call what changes nothing, and return what it says. Raises as `Service.read`; ConfigurationError when it is not allowed."""
        answer = self._service.read("/rpc/", method="POST", content=_content(method, parameters, _SEARCHED), headers=_JSON)
        said = _said(answer)
        if "result" in said:
            return said["result"]
        self._refused_to_read(answer, said, method)
        raise SourceFailed(f"{self._source}: Tryton answered {_object(method)} with an error of its own; its log says which.")

    def asks(self, method: str, *parameters: Any) -> Any:
        """Call as `read`; KeyError where Tryton knows nothing of the kind, or answers with an error."""
        answer = self._service.read("/rpc/", method="POST", content=_content(method, parameters, _SEARCHED), headers=_JSON)
        said = _said(answer)
        if "result" not in said:
            if not said and answer.status != _FORBIDDEN:
                self._refused_to_read(answer, said, method)
            raise KeyError(_object(method))
        return said["result"]

    def write(self, method: str, *parameters: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Call something that changes records. Raises Refused, Changed, InDoubt, and as `Service.write`."""
        content = _content(method, parameters, {**_SEARCHED, **(context or {})})
        answer = self._service.write("POST", "/rpc/", content=content, headers=_JSON)
        said = _said(answer)
        if "result" in said:
            return said["result"]
        if not answer.is_success:
            raise Refused(answer.in_words())
        error = said.get("error")
        if not isinstance(error, Sequence) or not error:
            raise InDoubt(f"{self._source}: the answer to a change is not Tryton's own.")
        if error[0] == "ConcurrencyException":
            raise Changed
        if error[0] in ("UserError", "UserWarning"):
            raise Refused(in_words(error))
        raise InDoubt(f"{self._source}: Tryton answered a change with an error of its own.")

    def _refused_to_read(self, answer: Answer, said: Mapping[str, Any], method: str) -> None:
        """Raise what an answer means that has no result."""
        error = said.get("error")
        if answer.status == _NOT_FOUND:
            raise ConfigurationError(f"{self._source}: there is no Tryton database at this address: https://user:password@host/database.")
        if not answer.is_success or (isinstance(error, Sequence) and error and error[0] == "UserError"):
            word = in_words(error) if error else answer.in_words()
            raise ConfigurationError(f"{self._source}: the account may not read {_object(method)} ({word}). Give it the groups that may.")
        if not said:
            raise SourceFailed(f"{self._source}: what answers there is not Tryton (a cache, a notice, another site?).")

    def _session(self) -> str:
        """Sign in and return what identifies the session."""
        content = _content("common.db.login", (self._user, {"password": self._password}), None)
        answer = self._door.read("/rpc/", method="POST", content=content, headers=_JSON)
        result = _said(answer).get("result")
        if not isinstance(result, Sequence) or len(result) < 2:
            self._refused_to_read(answer, _said(answer), "common.db.login")
            raise SourceFailed(f"{self._source}: Tryton's answer to the sign-in can't be read.")
        return base64.b64encode(f"{self._user}:{result[0]}:{result[1]}".encode()).decode()


_JSON = {"Content-Type": "application/json"}


def in_words(error: Sequence[Any]) -> str:
    """Return the kind of Tryton's error and what is known of its text, without anything out of a record."""
    told = error[1] if len(error) > 1 else ""
    text = " ".join(str(each) for each in told if isinstance(each, str)) if isinstance(told, Sequence) and not isinstance(told, str) else ""
    used = _USED_BY.search(text)
    if used:
        return f"{error[0]}: used by {used[1]} of {used[2]}"
    word = next((ours for theirs, ours in _WORDS if theirs in text), "")
    return f"{error[0]}: {word}" if word else str(error[0])


def _content(method: str, parameters: Sequence[Any], context: Mapping[str, Any] | None) -> bytes:
    """Return the body of a call; the context is the last parameter, where there is one."""
    return json.dumps({"id": 1, "method": method, "params": [*parameters, *([] if context is None else [context])]}).encode()


def _said(answer: Answer) -> Mapping[str, Any]:
    """Return the object that an answer holds, empty when it holds none."""
    try:
        said = answer.json() if answer.is_success else None
    except ValueError:
        said = None
    return said if isinstance(said, dict) and said.keys() & {"result", "error"} else {}


def _object(method: str) -> str:
    """Return the name of the model or wizard that a method is of."""
    return method.partition(".")[2].rpartition(".")[0] or method
