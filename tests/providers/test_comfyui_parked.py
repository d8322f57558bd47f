"""ComfyUI's jobs that are left with it: heard of by one socket, taken up when they end, known as lost when it forgot.

There is no caretaker here, so nothing comes back by its next look: what comes back was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.domain import State, operation_id, partition_of_generation
from gateway.ledger import keys
from gateway.ledger.outcomes import Generation
from gateway.queue.jobs import job_id
from tests.providers.comfyui_vendor import ComfyUiVendor
from tests.providers.requests import asked
from tests.providers.scene import Scene, open_scene
from tests.providers.vendor import KEY
from tests.until import until
from tests.workers.stage import PRICE, Stage, due, open_place
from workers.attempts.generate import generate
from workers.context import WorkerContext
from workers.providers import Connection
from workers.providers.comfyui import ComfyUi


@dataclass
class Box:
    """A ComfyUI that holds its jobs, and a worker in this process that leaves them there at once."""

    scene: Scene
    vendor: ComfyUiVendor
    place: WorkerContext

    async def attempt(self, generation: str, attempt: int = 1) -> None:
        await generate({"context": self.place, "tool": "image", "hand_back": asyncio.Event()}, generation, attempt)

    async def parked(self) -> str:
        generation: str = (await self.scene.order_only()).id
        await self.attempt(generation)
        assert (await self.look(generation)).looks == 1
        return generation

    async def look(self, generation: str) -> Generation:
        return await self.scene.stage.generation(generation)

    async def gets_to(self, generation: str, thousandths: int) -> None:
        await until(lambda: self._is_at(generation, thousandths))

    async def _is_at(self, generation: str, thousandths: int) -> bool:
        return (await self.look(generation)).progress_thousandths == thousandths

    async def dispatched(self, generation: str, attempt: int = 2) -> None:
        await until(lambda: self._is_due(job_id(generation, attempt)))

    async def _is_due(self, job: str) -> bool:
        return job in await due(self.scene.stage.queue)

    async def in_work(self) -> int:
        return (await self.place.slots.states(["box"]))["box"].in_work


@pytest.fixture
async def box(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Box]:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    monkeypatch.setattr("workers.attempts.parked._PROGRESS_EVERY_SECONDS", 0)
    monkeypatch.setenv("BOX_KEY", KEY)
    vendor = ComfyUiVendor(holding=True)
    async with open_scene(stage, vendor, tmp_path / "card") as scene, open_place(stage, scene.card) as place:
        yield Box(scene, vendor, place)


@pytest.mark.parametrize("looks", [0, 4], ids=["of a minute", "of ten minutes"])
async def test_a_parked_job_is_seen_to_get_on_and_taken_up_when_it_has_ended(box: Box, looks: int) -> None:
    """Real jobs stood still in the ledger from the 30th second on, and their results came 9 to 79 s late."""
    generation = (await box.scene.order_only()).id
    await box.scene.stage.ledger.redis.hset(
        keys.generation(partition_of_generation(generation), generation), "looks", str(looks)
    )  # type: ignore[misc]  # redis-py types it for both clients
    await box.attempt(generation)
    await box.gets_to(generation, 475)
    box.vendor.says_progress = (4, 5)
    await box.gets_to(generation, 760)
    assert (await box.look(generation)).looks == looks + 1, "all the while it was parked"
    assert await due(box.scene.stage.queue) == []
    box.vendor.holding = False
    await box.dispatched(generation)
    await box.attempt(generation, 2)
    assert (await box.look(generation)).state is State.SUCCEEDED
    assert await box.scene.stage.spent() == PRICE


async def test_one_socket_hears_for_all_jobs(box: Box) -> None:
    generations = [await box.parked() for _ in range(3)]
    for generation in generations:
        await box.gets_to(generation, 475)
    assert box.vendor.listeners == 1
    assert len({job.asked["client_id"] for job in box.vendor.jobs.values()}) == 1
    box.vendor.holding = False
    for generation in generations:
        await box.dispatched(generation)


async def test_a_job_that_a_restart_forgot_is_lost_at_once_and_its_slot_is_free(box: Box) -> None:
    """A ComfyUI that was away for a minute cost its jobs 264 and 384 s: their slots were kept until the next look."""
    generation = await box.parked()
    await box.gets_to(generation, 475)
    await until(lambda: _is(box, 1))
    await box.vendor.restart()
    await box.dispatched(generation)
    await box.attempt(generation, 2)
    found = await box.look(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 1, None)
    await until(lambda: _is(box, 0))
    await box.dispatched(generation, 3)
    await box.attempt(generation, 3)
    box.vendor.holding = False
    await box.dispatched(generation, 4)
    await box.attempt(generation, 4)
    assert (await box.look(generation)).state is State.SUCCEEDED
    assert len(box.vendor.jobs) == 1
    assert await box.scene.stage.spent() == PRICE


async def _is(box: Box, in_work: int) -> bool:
    return await box.in_work() == in_work


async def test_who_has_a_job_when_its_server_goes_away_leaves_it_and_hears_when_it_is_back(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 1_000)
    monkeypatch.setattr("workers.providers.comfyui.provider._POLL_SECONDS", 0.1)
    generation = (await box.scene.order_only()).id
    running = asyncio.create_task(box.attempt(generation))
    await box.gets_to(generation, 475)
    await box.vendor.down()
    await running
    assert (await box.look(generation)).looks == 1
    box.vendor.holding = False
    await box.vendor.up()
    await box.dispatched(generation)
    await box.attempt(generation, 2)
    assert (await box.look(generation)).state is State.SUCCEEDED


async def test_where_no_socket_is_let_through_the_end_is_heard_of_all_the_same(box: Box) -> None:
    await box.vendor.down()
    box.vendor.sockets = False
    await box.vendor.up()
    generation = await box.parked()
    box.vendor.holding = False
    await box.dispatched(generation)


async def test_a_job_that_another_process_queued_is_heard_of_when_it_ends(box: Box, tmp_path: Path) -> None:
    await box.parked()
    other = ComfyUi(Connection(name="box", base_url=box.vendor.url, folder=tmp_path))
    async with aclosing(other.listen(box.scene.only_job)) as words:
        heard = asyncio.ensure_future(anext(words, "ended"))
        await until(lambda: _listens(box, 2))
        assert not heard.done(), "how far it is, is told only to the other"
        box.vendor.holding = False
        assert await heard == "ended"
    await other.close()


async def _listens(box: Box, count: int) -> bool:
    return box.vendor.listeners == count


async def test_a_stopping_process_hands_its_jobs_to_another_listener(box: Box) -> None:
    generation = await box.parked()
    async with open_place(box.scene.stage, box.scene.card) as next_place:
        await box.place.parked.close()
        await box.dispatched(generation)
        later = Box(box.scene, box.vendor, next_place)
        await later.attempt(generation, 2)
        assert (await box.look(generation)).looks == 2
        box.vendor.holding = False
        await box.dispatched(generation, 3)


async def test_a_job_whose_submit_response_was_lost_is_found_by_the_next_attempt(box: Box) -> None:
    """The worker died after the server had taken the job, and before the ledger knew of it."""
    generation = await box.scene.order_only()
    ledger, providers = box.scene.stage.ledger, box.place.providers
    await ledger.begin(generation=generation.id, attempt=1, operation=operation_id())
    job = await providers.provider("box").submit(await providers.request(generation, 1, ()))
    await ledger.hand_back(generation=generation.id, attempt=1, operation=operation_id())
    await box.attempt(generation.id, 2)
    assert (await box.look(generation.id)).provider_ref == job
    assert list(box.vendor.jobs) == [job]


async def test_a_half_broken_server_is_not_polled_constantly(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no job in its queue any more, and cannot say what became of it: each look contradicts what is heard."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("workers.attempts.parked.pause", sleep)
    monkeypatch.setattr("workers.attempts.parked._BARELY_SECONDS", 1_000)
    generation = await box.parked()
    box.vendor.speechless = True
    box.vendor.holding = False
    for attempt in (2, 3, 4):
        await box.dispatched(generation, attempt)
        await box.attempt(generation, attempt)
        assert (await box.look(generation)).looks == attempt
    await box.dispatched(generation, 5)
    assert slept == [1.0, 1.0, 2.0, 3.0]
    box.vendor.speechless = False
    await box.attempt(generation, 5)
    assert (await box.look(generation)).state is State.SUCCEEDED


async def test_a_job_that_its_server_does_not_have_is_not_waited_for(box: Box) -> None:
    provider = ComfyUi(Connection(name="box", base_url=box.vendor.url, folder=box.scene.card.parent))
    job = await provider.submit(asked(provider_model="flux.json", arguments={"width": 64, "height": 48}))
    box.vendor.jobs.clear()
    async with aclosing(provider.listen(job)) as words:
        assert [word async for word in words] == []
    await provider.close()
