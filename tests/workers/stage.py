"""A stage for the tests of this folder: a ledger, a queue, and real workers and caretakers around them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import (
    FINAL_STATES,
    Bucket,
    GenerationRequest,
    State,
    generation_id,
    operation_id,
    partition_of_account,
    partition_of_generation,
)
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Account, Applied, Dispatch, Generation, Reserved
from gateway.ledger.policy import PlanTerms, Policy, Terms
from gateway.ledger.sums import Totals
from gateway.outputs import OutputStore
from gateway.pricing.reload import RateCards
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.keys import queue_key
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_ledger, connect_queue
from gateway.remote.callback_addresses import CallbackAddresses
from tests.preforked import Forked
from tests.until import until
from workers.care.caretaker import Caretaker
from workers.context import WorkerContext
from workers.provider_registry import ProviderRegistry

ROOT = Path(__file__).parents[2]
PRICE = 10_000
CREDITS = 1_000_000_000
LEASE_SECONDS = 60.0  # no worker loses it by being slow; `Stage.lapse` ends that of a dead one
SHORT_LEASE_SECONDS = 2.0  # of tests marked `short_lease`: any worker on a busy machine may lose it, at any time
JUDGE_SECONDS = 2.0  # how long a caretaker sees the ledger answer before it judges leases
SMALL = {"size": "64x64"}
DAY_MS = 86_400_000


@dataclass
class Process:
    """A worker or a caretaker. Its log is a file, shown when a test fails."""

    process: Forked
    log_path: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        return await asyncio.to_thread(self.process.wait)

    async def says(self, words: str) -> bool:
        """Whether it has logged `words`."""
        return words in await asyncio.to_thread(self.log_path.read_text)

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@dataclass
class Stage:
    """What a test plays on."""

    url: str
    directory: Path
    lease_seconds: float
    ledger: Ledger
    queue: Queue
    dispatcher: Dispatcher
    processes: list[Process] = field(default_factory=list)

    # --- what the gateway would do ----------------------------------------------------------------------------------

    async def account(self, name: str = "acme") -> str:
        """An account with a million credits and no free ones."""
        await self.ledger.put_account(account=name)
        granted = await self.ledger.grant(
            account=name,
            operation=operation_id(),
            bucket=Bucket.TOP_UP,
            millicredits=CREDITS,
            expires_at=None,
            reason="for the test",
        )
        assert isinstance(granted, Applied)
        return name

    async def reserve(self, account: str = "acme", **wishes: Any) -> Reserved:
        """Reserve a small image, or what `wishes` say, without dispatching it."""
        terms: dict[str, Any] = {
            "queue_timeout_ms": DAY_MS,
            "provider_timeout_ms": DAY_MS,
            "waiting_timeout_ms": DAY_MS,
        }
        # With a short lease any attempt may be lost, and any number of them: that must not end a generation.
        terms |= {"attempts_max": 3 if self.lease_seconds == LEASE_SECONDS else 1000} | wishes.pop("terms", {})
        asked: dict[str, Any] = {"tool": "image", "outputs": 1, "settings": SMALL, "provider": "sandbox"}
        asked |= {"model": "nano-banana-2", "prompt": "a lighthouse"} | wishes
        reserved = await self.ledger.reserve(
            account=account,
            generation=generation_id(partition_of_account(account, self.ledger.partitions)),
            operation=operation_id(),
            request=GenerationRequest(
                price_millicredits=PRICE * asked["outputs"],
                rate_card="sha256:0",
                **asked,
            ),
            terms=Terms(**terms),
            pro=False,
            keys_version=None,
        )
        assert isinstance(reserved, Reserved)
        return reserved

    async def order(self, account: str = "acme", **wishes: Any) -> str:
        """Reserve and dispatch; the generation's id."""
        reserved = await self.reserve(account, **wishes)
        if reserved.dispatch is not None:
            self.dispatcher.dispatch([reserved.dispatch])
        return reserved.generation.id

    async def cancel(self, *generations: str) -> None:
        """Cancel as the API does, and return when all have ended. A worker may have begun and not listen yet."""
        for generation in generations:
            await self.ledger.cancel(generation=generation)
        left = set(generations)
        while left:
            for generation in left:
                await self.queue.request_check(generation)
            await asyncio.sleep(0.05)
            left = {generation for generation in left if not await self._has_ended(generation)}

    async def lapse(self, *generations: str) -> None:
        """As if the leases of dead workers had run out."""
        now = await self.ledger.time()
        for generation in generations:
            assert (await self.generation(generation)).state is State.RUNNING
            await self.ledger.redis.zadd(keys.deadlines(partition_of_generation(generation)), {generation: now})

    async def set_pause(self, generation: str, milliseconds: int = 0) -> int:
        """Have the pause before a generation's next attempt end in so many milliseconds; when that is."""
        over_at = await self.ledger.time() + milliseconds
        await self.ledger.redis.hset(self.ledger.generation_key(generation), "not_before", str(over_at))  # type: ignore[misc]  # redis-py types it for both clients
        return over_at

    async def let_go(self, *generations: str) -> None:
        """Have the next attempts of what hangs in the sandbox deliver: those of before do not hear of it."""
        for generation in generations:
            name = self.ledger.generation_key(generation)
            request: dict[str, Any] = json.loads(await self.ledger.redis.hget(name, "request") or "")  # type: ignore[misc]  # redis-py types it for both clients
            assert request.pop("sandbox")["hang"]
            await self.ledger.redis.hset(name, "request", json.dumps(request))  # type: ignore[misc]  # redis-py types it for both clients

    # --- processes --------------------------------------------------------------------------------------------------

    def worker(self, tool: str = "image", *options: str, prelude: str = "", **environment: str) -> Process:
        """Start `farebox worker`, in a process that has run `prelude`."""
        return self._start("worker", prelude, tool, *options, **environment)

    def caretaker(self, *, prelude: str = "", **environment: str) -> Process:
        """Start `farebox caretaker`, after `prelude`. It judges soon, and by the ledger's leases."""
        return self._start("caretaker", prelude, **{"FAREBOX_LEASE_SECONDS": str(JUDGE_SECONDS)} | environment)

    def _start(self, command: str, prelude: str, *arguments: str, **environment: str) -> Process:
        log_path = self.directory / f"{command}-{len(self.processes)}.log"
        environment = {**os.environ, **self.environment, **environment}
        forked = Forked.start(command, arguments, environment, log_path, prelude=prelude)
        self.processes.append(Process(forked, log_path))
        return self.processes[-1]

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "FAREBOX_LEDGER_URL": self.url,
            "FAREBOX_DATA": str(self.directory),
            "FAREBOX_LEASE_SECONDS": str(self.lease_seconds),
            "FAREBOX_DISPATCH_SECONDS": "0.2",
            "FAREBOX_LOG_FORMAT": "json",
        }

    def stop(self) -> None:
        """End every process and print what it logged, which pytest shows if the test failed."""
        for process in self.processes:
            process.send(signal.SIGCONT)
            process.kill()
            print(f"--- {process.log_path.name}\n{process.log}")  # noqa: T201

    # --- looking ----------------------------------------------------------------------------------------------------

    async def generation(self, generation: str) -> Generation:
        found = await self.ledger.generation(generation=generation)
        assert isinstance(found, Generation)
        return found

    async def ended(self, generation: str) -> Generation:
        """The generation, when it has ended."""
        return await self.when(generation, lambda found: found.state in FINAL_STATES)

    async def when(self, generation: str, is_so: Callable[[Generation], bool]) -> Generation:
        """The generation, when this is true of it."""

        async def seen() -> bool:
            return is_so(await self.generation(generation))

        await until(seen)
        return await self.generation(generation)

    async def _has_ended(self, generation: str) -> bool:
        return (await self.generation(generation)).state in FINAL_STATES

    async def totals(self) -> Totals:
        return await self.ledger.totals()

    async def running(self, count: int, tool: str = "image") -> None:
        """Return when `count` generations run, or more; none of them may end by itself before a test has seen it."""
        await until(lambda: self._running(count, tool))

    async def _running(self, count: int, tool: str) -> bool:
        return (await self.totals()).running.get(tool, 0) >= count

    async def spent(self, account: str = "acme") -> int:
        """What the account has paid; AssertionError if anything is still held or was lost on the way."""
        found = await self.ledger.account(account=account)
        assert isinstance(found, Account)
        assert sum(found.held_millicredits.values()) == 0
        return CREDITS - sum(found.available_millicredits.values())


async def due(queue: Queue, tool: str = "image") -> list[str]:
    """The jobs of a tool whose time has come, the next one first."""
    jobs: list[bytes] = await queue.redis.zrange(queue_key(tool), "-inf", time.time_ns() // 1_000_000, byscore=True)  # type: ignore[arg-type]
    return [job.decode() for job in jobs]


def dispatch_of(reserved: Reserved) -> Dispatch:
    """The dispatch of a generation that did not have to wait."""
    assert reserved.dispatch is not None
    return reserved.dispatch


@asynccontextmanager
async def open_stage(url: str, directory: Path, *, lease_seconds: float = LEASE_SECONDS) -> AsyncIterator[Stage]:
    """A stage on the Redis at `url`, with the policy that the tests need."""
    ledger = Ledger(connect_ledger(url), lease_ms=round(lease_seconds * 1000), dispatch_ms=200)
    queue = Queue(connect_queue(url))
    await ledger.start()
    await ledger.publish(policy())
    async with Dispatcher(ledger=ledger, queue=queue) as dispatcher:
        stage = Stage(url, directory, lease_seconds, ledger, queue, dispatcher)
        try:
            yield stage
        finally:
            stage.stop()
    await queue.redis.aclose()
    await ledger.close()


def lease_of(request: pytest.FixtureRequest) -> float:
    """The leases that a test asks for: long ones, unless one must run out or be renewed while the test looks on."""
    return LEASE_SECONDS if request.node.get_closest_marker("short_lease") is None else SHORT_LEASE_SECONDS


def caretaker_in(place: WorkerContext, lease_seconds: float = JUDGE_SECONDS) -> Caretaker:
    """A caretaker whose rounds the test makes. A round ends when it has visited all, however long that takes."""
    caretaker = Caretaker(place, lease_seconds)
    caretaker.round_seconds = LEASE_SECONDS
    return caretaker


@asynccontextmanager
async def open_place(
    stage: Stage, card: Path = ROOT / "pricing.toml", outputs: OutputStore | None = None
) -> AsyncIterator[WorkerContext]:
    """What a worker would have in its hands, in this process."""
    outputs = outputs or OutputStore.open((stage.directory / "outputs").as_uri())
    providers = ProviderRegistry(RateCards(card), outputs, callbacks=CallbackAddresses(None))
    place = WorkerContext.at_redis(
        stage.queue,
        lease_seconds=stage.lease_seconds,
        ledger=stage.ledger,
        dispatcher=stage.dispatcher,
        outputs=outputs,
        providers=providers,
    )
    try:
        yield place
    finally:
        await place.close()


def policy(*, image: int = 1000, video: int = 1000) -> Policy:
    """A policy without free credits, which lets an account have so many generations in work."""
    return Policy(
        version="sha256:0",
        file_time_ms=1,
        timezone="UTC",
        zone_changes=((0, 0),),
        reset_ms=0,
        daily_millicredits=0,
        free_for_everyone=True,
        refund_grace_ms=DAY_MS,
        keep_upgrade_leftover=True,
        free=PlanTerms(concurrency={"image": image, "video": video}, max_waiting=1000),
        plans={},
    )
