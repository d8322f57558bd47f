"""The headers that a call takes, as OpenAPI parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gateway.api.access.roles import CLIENT
from gateway.api.description.operations import CHANGES_NOTHING, NAMES
from gateway.api.http.headers import IDEMPOTENCY_HEADER, REASON_HEADER
from gateway.api.http.preferences import PREFER_HEADER, WAIT_SECONDS_MAX

if TYPE_CHECKING:
    from gateway.api.http.route import Route

Document = dict[str, Any]

WRITES = frozenset({"POST", "PUT", "PATCH"})


def header_parameters(route: Route) -> Iterator[Document]:
    """Those of one call."""
    if route.method in WRITES and route.scopes:
        yield _header(
            IDEMPOTENCY_HEADER,
            "Makes the call safe to retry for 24 hours: the same key and body return the same response.",
            {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        )
    if route.polled:
        yield _header(
            PREFER_HEADER,
            f"`wait=30`: respond when the generation has ended, or after 30 seconds ({WAIT_SECONDS_MAX} at most) as it "
            "is then. With `If-None-Match`: when anything has changed.",
        )
        yield _header("If-None-Match", "The `ETag` of an earlier response: `304` and no body if nothing has changed.")
    if _is_logged(route):
        yield _header(
            REASON_HEADER,
            "With an operator's key: the reason, for the audit log (500 characters). Percent-encode what is not ASCII.",
        )


def _header(name: str, description: str, schema: Document | None = None) -> Document:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **(schema or {})},
    }


def _is_logged(route: Route) -> bool:
    """Whether operators' calls of it are in the audit log."""
    operators = bool(route.scopes - CLIENT)
    return operators and route.method != "GET" and NAMES[route.method, route.path] not in CHANGES_NOTHING
