"""A provider written for the occasion, and a worker in this process that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from gateway.ledger.outcomes import Generation, Reserved
from gateway.queue.jobs import job_id
from tests import made_media
from tests.until import until
from tests.workers.stage import Stage, due
from workers.attempts.generate import generate
from workers.context import WorkerContext
from workers.providers import ProviderRequest, Rendered, Result

Line = Result | Exception | None


@dataclass
class Scripted:
    """A provider that hands out what it was told to; `None` at the end of a list: it never answers again."""

    scripts: list[list[Line]]
    refuse_submits: list[Exception] = field(default_factory=list)
    submitted: list[ProviderRequest] = field(default_factory=list)
    asked: list[tuple[str | None, tuple[int, ...]]] = field(default_factory=list)
    jobs: list[tuple[int, ...]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def submit(self, request: ProviderRequest) -> str | None:
        if self.refuse_submits:
            raise self.refuse_submits.pop(0)
        self.submitted.append(request)
        return f"ref-{len(self.submitted)}"

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        self.asked.append((ref, request.indices))
        self.jobs.append(request.job_indices)
        for result in self.scripts.pop(0):
            if isinstance(result, Exception):
                raise result
            if result is None:
                await asyncio.get_running_loop().create_future()
                return
            yield result

    async def cancel(self, ref: str, provider_model: str) -> None:
        assert provider_model == "nano-banana-2"
        self.cancelled.append(ref)

    async def close(self) -> None:
        """There is nothing to close."""


def picture(index: int) -> Rendered:
    return Rendered(index=index, data=made_media.picture(width=16 + index, height=16))


@dataclass
class SlowToTake(Scripted):
    """It takes a job at once and says so when it is let; who hangs up before that has bought a job all the same."""

    taken: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, request: ProviderRequest) -> str | None:
        ref = await super().submit(request)
        self.taken.set()
        await self.answer.wait()
        return ref


@dataclass
class Scene:
    """A stage, a worker context in this process, and the orders for the scripted provider."""

    stage: Stage
    place: WorkerContext
    hand_back: asyncio.Event

    def provide(self, *scripts: list[Line], refuse_submits: list[Exception] | None = None) -> Scripted:
        provider = Scripted(list(scripts), refuse_submits or [])
        self.place.providers.give("scripted", provider)
        return provider

    async def reserve(self, outputs: int = 1, **terms: int) -> Reserved:
        return await self.stage.reserve(provider="scripted", outputs=outputs, terms=terms)

    async def attempt(self, generation: str, attempt: int = 1) -> None:
        """Make an attempt. The pause before a retry is over."""
        if attempt > 1:
            await self.stage.set_pause(generation)
        await generate({"context": self.place, "tool": "image", "hand_back": self.hand_back}, generation, attempt)

    async def attempted(self, outputs: int = 1, **terms: int) -> Generation:
        """A generation after its first attempt."""
        generation = (await self.reserve(outputs, **terms)).generation.id
        await self.attempt(generation)
        return await self.stage.generation(generation)

    async def begin(self, outputs: int = 1, **terms: int) -> tuple[str, asyncio.Task[None]]:
        """A generation, and its first attempt, which goes on."""
        generation = (await self.reserve(outputs, **terms)).generation.id
        return generation, asyncio.create_task(self.attempt(generation))

    async def is_due(self, job: str) -> bool:
        return job in await due(self.stage.queue)

    async def dispatched(self, generation: str, attempt: int) -> None:
        """Return when an attempt is in the queue."""
        await until(lambda: self.is_due(job_id(generation, attempt)))
