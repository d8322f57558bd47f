"""Errors in the form of `fal_client`: `detail` and `error_type`, with ours as `error`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.api.errors import ApiError, UnknownModel
from gateway.api.http.headers import GENERATION_HEADER
from gateway.api.http.respond import answer_json
from gateway.ledger import outcomes
from gateway.views.fal_results import failure_of

REQUEST_ID_HEADER = "X-Fal-Request-Id"
ERROR_TYPE_HEADER = "X-Fal-Error-Type"

_PARAMETERS = {"outputs": "num_images"}


def fal_error(error: ApiError, request_id: str) -> web.Response:
    """Translate any of our errors. The client retries 408, 409 and 429 ten times, so a conflict must not be a 409."""
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
    return refusal(detail, error.code, status, headers=headers, more={"error": members})


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
    return answer_json(body=body.encode(), status=status, headers={ERROR_TYPE_HEADER: error_type, **(headers or {})})


def not_made(generation: outcomes.Generation) -> web.Response:
    """The error for a generation without a result."""
    failure = failure_of(generation)
    headers = {
        REQUEST_ID_HEADER: generation.id,
        GENERATION_HEADER: generation.id,
        ERROR_TYPE_HEADER: failure.error_type,
    }
    return answer_json(
        body=json.dumps(failure.body, ensure_ascii=False).encode(), status=failure.status, headers=headers
    )


def _place(path: str) -> list[str]:
    """The place in the client's body that one of our fields comes from."""
    return [_PARAMETERS.get(path, path.removeprefix("settings."))]
