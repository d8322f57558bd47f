"""Generations that this process left with a provider which hears by itself how its jobs do (R17).

What is heard of one goes into the ledger: how far it is, at most once a second; and when its job has ended, or is not
known any more, it is looked at at once, wherever there is room. A process that stops has the others look, so that one
of them listens from then on. One that dies leaves the next look, of which the ledger has the time.
"""

from __future__ import annotations

import asyncio
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import structlog

from gateway.errors import FareboxError
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Generation, Stale
from gateway.queue.dispatcher import Dispatcher
from gateway.tasks import Tasks, cancel
from workers.providers import ListeningProvider
from workers.retry import retry_until_answered

T = TypeVar("T")

_PROGRESS_EVERY_SECONDS = 1.0
_BARELY_SECONDS = 1.0  # heard for less, its end contradicts the look that has just said that it goes on
# A server of which one half is broken is not asked all the time: so long for each look so far, and the most.
_CONTRADICTED_SECONDS = (1.0, 30.0)
_HAND_OVER_SECONDS = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A generation that is listened for: the job that it was left with, and the task."""

    job: str
    task: asyncio.Task[None]


class ParkedJobs:
    """Those of one process."""

    def __init__(self, ledger: Ledger, dispatcher: Dispatcher, tasks: Tasks, *, lease_seconds: float) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._lease_seconds = lease_seconds
        self._heard: dict[str, _Heard] = {}

    def listen(self, generation: Generation, job: str, provider: ListeningProvider, thousandths: int) -> None:
        """Listen for a generation that was just left with `job`, so far done, unless that is done already."""
        known = self._heard.get(generation.id)
        if known is not None and known.job == job and not known.task.done():
            return
        if known is not None:
            known.task.cancel()
        work = self._listen(generation, job, provider, thousandths)
        task = self._tasks.start(work, f"listen {generation.id}")
        self._heard[generation.id] = _Heard(job, task)
        task.add_done_callback(lambda ended: self._forget(generation.id, ended))

    async def close(self) -> None:
        """Stop listening, and have others look at what is left: they listen from then on."""
        left = {name: heard.job for name, heard in self._heard.items()}
        await cancel(*(heard.task for heard in self._heard.values()))
        try:
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                await asyncio.gather(*(self._request_poll(name, job) for name, job in left.items()))
        except (TimeoutError, FareboxError) as error:
            log.info("parked_jobs_not_handed_over", jobs=len(left), error=type(error).__name__)

    async def _listen(self, generation: Generation, job: str, provider: ListeningProvider, told: int) -> None:
        clock = asyncio.get_running_loop().time
        began_at = tell_at = clock()
        outputs, earlier = generation.request.outputs, len(generation.outputs)
        async with aclosing(provider.listen(job)) as words:
            async for fraction in words:
                thousandths = int(1000 * (earlier + (fraction or 0.0) * (outputs - earlier)) / outputs)
                if thousandths <= told or clock() < tell_at:
                    continue
                told, tell_at = thousandths, clock() + _PROGRESS_EVERY_SECONDS
                if not await self._tell(generation, job, thousandths):
                    return
        if clock() - began_at < _BARELY_SECONDS:
            each, most = _CONTRADICTED_SECONDS
            await pause(min(each * max(1, generation.looks), most))
        await self._until_answered("call_back", lambda: self._request_poll(generation.id, job))

    async def _tell(self, generation: Generation, job: str, thousandths: int) -> bool:
        """Record how far it is; whether the generation still waits for this job."""
        outcome = await self._until_answered(
            "progress", lambda: self._ledger.progress(generation=generation.id, job=job, thousandths=thousandths)
        )
        self._dispatcher.notify(generation.account, generation.id)
        return not isinstance(outcome, Stale)

    async def _request_poll(self, generation: str, job: str) -> None:
        """Have the job looked at now, by whoever has the generation or has room for it."""
        await self._ledger.call_back(generation=generation, job=job)

    async def _until_answered(self, transition: str, ask: Callable[[], Awaitable[T]]) -> T:
        return await retry_until_answered(transition, ask, lease_seconds=self._lease_seconds)

    def _forget(self, generation: str, task: asyncio.Task[None]) -> None:
        known = self._heard.get(generation)
        if known is not None and known.task is task:
            del self._heard[generation]
