"""aiohttp, one DECRBY on a counter in Redis, and a job for arq: no journal, no idempotency, no reservation.

A crash between the two commands loses the credits, or the job. `python -m benchmarks.peers.counter PORT REDIS_SOCKET`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import web
from arq import ArqRedis, create_pool
from arq.connections import RedisSettings

from benchmarks.peers.serving import BALANCE_MILLICREDITS, PRICE_MILLICREDITS, account_of, created, refused, serve

_REDIS = web.AppKey("redis", ArqRedis)


async def create(request: web.Request) -> web.Response:
    """Take the price from the counter; put it back if that was too much."""
    body, redis = await request.json(), request.app[_REDIS]
    counter = f"credits:{account_of(request)}"
    left = await redis.decrby(counter, PRICE_MILLICREDITS)
    if left < -BALANCE_MILLICREDITS:  # a counter that is not there yet stands for a full balance
        await redis.incrby(counter, PRICE_MILLICREDITS)
        return refused()
    job = await redis.enqueue_job("generate", body)
    return refused() if job is None else created(job.job_id)


async def connected(app: web.Application) -> AsyncIterator[None]:
    """The pool, while the server runs."""
    app[_REDIS] = await create_pool(RedisSettings(unix_socket_path=sys.argv[2]))
    yield
    await app[_REDIS].aclose()


if __name__ == "__main__":
    serve(int(sys.argv[1]), create, connected)
