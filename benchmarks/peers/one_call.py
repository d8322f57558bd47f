"""aiohttp and asyncpg: balance, journal, idempotency record and job in one call of PL/pgSQL.

`python -m benchmarks.peers.one_call PORT SOCKET_FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

from benchmarks.peers.postgres import POOL
from benchmarks.peers.serving import PRICE_MILLICREDITS, account_of, created, digest_of, refused, serve

_CALL = "SELECT create_generation($1, $2, $3, $4, $5)"
_DATABASE = web.AppKey("database", asyncpg.Pool)


async def create(request: web.Request) -> web.Response:
    """One round trip, one transaction."""
    body = await request.read()
    await request.json()
    key = request.headers["Idempotency-Key"]
    arguments = (account_of(request), key, digest_of(body), PRICE_MILLICREDITS, body.decode())
    generation = await request.app[_DATABASE].fetchval(_CALL, *arguments)
    return refused() if generation is None else created(generation)


async def connected(app: web.Application) -> AsyncIterator[None]:
    """The pool, while the server runs."""
    async with asyncpg.create_pool(host=sys.argv[2], **POOL) as app[_DATABASE]:
        yield


if __name__ == "__main__":
    serve(int(sys.argv[1]), create, connected)
