"""The context of a request: its id, and what its log line and its answer say beside that."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from time import monotonic

from aiohttp import web


@dataclass(slots=True)
class Context:
    """One request's. `id` is the one in `X-Request-Id`, `came_at` when it came (monotonic).

    `generation` is the one that the request made. `started`: headers have been sent, and from then on an error can only
    end the connection. `rate_headers` are what the answer is to say of its key's rate.
    """

    id: str
    generation: str | None = None
    started: bool = False
    rate_headers: dict[str, str] = field(default_factory=dict)
    came_at: float = field(default_factory=monotonic)


_CONTEXT = web.RequestKey("CONTEXT", Context)


def context(request: web.BaseRequest) -> Context:
    """What the request knows of itself; made when it is first asked for."""
    known = request.get(_CONTEXT)
    if known is None:
        known = request[_CONTEXT] = Context(f"req_{secrets.token_hex(12)}")
    return known
