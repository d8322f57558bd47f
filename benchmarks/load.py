"""Load for an HTTP server from a process of its own: one request at a time on each of many connections.

Each request needs a new idempotency key, and Python's HTTP clients cost as much as the servers that are measured. So
this writes prepared bytes and reads as little of an answer as it must: about 35 µs of CPU a request on a busy machine,
a fifth of what the bare handler takes. Floor and figure get the same load.

It reads {"port", "connections", "seconds", "requests": [text, …]} and writes {"per_second", "p50_ms", "p99_ms",
"sent"}. In a request, UNIQUE is replaced by something new each time it is sent. The first tenth of the time does not
count, except in "sent": how many were answered. An answer that is not 2xx ends it with an error: a fast refusal is not
a figure.

With "per_second", requests are due at that rate, however long answers take (an open loop): each goes to a connection
that is free, and its latency counts from when it was due.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import deque
from itertools import count, cycle
from time import perf_counter

import uvloop

UNIQUE = "UNIQUE-UNIQUE-UNIQUE-UNI"
_UNIQUE = UNIQUE.encode()
_WARM_UP = 0.1


class Load:
    """What all connections share: the next request, and the latencies."""

    def __init__(self, requests: list[bytes], per_second: float) -> None:
        self._requests = cycle(requests)
        self._per_second = per_second
        self._free: list[Connection] = []
        self._due: deque[float] = deque()
        self._numbers = count()
        self._run = secrets.token_hex(6)
        self.latencies: list[float] = []
        self.sent = 0
        self.counting = False
        self.stopping = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes:
        """The next request, with something in it that was never sent before."""
        unique = f"{self._run}{next(self._numbers):012x}"
        return next(self._requests).replace(_UNIQUE, unique.encode())

    def is_free(self, connection: Connection) -> None:
        """A connection has its answer: it sends what is due, or waits for that."""
        if not self._per_second:
            connection.send(perf_counter())
        elif self._due:
            connection.send(self._due.popleft())
        else:
            self._free.append(connection)

    async def keep_pace(self) -> None:
        """Send at the rate that was asked for."""
        due_at = perf_counter()
        while True:
            due_at += 1 / self._per_second
            await asyncio.sleep(due_at - perf_counter())
            if self._free:
                self._free.pop().send(due_at)
            else:
                self._due.append(due_at)

    def fail(self, why: str) -> None:
        """End the run: what was measured is worth nothing."""
        if not self.failed.done():
            self.failed.set_exception(RuntimeError(why))


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._answer = b""
        self._length = 0
        self._due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._load.is_free(self)

    def data_received(self, data: bytes) -> None:
        """Collect the answer; when it is whole, note how long it took."""
        self._answer += data
        if not self._length:
            head = self._answer.find(b"\r\n\r\n")
            if head < 0:
                return
            if self._answer[9:10] != b"2":
                self._load.fail(self._answer[:500].decode(errors="replace"))
                return
            start = self._answer.lower().find(b"content-length:", 0, head) + 15
            self._length = head + 4 + int(self._answer[start : self._answer.find(b"\r", start)])
        if len(self._answer) >= self._length:
            if self._load.counting:
                self._load.latencies.append(perf_counter() - self._due_at)
            self._load.sent += 1
            self._load.is_free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so if the server ended it."""
        if not self._load.stopping:
            self._load.fail(f"the server closed a connection: {error}")

    def send(self, due_at: float) -> None:
        """Send the next request; its latency counts from `due_at`."""
        self._answer, self._length = b"", 0
        if self._load.stopping:
            self._transport.close()
            return
        self._due_at = due_at
        self._transport.write(self._load.next_request())  # type: ignore[attr-defined]


async def run(
    port: int, connections: int, seconds: float, requests: list[str], per_second: float = 0
) -> dict[str, float]:
    """Load the server for so long; requests per second and latencies in ms."""
    loop = asyncio.get_running_loop()
    load = Load([request.encode() for request in requests], per_second)
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    pace = loop.create_task(load.keep_pace()) if per_second else None
    await asyncio.wait([load.failed], timeout=seconds * _WARM_UP)
    load.counting, started_at = True, perf_counter()
    await asyncio.wait([load.failed], timeout=seconds)
    load.counting, took = False, perf_counter() - started_at
    if load.failed.done():
        load.failed.result()
    load.stopping = True
    if pace is not None:
        pace.cancel()
    latencies = sorted(load.latencies)
    return {
        "per_second": len(latencies) / took,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        "sent": load.sent,
    }


def main() -> None:
    """JSON in, JSON out."""
    question = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(runner.run(run(**question)), sys.stdout)


if __name__ == "__main__":
    main()
