"""Responses: one way to send a shape as JSON, one way to send an error, and the common headers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import istr

from gateway.api.errors import ApiError
from gateway.schemas.base import Answer

JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"
COMMON_HEADERS: Mapping[str, str] = {
    hdrs.SERVER: "farebox",
    istr("X-Content-Type-Options"): "nosniff",
    istr("Referrer-Policy"): "no-referrer",
    istr("Content-Security-Policy"): JSON_POLICY,
    hdrs.CACHE_CONTROL: "no-store",
}
"""Headers of every response, unless it sets its own; in addition to the request's id.

As `istr`, they are looked up in a third of the time: other names are lowered each time.
"""
REQUEST_ID_HEADER = istr("X-Request-Id")
answer_json = partial(web.Response, content_type="application/json", charset="utf-8")
"""Send JSON text: `body` in bytes, `status` and `headers` as for any response."""


def answer(shape: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Send a shape as JSON."""
    return answer_json(body=shape.json_text().encode(), status=status, headers=headers)


def answer_tagged(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Send JSON text with its `ETag`, or a 304 if that is what the client has (`If-None-Match`)."""
    tag = tag_of(body)
    headers = {**headers, hdrs.ETAG: f'"{tag}"'}
    if has_already(request, tag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return answer_json(body=body, headers=headers)


def tag_of(body: bytes) -> str:
    """The entity tag of a response, without its quotes."""
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def has_already(request: web.Request, tag: str) -> bool:
    """Whether the client says that it has the response with this tag."""
    return hdrs.IF_NONE_MATCH in request.headers and any(
        known.value in {tag, "*"} for known in request.if_none_match or ()
    )


def answer_error(error: ApiError, request_id: str) -> web.Response:
    """Send an error in its envelope."""
    return web.Response(
        text=json.dumps(error.envelope(request_id), ensure_ascii=False, separators=(",", ":")),
        status=error.status,
        headers=error.headers,
        content_type="application/json",
    )
