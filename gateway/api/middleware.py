"""Around every request: its id, its errors in one envelope, its headers, its log line."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from http import HTTPStatus

import structlog
from aiohttp import web

from gateway.api.context import (
    account_id,
    generation_id_of,
    has_started,
    note_started,
    request_id,
    set_request_id,
)
from gateway.api.errors import (
    ApiError,
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    LedgerDown,
    MethodNotAllowed,
    NotFound,
)
from gateway.api.guard import Handler
from gateway.api.services import METRICS
from gateway.errors import LedgerUnavailable, QueueUnavailable

BODY_MAX_BYTES = 1024 * 1024
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked for every few seconds by machines
JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"

log = structlog.get_logger("gateway.requests")


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, run it, turn what goes wrong into the envelope, and log one line."""
    set_request_id(request, f"req_{secrets.token_hex(12)}")
    started = asyncio.get_running_loop().time()
    response: web.StreamResponse | None = None
    try:
        response = await _answer(request, handler)
        return response
    finally:
        seconds = asyncio.get_running_loop().time() - started
        _note(request, 499 if response is None else response.status, seconds)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set on every answer, before its headers go out, what every answer has."""
    note_started(request)
    headers = response.headers
    headers["X-Request-Id"] = request_id(request)
    headers["Server"] = "farebox"
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", JSON_POLICY)
    headers.setdefault("Cache-Control", "no-store")


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:
        if isinstance(error, ConnectionError):
            raise  # the client is gone, and aiohttp knows what to do
        if has_started(request):
            log.exception("answer_cut_short", request_id=request_id(request))
            raise  # half an answer is out: the connection ends, and the client sees that it is not whole
        refusal = _refusal(request, error)
    request.app[METRICS].refusals.labels(refusal.code).inc()
    return web.Response(
        text=json.dumps(refusal.envelope(request_id(request)), ensure_ascii=False, separators=(",", ":")),
        status=refusal.status,
        headers=refusal.headers,
        content_type="application/json",
    )


def _refusal(request: web.Request, error: Exception) -> ApiError:  # noqa: PLR0911 - a table in the form of a match
    match error:
        case ApiError():
            return error
        case LedgerUnavailable() | QueueUnavailable():
            log.warning("ledger_unavailable", request_id=request_id(request), error=str(error))
            return LedgerDown(_outage(request))
        case web.HTTPRequestEntityTooLarge():
            return BodyTooLarge("The body is larger than 1 MiB. Pass large images and videos as https: URLs.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return MethodNotAllowed(
                f"{request.path} does not take {request.method}; it takes {allowed}.", headers={"Allow": allowed}
            )
        case web.HTTPNotFound():
            return NotFound(f"There is nothing at {request.path}. /docs lists every call.")
        case web.HTTPException() if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return InvalidRequest(f"The request cannot be read: {error.reason}.")
        case _:
            log.error("request_failed", request_id=request_id(request), exc_info=error)
            return InternalError(
                "Something went wrong on our side. Try again; if it goes on, tell whoever runs this gateway the "
                "request_id."
            )


def _outage(request: web.Request) -> str:
    if request.method in {"GET", "HEAD"}:
        return "The ledger does not answer right now. Nothing was changed; try again soon."
    return (
        "The ledger does not answer right now, so nobody knows whether this was accepted. Repeat it with the same "
        "Idempotency-Key: then it happens once, however often you ask."
    )


def _note(request: web.Request, status: int, seconds: float) -> None:
    resource = request.match_info.route.resource
    route = "(none)" if resource is None else resource.canonical
    request.app[METRICS].requests.labels(request.method, route, str(status)).observe(seconds)
    log.log(
        logging.DEBUG if route in _PROBES else logging.INFO,
        "request",
        method=request.method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        request_id=request_id(request),
        account=account_id(request),
        generation=generation_id_of(request),
    )
