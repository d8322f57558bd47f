"""Current queues and holds, for operators."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.watching import queues_shape


async def queues(request: web.Request) -> web.Response:
    """`GET /v1/ops/queues`."""
    return answer(await queues_shape(request.app))
