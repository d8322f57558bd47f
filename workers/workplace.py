"""What a worker or a caretaker has in its hands, and how both have a provider stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from gateway.domain import GenerationRequest
from gateway.errors import QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputStore
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.follow_ups import FollowUps
from gateway.queue.queue import Queue
from gateway.queue.slots import Slots
from gateway.tasks import Tasks
from workers.attempts.checks import Checks
from workers.attempts.job_times import JobTimes
from workers.attempts.parked import ParkedJobs
from workers.attempts.storing import Storing
from workers.insist import insist
from workers.metrics import FIGURES
from workers.provider_desk import ProviderDesk

T = TypeVar("T")

_STOP_PROVIDER_SECONDS = 30
_STOP_AGAIN_SECONDS = (5, 30, 120)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Workplace:
    """The connections that all jobs of a process share."""

    ledger: Ledger
    queue: Queue
    dispatcher: Dispatcher
    outputs: OutputStore
    lease_seconds: float
    desk: ProviderDesk
    attempts: dict[str, Callable[[], None]] = field(default_factory=dict)
    """For each generation in work here, what makes its attempt look at once, in the ledger and at its provider."""
    checks: Checks = field(default_factory=Checks)
    tasks: Tasks = field(default_factory=Tasks)
    slots: Slots = field(init=False)
    parked: ParkedJobs = field(init=False)
    job_times: JobTimes = field(init=False)
    storing: Storing = field(init=False)
    follow_ups: FollowUps = field(init=False)

    def __post_init__(self) -> None:
        self.parked = ParkedJobs(self)
        self.job_times = JobTimes(self.queue)
        self.storing = Storing(self.outputs)
        self.slots = Slots(self.queue, lease_ms=round(self.lease_seconds * 1000))
        self.follow_ups = FollowUps(
            queue=self.queue,
            dispatcher=self.dispatcher,
            slots=self.slots,
            tasks=self.tasks,
            card=lambda: self.desk.card,
            figures=FIGURES,
            stop=self.stop_provider,
        )
        self.ledger.follow_up_by(self.follow_ups.after)

    async def insist(self, transition: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the ledger until it answers (see `workers.insist`)."""
        return await insist(transition, ask, lease_seconds=self.lease_seconds)

    async def heed_looks(self) -> None:
        """Have attempts look at once when a cancel was asked for or a provider called back; for ever."""
        async with aclosing(self.queue.looks()) as looks:
            async for told in looks:
                found = self.attempts.values() if told is None else filter(None, [self.attempts.get(told)])
                for look in list(found):
                    look()

    async def stop_provider(self, asked: GenerationRequest, ref: str, generation: str) -> None:
        """Ask a provider to stop the job `ref`; never raise: the generation has ended, whatever comes of it.

        What cannot be asked from here is left to a worker: a caretaker need have neither the key nor a way there.
        """
        if await self.ask_to_stop(asked, ref, generation):
            return
        try:
            await self.queue.stop_stray(tool=asked.tool, generation=generation, ref=ref)
        except QueueUnavailable as error:
            log.warning("stop_not_left_to_worker", generation=generation, error=str(error))

    async def ask_to_stop(self, asked: GenerationRequest, ref: str, generation: str) -> bool:
        """Ask once; whether the provider has heard. Never raises."""
        tell = log.bind(generation=generation, provider=asked.provider)
        try:
            async with asyncio.timeout(_STOP_PROVIDER_SECONDS):
                await self.desk.provider(asked.provider).cancel(ref, asked.provider_model or asked.model)
        except Exception as error:  # noqa: BLE001 - a vendor's client may raise anything
            tell.warning("provider_not_stopped", error=type(error).__name__)
            return False
        tell.info("provider_stopped")
        return True

    async def ask_again_to_stop(self, asked: GenerationRequest, ref: str, generation: str) -> None:
        """Ask a few more times: a provider that is away for a moment still has the job when it is back."""
        for pause in _STOP_AGAIN_SECONDS:
            await asyncio.sleep(pause)
            if await self.ask_to_stop(asked, ref, generation):
                return

    async def close(self) -> None:
        """Hand parked jobs over, end the loops, let what else runs end, then close the providers and the checks."""
        await self.parked.close()
        await self.tasks.close()
        await self.desk.close()
        await self.checks.close()

    def aside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do what nobody waits for."""
        self.tasks.start(work, name)
