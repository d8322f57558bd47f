"""aiohttp and asyncpg: the account's row is locked, and each step is a statement of its own.

`python -m benchmarks.peers.row_lock PORT SOCKET_FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

from benchmarks.peers.postgres import POOL
from benchmarks.peers.serving import PRICE_MILLICREDITS, account_of, created, digest_of, refused, serve

_DATABASE = web.AppKey("database", asyncpg.Pool)


async def create(request: web.Request) -> web.Response:
    """One transaction of seven statements."""
    body = await request.read()
    await request.json()
    async with request.app[_DATABASE].acquire() as connection, connection.transaction():
        generation = await _reserved(connection, account_of(request), request.headers["Idempotency-Key"], body)
    return refused() if generation is None else created(generation)


async def _reserved(database: asyncpg.Connection, account: int, key: str, body: bytes) -> int | None:
    available = await database.fetchval("SELECT available FROM accounts WHERE id = $1 FOR UPDATE", account)
    digest, price = digest_of(body), PRICE_MILLICREDITS
    made = await database.fetchrow(
        "SELECT generation, digest FROM idempotency WHERE account = $1 AND key = $2", account, key
    )
    if made is not None:
        return int(made["generation"]) if made["digest"] == digest else None
    if available < price:
        return None
    await database.execute(
        "UPDATE accounts SET available = available - $2, held = held + $2 WHERE id = $1", account, price
    )
    insert = "INSERT INTO generations (account, state, price, request) VALUES ($1, 'queued', $2, $3) RETURNING id"
    generation = await database.fetchval(insert, account, price, body.decode())
    insert = (
        "INSERT INTO journal (account, generation, kind, credits, held, available_after) "
        "VALUES ($1, $2, 'reserve', $3, $4, $5)"
    )
    await database.execute(insert, account, generation, -price, price, available - price)
    await database.execute("INSERT INTO idempotency VALUES ($1, $2, $3, $4)", account, key, digest, generation)
    await database.execute("INSERT INTO jobs (generation) VALUES ($1)", generation)
    return int(generation)


async def connected(app: web.Application) -> AsyncIterator[None]:
    """The pool, while the server runs."""
    async with asyncpg.create_pool(host=sys.argv[2], **POOL) as app[_DATABASE]:
        yield


if __name__ == "__main__":
    serve(int(sys.argv[1]), create, connected)
