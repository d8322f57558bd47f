"""What all peers share: a server like Farebox's, the two headers, the price of the one model, and their answers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable

import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

PRICE_MILLICREDITS = 5000
BALANCE_MILLICREDITS = 10**15


def account_of(request: web.Request) -> int:
    """The number of the account, which the benchmark's key ends in: no peer looks a key up."""
    return int(request.headers["Authorization"][-35:])


def digest_of(body: bytes) -> str:
    """What tells a repeated request from another one with the same key."""
    return hashlib.sha256(body).hexdigest()


def created(generation: int | str) -> web.Response:
    """The generation, as a client needs it."""
    return web.json_response(
        {"id": str(generation), "status": "queued", "credits": PRICE_MILLICREDITS / 1000}, status=202
    )


def refused() -> web.Response:
    """There are too few credits, or the key was used for another request."""
    return web.json_response({"error": "insufficient_credits"}, status=402)


def serve(
    port: int,
    create: Handler,
    context: Callable[[web.Application], AsyncIterator[None]],
    *,
    read: Handler | None = None,
) -> None:
    """Serve `create`, and `read` if there is one, until SIGTERM."""
    app = web.Application()
    app.cleanup_ctx.append(context)
    app.router.add_post("/v1/generations", create)
    if read is not None:
        app.router.add_get("/v1/generations/{generation}", read)
    app.router.add_get("/readyz", _ready)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


async def _ready(_: web.Request) -> web.Response:
    return web.Response()
