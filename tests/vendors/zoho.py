"""A fake of Zoho CRM: modules, a recycle bin, notes, attachments, tokens and credits, as its description and its help pages tell.

It was made from what Zoho publishes, not from Zoho: see `zoho_calls.py`.
"""

from __future__ import annotations

import datetime as dt
import json
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.vendors.coql import BadQueryError, parse
from tests.vendors.described import Description
from tests.vendors.server import Asked, Reply, Vendor, route
from tests.vendors.zoho_calls import DESCRIPTION

ORIGIN = 4_876_876_000_000_000_000
"""Ids of one customer's records begin alike, and have nineteen digits."""
_HOUR = 3_600
_TOKENS, _WINDOW = 10, dt.timedelta(minutes=10)
_PAGE = 200
WORKER = {"id": str(ORIGIN + 1), "name": "Retention Worker"}
NOTHING = Reply(204)


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """Return what Zoho says about a field."""
    may = {"api_update": True, "api_create": True, "web_update": True, "web_create": True}
    length = {"textarea": 32_000, "date": 20}.get(kind, 255)
    return {"api_name": name, "data_type": kind, "length": length, "read_only": False, "operation_type": may, **more}


class Zoho(Vendor):
    """One customer's CRM.

    modules -- records by module and id; fields -- of each module; bin -- (module, record) by id; fired -- the changes of which workflows
    heard; locked -- ids of records that can't be changed or deleted; kept -- ids that the bin doesn't let go; later -- ids that go out of
    the bin only when `settle` is called; late -- how often queries still give what was deleted; lacking -- the part of a path that the
    token has no scope for; may -- what the profile says about every module; credits -- what was used; domain -- what a token's answer names
    as the address of the API.
    """

    description: ClassVar[Description] = DESCRIPTION

    def __init__(self, fields: Mapping[str, list[dict[str, Any]]], *, lasts: int = _HOUR) -> None:
        super().__init__()
        self.modules: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in fields}
        self.fields = {name: {each["api_name"]: each for each in said} for name, said in fields.items()}
        self.bin: dict[int, tuple[str, dict[str, Any]]] = {}
        self.notes: dict[int, dict[str, Any]] = {}
        self.attachments: dict[int, dict[str, Any]] = {}
        self.fired: list[str] = []
        self.locked: set[int] = set()
        self.kept: set[int] = set()
        self.later: set[int] = set()
        self.lacking = ""
        self.late = 0
        self.may: dict[str, bool] = {}
        self.credits = 0
        self.left: int | None = None
        self.domain = self.url
        self.lasts = lasts
        self.tokens: dict[str, dt.datetime] = {}
        self._fetched: dict[str, list[dt.datetime]] = {}
        self._order: dict[str, list[int]] = {}

    def put(self, module: str, records: Mapping[int, Mapping[str, Any]], *, whole: bool = True) -> None:
        """Make these all records of a module, with nothing in the bin; or add them."""
        if whole:
            self.modules[module] = {}
            self.bin.clear()
        self.modules[module].update({key: dict(values) for key, values in records.items()})
        self._order.pop(module, None)

    def settle(self) -> None:
        """Do what was scheduled."""
        for key in self.later:
            self.bin.pop(key, None)
        self.later.clear()

    def expire(self) -> None:
        """Let every access token be too old."""
        self.tokens.clear()

    def admits(self, asked: Asked) -> Reply | None:
        if not asked.path.startswith("/crm/"):
            return None
        self.credits += 1
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        if kind != "Zoho-oauthtoken" or self.tokens.get(token, self.clock.now) <= self.clock.now:
            return _error(401, "INVALID_TOKEN", "invalid oauth token")
        if self.lacking and f"/{self.lacking}" in asked.path:
            return _error(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
        return None

    @route("POST", "/oauth/v2/token")
    def token(self, asked: Asked) -> Reply:
        form = asked.form
        if form["client_id"] != "1000.CLIENT" or form["client_secret"] != "client-secret":
            return Reply(200, {"error": "invalid_client"})
        if not form["refresh_token"].startswith("1000.refresh"):
            return Reply(200, {"error": "invalid_code"})
        before = [each for each in self._fetched.get(form["refresh_token"], ()) if each > self.clock.now - _WINDOW]
        if len(before) >= _TOKENS:
            said = {"error": "Access Denied", "error_description": "too many requests", "status": "failure"}
            return Reply(200, said)
        self._fetched[form["refresh_token"]] = [*before, self.clock.now]
        token = f"1000.access{len(self.tokens)}.{len(before)}.{form['refresh_token'][-4:]}"
        self.tokens[token] = self.clock.now + dt.timedelta(seconds=self.lasts)
        return Reply(200, {"access_token": token, "api_domain": self.domain, "expires_in": self.lasts, "token_type": "Bearer"})

    @route("POST", "/crm/v8/coql")
    def coql(self, asked: Asked) -> Reply:
        kinds = {name: {"id": "bigint", **{each: said["data_type"] for each, said in of.items()}} for name, of in self.fields.items()}
        try:
            query = parse(asked.json["select_query"], kinds)
        except BadQueryError as error:
            return Reply(400, {"code": str(error), "details": {}, "message": "invalid query formed", "status": "error"})
        self.credits += 0 if query.limit <= 200 else 1 if query.limit <= 1_000 else 2
        records, found, more = self.modules[query.module], [], False
        order = self._sorted(query.module)
        for position in range(bisect_right(order, query.after), len(order)):
            key = order[position]
            record = records.get(key) or self._late(query.module, key)
            if record is not None and query.test({"id": str(key), **record}):
                if len(found) == query.limit:
                    more = True
                    break
                found.append({"id": str(key), **{name: self._shown(record.get(name)) for name in query.names if name != "id"}})
        if not found:
            return NOTHING
        return self._said({"data": found, "info": {"count": len(found), "more_records": more}})

    @route("GET", "/crm/v8/settings/fields")
    def all_fields(self, asked: Asked) -> Reply:
        if asked.query["module"] not in self.fields:
            return _error(400, "INVALID_MODULE", "the module name given seems to be invalid")
        return self._said({"fields": list(self.fields[asked.query["module"]].values())})

    @route("GET", "/crm/v8/settings/modules/{api_name}")
    def about(self, asked: Asked) -> Reply:
        name = asked.places["api_name"]
        if name not in self.fields:
            return NOTHING
        return self._said({"modules": [{"api_name": name, "viewable": True, "editable": True, "deletable": True, **self.may}]})

    @route("GET", "/crm/v8/settings/recycle_bin/{record_id}")
    def binned(self, asked: Asked) -> Reply:
        key = int(asked.places["record_id"])
        if key not in self.bin:
            return NOTHING
        info = {"per_page": 1, "count": 1, "page": 1, "more_records": False}
        return self._said({"recycle_bin": [self._of_bin(key)], "info": info})

    @route("DELETE", "/crm/v8/settings/recycle_bin/{record_id}")
    def purge(self, asked: Asked) -> Reply:
        key = int(asked.places["record_id"])
        if key not in self.bin:
            return Reply(
                400, {"code": "INVALID_DATA", "details": {"id": str(key)}, "message": "the id given seems to be invalid", "status": "error"}
            )
        code = "CANNOT_DELETE" if key in self.kept else "SCHEDULED" if key in self.later else "SUCCESS"
        if code == "SUCCESS":
            # Whatever of the record lies in the bin beside it goes with it.
            for each in [key, *(other for other, (_, said) in self.bin.items() if said.get("Parent_Id", {}).get("id") == str(key))]:
                del self.bin[each]
        return self._said({"recycle_bin": [{"code": code, "details": {"id": str(key)}, "message": "record deleted", "status": "success"}]})

    @route("GET", "/crm/v8/{module}/deleted")
    def deleted(self, asked: Asked) -> Reply:
        keys = sorted(key for key, (module, _) in self.bin.items() if module == asked.places["module"])
        page, more = _page(keys, asked)
        if not page:
            return NOTHING
        rows = [{"id": str(key), "display_name": self._of_bin(key)["display_name"], "type": "recycle"} for key in page]
        return self._said({"data": rows, "info": {"more_records": more, "count": len(rows)}})

    @route("GET", "/crm/v8/{module}/{id}")
    def record(self, asked: Asked) -> Reply:
        module, key = self._place(asked)
        if key not in self.modules.get(module, {}):
            return NOTHING
        return self._said({"data": [{"id": str(key)}], "info": {"more_records": False}})

    @route("PUT", "/crm/v8/{module}/{id}")
    def update(self, asked: Asked) -> Reply:
        module, key = self._place(asked)
        refused = self._refusal(module, key)
        if refused:
            return refused
        values = {name: said for name, said in asked.json["data"][0].items() if name != "id"}
        for name, said in values.items():
            known = self.fields[module].get(name)
            if known is None:
                continue  # Zoho leaves out what it doesn't know, and says nothing.
            if said is None and known.get("system_mandatory"):
                return self._result(key, "MANDATORY_NOT_FOUND", api_name=name)
            if isinstance(said, str) and len(said) > known["length"]:
                return self._result(key, "INVALID_DATA", api_name=name, maximum_length=known["length"])
            self.modules[module][key][name] = said
        if "Modified_Time" in self.fields[module]:
            self.modules[module][key]["Modified_Time"] = self.clock.now
        if asked.json.get("trigger") != []:
            self.fired.append(f"update {module}")
        return self._result(key)

    @route("DELETE", "/crm/v8/{module}/{id}")
    def delete(self, asked: Asked) -> Reply:
        module, key = self._place(asked)
        refused = self._refusal(module, key)
        if refused:
            return refused
        self.bin[key] = (module, self.modules[module].pop(key))
        for of, kept in (("Notes", self.notes), ("Attachments", self.attachments)):
            for each in [each for each, said in kept.items() if said["Parent_Id"]["id"] == str(key)]:
                self.bin[each] = (of, kept.pop(each))
        for records in self.modules.values():
            for values in records.values():
                values.update({name: None for name, said in values.items() if isinstance(said, dict) and said.get("id") == str(key)})
        if asked.query["wf_trigger"] != "false":
            self.fired.append(f"delete {module}")
        return self._result(key)

    @route("DELETE", "/crm/v8/Notes/{id}")
    def delete_note(self, asked: Asked) -> Reply:
        return self._removed("Notes", self.notes, int(asked.places["id"]))

    @route("GET", "/crm/v8/{module}/{id}/Notes")
    def notes_of(self, asked: Asked) -> Reply:
        return self._listed(self.notes, asked)

    @route("GET", "/crm/v8/{module}/{id}/Attachments")
    def attachments_of(self, asked: Asked) -> Reply:
        return self._listed(self.attachments, asked)

    @route("DELETE", "/crm/v8/{module}/{id}/Attachments/{attachment}")
    def delete_attachment(self, asked: Asked) -> Reply:
        return self._removed("Attachments", self.attachments, int(asked.places["attachment"]))

    def _removed(self, of: str, kept: dict[int, dict[str, Any]], key: int) -> Reply:
        if key in self.locked or key not in kept:
            return _error(400, "INVALID_DATA" if key not in kept else "NO_PERMISSION", "record not deleted")
        self.bin[key] = (of, kept.pop(key))
        return self._result(key)

    def _listed(self, kept: Mapping[int, dict[str, Any]], asked: Asked) -> Reply:
        page, more = _page(sorted(key for key, said in kept.items() if said["Parent_Id"]["id"] == asked.places["id"]), asked)
        if not page:
            return NOTHING
        info = {"per_page": _PAGE, "count": len(page), "page": int(asked.query["page"]), "more_records": more}
        return self._said({"data": [{"id": str(key), **kept[key]} for key in page], "info": info})

    def _place(self, asked: Asked) -> tuple[str, int]:
        return asked.places["module"], int(asked.places["id"])

    def _refusal(self, module: str, key: int) -> Reply | None:
        if key not in self.modules.get(module, {}):
            return self._result(key, "INVALID_DATA")
        return self._result(key, "RECORD_LOCKED") if key in self.locked else None

    def _result(self, key: int, code: str = "SUCCESS", **details: Any) -> Reply:
        """Return what Zoho says about one record that was written: HTTP 200, whatever became of it."""
        status = "success" if code == "SUCCESS" else "error"
        said = {"code": code, "details": {**({} if details else {"id": str(key)}), **details}, "message": code.lower(), "status": status}
        return self._said({"data": [said]})

    def _said(self, body: Any) -> Reply:
        return Reply(200, body, {} if self.left is None else {"X-API-CREDITS-REMAINING": str(self.left)})

    def _of_bin(self, key: int) -> dict[str, Any]:
        module, record = self.bin[key]
        name = str(record.get("Last_Name") or record.get("name") or key)
        what = {"api_name": module, "id": str(ORIGIN + 9)}
        return {
            "id": str(key),
            "display_name": name,
            "deleted_time": self.clock.now.isoformat(),
            "owner": WORKER,
            "module": what,
            "deleted_by": WORKER,
        }

    def _late(self, module: str, key: int) -> dict[str, Any] | None:
        """Return a record that was deleted, for as many times as queries are late."""
        if key not in self.bin or self.bin[key][0] != module or not self.late:
            return None
        self.late -= 1
        return self.bin[key][1]

    def _sorted(self, module: str) -> list[int]:
        """Return all ids that a module has had since it was filled, in order."""
        if module not in self._order:
            self._order[module] = sorted(self.modules[module])
        return self._order[module]

    def _shown(self, said: Any) -> Any:
        """Return a value as Zoho writes it: moments by the customer's clock, of a lookup no more than its id."""
        if isinstance(said, dt.datetime):
            return said.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat(timespec="seconds")
        if isinstance(said, dt.date):
            return said.isoformat()
        return {"id": said["id"]} if isinstance(said, dict) else said


def _page(keys: list[int], asked: Asked) -> tuple[list[int], bool]:
    start = (int(asked.query["page"]) - 1) * _PAGE
    return keys[start : start + _PAGE], len(keys) > start + _PAGE


def _error(status: int, code: str, message: str) -> Reply:
    """Return a refusal of a request; Zoho's description has no statuses for most of them."""
    return Reply(status, raw=json.dumps({"code": code, "details": {}, "message": message, "status": "error"}).encode())
