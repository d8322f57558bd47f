"""What fifty idle workers cost Redis: commands a second, all together.

They are the worker's own loops with their own connections, in one process: what Redis sees is the same as of fifty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from redis.asyncio import Redis

from benchmarks.bench import Bench
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, ledger_at
from gateway.logs import configure_logs
from gateway.settings import Settings
from workers.settings import make_worker, open_context

WORKERS = 50
SECONDS = 3.0


async def measure(bench: Bench) -> Sequence[Result]:
    """Let them idle, and have Redis count."""
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket), AsyncExitStack() as stack:
            settings = Settings(data=redis_socket.parent, log_level="warning")
            configure_logs(settings)
            workers = []
            for _ in range(WORKERS):
                place = await stack.enter_async_context(open_context(settings))
                workers.append(make_worker(settings, place, tool="image", jobs_max=1))
            running = [asyncio.create_task(worker.async_run()) for worker in workers]
            await asyncio.sleep(1)
            redis = Redis(unix_socket_path=str(redis_socket))
            per_second = []
            for _ in bench.rounds():
                before = await _commands(redis)
                await asyncio.sleep(SECONDS)
                per_second.append((await _commands(redis) - before - 1) / SECONDS)
            await redis.aclose()
            for worker in workers:
                worker.stop()
            await asyncio.gather(*running)
    return [Result(what=f"{WORKERS} idle workers", figures=per_second, unit="commands/s", target=at_most(500))]


async def _commands(redis: Redis) -> int:
    """How many commands Redis has run."""
    return int((await redis.info("stats"))["total_commands_processed"])
