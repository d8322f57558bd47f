"""Errors in Replicate's form: a problem (RFC 7807), with our code and members beside its own."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from gateway.api.errors import ApiError, UnknownModel

SHOULD_RETRY_HEADER = "x-should-retry"

# The packages retry 408, 409, 429 and 5xx, so final refusals have other statuses.
# A create never gets 429: the packages retry 503 wherever they retry 429, with the same `Retry-After`.
_STATUSES = {
    HTTPStatus.CONFLICT: HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS: HTTPStatus.SERVICE_UNAVAILABLE,
}


def replicate_error(error: ApiError, request_id: str) -> web.Response:
    """Translate any of our errors."""
    status = _STATUSES.get(HTTPStatus(error.status), HTTPStatus(error.status))
    if isinstance(error, UnknownModel):
        status = HTTPStatus.NOT_FOUND
    members = error.envelope(request_id)["error"]
    problem = {"type": members["code"], "title": status.phrase, "status": status, "detail": members.pop("message")}
    headers = dict(error.headers)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.REQUEST_TIMEOUT:
        headers[SHOULD_RETRY_HEADER] = "false"
    return web.Response(
        text=json.dumps(problem | members, ensure_ascii=False, separators=(",", ":")),
        status=status,
        headers=headers,
        content_type="application/json",
    )
