"""The calls of Brevo's API (v3) that the connector makes.

`identifierType` says that a number is a contact's id and no telephone number. The published document that we compare with knows neither
it nor the call for attributes; both stand in Brevo's own reference.
"""

from __future__ import annotations

from tests.vendors.described import Call, Description

TEXT = {"type": "string"}
NUMBERS = {"type": "array", "items": {"type": "integer"}}
FLAG = {"type": "boolean"}
MOMENT = {"type": "string", "format": "date-time"}
BY_ID = {"identifierType": {"enum": ["contact_id"]}}
BEYOND = {"identifierType": "it stands in Brevo's reference"}
PLACES = {"identifier": {"type": "integer", "minimum": 1}}

MISTAKE = {"type": "object", "required": ["code", "message"], "properties": {"code": TEXT, "message": TEXT}}
CONTACT = {
    "type": "object",
    "required": ["id", "emailBlacklisted", "smsBlacklisted", "createdAt", "modifiedAt", "listIds", "attributes"],
    "properties": {
        "id": {"type": "integer"},
        "email": TEXT,
        "emailBlacklisted": FLAG,
        "smsBlacklisted": FLAG,
        "createdAt": MOMENT,
        "modifiedAt": MOMENT,
        "listIds": NUMBERS,
        "attributes": {"type": "object"},
    },
}
ATTRIBUTES = {
    "type": "object",
    "required": ["attributes"],
    "properties": {
        "attributes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "category"],
                "properties": {
                    "name": TEXT,
                    "category": {"enum": ["normal", "category", "transactional", "calculated", "global"]},
                    "type": {"enum": ["text", "date", "float", "boolean", "id", "multiple-choice", "user"]},
                },
            },
        }
    },
}
CHANGE = {
    "type": "object",
    "minProperties": 1,
    "properties": {"attributes": {"type": "object"}, "unlinkListIds": NUMBERS, "emailBlacklisted": FLAG, "smsBlacklisted": FLAG},
}


DESCRIPTION = Description(
    "Brevo",
    "/v3",
    [
        Call(
            "GET",
            "/contacts",
            {
                200: {
                    "type": "object",
                    "required": ["count"],
                    "properties": {"contacts": {"type": "array", "items": CONTACT}, "count": {"type": "integer"}},
                },
                400: MISTAKE,
                401: MISTAKE,
            },
            query={
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
                "offset": {"type": "integer", "minimum": 0},
                "sort": {"enum": ["asc", "desc"]},
            },
        ),
        Call(
            "GET",
            "/contacts/attributes",
            {200: ATTRIBUTES, "default": MISTAKE},
            elsewhere="the published document holds contacts alone; the call is in Brevo's reference",
        ),
        Call("GET", "/contacts/{identifier}", {200: CONTACT, 401: MISTAKE, 404: MISTAKE}, query=BY_ID, places=PLACES, beyond=BEYOND),
        Call(
            "PUT",
            "/contacts/{identifier}",
            {204: None, 400: MISTAKE, 401: MISTAKE, 404: MISTAKE},
            query=BY_ID,
            places=PLACES,
            beyond=BEYOND,
            body=CHANGE,
        ),
        Call("DELETE", "/contacts/{identifier}", {204: None, 401: MISTAKE, 404: MISTAKE}, query=BY_ID, places=PLACES, beyond=BEYOND),
    ],
)
