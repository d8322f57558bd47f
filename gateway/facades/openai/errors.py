"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, with our own members beside these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from gateway.api.errors import ApiError, UnknownModel
from gateway.domain import FailureCode, State
from gateway.ledger import outcomes
from gateway.views.failures import failure_message

SHOULD_RETRY_HEADER = "x-should-retry"

# Our errors that have another status at OpenAI.
_STATUSES = {HTTPStatus.CONFLICT: HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}
_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
_RETRIED = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_PARAMETERS = {"outputs": "n", "settings.duration": "seconds"}
_OF_THE_REQUEST = frozenset({FailureCode.PROVIDER_REJECTED, FailureCode.MODERATED})


def openai_error(error: ApiError, request_id: str) -> web.Response:
    """Translate any of our errors. The packages retry 408, 409, 429 and 5xx, unless `x-should-retry` is false."""
    status = _STATUSES.get(HTTPStatus(error.status), error.status)
    if isinstance(error, UnknownModel):
        status = HTTPStatus.NOT_FOUND
    members = error.envelope(request_id)["error"]
    fields = members.get("fields")
    body = {
        "message": members["message"],
        "type": _type(status),
        "param": _parameter(fields[0]["path"]) if fields else None,
        **members,
    }
    headers = dict(error.headers)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _RETRIED:
        headers[SHOULD_RETRY_HEADER] = "false"
    return _response(body, status, headers)


def not_made(generation: outcomes.Generation) -> web.Response:
    """The error for a generation without a result. It is not retried: a retry would find the same generation."""
    status = HTTPStatus.BAD_REQUEST
    if generation.state is State.FAILED and generation.error not in _OF_THE_REQUEST:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    body = {**failure_of(generation), "type": _type(status), "param": None, "generation": generation.id}
    return _response(body, status, {SHOULD_RETRY_HEADER: "false"})


def failure_of(generation: outcomes.Generation) -> dict[str, str]:
    """`code` and `message` of a generation that failed or was cancelled."""
    if generation.state is State.CANCELLED:
        return {"code": "cancelled", "message": "The generation was cancelled. What was not delivered was refunded."}
    return {"code": generation.error or FailureCode.INTERNAL, "message": failure_message(generation)}


def _type(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return _TYPES.get(HTTPStatus(status), "invalid_request_error")


def _parameter(path: str) -> str:
    """The client's name for a field of ours."""
    return _PARAMETERS.get(path, path.removeprefix("settings."))


def _response(error: Mapping[str, object], status: int, headers: dict[str, str]) -> web.Response:
    text = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")
