"""A server that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Wild:
    """`answer` handles every request; `asked` has them all."""

    answer: Handler
    url: str = ""
    asked: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        await request.read()
        return await self.answer(request)


@asynccontextmanager
async def serving(answer: Handler) -> AsyncIterator[Wild]:
    """Serve on a port of this machine."""
    wild = Wild(answer)
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", wild.handle)
    async with TestServer(app) as server:
        wild.url = str(server.make_url("")).rstrip("/")
        yield wild


def always(status: int, document: object = None, *, text: str = "", headers: dict[str, str] | None = None) -> Handler:
    """A handler that answers everything alike."""

    async def answer(request: web.Request) -> web.Response:
        del request
        if document is None:
            return web.Response(status=status, text=text, headers=headers)
        return web.json_response(document, status=status, headers=headers)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
