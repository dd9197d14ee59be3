"""What the connector uses of Zoho CRM's API, version 8, in our own words. Nothing of it was tried against Zoho itself.

Held against Zoho's OpenAPI files (record, coql, fields, modules, recycle_bin, notes, attachments, related_records) two things contradict
them, on purpose. They know no status 204 for a query, a record, its notes and the list of deleted records, which other calls of the same
API answer when nothing is found; the connector takes the files' error with 200 (NO_CONTENT, NO_RECORDS_FOUND) for the same, in lists too.
And they call `ids` required where attachments are listed, which can't be, since the list is where ids come from: one parameter is described
once, for the list and for deleting many. What the fake answers with 401 is in none of the files.
"""

from __future__ import annotations

from typing import Any

from tests.vendors.described import Call, Description

ID = {"type": "string", "pattern": "^[0-9]{1,19}$"}
TEXT = {"type": "string"}
MOMENT = {"type": "string", "format": "date-time"}
FLAG = {"type": "boolean"}
PLACES = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"}
PAGE = {"type": "integer", "minimum": 1}
PER_PAGE = {"type": "integer", "minimum": 1, "maximum": 200}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(name: str, of: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _object(name, **{name: {"type": "array", "items": of}}, **more)


INFO = _object("more_records", per_page={"type": "integer"}, count={"type": "integer"}, page={"type": "integer"}, more_records=FLAG)
RECORD = {**_object("id", id=ID), "additionalProperties": True}
RECORDS = _list("data", RECORD, info=INFO)
PERSON = _object("id", id=ID, name=TEXT)
MODULE = _object("api_name", id=ID, api_name=TEXT)


def _error(*codes: str) -> dict[str, Any]:
    details = {"type": "object", "additionalProperties": True}
    code = {"type": "string", "enum": list(codes)}
    return _object("code details message status", code=code, details=details, message=TEXT, status={"type": "string", "const": "error"})


def _done(*codes: str) -> dict[str, Any]:
    code = {"type": "string", "enum": list(codes or ("SUCCESS",))}
    details = _object("id", id=ID)
    return _object("code details message status", code=code, details=details, message=TEXT, status={"type": "string", "const": "success"})


REFUSALS = ("INVALID_DATA", "RECORD_LOCKED", "NO_PERMISSION", "MANDATORY_NOT_FOUND", "CANNOT_DELETE", "RECORD_IN_BLUEPRINT")
WRITTEN = _list("data", {"anyOf": [_done(), _error(*REFUSALS)]})
REMOVED = _list("data", _done())
NOTE = _object(
    "id",
    id=ID,
    Note_Title=TEXT,
    Note_Content=TEXT,
    Created_Time=MOMENT,
    Modified_Time=MOMENT,
    Parent_Id=_object("id", id=ID, name=TEXT),
)
ATTACHMENT = _object(
    "id",
    id=ID,
    File_Name=TEXT,
    Size=TEXT,
    Created_Time=MOMENT,
    Modified_Time=MOMENT,
    Parent_Id=_object("id name", id=ID, name=TEXT),
)
BINNED = _object(
    "id display_name deleted_time owner module deleted_by",
    id=ID,
    display_name=TEXT,
    deleted_time=MOMENT,
    owner=PERSON,
    module=MODULE,
    deleted_by=PERSON,
)
DELETED = _object("id type", id=ID, display_name=TEXT, deleted_time=MOMENT, type=TEXT, deleted_by=PERSON, created_by=PERSON)
FULL_INFO = _object(
    "per_page count page more_records", per_page={"type": "integer"}, count={"type": "integer"}, page={"type": "integer"}, more_records=FLAG
)
BIN = _list("recycle_bin", BINNED, info=FULL_INFO)
PURGED = _list("recycle_bin", _done("SUCCESS", "CANNOT_DELETE", "SCHEDULED"))
UNKNOWN_IN_BIN = _error("INVALID_DATA")
FIELD = _object(
    "api_name data_type",
    api_name=TEXT,
    data_type=TEXT,
    read_only=FLAG,
    field_read_only=FLAG,
    system_mandatory=FLAG,
    length={"type": "integer"},
    operation_type=_object(
        "api_update api_create web_update web_create", api_update=FLAG, api_create=FLAG, web_update=FLAG, web_create=FLAG
    ),
    unique={"type": "object"},
    textarea={"type": "object"},
)
ABOUT = _object("api_name viewable editable deletable", api_name=TEXT, viewable=FLAG, editable=FLAG, deletable=FLAG, creatable=FLAG)
COQL_ERROR = _error("INVALID_QUERY", "SYNTAX_ERROR")
TOKEN_REQUEST = _object(
    "grant_type client_id client_secret refresh_token",
    grant_type={"type": "string", "const": "refresh_token"},
    client_id=TEXT,
    client_secret=TEXT,
    refresh_token=TEXT,
)
TOKEN = {
    "anyOf": [
        _object(
            "access_token api_domain expires_in token_type",
            access_token=TEXT,
            api_domain=TEXT,
            expires_in={"type": "integer"},
            token_type=TEXT,
            scope=TEXT,
        ),
        _object("error", error=TEXT, error_description=TEXT, status=TEXT),
    ]
}
LISTING = {"fields": TEXT, "page": PAGE, "per_page": PER_PAGE}
RECORD_READ = {"fields": TEXT, "approved": {"type": "string", "enum": ["both"]}, "converted": {"type": "string", "enum": ["both"]}}
NAMED = {"module": PLACES, "id": ID}
BINNED_ID = {"record_id": ID}
CHANGE = _object(
    "data trigger",
    data={"type": "array", "items": RECORD, "minItems": 1, "maxItems": 1},
    trigger={"type": "array", "items": TEXT, "maxItems": 0},
)
QUERY = _object("select_query", select_query={"type": "string", "maxLength": 20_000})
MUTED = {"wf_trigger": {"type": "boolean", "const": False}}
IN_BIN = {"type": {"type": "string", "enum": ["recycle"]}, "page": PAGE, "per_page": PER_PAGE}
IN_PROSE = "the accounts server is described in prose only"

DESCRIPTION = Description(
    "Zoho CRM",
    "",
    [
        Call("POST", "/oauth/v2/token", {200: TOKEN}, body=TOKEN_REQUEST, form=True, elsewhere=IN_PROSE),
        Call("POST", "/crm/v8/coql", {200: RECORDS, 204: None, 400: COQL_ERROR}, body=QUERY),
        Call("GET", "/crm/v8/settings/fields", {200: _list("fields", FIELD)}, query={"module": PLACES}, required=["module"]),
        Call("GET", "/crm/v8/settings/modules/{api_name}", {200: _list("modules", ABOUT), 204: None}, places={"api_name": PLACES}),
        Call("GET", "/crm/v8/settings/recycle_bin/{record_id}", {200: BIN, 204: None}, places=BINNED_ID),
        Call("DELETE", "/crm/v8/settings/recycle_bin/{record_id}", {200: PURGED, 400: UNKNOWN_IN_BIN}, places=BINNED_ID),
        Call(
            "GET", "/crm/v8/{module}/deleted", {200: _list("data", DELETED, info=INFO), 204: None}, query=IN_BIN, places={"module": PLACES}
        ),
        Call("GET", "/crm/v8/{module}/{id}", {200: RECORDS, 204: None}, query=RECORD_READ, required=["fields"], places=NAMED),
        Call("PUT", "/crm/v8/{module}/{id}", {200: WRITTEN}, places=NAMED, body=CHANGE),
        Call("DELETE", "/crm/v8/{module}/{id}", {200: WRITTEN}, query=MUTED, required=["wf_trigger"], places=NAMED),
        Call("DELETE", "/crm/v8/Notes/{id}", {200: REMOVED}, places={"id": ID}),
        Call("GET", "/crm/v8/{module}/{id}/Notes", {200: _list("data", NOTE, info=INFO), 204: None}, query=LISTING, places=NAMED),
        Call(
            "GET",
            "/crm/v8/{module}/{id}/Attachments",
            {200: _list("data", ATTACHMENT, info=FULL_INFO), 204: None},
            query=LISTING,
            required=["fields"],
            places=NAMED,
        ),
        Call("DELETE", "/crm/v8/{module}/{id}/Attachments/{attachment}", {200: REMOVED}, places={**NAMED, "attachment": ID}),
    ],
)
