"""The connections and settings that the jobs of a worker or caretaker share, and stopping a job at its provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import structlog

from gateway.domain import GenerationRequest
from gateway.errors import QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputStore
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.follow_ups import FollowUps
from gateway.queue.job_times import JobTimes
from gateway.queue.queue import Queue
from gateway.queue.slots import Slots
from gateway.tasks import Tasks
from workers.attempts.checks import Checks
from workers.attempts.parked import ParkedJobs
from workers.attempts.storing import Storing
from workers.metrics import FIGURES
from workers.provider_registry import ProviderRegistry
from workers.retry import retry_until_answered

T = TypeVar("T")

_STOP_PROVIDER_SECONDS = 30
_STOP_AGAIN_SECONDS = (5, 30, 120)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class WorkerContext:
    """Shared by all jobs of one process."""

    ledger: Ledger
    queue: Queue
    dispatcher: Dispatcher
    outputs: OutputStore
    lease_seconds: float
    providers: ProviderRegistry
    slots: Slots
    job_times: JobTimes
    attempts: dict[str, Callable[[], None]] = field(default_factory=dict)
    """By generation in progress here: makes its attempt check the ledger and its provider at once."""
    checks: Checks = field(default_factory=Checks)
    tasks: Tasks = field(default_factory=Tasks)
    parked: ParkedJobs = field(init=False)
    storing: Storing = field(init=False)
    follow_ups: FollowUps = field(init=False)

    def __post_init__(self) -> None:
        self.parked = ParkedJobs(self.ledger, self.dispatcher, self.tasks, lease_seconds=self.lease_seconds)
        self.storing = Storing(self.outputs)
        self.follow_ups = FollowUps(
            queue=self.queue,
            dispatcher=self.dispatcher,
            slots=self.slots,
            tasks=self.tasks,
            card=lambda: self.providers.card,
            figures=FIGURES,
            stop=self.stop_provider,
        )
        self.ledger.follow_up_by(self.follow_ups.after)

    @classmethod
    def at_redis(cls, queue: Queue, *, lease_seconds: float, **others: Any) -> Self:
        """That of a process that reaches the queue's Redis itself."""
        slots = Slots(queue, lease_ms=round(lease_seconds * 1000))
        return cls(queue=queue, lease_seconds=lease_seconds, slots=slots, job_times=JobTimes(queue), **others)

    async def retry_until_answered(self, transition: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Call the ledger until it responds (see `workers.retry`)."""
        return await retry_until_answered(transition, ask, lease_seconds=self.lease_seconds)

    async def watch_for_check_requests(self) -> None:
        """Wake attempts when a cancel was requested or a provider called back; runs forever."""
        async with aclosing(self.queue.check_requests()) as looks:
            async for told in looks:
                found = self.attempts.values() if told is None else filter(None, [self.attempts.get(told)])
                for look in list(found):
                    look()

    async def stop_provider(self, asked: GenerationRequest, ref: str, generation: str) -> None:
        """Ask a provider to stop the job `ref`. Never raises: the generation has ended either way.

        If this process cannot reach the provider, or lacks its key as a caretaker may, a worker is asked to do it.
        """
        if await self.ask_to_stop(asked, ref, generation):
            return
        try:
            at = asked.provider if asked.providers else ""  # the generation may go to another one meanwhile
            await self.queue.stop_stray(tool=asked.tool, generation=generation, ref=ref, provider=at)
        except QueueUnavailable as error:
            log.warning("stop_not_left_to_worker", generation=generation, error=str(error))

    async def ask_to_stop(self, asked: GenerationRequest, ref: str, generation: str) -> bool:
        """Ask once; whether the provider acknowledged. Never raises."""
        tell = log.bind(generation=generation, provider=asked.provider)
        try:
            async with asyncio.timeout(_STOP_PROVIDER_SECONDS):
                await self.providers.provider(asked.provider).cancel(ref, asked.provider_model or asked.model)
        except Exception as error:  # noqa: BLE001 - a vendor's client may raise anything
            tell.warning("provider_not_stopped", error=type(error).__name__)
            return False
        tell.info("provider_stopped")
        return True

    async def ask_again_to_stop(self, asked: GenerationRequest, ref: str, generation: str) -> None:
        """Retry a few times: a provider that is briefly unreachable still runs the job when it is back."""
        for pause in _STOP_AGAIN_SECONDS:
            await asyncio.sleep(pause)
            if await self.ask_to_stop(asked, ref, generation):
                return

    async def close(self) -> None:
        """Hand over parked jobs, stop the background tasks, then close the providers and the output checks."""
        await self.parked.close()
        await self.tasks.close()
        await self.providers.close()
        await self.checks.close()

    def run_in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a background task."""
        self.tasks.start(work, name)
