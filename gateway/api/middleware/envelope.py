"""Wraps every request: its id, the error envelope, common headers, its log line."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from gateway.api.access.auth import CALLER
from gateway.api.access.wrong_keys import TooManyWrongKeys
from gateway.api.console import CONSOLE, asks_for_page, missing_page
from gateway.api.errors import (
    ApiError,
    BodyTooSlow,
    InvalidHttp,
    InvalidRequest,
    LedgerDown,
    MethodNotAllowed,
    NotFound,
    QueueDown,
    StoreDown,
    internal_error,
)
from gateway.api.http.context import context
from gateway.api.http.error_forms import answer_in_form
from gateway.api.http.respond import COMMON_HEADERS, REQUEST_ID_HEADER
from gateway.api.middleware.cross_origin import open_to_origin, preflight
from gateway.api.services import CORS_ORIGINS, ERROR_FORMS, METRICS, STORE_WATCH
from gateway.domain import is_generation_id
from gateway.errors import (
    LedgerFull,
    LedgerUnavailable,
    ObjectNotStored,
    OutputNotStored,
    QueueUnavailable,
    StoreUnavailable,
)
from gateway.ledger.timed import REQUEST_LINE, RequestLine

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
"""An application's own: aiohttp calls it with a request of the application's making."""

_FULL_RETRY_SECONDS = 30  # memory is freed when an operator acts or holds end, not at once
_CLIENT_GONE = 499  # nginx's status for this
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # polled every few seconds

log = structlog.get_logger("gateway.requests")


def answered(handler: Handler) -> Handler:
    """Wraps the application's handler: each request gets an id, a response even if it raises, and one log line.

    It wraps the application instead of being a middleware in it: with any middleware, aiohttp runs two more coroutines
    per request.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started, status, line = time.perf_counter(), _CLIENT_GONE, RequestLine()
        REQUEST_LINE.set(line)
        try:
            response = await handler(request)
            status = response.status
        except Exception as error:
            if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
                return web.Response(status=_CLIENT_GONE)  # for nobody; raised, aiohttp would log it as a bug
            if _is_too_late(request, error):
                raise
            origins = request.app.get(CORS_ORIGINS, frozenset())  # none if only metrics are served
            response = preflight(origins, request, error) or _refused(request, error)
            status = response.status
        finally:
            seconds, resource = time.perf_counter() - started, request.match_info.route.resource
            route = "(none)" if resource is None else resource.canonical
            request.app[METRICS].requests.observe(seconds, request.method, route, str(status))
            known, who, named = context(request), request.get(CALLER), request.match_info.get("generation")
            say = log.debug if route in _PROBES else log.info
            say(
                "request",
                method=request.method,
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 1),
                request_id=known.id,
                # The caller's own account, or the one in an operator's path; the generation made, or in the path.
                account=None if who is None else who.account or request.match_info.get("account"),
                generation=known.generation or (named if named is not None and is_generation_id(named) else None),
                **line.written(),
            )
        return response

    return answer


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every response has, just before they are sent."""
    known = context(request)
    known.started = True
    response.headers.update(known.rate_headers)
    response.headers[REQUEST_ID_HEADER] = known.id
    response.headers[hdrs.SERVER] = COMMON_HEADERS[hdrs.SERVER]  # aiohttp has already set its own
    for name, value in COMMON_HEADERS.items():
        response.headers.setdefault(name, value)


async def add_cross_origin_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The same, if an operator has allowed other origins."""
    origins = request.app[CORS_ORIGINS]
    open_to_origin(origins, request, response)


def _is_too_late(request: web.Request, error: Exception) -> bool:
    """Whether it is too late for a response; aiohttp then handles it."""
    if isinstance(error, ConnectionError):
        return True  # the client is gone
    if context(request).started:
        log.error("response_cut_short", request_id=context(request).id, exc_info=error)
        return True  # part of the response was sent: closing the connection shows the client that it is incomplete
    return False


def _refused(request: web.Request, error: Exception) -> web.Response:
    refusal = _refusal(request, error)
    request.app[METRICS].refusals.labels(refusal.code).inc()
    if isinstance(error, web.HTTPNotFound) and CONSOLE in request.app and asks_for_page(request):
        return missing_page(request)
    forms = request.app.get(ERROR_FORMS, {})  # none if only metrics are served
    response = answer_in_form(forms, request.path, refusal, context(request).id)
    if isinstance(refusal, BodyTooSlow | TooManyWrongKeys):
        response.force_close()
    return response


def _refusal(request: web.Request, error: Exception) -> ApiError:  # noqa: PLR0911 - a table in the form of a match
    match error:
        case ApiError():
            return error
        case QueueUnavailable():
            log.warning("queue_unavailable", request_id=context(request).id, error=str(error))
            return QueueDown(_unanswered(request, "queue's Redis"))
        case LedgerUnavailable():
            log.warning("ledger_unavailable", request_id=context(request).id, error=str(error))
            return _outage(request, error)
        case StoreUnavailable():
            request.app[STORE_WATCH].doubt(error)
            log.warning("store_unavailable", request_id=context(request).id, error=str(error))
            return StoreDown("The object store is not responding. Nothing was changed; try again later.")
        case OutputNotStored():
            if isinstance(error, ObjectNotStored):
                request.app[STORE_WATCH].doubt(error)
            log.warning("input_not_stored", request_id=context(request).id, error=str(error))
            return StoreDown(
                "The files sent with this request cannot be stored right now, so nothing was reserved. Retry later "
                "with the same Idempotency-Key, or pass the inputs as https: URLs."
            )
        case web.RequestPayloadError():
            return InvalidHttp(
                "The body cannot be read: its chunked encoding or its compression is corrupt. Nothing was done."
            )
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return MethodNotAllowed(
                f"{request.path} does not support {request.method}. Supported: {allowed}.", headers={"Allow": allowed}
            )
        case web.HTTPExpectationFailed():
            return InvalidHttp(f"The request's expectation cannot be met: {error.reason}.")
        case web.HTTPNotFound():
            return NotFound(f"No such path: {request.path}. See /docs for all calls.")
        case web.HTTPException() if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return InvalidRequest(f"The request cannot be read: {error.reason}.")
        case _:
            log.error("request_failed", request_id=context(request).id, exc_info=error)
            return internal_error()


def _outage(request: web.Request, error: LedgerUnavailable) -> LedgerDown:
    if isinstance(error, LedgerFull):
        return LedgerDown(
            "The ledger is full, so nothing new is accepted. Generations in progress can still finish or be "
            "cancelled. Retry later with the same Idempotency-Key.",
            retry_after_seconds=_FULL_RETRY_SECONDS,
        )
    return LedgerDown(_unanswered(request, "ledger"))


def _unanswered(request: web.Request, what: str) -> str:
    if request.method in {"GET", "HEAD"}:
        return f"The {what} is not responding. Nothing was changed; try again soon."
    return (
        f"The {what} is not responding, so this request may or may not have been accepted. Retry it with the same "
        "Idempotency-Key: it takes effect once, however often you retry."
    )
