"""What `/openapi.json` says of a request is what the gateway takes; tests/fuzz tries it with thousands of them."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from openapi_schema_validator import OAS31Validator

from gateway.api.description.openapi import codes_of
from gateway.api.description.operations import EXAMPLES, NAMES, SIGNED_BODIES, TAGS
from gateway.api.errors import ApiError, DetailedError, error_classes
from gateway.api.handlers.uploads import TAKEN_TYPES
from gateway.api.routes import ROUTES
from gateway.domain import EventType
from tests.api.visitor import Visitor, description
from tests.cases import cases

# Of JSON Schema 2020-12, those that the description uses; whatever else stands there, no validator reads.
KEYWORDS = {
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "contentMediaType", "contentSchema", "default",
    "description", "discriminator", "else", "enum", "examples", "exclusiveMinimum", "format", "if", "items",
    "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum",
    "multipleOf", "not", "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames",
    "required", "then", "title", "type",
}  # fmt: skip


def described() -> Any:
    """The document: not made when tests are collected, which every process does."""
    return description("http://127.0.0.1:8080").document


def _schemas() -> Iterator[dict[str, Any]]:
    """Every schema of the document, however deep."""
    for component in described()["components"]["schemas"].values():
        yield from _within(component)
    for methods in described()["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                yield from _within(parameter["schema"])


def _within(schema: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict):
        return
    yield schema
    for name, inner in schema.items():
        if name in {"properties", "patternProperties"}:
            for member in inner.values():
                yield from _within(member)
        elif name in {"allOf", "anyOf", "oneOf", "prefixItems"}:
            for option in inner:
                yield from _within(option)
        elif name in {"additionalProperties", "contentSchema", "else", "if", "items", "not", "propertyNames", "then"}:
            yield from _within(inner)


def test_every_limit_is_written_in_words_of_json_schema() -> None:
    """`outputs` had the limits `ge` and `le`, which no validator knows: everything was described as allowed."""
    unknown = {name for schema in _schemas() for name in schema.keys() - KEYWORDS}
    assert unknown == set()


def test_a_query_parameter_is_never_described_as_null() -> None:
    parameters = [
        parameter
        for methods in described()["paths"].values()
        for operation in methods.values()
        for parameter in operation["parameters"]
    ]
    assert not [one["name"] for one in parameters if {"type": "null"} in one["schema"].get("anyOf", ())]


def _problems(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value by a schema of the description."""
    whole = schema | {"components": described()["components"]}
    return [error.message for error in OAS31Validator(whole).iter_errors(value)]


def _answer_schema(path: str, method: str, status: int) -> dict[str, Any]:
    answered: dict[str, Any] = described()["paths"][path][method]["responses"][str(status)]
    schema: dict[str, Any] = answered["content"]["application/json"]["schema"]
    return schema


def test_names_are_unique_and_do_not_reveal_the_code() -> None:
    """Two shapes were called `EstimateOut`, and became `gateway__schemas__cards__EstimateOut`.

    Makers of clients write a name in their language's way: two that differ by their letter case are one class.
    """
    names = [
        *described()["components"]["schemas"],
        *(schema["title"] for schema in _schemas() if _named(schema)),
    ]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)] == []
    spelled = Counter(name.lower() for name in described()["components"]["schemas"])
    assert [name for name, times in spelled.items() if times > 1] == []


def _named(schema: dict[str, Any]) -> bool:
    return "title" in schema and "properties" in schema and "data" not in schema["properties"]


def _unnamed(schema: Any) -> bool:
    """Whether makers of clients would make up a class for it: an enum, or an object of which something is said."""
    return len(schema.get("enum", ())) > 1 or bool(schema.keys() & {"properties", "additionalProperties"})


def test_a_shape_used_in_several_places_has_a_name() -> None:
    """`metadata` was five shapes in five places: a client had five classes that do not fit each other."""
    inside = [one for shape in described()["components"]["schemas"].values() for one in list(_within(shape))[1:]]
    streams = [
        event
        for methods in described()["paths"].values()
        for operation in methods.values()
        for answered in operation["responses"].values()
        for event in answered.get("content", {}).get("text/event-stream", {}).get("schema", {}).get("oneOf", ())
    ]
    said = Counter(
        json.dumps({name: of for name, of in one.items() if name not in {"description", "title"}}, sort_keys=True)
        for one in (*inside, *streams)
        if _unnamed(one)
    )
    assert [shape for shape, times in said.items() if times > 1] == []


def test_a_shape_that_may_be_null_has_a_name() -> None:
    """A maker of clients called the reason of a pause `WebhookOutPausedBecauseType0`."""
    nullable = [schema["anyOf"] for schema in _schemas() if {"type": "null"} in schema.get("anyOf", ())]
    within = [one for options in nullable for option in options for one in _within(option)]
    assert [one for one in within if _unnamed(one)] == []


def test_each_event_is_distinguished_by_its_type() -> None:
    """All had one shape, whose `data` was any of five: a receiver had to guess by its members."""
    shapes = described()["components"]["schemas"]
    mapping = shapes["EventOut"]["discriminator"]["mapping"]
    assert mapping.keys() == set(EventType)
    for event, of in described()["webhooks"].items():
        assert of["post"]["requestBody"]["content"]["application/json"]["schema"] == {"$ref": mapping[event]}
        told = shapes[mapping[event].rpartition("/")[2]]["properties"]["type"]
        assert event in told.get("enum", [told.get("const")])


def test_each_event_of_a_stream_is_distinguished_by_its_name() -> None:
    for route in ROUTES:
        if route.events:
            content = described()["paths"][route.path]["get"]["responses"]["200"]["content"]
            of = content["text/event-stream"]["schema"]["discriminator"]
            assert of["propertyName"] == "event"
            assert of["mapping"].keys() == route.events.keys()
            shapes = {
                event: described()["components"]["schemas"][to.rpartition("/")[2]]
                for event, to in of["mapping"].items()
            }
            assert all(shape["properties"]["event"]["const"] == event for event, shape in shapes.items())


def test_every_call_has_a_name_of_its_own_and_a_tag_that_is_explained() -> None:
    """Names were made of modules and functions, `payments_top_up`, and would have changed with them."""
    assert NAMES.keys() == {(route.method, route.path) for route in ROUTES}
    assert len(set(NAMES.values())) == len(NAMES)
    assert [name for name in NAMES.values() if not re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)*", name)] == []
    assert {tag["name"] for tag in described()["tags"]} == set(TAGS)


def test_answers_may_get_new_members_and_requests_may_not() -> None:
    """All were closed: a client that checks what it gets would have refused the next version's answers."""
    closed = {
        name
        for name, schema in described()["components"]["schemas"].items()
        if schema.get("additionalProperties") is False
    }
    taken = {route.takes.__name__ for route in ROUTES if route.takes is not None and route.method != "GET"}
    assert closed == taken | {"BulkFilter", "EstimateItemIn", "InputIn", "LimitIn", "SandboxControls"}


def test_a_member_with_a_default_is_not_taken_for_required() -> None:
    """openapi-typescript wanted `inputs`, `quote` and all others that may be left out in every body."""
    shapes = described()["components"]["schemas"].items()
    assert {name for name, shape in shapes for of in shape.get("properties", {}).values() if "default" in of} == set()


def test_each_code_of_a_call_is_typed_by_its_status() -> None:
    """Every error was `ErrorOut`, whose `code` was any text, and `ways_out` was nowhere."""
    by_code = {error.code: error for error in error_classes()}
    for route in ROUTES:
        for code in codes_of(route):
            schema = _answer_schema(route.path, route.method.lower(), by_code[code].status)
            options = schema.get("oneOf", [schema])
            name = "".join(word.capitalize() for word in code.split("_"))
            assert {"$ref": f"#/components/schemas/{name}Error"} in options or route.path == "/readyz"
            assert described()["components"]["schemas"][name]["properties"]["code"]["const"] == code


@cases("error", error_classes())
def test_the_details_of_an_error_are_those_that_are_described(error: type[ApiError]) -> None:
    if issubclass(error, DetailedError):
        (said,) = get_args(vars(error)["__orig_bases__"][0])
    else:
        said = get_type_hints(error.__init__).get("details")
    assert said in {error.shape, None if error.shape is None else error.shape | None}


@cases("call", EXAMPLES)
def test_an_example_is_what_its_call_takes(call: tuple[str, str]) -> None:
    method, path = call
    (content,) = described()["paths"][path][method.lower()]["requestBody"]["content"].values()
    assert _problems(content["schema"], content["example"]) == []


def test_an_example_of_a_parameter_is_one() -> None:
    parameters = [
        one for methods in described()["paths"].values() for of in methods.values() for one in of["parameters"]
    ]
    needed = [one for one in parameters if one["required"]]
    assert [one["name"] for one in needed if _problems(one["schema"], one["example"])] == []


def test_every_body_in_json_has_an_example() -> None:
    taking = {(one.method, one.path) for one in ROUTES if one.takes is not None and one.method != "GET"}
    assert EXAMPLES.keys() == taking


def test_what_a_provider_or_stripe_sends_is_described() -> None:
    """Both calls had no body: a receiver made from the description could not be told what comes."""
    read = {(one.method, one.path) for one in ROUTES if "raw_body(" in inspect.getsource(one.handler)}
    assert SIGNED_BODIES.keys() == read
    for method, path in read:
        body = described()["paths"][path][method.lower()]["requestBody"]
        (content,) = body["content"].values()
        assert body["required"]
        assert body["description"]
        assert _problems(content["schema"], content["example"]) == []
        assert _problems(content["schema"], {}) != []


async def test_a_402_is_what_its_type_says(gateway: Visitor, key: str) -> None:
    wanted: dict[str, Any] = {"tool": "video", "model": "clip", "settings": {"duration": 8}}
    await gateway.create(key, **wanted)
    refused = await gateway.create(key, **wanted)
    assert refused.status == 402
    schema = _answer_schema("/v1/generations", "post", 402)
    assert _problems(schema, refused.body) == []
    assert _problems(schema, {"error": refused.error | {"code": "rate_limited"}}) != []
    for member in ("needed", "available", "held", "ways_out"):
        assert _problems(schema, {"error": {name: of for name, of in refused.error.items() if name != member}}) != []
    quote = (await gateway.call("POST", "/v1/quotes", key, wanted)).body
    assert quote["ways_out"] == refused.error["ways_out"]


def test_a_file_is_described_as_bytes() -> None:
    """It had no schema, then ten types beside each other: makers of clients left the call out, or warned of nine."""
    body = described()["paths"]["/v1/uploads"]["post"]["requestBody"]
    bytes_ = {"schema": {"type": "string", "format": "binary"}}
    assert body["content"] == {"application/octet-stream": bytes_}
    assert {*body["content"], *re.findall(r"[a-z]+/[a-z0-9]+", body["description"])} == {*TAKEN_TYPES}
    for status in ("200", "206"):
        of = described()["paths"]["/v1/generations/{generation}/outputs/{index}"]["get"]["responses"][status]
        assert of["content"] == {"*/*": bytes_, "application/octet-stream": bytes_}


async def test_a_download_with_a_key_takes_no_other_query_than_it_says(gateway: Visitor, key: str) -> None:
    """The query was not looked at: whatever stood there was taken."""
    path = f"/v1/generations/{await gateway.finished(key)}/outputs/0"
    assert (await gateway.call("GET", path, key)).status == 200
    for query in ("size=small", f"expires={'1' * 21}"):
        refused = await gateway.call("GET", f"{path}?{query}", key)
        assert (refused.status, refused.code) == (422, "invalid_request")


@cases("query", ["to=0.5", "to=1700000000", "from=1", "from=1969-01-01T00:00:00Z"])
async def test_a_time_that_is_none_is_never_an_outage(gateway: Visitor, query: str) -> None:
    """`to=0.5` was read as half a second after the epoch, the hour before it was none to Redis: a 503."""
    answered = await gateway.call("GET", f"/v1/ops/series?{query}", gateway.admin)
    assert (answered.status, answered.code) == (422, "invalid_request")
