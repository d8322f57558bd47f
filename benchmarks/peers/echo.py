"""The floor of every HTTP row: aiohttp and uvloop, a handler that reads the JSON and answers 300 bytes.

`python -m benchmarks.peers.echo PORT`.
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

ANSWER = b'{"filler":"' + b"x" * 287 + b'"}'  # 300 bytes


async def handle(request: web.Request) -> web.Response:
    """Read the JSON, answer."""
    await request.json()
    return web.Response(body=ANSWER, content_type="application/json")


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app.router.add_post("/v1/generations", handle)
    app.router.add_get("/readyz", lambda _: web.Response())  # type: ignore[arg-type, return-value]
    port = int(sys.argv[1])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
