"""Zoho CRM's calls: what they cost, what is sent, and what each answer means.

Zoho answers about records with a list that holds one result each, and with HTTP 200 although that result is an error; about a request as a
whole with one object. Both have a `code`. Every call costs credits out of a quota that everybody in the office shares, over any 24 hours:
how many this run may use is counted before each request, and where Zoho says how many are left for all, some may be left for the others.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hosted import Refused
from connectors.http import Answer, InDoubt, Limits, Service
from connectors.zoho.grant import SignIn
from worker.errors import ConfigurationError, Retriable, SourceFailed

Record = dict[str, Any]

BASE = "/crm/v8"
MOST = 2_000
"""The most records that one query gives."""

_OK, _NO_CONTENT, _BAD_REQUEST, _NOT_FOUND = 200, 204, 400, 404
_NOTHING = frozenset({"NO_CONTENT", "NO_RECORDS_FOUND"})
_NOWHERE = _NOTHING | {"INVALID_DATA", "NOT_FOUND", "RECORD_NOT_FOUND"}
_CODE = re.compile(r"[A-Za-z_]{1,60}")
_LEFT = "x-api-credits-remaining"
SCHEDULED = "SCHEDULED"


class Credits:
    """What a run may spend: `budget` credits in all (None: any number), while `spare` are left for others as far as Zoho says how many."""

    def __init__(self, source: str, budget: int | None = None, spare: int = 0) -> None:
        self._source = source
        self._budget = budget
        self._spare = spare
        self._lock = threading.Lock()
        self.spent = 0
        self.left: int | None = None

    def spend(self, cost: int) -> None:
        """Count a request; Retriable before it is sent when it is too many."""
        with self._lock:
            self._allow(cost)
            self.spent += cost

    def need(self, cost: int) -> None:
        """Raise Retriable unless several requests that belong together can be paid for."""
        with self._lock:
            self._allow(cost)

    def note(self, answer: Answer) -> None:
        """Note how many are left for everybody: Zoho says so once half of them are used."""
        said = answer.headers.get(_LEFT, "").strip()
        if said.isdigit():
            self.left = int(said)

    def _allow(self, cost: int) -> None:
        if self._budget is not None and self.spent + cost > self._budget:
            raise Retriable(f"{self._source}: the {self._budget} credits for a run are used up; a later run goes on (option CREDITS).")
        if self.left is not None and self._spare and self.left - cost < self._spare:
            raise Retriable(
                f"{self._source}: fewer than {self._spare} of Zoho's credits are left for today; try again later (option SPARE)."
            )


class Crm:
    """One account of Zoho CRM. Nothing is sent before something is asked."""

    def __init__(self, source: str, sign_in: SignIn, spends: Credits, limits: Limits) -> None:
        self._source = source
        self._sign_in = sign_in
        self._limits = limits
        self._service: Service | None = None
        self._at = ""
        self.credits = spends

    def query(self, text: str, limit: int) -> tuple[list[Record], bool]:
        """Return the records that a query in COQL gives, and whether there are more. limit -- as the query says it: that is what costs."""
        cost = 1 if limit <= 200 else 2 if limit <= 1_000 else 3
        answer = self._read(f"{BASE}/coql", cost=cost, body={"select_query": text})
        return self._page(answer, "data")

    def exists(self, module: str, key: int) -> bool:
        """Whether a module has a record, whatever its state: approved or not, a lead that was converted or not.

        Asked in two ways before it is said that there is none, since that is what a deletion is believed by.
        """
        asked = {"fields": "id", "approved": "both", **({"converted": "both"} if module == "Leads" else {})}
        if self._is_there(self._read(f"{BASE}/{module}/{key}", asked), "data"):
            return True
        rows, _ = self.query(f"select id from {module} where id = '{key}' limit 1", 1)
        return bool(rows)

    def is_binned(self, key: int) -> bool:
        """Whether a record lies in the recycle bin."""
        return self._is_there(self._read(f"{BASE}/settings/recycle_bin/{key}"), "recycle_bin")

    def binned(self, module: str, page: int) -> tuple[list[Record], bool]:
        """Return a page of a module's records that lie in the recycle bin, and whether there are more; at most 200 on each."""
        asked = {"type": "recycle", "page": page, "per_page": 200}
        return self._page(self._read(f"{BASE}/{module}/deleted", asked), "data")

    def fields(self, module: str) -> list[Record]:
        """Return what Zoho says about the fields of a module; ConfigurationError when there is no such module."""
        answer = self._read(f"{BASE}/settings/fields", {"module": module})
        rows = None if answer.status == _NO_CONTENT else self._object(answer).get("fields")
        if not isinstance(rows, list) or not all(isinstance(each, dict) and isinstance(each.get("api_name"), str) for each in rows):
            raise self._stranger(answer)
        return rows

    def listed(self, module: str, key: int, kind: str, fields: Sequence[str], page: int) -> tuple[list[Record], bool]:
        """Return a page of a record's notes or attachments, and whether there are more."""
        asked = {"fields": ",".join(fields), "page": page, "per_page": 200}
        return self._page(self._read(f"{BASE}/{module}/{key}/{kind}", asked), "data")

    def delete_note(self, key: int) -> None:
        """Move a note into the recycle bin; raises as `delete`."""
        self._done(self._write("DELETE", f"{BASE}/Notes/{key}"), "data", key)

    def delete_attachment(self, module: str, parent: int, key: int) -> None:
        """Delete a record's attachment; raises as `delete`."""
        self._done(self._write("DELETE", f"{BASE}/{module}/{parent}/Attachments/{key}"), "data", key)

    def module(self, module: str) -> Record:
        """Return what Zoho says about a module, and what the user of the token may do in it."""
        answer = self._read(f"{BASE}/settings/modules/{module}")
        rows = None if answer.status == _NO_CONTENT else self._object(answer).get("modules")
        if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
            raise self._stranger(answer)
        return rows[0]

    def delete(self, module: str, key: int) -> None:
        """Move a record into the recycle bin, without workflows. KeyError when Zoho knows no such record; Refused, InDoubt."""
        answer = self._write("DELETE", f"{BASE}/{module}/{key}", params={"wf_trigger": "false"})
        self._done(answer, "data", key)

    def purge(self, key: int) -> str:
        """Take a record out of the recycle bin for good; return Zoho's word, `SCHEDULED` when it happens later. Raises as `delete`."""
        return self._done(self._write("DELETE", f"{BASE}/settings/recycle_bin/{key}"), "recycle_bin", key)

    def update(self, module: str, key: int, values: Mapping[str, Any]) -> None:
        """Set fields of a record, without workflows, and nothing else. Raises as `delete`."""
        body = {"data": [{"id": str(key), **values}], "trigger": []}
        self._done(self._write("PUT", f"{BASE}/{module}/{key}", body=body), "data", key)

    def close(self) -> None:
        """Let go of the connections."""
        if self._service is not None:
            self._service.close()
        self._sign_in.close()

    def _api(self) -> Service:
        """Return the service at the address that the sign-in names, which a later token may change."""
        at = self._sign_in.domain()
        if self._service is None or at != self._at:
            if self._service is not None:
                self._service.close()
            self._service, self._at = Service(self._source, at, auth=self._sign_in, limits=self._limits), at
        return self._service

    def _read(self, path: str, params: Mapping[str, Any] | None = None, *, cost: int = 1, body: Record | None = None) -> Answer:
        """Ask for something."""
        self.credits.spend(cost)
        content = None if body is None else json.dumps(body).encode()
        kind = None if body is None else {"Content-Type": "application/json"}
        answer = self._api().read(path, params, method="GET" if body is None else "POST", content=content, headers=kind)
        self.credits.note(answer)
        return answer

    def _write(self, method: Any, path: str, *, params: Mapping[str, Any] | None = None, body: Record | None = None) -> Answer:
        """Have something done."""
        self.credits.spend(1)
        answer = self._api().write(method, path, params=params, body=body)
        self.credits.note(answer)
        return answer

    def _page(self, answer: Answer, member: str) -> tuple[list[Record], bool]:
        """Return the records of a list, and whether there are more; a list that doesn't say is asked for more until it ends.

        That a list is empty is said with 204, or with 200 and a word for it; what else is no list is an error.
        """
        if answer.status == _NO_CONTENT:
            return [], False
        if answer.status == _OK and code_of(answer, member) in _NOTHING and not _names_a_part(_result(answer, member)):
            return [], False
        said = self._object(answer)
        rows, info = said.get(member), said.get("info")
        if not isinstance(rows, list) or not all(isinstance(each, dict) and str(each.get("id", "")).isdigit() for each in rows):
            raise self._stranger(answer)
        more = info.get("more_records") if isinstance(info, dict) else None
        return rows, bool(rows) and more is not False

    def _is_there(self, answer: Answer, member: str) -> bool:
        """Return whether an answer about one record holds it."""
        if answer.status == _NO_CONTENT:
            return False
        if answer.status in (_OK, _BAD_REQUEST, _NOT_FOUND) and code_of(answer, member) in _NOWHERE:
            if _names_a_part(_result(answer, member)):
                raise self._refused(answer)
            return False
        rows = self._object(answer).get(member)
        if not isinstance(rows, list):
            raise self._stranger(answer)
        return bool(rows)

    def _done(self, answer: Answer, member: str, key: int) -> str:
        """Return Zoho's word for one record that was written; else say what became of it. An answer about another one says nothing."""
        result = _result(answer, member)
        code = code_of(answer, member)
        if answer.is_success and (result is None or (result.get("status") == "success" and _about(result) not in (None, str(key)))):
            raise InDoubt(f"{self._source}: the answer to a change is not Zoho's own.")
        if answer.is_success and result is not None and result.get("status") == "success" and code in ("SUCCESS", SCHEDULED):
            return code
        if code in _NOWHERE and not _names_a_part(result):
            raise KeyError(f"HTTP {answer.status} {code}")
        raise Refused(f"HTTP {answer.status} {code}".rstrip())

    def _object(self, answer: Answer) -> Record:
        """Return the object of a successful answer; ConfigurationError when Zoho refuses, SourceFailed when something else speaks."""
        if not answer.is_success:
            raise self._refused(answer)
        said = answer.object()
        if said is None:
            raise self._stranger(answer)
        return said

    def _refused(self, answer: Answer) -> ConfigurationError:
        """Return the error for what Zoho doesn't show."""
        word = f"HTTP {answer.status} {code_of(answer, 'data')}".rstrip()
        return ConfigurationError(
            f"{self._source}: Zoho refuses to show this ({word}). Compare the API names of module and fields, the scopes of the token "
            "and the profile of its user; `retention sources check` says more."
        )

    def _stranger(self, answer: Answer) -> SourceFailed:
        """Return the error for an answer that is not Zoho's."""
        return SourceFailed(f"{self._source}: what answers there is not Zoho CRM (HTTP {answer.status}; a proxy, a notice?).")


def code_of(answer: Answer, member: str) -> str:
    """Return Zoho's code in an answer, that of the one record it is about or of the request; empty when there is none."""
    code = (_result(answer, member) or {}).get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _result(answer: Answer, member: str) -> Record | None:
    """Return what an answer says about the one record it is about, or about the request as a whole; None when it says neither."""
    said = answer.object()
    if said is None:
        return None
    rows: Sequence[Any] | None = said.get(member)
    if isinstance(rows, list) and rows:
        return rows[0] if isinstance(rows[0], dict) and "code" in rows[0] else None
    return said if "code" in said else None


def _about(result: Record) -> str | None:
    """Return the id of the record that a result is about; None when it doesn't say."""
    details = result.get("details")
    return str(details["id"]) if isinstance(details, dict) and "id" in details else None


def _names_a_part(result: Record | None) -> bool:
    """Whether an error is about a field or parameter that was sent, and not about which record."""
    details = (result or {}).get("details")
    if not isinstance(details, dict):
        return False
    return details.get("api_name", "id") != "id" or "param_name" in details or "param" in details
