"""The calls of Mailchimp's Marketing API 3.0 that the connector makes, in our own words; see `described`.

What the connector may not send is not described, on purpose: an update has no status and no address, and a list is never asked for without
saying which members' fields.
"""

from __future__ import annotations

from tests.vendors.described import Call, Description

TEXT = {"type": "string"}
MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"enum": [""], "type": "string"}]}
STATUSES = ["subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"]
VALUES = {"type": "object", "additionalProperties": {"type": ["string", "number", "object"]}}

MEMBER = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "email_address": TEXT,
        "unique_email_id": TEXT,
        "contact_id": TEXT,
        "full_name": TEXT,
        "email_type": TEXT,
        "status": {"type": "string", "enum": STATUSES},
        "unsubscribe_reason": TEXT,
        "sms_phone_number": TEXT,
        "sms_subscription_status": {"type": "string", "enum": ["subscribed", "unsubscribed", "nonsubscribed", "pending"]},
        "merge_fields": VALUES,
        "ip_signup": TEXT,
        "timestamp_signup": MOMENT,
        "ip_opt": TEXT,
        "timestamp_opt": MOMENT,
        "member_rating": {"type": "integer"},
        "last_changed": MOMENT,
        "language": TEXT,
        "vip": {"type": "boolean"},
        "email_client": TEXT,
        "location": {
            "type": "object",
            "properties": {
                "latitude": {"type": "number"},
                "longitude": {"type": "number"},
                "country_code": TEXT,
                "timezone": TEXT,
                "region": TEXT,
            },
        },
        "last_note": {"type": "object", "properties": {"note": TEXT, "created_at": MOMENT}},
        "source": TEXT,
        "tags": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}, "name": TEXT}}},
        "list_id": TEXT,
    },
}
PROBLEM = {
    "type": "object",
    "properties": {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "instance": TEXT},
    "required": ["type", "title", "status", "detail", "instance"],
}
FIELDS = {"type": "array", "items": TEXT}
MEMBER_PATH = "/lists/{list_id}/members/{subscriber_hash}"
OTHER_PAGE = "the document of members doesn't hold it; written from the vendor's reference"

DESCRIPTION = Description(
    "Mailchimp",
    "/3.0",
    (
        Call(
            "GET",
            "/lists/{list_id}/members",
            {
                200: {
                    "type": "object",
                    "properties": {"members": {"type": "array", "items": MEMBER}, "total_items": {"type": "integer"}},
                    "required": ["members", "total_items"],
                },
                "default": PROBLEM,
            },
            query={
                "fields": FIELDS,
                "count": {"type": "integer", "minimum": 0, "maximum": 1000},
                "offset": {"type": "integer", "minimum": 0},
                "status": {"type": "string", "enum": STATUSES},
                "sort_field": {"type": "string", "enum": ["timestamp_opt", "timestamp_signup", "last_changed"]},
                "sort_dir": {"type": "string", "enum": ["ASC", "DESC"]},
            },
            required=("fields",),
        ),
        Call("GET", MEMBER_PATH, {200: MEMBER, "default": PROBLEM}, query={"fields": FIELDS}, required=("fields",)),
        Call(
            "PATCH",
            MEMBER_PATH,
            {200: MEMBER, "default": PROBLEM},
            query={"skip_merge_validation": {"type": "boolean"}},
            body={"type": "object", "properties": {"merge_fields": VALUES, "language": TEXT, "ip_signup": TEXT, "ip_opt": TEXT}},
        ),
        Call("DELETE", MEMBER_PATH, {204: None, "default": PROBLEM}),
        Call(
            "POST",
            f"{MEMBER_PATH}/actions/delete-permanent",
            {204: None, "default": PROBLEM},
            places={"subscriber_hash": {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
        ),
        Call(
            "GET",
            f"{MEMBER_PATH}/activity",
            {
                200: {
                    "type": "object",
                    "properties": {
                        "activity": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {"action": TEXT, "timestamp": MOMENT, "campaign_id": TEXT, "title": TEXT},
                            },
                        },
                        "total_items": {"type": "integer"},
                    },
                },
                "default": PROBLEM,
            },
            query={
                "fields": FIELDS,
                "action": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["abuse", "bounce", "click", "open", "sent", "unsub", "ecomm"]},
                },
            },
        ),
        Call(
            "GET",
            "/lists/{list_id}/merge-fields",
            {
                200: {
                    "type": "object",
                    "properties": {
                        "merge_fields": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"tag": TEXT, "type": TEXT, "name": TEXT}},
                        },
                        "total_items": {"type": "integer"},
                    },
                },
                "default": PROBLEM,
            },
            query={"fields": FIELDS, "count": {"type": "integer", "minimum": 0, "maximum": 1000}},
            elsewhere=OTHER_PAGE,
        ),
        Call(
            "GET",
            "/",
            {200: {"type": "object", "properties": {"role": TEXT}}, "default": PROBLEM},
            query={"fields": FIELDS},
            elsewhere=OTHER_PAGE,
        ),
    ),
)
