"""The calls of Laposta's API (v2) that the connector makes.

The published description enumerates the states of members as `active` and `deleted`, and says in its text that they are active,
unsubscribed, unconfirmed and cleaned; states are texts here.
"""

from __future__ import annotations

from tests.vendors.described import Call, Description

TEXT = {"type": "string"}
MAYBE = {"type": ["string", "null"]}
LIST_ID = {"list_id": TEXT}
MEMBER_ID = {"member_id": {"type": "string", "pattern": "^[A-Za-z0-9]+$"}}

MISTAKE = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"enum": ["invalid_request", "invalid_input", "internal"]},
                "message": TEXT,
                "code": {"type": "integer"},
                "parameter": TEXT,
            },
        }
    },
}
MISTAKES = {400: MISTAKE, 401: MISTAKE, 429: MISTAKE}

MEMBER = {
    "type": "object",
    "required": ["member"],
    "properties": {
        "member": {
            "type": "object",
            "required": ["member_id", "list_id", "email", "state"],
            "properties": {
                "member_id": TEXT,
                "list_id": TEXT,
                "email": TEXT,
                "state": TEXT,
                "timezone": TEXT,
                "signup_date": TEXT,
                "signup_date_iso": MAYBE,
                "modified": MAYBE,
                "modified_iso": MAYBE,
                "confirm_date": MAYBE,
                "confirm_date_iso": MAYBE,
                "ip": TEXT,
                "source_url": TEXT,
                "custom_fields": {"type": "object"},
            },
        }
    },
}
FIELD = {
    "type": "object",
    "required": ["field"],
    "properties": {
        "field": {
            "type": "object",
            "required": ["field_id", "custom_name", "datatype"],
            "properties": {
                "field_id": TEXT,
                "list_id": TEXT,
                "name": TEXT,
                "custom_name": TEXT,
                "datatype": {"enum": ["text", "numeric", "date", "select_single", "select_multiple", "labels"]},
                "state": {"enum": ["active", "deleted"]},
                "required": {"type": "boolean"},
                "is_email": {"type": "boolean"},
            },
        }
    },
}
EVENT = {
    "type": "object",
    "properties": {
        "event": {
            "type": "object",
            "required": ["type", "event_date_iso"],
            "properties": {"type": TEXT, "timezone": TEXT, "event_date": TEXT, "event_date_iso": TEXT},
        }
    },
}
HISTORY = {
    "type": "object",
    "required": ["data", "pagination"],
    "properties": {
        "data": {"type": "array", "items": EVENT},
        "pagination": {
            "type": "object",
            "required": ["has_more"],
            "properties": {"limit": {"type": "integer"}, "has_more": {"type": "boolean"}, "next_cursor": MAYBE},
        },
    },
}


def several(what: dict[str, object]) -> dict[str, object]:
    """Return the schema of an answer that holds many."""
    return {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": what}}}


DESCRIPTION = Description(
    "Laposta",
    "/v2",
    [
        Call("GET", "/member", {200: several(MEMBER), **MISTAKES}, query={**LIST_ID, "state": TEXT}, required=["list_id"]),
        Call("GET", "/member/{member_id}", {200: MEMBER, **MISTAKES}, query=LIST_ID, required=["list_id"], places=MEMBER_ID),
        Call(
            "POST",
            "/member/{member_id}",
            {200: MEMBER, **MISTAKES},
            places=MEMBER_ID,
            form=True,
            body={
                "type": "object",
                "required": ["list_id"],
                "properties": {"list_id": TEXT, "email": TEXT, "state": TEXT},
                "patternProperties": {r"^custom_fields\[[^\]]+\]$": TEXT},
            },
        ),
        Call("DELETE", "/member/{member_id}", {200: MEMBER, **MISTAKES}, query=LIST_ID, required=["list_id"], places=MEMBER_ID),
        Call(
            "GET",
            "/member/{member_id}/history",
            {200: HISTORY, **MISTAKES},
            query={
                **LIST_ID,
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
                "cursor": TEXT,
                "order_by": TEXT,
                "order": {"enum": ["asc", "desc"]},
            },
            required=["list_id"],
            places=MEMBER_ID,
        ),
        Call("GET", "/field", {200: several(FIELD), **MISTAKES}, query=LIST_ID, required=["list_id"]),
        Call(
            "GET",
            "/list/{list_id}",
            {200: {"type": "object", "properties": {"list": {"type": "object", "properties": {**LIST_ID, "name": TEXT}}}}, **MISTAKES},
        ),
    ],
)
