"""Responses: one way to send a shape as JSON, one way to send an error, and the common headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from aiohttp import web

from gateway.api.errors import ApiError
from gateway.schemas.base import Answer

JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"
COMMON_HEADERS = {
    "Server": "farebox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": JSON_POLICY,
    "Cache-Control": "no-store",
}
"""Headers of every response, unless it sets its own; in addition to the request's id."""
REQUEST_ID_HEADER = "X-Request-Id"
answer_json = partial(web.Response, content_type="application/json", charset="utf-8")
"""Send JSON text: `body` in bytes, `status` and `headers` as for any response."""


def answer(shape: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Send a shape as JSON."""
    return answer_json(body=shape.json_text().encode(), status=status, headers=headers)


def answer_error(error: ApiError, request_id: str) -> web.Response:
    """Send an error in its envelope."""
    return web.Response(
        text=json.dumps(error.envelope(request_id), ensure_ascii=False, separators=(",", ":")),
        status=error.status,
        headers=error.headers,
        content_type="application/json",
    )
