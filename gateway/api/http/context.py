"""The context of a request: its id, its caller, and what its log line contains."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from aiohttp import web

from gateway.api.access.auth import Caller


@dataclass(slots=True)
class Context:
    """One request's. `id` is the one in `X-Request-Id`; `caller` None: no key was sent, where none is needed.

    `generation` is the one that the request made. `started`: headers have been sent, and from then on an error can only
    end the connection. `rate_headers` are what the answer is to say of its key's rate.
    """

    id: str
    caller: Caller | None = None
    generation: str | None = None
    started: bool = False
    rate_headers: dict[str, str] = field(default_factory=dict)


_CONTEXT = web.RequestKey("CONTEXT", Context)


def context(request: web.BaseRequest) -> Context:
    """What the request knows of itself; made when it is first asked for."""
    known = request.get(_CONTEXT)
    if known is None:
        known = request[_CONTEXT] = Context(f"req_{secrets.token_hex(12)}")
    return known


def caller(request: web.Request) -> Caller:
    """Who is calling; only for routes that have scopes."""
    who = context(request).caller
    if who is None:
        raise KeyError("caller")  # a fault of ours: the route is behind no guard
    return who
