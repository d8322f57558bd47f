"""The API's description: for programs at `/openapi.json`, for people at `/docs`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from aiohttp import web

from gateway.api.services import DESCRIPTION, DOCS_PAGE

PAGE_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
STATIC = "/static/"


async def openapi(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return web.json_response(request.app[DESCRIPTION])


async def docs(request: web.Request) -> web.Response:
    """`GET /docs`."""
    return web.Response(
        text=request.app[DOCS_PAGE],
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": PAGE_POLICY},
    )


def mount_static(app: web.Application) -> None:
    """Serve the pages' own files."""
    app.router.add_static(STATIC, Path(str(files("gateway") / "console")))
