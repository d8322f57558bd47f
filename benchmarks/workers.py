"""Worker processes of the benchmark: Farebox's own with a provider that makes nothing, SAQ's and arq's with no-op jobs.

`least` is what no worker can be faster than: it takes a job and notes one thing, durably, before the job is begun.
`python -m benchmarks.workers farebox|saq|arq|least SOCKET [tell]`. With `tell` each notes in a list when a job was
begun: `begin` was answered, or the no-op job was entered. The clock is the machine's monotonic one, which processes
share.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import uvloop
from arq.connections import RedisSettings
from arq.typing import WorkerCoroutine
from arq.worker import Worker as ArqWorker
from arq.worker import func
from redis.asyncio import Redis
from saq import Worker as SaqWorker
from saq.queue.redis import RedisQueue

from gateway.ledger.outcomes import Begun
from gateway.logs import configure_logs
from gateway.settings import load_settings
from workers.providers import ProviderRequest, Rendered, Result
from workers.settings import make_worker, open_context

BEGUN = "bench:begun"
"""List: when each job was begun, in nanoseconds."""
QUEUED = "bench:jobs"
"""List: what `least` takes."""
JOBS_MAX = 150  # Farebox's default, and more than arq's own: its floor is the faster for it

Tell = Callable[[], Awaitable[None]]

# The smallest PNG there is: one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da6360000000020001"
    "e527defc0000000049454e44ae426082"
)


class Nothing:
    """A provider that has always made everything: one pixel."""

    async def submit(self, request: ProviderRequest) -> str:
        """Answer at once."""
        return f"nothing-{request.generation}"

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Yield every output."""
        del ref
        for index in request.indices:
            yield Rendered(index=index, data=PIXEL, made_here=True)

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Have nothing to stop."""

    async def close(self) -> None:
        """Have nothing to close."""


async def farebox(_socket: str, tell: Tell) -> None:
    """Run the real worker of the tool `image`, without work for its provider."""
    settings = load_settings()
    configure_logs(settings)
    logging.getLogger("arq").setLevel(logging.WARNING)
    async with open_context(settings) as place:
        place.providers.give("sandbox", Nothing())
        begin = place.ledger.begin

        async def begin_and_tell(**arguments: Any) -> Any:
            outcome = await begin(**arguments)
            if isinstance(outcome, Begun):
                await tell()
            return outcome

        place.ledger.begin = begin_and_tell  # type: ignore[method-assign]
        worker = make_worker(settings, place, tool="image", jobs_max=JOBS_MAX)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.async_run()


async def saq(socket: str, tell: Tell) -> None:
    """Run SAQ's worker with its defaults."""

    async def nothing(_context: object) -> None:
        await tell()

    await SaqWorker(RedisQueue(Redis(unix_socket_path=socket)), functions=[("nothing", nothing)]).start()


async def arq(socket: str, tell: Tell) -> None:
    """Run arq's worker with its defaults but for how many jobs it takes at once."""

    async def nothing(_context: dict[Any, Any]) -> None:
        await tell()

    settings = RedisSettings(unix_socket_path=socket)
    worker = ArqWorker(
        functions=[func(cast("WorkerCoroutine", nothing), name="nothing")],
        redis_settings=settings,
        max_jobs=JOBS_MAX,
        handle_signals=False,
    )
    await worker.async_run()


async def least(socket: str, tell: Tell) -> None:
    """Take each job, and write once before it is begun."""
    redis = Redis(unix_socket_path=socket)
    while True:
        await redis.blpop([QUEUED])  # type: ignore[misc]  # redis-py types it for both clients
        await redis.set("bench:lease", 1)
        await tell()


def main() -> None:
    """Work until SIGTERM."""
    kind, socket, *rest = sys.argv[1:]
    redis = Redis(unix_socket_path=socket)

    async def tell() -> None:
        if rest:
            await redis.rpush(BEGUN, time.monotonic_ns())  # type: ignore[misc]  # redis-py types it for both clients

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run({"farebox": farebox, "saq": saq, "arq": arq, "least": least}[kind](socket, tell))


if __name__ == "__main__":
    main()
