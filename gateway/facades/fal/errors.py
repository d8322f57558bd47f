"""Errors as `fal_client` reads them: `detail` and `error_type`, ours beside these as `error`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.api.errors import ApiError, UnknownModel
from gateway.api.http.headers import GENERATION_HEADER
from gateway.api.http.respond import answer_json, set_common_headers
from gateway.domain import FailureCode, State
from gateway.ledger import outcomes
from gateway.views.failures import failure_message

REQUEST_ID_HEADER = "X-Fal-Request-Id"
ERROR_TYPE_HEADER = "X-Fal-Error-Type"

_CLIENT_CANCELLED = 499
_OF_THE_REQUEST = frozenset({FailureCode.PROVIDER_REJECTED, FailureCode.MODERATED})
_NOT_STARTED = frozenset({FailureCode.QUEUE_TIMEOUT, FailureCode.WAITING_TIMEOUT})
_PARAMETERS = {"outputs": "num_images"}


def fal_error(error: ApiError, request_id: str) -> web.Response:
    """Any error of ours. The client retries 408, 409 and 429 ten times: a conflict is no such thing here."""
    status = error.status
    if status == HTTPStatus.CONFLICT:
        status = HTTPStatus.BAD_REQUEST
    if isinstance(error, UnknownModel):
        status = HTTPStatus.NOT_FOUND
    members = error.envelope(request_id)["error"]
    detail: object = members["message"]
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and "fields" in members:
        detail = [
            {"loc": ["body", *_place(field["path"])], "msg": field["message"], "type": error.code}
            for field in members["fields"]
        ]
    headers = {**error.headers, REQUEST_ID_HEADER: request_id}
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
        headers["x-should-retry"] = "false"
    response = refusal(detail, error.code, status, headers=headers, more={"error": members})
    set_common_headers(response, request_id)
    return response


def refusal(
    detail: object,
    error_type: str,
    status: int,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error in the client's form."""
    body = json.dumps({"detail": detail, "error_type": error_type, **(more or {})}, ensure_ascii=False)
    return answer_json(body.encode(), status=status, headers={ERROR_TYPE_HEADER: error_type, **(headers or {})})


def failure_of(generation: outcomes.Generation) -> dict[str, str]:
    """`error` and `error_type` of a generation that failed or was cancelled."""
    if generation.state is State.CANCELLED:
        message = "The generation was cancelled. What was not delivered was refunded."
        return {"error": message, "error_type": "client_cancelled"}
    code = generation.error or FailureCode.INTERNAL
    error_type = "startup_timeout" if code in _NOT_STARTED else code
    return {"error": failure_message(generation), "error_type": error_type}


def not_made(generation: outcomes.Generation) -> web.Response:
    """Why a generation has no result: with a status that the client does not retry."""
    failure = failure_of(generation)
    code = "cancelled" if generation.state is State.CANCELLED else generation.error or FailureCode.INTERNAL
    detail: object = failure["error"]
    status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
    if generation.state is State.CANCELLED:
        status = _CLIENT_CANCELLED
    elif code in _OF_THE_REQUEST:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        detail = [{"loc": ["body", "prompt"], "msg": failure["error"], "type": code}]
    elif code in _NOT_STARTED:
        status = HTTPStatus.GATEWAY_TIMEOUT
    headers = {REQUEST_ID_HEADER: generation.id, GENERATION_HEADER: generation.id}
    error = {"code": code, "message": failure["error"], "generation": generation.id}
    return refusal(detail, failure["error_type"], status, headers=headers, more={"error": error})


def _place(path: str) -> list[str]:
    """Where in the client's body a field of ours comes from."""
    return [_PARAMETERS.get(path, path.removeprefix("settings."))]
