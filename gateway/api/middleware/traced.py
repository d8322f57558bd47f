"""A span around each request, in gateways that are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway import tracing
from gateway.api.errors import ApiError
from gateway.api.http.context import context
from gateway.api.middleware.envelope import Handler

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def traced(handler: Handler) -> Handler:
    """The handler itself if nothing is traced. A client's `traceparent` is joined."""
    if not tracing.is_on():
        return handler

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path in _PROBES:
            return await handler(request)
        method = request.method
        refusal: ApiError | web.HTTPException | None = None
        with tracing.first_span(
            method, request.headers.get(tracing.HEADER), {"http.request.method": method}, serves=True
        ) as span:
            try:
                response = await handler(request)
            except (ApiError, web.HTTPException) as refused:  # the client's mistake is no error of this service
                refusal = refused
            _describe(span, request, response.status if refusal is None else refusal.status)
        if refusal is not None:
            raise refusal
        return response

    return answer


def _describe(span: Span | None, request: web.Request, status: int) -> None:
    """Name the span by its route, which is known only now."""
    if span is None:
        return
    resource = request.match_info.route.resource
    route = "(none)" if resource is None else resource.canonical
    span.update_name(f"{request.method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    span.set_attribute("farebox.request_id", context(request).id)
