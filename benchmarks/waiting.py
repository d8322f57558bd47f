"""One worker process and thousands of generations that wait for their provider: what it takes, and how they end.

The worker has all of them in work at once, submits each to a server that speaks the real `http` contract over a real
socket, looks at it for the five seconds of its stay, and parks it. Then the server ends its jobs and calls the gateway
back about each: every generation must succeed, with one job each.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

from benchmarks.bench import Bench
from benchmarks.result import Result, at_most
from benchmarks.servers import answers, child, durable_redis, environment, wait_until
from benchmarks.workers import PIXEL
from gateway.domain import GenerationRequest, generation_id, operation_id, partition_of_account
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Dispatch, Reserved
from gateway.ledger.policy_of_card import policy_of, terms_of
from gateway.pricing.card import RateCard
from gateway.pricing.load import load_card
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_ledger, connect_queue
from tests.free_ports import free_port

WAITING = 5_000
MEMORY_MAX_MB = 300
ACCOUNT = "bench"
_CALLS_AT_ONCE = 32
_RESERVED_AT_ONCE = 100
_CHECK_SECONDS = 0.2

CARD = """
[free]
daily_credits = 1000000
concurrency = {{ image = 100000 }}
[tools.image]
name = "Image"
baseline_model = "slow"
[providers.box]
kind = "http"
base_url = "{url}"
max_in_work = {most}
[models.slow]
name = "Slow"
tool = "image"
provider = "box"
[[models.slow.rates]]
credits = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What was seen. `succeeded` and `jobs` should both be as many as were made; memory is the most there ever was."""

    memory_mb: float
    jobs: int
    succeeded: int
    parked_seconds: float
    ended_seconds: float


@dataclass(slots=True)
class Server:
    """A GPU server by the contract of `docs/providers.md`, whose jobs end when `release` says so."""

    port: int
    callbacks: dict[str, str] = field(default_factory=dict)
    released: bool = False

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Server]:
        """Answer until the end of the block."""
        app = web.Application()
        app.router.add_post("/jobs", self._submit)
        app.router.add_get("/jobs/{job}", self._look)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024).start()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def release(self) -> None:
        """End every job, and call back about each."""
        self.released = True
        calls = iter(list(self.callbacks.items()))
        async with ClientSession(connector=TCPConnector(limit=_CALLS_AT_ONCE)) as session:

            async def call_on() -> None:
                for job, url in calls:
                    async with session.post(url, json={"id": job}) as answer:
                        answer.raise_for_status()

            await asyncio.gather(*(call_on() for _ in range(_CALLS_AT_ONCE)))

    async def _submit(self, request: web.Request) -> web.Response:
        asked, job = await request.json(), request.headers["Idempotency-Key"]
        self.callbacks[job] = asked["callback_url"]
        return web.json_response({"id": job}, status=201)

    async def _look(self, _: web.Request) -> web.Response:
        if not self.released:
            return web.json_response({"status": "running"})
        output = {"b64": base64.b64encode(PIXEL).decode()}
        return web.json_response({"status": "succeeded", "outputs": [output]})


@dataclass(frozen=True, slots=True)
class _Worker:
    """The worker process, and where its own figures are."""

    pid: int
    metrics_port: int

    @property
    def most_memory_mb(self) -> float:
        """The most resident memory that it has ever had."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) / 1024 if found else float("nan")


async def measure(bench: Bench) -> Sequence[Result]:
    """Have them wait once; there is no floor to it."""
    count = bench.size(WAITING, WAITING // 10)
    bench.say(f"{count:,} generations")
    waited = await wait_for_provider(count)
    if (waited.jobs, waited.succeeded) != (count, count):
        raise RuntimeError(f"of {count:,} generations {waited.succeeded:,} succeeded, with {waited.jobs:,} jobs")
    note = f"all parked after {waited.parked_seconds:.0f} s; called back about, ended in {waited.ended_seconds:.0f} s"
    return [
        Result(
            what=f"memory: one worker, {count:,} wait for a provider",
            figures=[waited.memory_mb],
            unit="MB",
            target=at_most(MEMORY_MAX_MB),
            note=note,
        )
    ]


async def wait_for_provider(count: int) -> Waited:
    """Let `count` generations wait for a provider with one worker, then end them all."""
    with durable_redis() as redis_socket, ExitStack() as processes:
        async with Server(free_port()).serve() as server:
            card = redis_socket.parent / "pricing.toml"
            card.write_text(CARD.format(url=f"http://127.0.0.1:{server.port}", most=count))
            port = free_port()
            told = environment(redis_socket, port) | {
                "FAREBOX_RATE_CARD": str(card),
                "FAREBOX_PUBLIC_URL": f"http://127.0.0.1:{port}",
                "FAREBOX_LOG_LEVEL": "warning",
            }
            log = redis_socket.parent / "processes.log"
            farebox = [sys.executable, "-m", "gateway"]
            gateway = processes.enter_context(child([*farebox, "gateway"], environment=told, log=log))
            wait_until(lambda: answers(port), gateway, log)
            processes.enter_context(child([*farebox, "caretaker"], environment=told, log=log))
            metrics_port = free_port()
            command = [*farebox, "worker", "image", "--jobs", str(count), "--metrics-port", str(metrics_port)]
            worker = processes.enter_context(child(command, environment=told, log=log))
            return await _waited(redis_socket, load_card(card), server, count, _Worker(worker.pid, metrics_port))


async def _waited(redis_socket: Path, card: RateCard, server: Server, count: int, worker: _Worker) -> Waited:
    address = f"unix://{redis_socket}"
    ledger, queue = Ledger(connect_ledger(address)), Queue(connect_queue(address))
    try:
        await ledger.start()
        await ledger.publish(policy_of(card))
        await ledger.put_account(account=ACCOUNT)
        began_at = time.monotonic()
        async with Dispatcher(ledger=ledger, queue=queue) as dispatcher:
            for first in range(0, count, _RESERVED_AT_ONCE):
                many = min(_RESERVED_AT_ONCE, count - first)
                dispatcher.dispatch(await asyncio.gather(*(_reserve(ledger, card) for _ in range(many))))
            await _until_parked(server, count, worker)
            parked_at = time.monotonic()
            await server.release()
            await _until_ended(ledger)
        ended_at = time.monotonic()
        outcomes = (await ledger.totals()).outcomes
        return Waited(
            memory_mb=worker.most_memory_mb,
            jobs=len(server.callbacks),
            succeeded=outcomes.get(("image", "slow", "succeeded", ""), 0),
            parked_seconds=parked_at - began_at,
            ended_seconds=ended_at - parked_at,
        )
    finally:
        await queue.redis.aclose()
        await ledger.close()


async def _reserve(ledger: Ledger, card: RateCard) -> Dispatch:
    request = GenerationRequest(
        tool="image",
        model="slow",
        provider="box",
        prompt="A lighthouse on a cliff at dusk, heavy waves, warm light in the windows, painted in oil, wide angle",
        outputs=1,
        price_millicredits=1000,
        rate_card=card.version,
    )
    outcome = await ledger.reserve(
        account=ACCOUNT,
        generation=generation_id(partition_of_account(ACCOUNT, ledger.partitions)),
        operation=operation_id(),
        request=request,
        terms=terms_of(card, "image"),
        pro=False,
        keys_version=None,
    )
    if not isinstance(outcome, Reserved) or outcome.dispatch is None:
        raise TypeError(f"not reserved: {outcome}")
    return outcome.dispatch


async def _until_ended(ledger: Ledger) -> None:
    while (await ledger.totals()).open:  # noqa: ASYNC110 - another process gives no event to wait for
        await asyncio.sleep(_CHECK_SECONDS)


async def _in_work(session: ClientSession, worker: _Worker) -> float:
    async with session.get(f"http://127.0.0.1:{worker.metrics_port}/metrics") as answer:
        found = re.search(r"^farebox_attempts_in_work(?:{.*})? (\S+)", await answer.text(), re.MULTILINE)
    return float(found[1]) if found else float("nan")


async def _until_parked(server: Server, count: int, worker: _Worker) -> None:
    """Return when every generation is left with its provider: each has its job, and the worker has none in work."""
    async with ClientSession() as session:
        while len(server.callbacks) < count or await _in_work(session, worker):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_CHECK_SECONDS)


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(wait_for_provider(int(sys.argv[1])))}\n")
