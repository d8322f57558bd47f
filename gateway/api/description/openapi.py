"""`/openapi.json`: OpenAPI 3.1, generated from the table of routes and the models that validate requests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from gateway.api.access.member_roles import for_members
from gateway.api.description.error_shapes import error_shapes
from gateway.api.description.header_parameters import WRITES, header_parameters
from gateway.api.description.operations import EXAMPLES, NAMES, PARAMETER_EXAMPLES, SIGNED_BODIES, TAGS
from gateway.api.errors import ApiError, error_classes
from gateway.api.http.headers import JSON_LINES, LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER
from gateway.api.http.parse import requires_anything
from gateway.api.http.route import PROBES
from gateway.domain import (
    ACCOUNT_PATTERN,
    EVENT_PATTERN,
    GENERATION_PATTERN,
    MEMBER_PATTERN,
    WEBHOOK_PATTERN,
    EventType,
    Scope,
)
from gateway.ledger.webhooks import DEFAULT
from gateway.pricing.fields import ID_PATTERN
from gateway.pricing.values import one_of
from gateway.schemas.base import OfAccount
from gateway.schemas.events import EVENT_SHAPES, EventOut

if TYPE_CHECKING:
    from gateway.api.http.route import Route

Document = dict[str, Any]

HTML = "text/html"
_REF = "#/components/schemas/{model}"
ANY_BYTES = "application/octet-stream"
_BINARY: Document = {"type": "string", "format": "binary"}  # 3.1 does not need a schema for bytes, but generators do
_PATH_PARAMETERS: dict[str, Document] = {
    "generation": {"type": "string", "pattern": GENERATION_PATTERN},
    "account": {"type": "string", "pattern": ACCOUNT_PATTERN},
    "key": {"type": "string", "maxLength": 64},
    "member": {"type": "string", "pattern": MEMBER_PATTERN},
    "index": {"type": "integer", "minimum": 0},
    "provider": {"type": "string", "pattern": ID_PATTERN},
    "token": {"type": "string", "minLength": 1, "maxLength": 300},
    "webhook": {"type": "string", "pattern": f"{WEBHOOK_PATTERN}|^{DEFAULT}$"},
    "delivery": {"type": "string", "pattern": EVENT_PATTERN},
    "event": {"type": "string", "description": "The payment provider's id of the event."},
    "checkout": {"type": "string", "pattern": "^chk_[a-z2-7]{24}$"},
    "tool": {"type": "string", "pattern": ID_PATTERN},
    "kind": {"$ref": "#/components/schemas/PausableKind"},
    "name": {"type": "string", "pattern": ID_PATTERN},
    "call": {"type": "string", "pattern": "^[a-z_]+[.][a-z_]+$"},
    "object": {"type": "string", "maxLength": 200, "description": "An object key, with colons as its slashes."},
}
_RATE_HEADERS = {
    LIMIT_HEADER: "The key's limit, in requests per minute.",
    REMAINING_HEADER: "Requests left before the limit is reached.",
    RESET_HEADER: "Seconds until the full limit is available again.",
}
_DESCRIPTION = (
    "Every request is priced from the rate card, and its credits are held while the work is queued. When the work "
    "ends, the credits are committed or refunded. Amounts are numbers of credits with at most three decimals; "
    "times are RFC 3339 in UTC. Authenticate with `Authorization: Bearer fbx_…`. An `Idempotency-Key` makes any "
    "POST, PUT or PATCH safe to retry for 24 hours."
)


def document(routes: Sequence[Route], server: str) -> Document:
    """The whole description."""
    schemas, references = _schemas(routes)
    schemas |= _streamed_shapes(routes, references)
    paths: dict[str, Document] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route, references, schemas)
    for name in {route.takes.__name__ for route in routes if route.takes is not None and route.method not in WRITES}:
        schemas.pop(name, None)
    for schema in schemas.values():
        for member in schema.get("properties", {}).values():
            member.pop("default", None)  # TypeScript generators treat a member with a default as required
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox",
            "version": _version(),
            "summary": "A credits gateway for generative media.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag, "description": TAGS[tag]} for tag in dict.fromkeys(_tag(route) for route in routes)],
        "paths": dict(paths),
        "webhooks": _webhooks(references),
        "components": {
            "schemas": schemas,
            "headers": {
                name: {
                    "description": f"{meaning} Only sent where requests per key are limited.",
                    "schema": {"type": "integer"},
                }
                for name, meaning in _RATE_HEADERS.items()
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: an account's key, an ops key (read-only) or an admin key.",
                }
            },
        },
    }


def codes_of(route: Route) -> tuple[str, ...]:
    """All error codes of a route."""
    codes = ["internal", "invalid_http", "headers_too_large", *route.errors]
    if route.path not in PROBES:
        codes += ["rate_limited", "overloaded"]
    if route.scopes:
        codes += ["invalid_key", "forbidden", "rate_limited", "ledger_unavailable", "queue_unavailable"]
    if Scope.ACCOUNT in route.scopes:
        codes.append("key_restricted")
    if "{" in route.path or (route.takes is not None and issubclass(route.takes, OfAccount)):
        codes.append("not_found")
    if route.takes is not None:
        codes.append("invalid_request")
    if route.method in WRITES:
        codes += ["invalid_request", "body_too_large", "body_too_slow"]
    if route.method in WRITES and not route.takes_bytes:
        codes.append("invalid_json")
    if route.method in WRITES and route.scopes:
        codes.append("idempotency_key_reused")
    return tuple(dict.fromkeys(codes))


def _operation(route: Route, references: dict[str, Document], schemas: Document) -> Document:
    described: Document = {
        "operationId": NAMES[route.method, route.path],
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": list(_parameters(route, schemas)),
        "responses": _responses(route, references),
        "x-farebox-scopes": sorted(route.scopes),
    }
    if Scope.ACCOUNT in route.scopes:
        described["x-farebox-least-role"] = for_members(route.method, route.named_path).least.value
    described["security"] = [{"key": []}] if route.scopes else []
    if route.opened_by_signature or route.key_optional:
        described["security"].append({})
    if route.takes is not None and route.method in WRITES:
        content: Document = {"schema": references[route.takes.__name__]}
        if (route.method, route.path) in EXAMPLES:
            content["example"] = EXAMPLES[route.method, route.path]
        needed = requires_anything(route.takes)
        described["requestBody"] = {"required": needed, "content": {route.takes_media: content}}
    if (route.method, route.path) in SIGNED_BODIES:
        described["requestBody"] = SIGNED_BODIES[route.method, route.path]
    if route.takes_bytes:
        types = [media for media in route.takes_bytes if media != ANY_BYTES]
        described["requestBody"] = {
            "required": True,
            "description": (
                f"The file's bytes. They alone decide its type: {one_of(types)}. `Content-Type` is ignored."
            ),
            "content": {ANY_BYTES: {"schema": _BINARY}},  # client generators know no other type for bytes
        }
    return described


def _parameters(route: Route, schemas: Document) -> Iterator[Document]:
    for name in re.findall(r"{(\w+)}", route.path):
        schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "schema": schema, "example": PARAMETER_EXAMPLES[name]}
    if route.takes is not None and route.method not in WRITES:
        shape = schemas[route.takes.__name__]
        for name, schema in shape["properties"].items():
            required = name in shape.get("required", ())
            parameter = {"name": name, "in": "query", "required": required, "schema": _in_a_query(schema)}
            if parameter["schema"].get("type") == "object":
                parameter |= {"style": "deepObject", "explode": True}
            if "description" in schema:
                parameter["description"] = schema["description"]
            if required or (name in PARAMETER_EXAMPLES and "$ref" not in parameter["schema"]):
                parameter["example"] = PARAMETER_EXAMPLES[name] if name in PARAMETER_EXAMPLES else schema["examples"][0]
            yield parameter
    yield from header_parameters(route)


def _responses(route: Route, references: dict[str, Document]) -> Document:
    content: Document = {"schema": {"type": "string"} if route.media != "*/*" else _BINARY}
    if route.gives is not None:
        content = {"schema": references[route.gives.__name__]}
    elif route.media == "application/json":
        content = {"schema": {"type": "object"}}
    elif route.events:
        content = {"schema": _event_schema(route)}
    also: Document = {media: {"schema": {"type": "string"}} for media in route.also_media}
    if route.media in {"*/*", JSON_LINES}:
        also[ANY_BYTES] = {"schema": _BINARY}  # client generators ignore what is only under a type they do not know
    rated = bool(route.scopes)
    good = {"description": route.summary, "headers": _headers(rated=rated), "content": {route.media: content, **also}}
    responses: Document = {str(route.created): good}
    if route.created == HTTPStatus.SEE_OTHER:
        responses = {
            str(route.created): {
                "description": "The next page is at `Location`",
                "headers": _headers(rated=bool(route.scopes)),
            }
        }
    elif route.created != 200 and route.method in WRITES:  # noqa: PLR2004 - HTTP's own number
        responses["200"] = good | {
            "description": "The same resource, created earlier (`Idempotent-Replay: true`) or updated"
        }
    responses |= _on_condition(route, good)
    shapes = error_shapes()
    for status, errors in _by_status(codes_of(route)).items():
        if str(status) in responses:
            continue
        responses[str(status)] = {
            "description": "\n\n".join(f"`{error.code}`: {_doc(error)}" for error in errors),
            "headers": _headers(rated=rated, retry=any(error.status in {429, 503} for error in errors)),
            "content": {
                "application/json": {"schema": _one_of([references[shapes[error].__name__] for error in errors])}
            }
            | ({route.media: {"schema": {"type": "string"}}} if route.media == HTML else {}),
        }
    return dict(sorted(responses.items()))


def _on_condition(route: Route, good: Document) -> Document:
    """Responses other than the usual ones that are no errors."""
    responses: Document = {}
    if route.polled:
        responses["304"] = {"description": "Nothing has changed since the response with this `ETag`"}
    if route.media == "*/*":
        responses |= {"206": good | {"description": "The requested range"}, "304": {"description": "Not modified"}}
    if route.events and "{generation}" in route.path:
        responses["204"] = {
            "description": "The generation has ended and `Last-Event-ID` is its last event: do not reconnect",
            "headers": _headers(rated=bool(route.scopes)),
        }
    if route.path == "/readyz":
        responses["503"] = good | {"description": "The gateway cannot accept work right now"}
    return responses


def _event_schema(route: Route) -> Document:
    """One event of a stream. OpenAPI 3.1 cannot describe the sequence."""
    shapes = {event: _REF.format(model=_streamed(event)) for event in route.events}
    return {
        "oneOf": [{"$ref": reference} for reference in shapes.values()],
        "discriminator": {"propertyName": "event", "mapping": shapes},
    }


def _streamed_shapes(routes: Sequence[Route], references: dict[str, Document]) -> Document:
    """The shapes of all streams' events, by event name."""
    return {
        _streamed(event): {
            "type": "object",
            "title": _streamed(event),
            "description": f"The event `{event}` of a stream.",
            "properties": {
                "event": {"const": event, "type": "string"},
                "id": {"type": "string"},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": references[model.__name__],
                },
            },
            "required": ["event", "data"],
        }
        for route in routes
        for event, model in route.events.items()
    }


def _streamed(event: str) -> str:
    return f"Streamed{event.capitalize()}"


def _webhooks(references: dict[str, Document]) -> Document:
    """The webhook calls that Farebox makes, one per event type."""
    headers = [
        {"name": f"webhook-{name}", "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("id", "timestamp", "signature")
    ]
    return {
        event: {
            "post": {
                "summary": f"Sent on `{event}`",
                "parameters": headers,
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": references[EVENT_SHAPES[event].__name__]}},
                },
                "responses": {"2XX": {"description": "The event was received; any other status is retried"}},
            }
        }
        for event in EventType
    }


def _one_of(schemas: list[Document]) -> Document:
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _in_a_query(schema: Document) -> Document:
    """A parameter's schema without null: queries have no null, so the parameter is omitted instead."""
    options: list[Document] = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {name: of for name, of in schema.items() if name not in {"anyOf", "default"}} | options[0]


def _headers(*, rated: bool, retry: bool = False) -> Document:
    name_it = "Quote it when you contact support."
    headers: Document = {"X-Request-Id": {"description": name_it, "schema": {"type": "string"}}}
    if rated:
        headers |= {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_HEADERS}
    if retry:
        headers["Retry-After"] = {"description": "Seconds to wait before retrying.", "schema": {"type": "integer"}}
    return headers


def _by_status(codes: Iterable[str]) -> dict[int, list[type[ApiError]]]:
    grouped: dict[int, list[type[ApiError]]] = defaultdict(list)
    for error in error_classes():
        if error.code in codes:
            grouped[error.status].append(error)
    return grouped


def _schemas(routes: Sequence[Route]) -> tuple[Document, dict[str, Document]]:
    """The components, and each model's reference to its own."""
    takes = {route.takes for route in routes if route.takes is not None}
    gives = {route.gives for route in routes if route.gives is not None} | set(error_shapes().values())
    gives |= {EventOut, *EVENT_SHAPES.values(), *(model for route in routes for model in route.events.values())}
    wanted = [(model, "validation") for model in takes] + [(model, "serialization") for model in gives]
    ordered = sorted(wanted, key=lambda one: (one[0].__name__, one[1]))
    found, definitions = models_json_schema(ordered, ref_template=_REF)  # type: ignore[arg-type]  # mode is a Literal
    references = {model.__name__: reference for (model, _), reference in found.items()}
    return dict(definitions.get("$defs", {})), references


def _tag(route: Route) -> str:
    parts = route.path.strip("/").split("/")
    if parts[0] != "v1":
        return "service"
    return "admin" if parts[1] == "admin" else parts[1]


def _doc(error: type[ApiError]) -> str:
    return " ".join((error.__doc__ or "").split())


def _version() -> str:
    try:
        return version("farebox")
    except PackageNotFoundError:
        return "0"
