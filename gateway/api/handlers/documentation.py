"""The API's description: for programs at `/openapi.json`, for people at `/docs`."""

from __future__ import annotations

from aiohttp import web

from gateway.api.services import DESCRIPTION


async def openapi(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return web.json_response(request.app[DESCRIPTION].document)


async def docs(request: web.Request) -> web.Response:
    """`GET /docs`."""
    return request.app[DESCRIPTION].page.respond(request)
