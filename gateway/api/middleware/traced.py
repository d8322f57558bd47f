"""A span around each request, in gateways that are traced."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway import tracing
from gateway.api.http.context import context
from gateway.api.middleware.envelope import Handler

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def traced(handler: Handler) -> Handler:
    """The handler itself if nothing is traced. A client's `traceparent` is joined."""
    if not tracing.is_on():
        return handler

    async def answer(request: Any) -> web.StreamResponse:
        if request.path in _PROBES:
            return await handler(request)
        method = request.method
        with tracing.first_span(
            method, request.headers.get(tracing.HEADER), {"http.request.method": method}, serves=True
        ) as span:
            response = await handler(request)
            if span is not None:
                resource = request.match_info.route.resource
                route = "(none)" if resource is None else resource.canonical
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": response.status})
                span.set_attribute("farebox.request_id", context(request).id)
            return response

    return answer
