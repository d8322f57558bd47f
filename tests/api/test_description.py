"""What `/openapi.json` says of a request is what the gateway takes; tests/fuzz tries it with thousands of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.api.openapi import document
from gateway.api.routes import ROUTES
from tests.api.visitor import Visitor

# Of JSON Schema 2020-12, those that the description uses; whatever else stands there, no validator reads.
KEYWORDS = {
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "contentMediaType", "contentSchema", "default",
    "description", "enum", "examples", "exclusiveMinimum", "format", "if", "items", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minimum", "multipleOf", "not", "oneOf", "pattern",
    "prefixItems", "properties", "propertyNames", "required", "then", "title", "type",
}  # fmt: skip


def _schemas(described: Any) -> Iterator[dict[str, Any]]:
    """Every schema of the document, however deep."""
    for component in described["components"]["schemas"].values():
        yield from _within(component)
    for methods in described["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                yield from _within(parameter["schema"])


def _within(schema: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict):
        return
    yield schema
    for name, inner in schema.items():
        if name == "properties":
            for member in inner.values():
                yield from _within(member)
        elif name in {"allOf", "anyOf", "oneOf", "prefixItems"}:
            for option in inner:
                yield from _within(option)
        elif name in {"additionalProperties", "contentSchema", "if", "items", "not", "propertyNames", "then"}:
            yield from _within(inner)


def test_every_limit_is_written_in_words_of_json_schema() -> None:
    """`outputs` had the limits `ge` and `le`, which no validator knows: everything was described as allowed."""
    unknown = {name for schema in _schemas(document(ROUTES, "http://here")) for name in schema.keys() - KEYWORDS}
    assert unknown == set()


def test_a_query_parameter_is_never_described_as_null() -> None:
    described = document(ROUTES, "http://here")
    parameters = [
        parameter
        for methods in described["paths"].values()
        for operation in methods.values()
        for parameter in operation["parameters"]
    ]
    assert not [one["name"] for one in parameters if {"type": "null"} in one["schema"].get("anyOf", ())]


async def test_a_download_with_a_key_takes_no_other_query_than_it_says(gateway: Visitor) -> None:
    """The query was not looked at: whatever stood there was taken."""
    key = await gateway.account()
    path = f"/v1/generations/{await gateway.finished(key)}/outputs/0"
    assert (await gateway.call("GET", path, key)).status == 200
    for query in ("size=small", f"expires={'1' * 21}"):
        refused = await gateway.call("GET", f"{path}?{query}", key)
        assert (refused.status, refused.code) == (422, "invalid_request")


@pytest.mark.parametrize("query", ["to=0.5", "to=1700000000", "from=1", "from=1969-01-01T00:00:00Z"])
async def test_a_time_that_is_none_is_never_an_outage(gateway: Visitor, query: str) -> None:
    """`to=0.5` was read as half a second after the epoch, the hour before it was none to Redis: a 503."""
    answered = await gateway.call("GET", f"/v1/ops/series?{query}", gateway.admin)
    assert (answered.status, answered.code) == (422, "invalid_request")
