"""A thousand open event streams in one gateway: its memory, and how soon a watcher hears of a change.

Each stream watches a running generation. A change is a `renew` with progress and its notice, as workers make them; the
time is from the call of `renew` to the event's arrival, while every stream is also read again every five seconds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from benchmarks.accounts import Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, gateway_at, ledger_at
from gateway.domain import operation_id
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved
from gateway.queue.messages import ChangeNotice
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_queue

STREAMS = 1000
STREAMS_QUICK = 200
PER_ACCOUNT = 10
CHANGES = 200  # a round
CHANGES_QUICK = 50
PAUSE_SECONDS = 0.01
PLAN = "creator"


class Stream(asyncio.Protocol):
    """One watcher: knows when it last heard of progress."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.opened = asyncio.Event()
        self.heard = asyncio.Event()
        self.heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Look for events; what is cut off at the end waits for the rest."""
        said = self._tail + data
        if b"event: snapshot" in said:
            self.opened.set()
        if b"event: progress" in said:
            self.heard_at = time.monotonic()
            self.heard.set()
        self._tail = said[said.rfind(b"\n\n") + 2 :] if b"\n\n" in said else said


async def measure(bench: Bench) -> Sequence[Result]:
    """Open the streams, change generations one after another, look at the gateway's memory."""
    streams = bench.size(STREAMS, STREAMS_QUICK)
    changes = bench.size(CHANGES, CHANGES_QUICK)
    delays: list[float] = []
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            accounts = await make(ledger, redis_socket, range(streams // PER_ACCOUNT), plan=PLAN)
            watched = [(account, await _running(ledger, account)) for account in accounts for _ in range(PER_ACCOUNT)]
            with gateway_at(redis_socket) as gateway:
                alone = gateway.memory_mb
                watchers = {one: await _watch(gateway.port, account, one) for account, one in watched}
                queue = Queue(connect_queue(f"unix://{redis_socket}"))
                for number in bench.rounds():
                    delay = await _median_delay(ledger, queue, watched, watchers, changes=changes, number=number)
                    delays.append(delay)
                with_streams = gateway.memory_mb
                await queue.redis.aclose()
    return [
        Result(
            what=f"{streams:,} event streams, memory of the gateway",
            figures=[with_streams],
            unit="MB",
            target=at_most(200),
            note=f"all of the process; {alone:.0f} MB before the first stream",
        ),
        Result(what=f"{streams:,} event streams, delay", figures=delays, unit="ms", target=at_most(50)),
    ]


async def _running(ledger: Ledger, account: Account) -> str:
    reserved = await reserve(ledger, account)
    if not isinstance(reserved, Reserved):
        raise TypeError(f"not reserved: {reserved}")
    generation = reserved.generation.id
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    return generation


async def _watch(port: int, account: Account, generation: str) -> Stream:
    request = (
        f"GET /v1/generations/{generation}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {account.key}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(request.encode()), "127.0.0.1", port)
    async with asyncio.timeout(10):
        await stream.opened.wait()
    return stream


async def _median_delay(
    ledger: Ledger,
    queue: Queue,
    watched: Sequence[tuple[Account, str]],
    watchers: dict[str, Stream],
    *,
    changes: int,
    number: int,
) -> float:
    """Milliseconds from a change to its event."""
    delays = []
    for index in range(changes):
        account, generation = watched[index * 37 % len(watched)]
        stream = watchers[generation]
        stream.heard.clear()
        changed_at = time.monotonic()
        progress = (number * changes + index) % 999 + 1
        await ledger.renew(generation=generation, attempt=1, progress_thousandths=progress)
        await queue.dispatch([], [ChangeNotice(account.name, generation)])
        async with asyncio.timeout(10):
            await stream.heard.wait()
        delays.append((stream.heard_at - changed_at) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
    return statistics.median(delays)
