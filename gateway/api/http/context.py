"""The context of a request: its id, and further data for its log line and response."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from time import monotonic

from aiohttp import web


@dataclass(slots=True)
class Context:
    """One request's. `id` is the one in `X-Request-Id`, `came_at` when it came (monotonic).

    `generation` is the one the request created. `started`: headers have been sent, so an error can only close the
    connection. `rate_headers` are the response headers about the key's rate limit, which `admission` counts meanwhile.
    """

    id: str
    generation: str | None = None
    started: bool = False
    rate_headers: dict[str, str] = field(default_factory=dict)
    admission: asyncio.Task[None] | None = None
    came_at: float = field(default_factory=monotonic)


_CONTEXT = web.RequestKey("CONTEXT", Context)


def context(request: web.BaseRequest) -> Context:
    """The request's context, created at first use."""
    known = request.get(_CONTEXT)
    if known is None:
        known = request[_CONTEXT] = Context(f"req_{secrets.token_hex(12)}")
    return known
