"""Calls from browsers on pages of other origins (CORS), if an operator allows them (`FAREBOX_CORS_ORIGINS`).

For calls of `/v1` with a key, and for signed links. Credentials are never allowed: a session's cookie is for the
gateway's own pages, and responses to it are not readable by others. The console, `/session` and checkout pages do not
support CORS.

Our own instead of `aiohttp-cors`, which requires each route to be registered with it, adds no headers to errors raised
before routing, and rejects preflight requests in plain text.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from aiohttp import web

from gateway.api.access.sessions import session_cookie
from gateway.api.http.headers import (
    IDEMPOTENCY_HEADER,
    LIMIT_HEADER,
    REASON_HEADER,
    REMAINING_HEADER,
    REPLAY_HEADER,
    RESET_HEADER,
)

_API = "/v1/"
_ALLOWED = (
    f"Authorization, Content-Type, {IDEMPOTENCY_HEADER}, If-None-Match, If-Range, Last-Event-ID, Prefer, Range, "
    f"{REASON_HEADER}"
)
_EXPOSED = (
    f"Accept-Ranges, Content-Disposition, Content-Range, ETag, {REPLAY_HEADER}, {LIMIT_HEADER}, {REMAINING_HEADER}, "
    f"{RESET_HEADER}, Retry-After, WWW-Authenticate, X-Request-Id"
)
_MAX_AGE_SECONDS = 7200  # Chromium's maximum; an origin removed from the list is refused anyway


def open_to_origin(origins: Collection[str], request: web.Request, response: web.StreamResponse) -> None:
    """Let the calling page read the response, if its origin is allowed."""
    if not origins or not request.path.startswith(_API):
        return
    # In every response: a browser that cached one for an <img> must not reuse it for a script.
    varies = response.headers.get("Vary")
    response.headers["Vary"] = "Origin" if varies is None else f"{varies}, Origin"
    origin = request.headers.get("Origin", "")
    if origin in origins and session_cookie(request) is None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED


def preflight(origins: Collection[str], request: web.Request, error: Exception) -> web.Response | None:
    """The response to a preflight request; None if it is not one, or its origin is not allowed.

    No route accepts OPTIONS, so each arrives as the 405 that lists the path's methods.
    """
    if not isinstance(error, web.HTTPMethodNotAllowed) or request.method != "OPTIONS":
        return None
    if not request.path.startswith(_API) or request.headers.get("Origin") not in origins:
        return None
    if "Access-Control-Request-Method" not in request.headers:
        return None
    return web.Response(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Methods": ", ".join(sorted(error.allowed_methods)),
            "Access-Control-Allow-Headers": _ALLOWED,
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        },
    )
