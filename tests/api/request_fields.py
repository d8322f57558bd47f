"""Every field that a request may have, found in the shapes that the routes take: a new one is among them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.api.routes import ROUTES
from gateway.schemas.sessions import SignIn


@dataclass(frozen=True, slots=True)
class RequestField:
    """A field of the body, or else the query, of one call. `types` are JSON's; `schema` is the field's own."""

    method: str
    path: str
    in_query: bool
    steps: tuple[str | int, ...]
    types: frozenset[str]
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        return ".".join(map(str, self.steps))

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}"

    def body(self, value: Any) -> Any:
        """A body in which this field alone is set."""
        body = value
        for step in reversed(self.steps):
            body = [body] if isinstance(step, int) else {step: body}
        return body


def request_fields() -> list[RequestField]:
    """All of the API, and of the session; but what the sandbox shall report, which may be anything."""
    shapes: list[tuple[str, str, type[BaseModel]]] = [("POST", "/session", SignIn)]
    shapes += [(route.method, route.path, route.takes) for route in ROUTES if route.takes is not None]
    return [
        RequestField(method, path, method == "GET", steps, types, schema)
        for method, path, shape in shapes
        for steps, types, schema in _leaves(shape)
        if steps[:2] not in {("sandbox", "reported"), ("sandbox", "cost")}
    ]


def _leaves(shape: type[BaseModel]) -> Iterator[tuple[tuple[str | int, ...], frozenset[str], dict[str, Any]]]:
    whole = shape.model_json_schema(by_alias=True)
    definitions = whole.get("$defs", {})

    def walk(schema: dict[str, Any], steps: tuple[str | int, ...]) -> Iterator[Any]:
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        said = schema.get("type", [])
        types = frozenset([said] if isinstance(said, str) else said)
        if types & {"string", "number", "integer"}:
            yield steps, types, schema
        for name, inner in schema.get("properties", {}).items() if "object" in types else ():
            yield from walk(inner, (*steps, name))
        if isinstance(schema.get("additionalProperties"), dict):
            yield from walk(schema["additionalProperties"], (*steps, "x"))
        if isinstance(schema.get("items"), dict):
            yield from walk(schema["items"], (*steps, 0))
        for inner in schema.get("anyOf", []) if not types else ():
            yield from walk(inner, steps)

    return walk(whole, ())
