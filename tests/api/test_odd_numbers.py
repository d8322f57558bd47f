"""Every number that a request may have, as what is no number: 422 that names it, never a fault, never an amount."""

from __future__ import annotations

import json
from urllib.parse import quote

from tests.api.request_fields import RequestField, request_fields
from tests.api.test_bounds import NAMES
from tests.api.visitor import SKETCH, Visitor
from tests.cases import cases
from tests.lengths import some_of

PLACE = "the number goes here"
ODD = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-1e-400", "-0.0", "-0e5", "9" * 400, "-" + "9" * 400,
    "1" + "0" * 400 + ".5", "1e308", "true", "false", '"1"', '"NaN"', '""', "[1]", '{"a": 1}',
]  # fmt: skip
NOT_JSON = ["9" * 5000, "+1", ".5", "1.", "01", "0x10", "1_000", "nan", "inf", "--1", "1e", "\uff11"]
ODD_IN_QUERY = [
    "NaN", "Infinity", "1e400", "1e-400", "-0.0", "-0", "9" * 5000, "true", "1_0", " 5", "+5", "5.0", "0x5",
    "5 ", "", "٣", "\uff15", "5\n", "5\x00",
]  # fmt: skip
NUMBERS = [field for field in request_fields() if field.types & {"number", "integer"}]
SETTINGS = {"string", "boolean"}  # may be these too


def body_with(field: RequestField, literal: str) -> bytes:
    return json.dumps(field.body(PLACE)).replace(json.dumps(PLACE), literal).encode()


def key_for(field: RequestField, gateway: Visitor, owner: str) -> str:
    return gateway.admin if field.path.startswith(("/v1/admin", "/v1/ops")) else owner


def test_the_numbers_are_found() -> None:
    names = {field.name for field in NUMBERS}
    assert names >= {
        "outputs", "max_credits", "settings.x", "sandbox.delay_seconds", "sandbox.deliver", "sandbox.fail_attempts",
        "items.0.outputs", "items.0.per_day", "items.0.days", "items.0.settings.x", "buffer", "credits",
        "thresholds.0", "advance_seconds", "limit",
    }  # fmt: skip


@cases(("number", "field"), enumerate(field for field in NUMBERS if not field.in_query))
async def test_an_odd_number_in_a_body_is_422_and_named(
    gateway: Visitor, owner: str, number: int, field: RequestField
) -> None:
    """`thresholds: [NaN]` was a 500, and `1e-400` was read as 0."""
    key = key_for(field, gateway, owner)
    path = field.path.format_map(NAMES)
    for literal in some_of(ODD, number):
        if field.types >= SETTINGS and literal[0] in 'tf"':
            continue
        for headers in ({}, {"Idempotency-Key": "k"}):
            reply = await gateway.call(field.method, path, key, raw=body_with(field, literal), headers=headers)
            assert (reply.status, reply.code) == (422, "invalid_request"), (literal[:20], reply.raw)
            assert any(one == field.name or one.startswith(f"{field.name}.") for one in reply.fields), (
                literal[:20],
                reply.raw,
            )
    for literal in some_of(NOT_JSON, number):
        reply = await gateway.call(field.method, path, key, raw=body_with(field, literal))
        assert (reply.status, reply.code) == (400, "invalid_json"), (literal[:20], reply.raw)


@cases(("number", "field"), enumerate(field for field in NUMBERS if field.in_query))
async def test_an_odd_number_in_a_query_is_422_and_named(
    gateway: Visitor, owner: str, number: int, field: RequestField
) -> None:
    key = key_for(field, gateway, owner)
    for text in some_of(ODD_IN_QUERY, number):
        reply = await gateway.call("GET", f"{field.path.format_map(NAMES)}?{field.name}={quote(text)}", key)
        assert (reply.status, reply.fields) == (422, [field.name]), (text[:20], reply.raw)
        assert reply.code == "invalid_request"


async def test_an_unrepresentable_number_is_refused_in_unchecked_fields_too(gateway: Visitor, key: str) -> None:
    """Metadata are the caller's own, but `1e999` would have come back as `Infinity`, which is no JSON."""
    for literal in ("NaN", "1e400", "1e-400"):
        body = json.dumps(SKETCH | {"metadata": {"a": [1, {"b": PLACE}]}}).replace(json.dumps(PLACE), literal)
        reply = await gateway.call("POST", "/v1/generations", key, raw=body.encode())
        assert (reply.status, reply.fields) == (422, ["metadata.a.1.b"])
    kept = await gateway.made(key, metadata={"a": -0.0, "b": 10**400, "c": 5e-324})
    shown = await gateway.call("GET", f"/v1/generations/{kept}", key)
    assert shown.body["metadata"] == {"a": 0, "b": 10**400, "c": 5e-324}
