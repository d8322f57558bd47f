"""A vendor, a card that names it, and real workers between it and the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain import Input, generation_id
from gateway.ledger.outcomes import Generation
from tests.made_media import picture
from tests.providers.vendor import KEY, PROMPT, Vendor, served, stored_input
from tests.until import until
from tests.workers.stage import Process, Stage


@dataclass
class Scene:
    stage: Stage
    vendor: Vendor
    card: Path

    def worker(self) -> Process:
        return self.stage.worker(FAREBOX_RATE_CARD=str(self.card), BOX_KEY=KEY)

    async def order(self, outputs: int = 1, **wishes: Any) -> str:
        return await self.stage.order(outputs=outputs, **(self._asked | wishes))

    async def order_only(self, outputs: int = 1, **wishes: Any) -> Generation:
        """The same, without anything in the queue."""
        return (await self.stage.reserve(outputs=outputs, **(self._asked | wishes))).generation

    @property
    def _asked(self) -> dict[str, Any]:
        asked = {"provider": "box", "model": "flux-dev", "provider_model": self.provider_model, "prompt": PROMPT}
        return asked | {"settings": {"resolution": "1K"}}

    @property
    def provider_model(self) -> str:
        return self.card.read_text().partition('provider_model = "')[2].partition('"')[0]

    @property
    def only_job(self) -> str:
        (job,) = self.vendor.jobs
        return job

    async def inputs(self, count: int) -> tuple[Input, ...]:
        """So many pictures in the object store."""
        wanted = [picture(width=80 + number) for number in range(count)]
        generation = generation_id(0)
        return tuple([await stored_input(self.stage.directory, generation, at, data) for at, data in enumerate(wanted)])

    async def noted(self, generation: str) -> str:
        """The ref of the generation's job, when the ledger has it."""
        await until(lambda: self._is_noted(generation))
        ref = (await self.stage.generation(generation)).provider_ref
        assert ref is not None
        return ref

    async def _is_noted(self, generation: str) -> bool:
        return (await self.stage.generation(generation)).provider_ref is not None

    async def delivered(self, generation: str, outputs: int) -> None:
        await until(lambda: self._has(generation, outputs))

    async def _has(self, generation: str, outputs: int) -> bool:
        return len((await self.stage.generation(generation)).outputs) == outputs

    async def stopped(self, *jobs: str) -> None:
        """Return when the vendor was asked to stop exactly these."""
        await until(lambda: self._has_stopped(list(jobs)))

    async def _has_stopped(self, jobs: list[str]) -> bool:
        return self.vendor.stopped == jobs


@asynccontextmanager
async def open_scene(stage: Stage, vendor: Vendor, folder: Path) -> AsyncIterator[Scene]:
    """The vendor serves, and refuses nothing that it was not told to refuse."""
    await stage.account()
    async with served(vendor, folder) as card:
        yield Scene(stage, vendor, card)
        assert vendor.refused == []


def sums(generation: Generation) -> list[str]:
    return [output.sha256 for output in generation.outputs]


def sums_of(made: list[bytes]) -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in made]
