"""Generations that this process parked at a provider that reports events (R17).

Events go into the ledger: progress, at most once a second; and when a job has ended or is no longer known, it is polled
at once by any worker with capacity. A process that stops requests polls from the others, so that one of them listens
from then on. If it dies, the job is polled at the time set in the ledger.
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
from gateway.queue.messages import ChangeNotice
from gateway.tasks import Tasks, cancel
from workers.providers import ListeningProvider
from workers.retry import retry_until_answered

T = TypeVar("T")

_PROGRESS_EVERY_SECONDS = 1.0
_BARELY_SECONDS = 1.0  # if an end is reported sooner, it contradicts the poll that has just found the job running
# A half-broken server must not be polled constantly: this long per poll so far, up to the maximum.
_CONTRADICTED_SECONDS = (1.0, 30.0)
_HAND_OVER_SECONDS = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A generation being followed: its provider job, and the task."""

    job: str
    task: asyncio.Task[None]


class ParkedJobs:
    """The parked jobs of one process."""

    def __init__(self, ledger: Ledger, dispatcher: Dispatcher, tasks: Tasks, *, lease_seconds: float) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._lease_seconds = lease_seconds
        self._heard: dict[str, _Heard] = {}

    def listen(self, generation: Generation, job: str, provider: ListeningProvider, thousandths: int) -> None:
        """Follow a generation that was just parked with `job` and this progress, unless it is followed already."""
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
        """Stop listening, and request polls for the rest: other workers listen from then on."""
        left = {name: heard.job for name, heard in self._heard.items()}
        await cancel(*(heard.task for heard in self._heard.values()))
        try:
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                await asyncio.gather(*(self._request_poll(name, job) for name, job in left.items()))
        except (TimeoutError, FareboxError) as error:
            log.info("parked_jobs_not_handed_over", jobs=len(left), error=type(error).__name__)

    async def _listen(self, generation: Generation, job: str, provider: ListeningProvider, recorded: int) -> None:
        clock = asyncio.get_running_loop().time
        began_at = record_at = clock()
        outputs, earlier = generation.request.outputs, len(generation.outputs)
        async with aclosing(provider.listen(job)) as words:
            async for fraction in words:
                thousandths = int(1000 * (earlier + (fraction or 0.0) * (outputs - earlier)) / outputs)
                if thousandths <= recorded or clock() < record_at:
                    continue
                recorded, record_at = thousandths, clock() + _PROGRESS_EVERY_SECONDS
                if not await self._record(generation, job, thousandths):
                    return
        if clock() - began_at < _BARELY_SECONDS:
            each, most = _CONTRADICTED_SECONDS
            await pause(min(each * max(1, generation.looks), most))
        await self._until_answered("call_back", lambda: self._request_poll(generation.id, job))

    async def _record(self, generation: Generation, job: str, thousandths: int) -> bool:
        """Record progress; returns whether the generation still waits for this job."""
        outcome = await self._until_answered(
            "progress", lambda: self._ledger.progress(generation=generation.id, job=job, thousandths=thousandths)
        )
        self._dispatcher.dispatch([], [ChangeNotice(generation.account, generation.id)])
        return not isinstance(outcome, Stale)

    async def _request_poll(self, generation: str, job: str) -> None:
        """Request a poll now, by the worker that has the generation or one with capacity."""
        await self._ledger.call_back(generation=generation, job=job)

    async def _until_answered(self, transition: str, ask: Callable[[], Awaitable[T]]) -> T:
        return await retry_until_answered(transition, ask, lease_seconds=self._lease_seconds)

    def _forget(self, generation: str, task: asyncio.Task[None]) -> None:
        known = self._heard.get(generation)
        if known is not None and known.task is task:
            del self._heard[generation]
