"""A worker that lacks a provider's key, or the provider itself, leaves its generations to others; nothing fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import State
from gateway.queue.jobs import generate_job, job_id
from gateway.queue.keys import rerouted_key
from gateway.queue.queue import Queue
from tests.providers.http_vendor import HttpVendor
from tests.providers.scene import Scene, open_scene
from tests.until import until
from tests.workers.stage import PRICE, Stage, open_place
from workers.attempts.generate import stop


@pytest.fixture
async def scene(stage: Stage, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(stage, HttpVendor(), tmp_path / "card") as scene:
        yield scene


async def test_a_worker_without_the_key_costs_no_attempt_and_says_what_it_lacks(scene: Scene) -> None:
    """Of eight jobs six lost an attempt to the worker without the key, and one was failed by it."""
    stage = scene.stage
    without = stage.worker(FAREBOX_RATE_CARD=str(scene.card))
    boxed = [await scene.order() for _ in range(4)]
    drawn = await stage.order(model="sketch")
    assert (await stage.ended(drawn)).attempt == 1
    await until(lambda: _all_aside(stage.queue, 4))
    for generation in boxed:
        left = await stage.generation(generation)
        assert (left.state, left.attempt, left.failures) == (State.QUEUED, 0, 0)
    assert [one.queued for one in await stage.queue.depths(["image"])] == [4]
    asked = [stage.queue.rerouted_position("image", "box", job_id(generation, 1)) for generation in boxed]
    # What was created in the same millisecond is in no order.
    assert set(await asyncio.gather(*asked)) == {0, 1, 2, 3}

    scene.worker()
    ended = [await stage.ended(generation) for generation in boxed]
    assert [(one.state, one.attempt, one.failures) for one in ended] == [(State.SUCCEEDED, 1, 0)] * 4
    (warning,) = [line for line in map(json.loads, without.log.splitlines()) if line["event"] == "provider_not_here"]
    assert (warning["provider"], warning["models"]) == ("box", ["flux-dev"])
    assert "BOX_KEY" in warning["lack"]
    assert await stage.spent() == 5 * PRICE


async def _all_aside(queue: Queue, count: int) -> bool:
    found: int = await queue.redis.zcard(rerouted_key("image", "box"))
    return found == count


async def test_a_worker_whose_card_lacks_the_provider_leaves_its_jobs_unbegun(scene: Scene) -> None:
    """It had to begin the first one to find out; a job says now what its provider is."""
    stage = scene.stage
    stage.worker()
    ordered = [await scene.order() for _ in range(2)]
    await until(lambda: _all_aside(stage.queue, 2))
    assert await _begun(stage, ordered) == [(State.QUEUED, 0, 0)] * 2
    scene.worker()
    assert [(await stage.ended(generation)).state for generation in ordered] == [State.SUCCEEDED] * 2


async def test_of_jobs_of_the_version_before_it_begins_the_first_and_hands_it_back_uncounted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not say what their provider is: it finds out by the first one only."""
    monkeypatch.setattr("gateway.queue.queue.generate_job", lambda one: generate_job(replace(one, provider="")))
    stage = scene.stage
    stage.worker()
    first = await scene.order()
    await until(lambda: _all_aside(stage.queue, 1))
    second = await scene.order()
    await until(lambda: _all_aside(stage.queue, 2))
    assert await _begun(stage, [first, second]) == [(State.QUEUED, 1, 0), (State.QUEUED, 0, 0)]
    scene.worker()
    assert [(await stage.ended(generation)).state for generation in (first, second)] == [State.SUCCEEDED] * 2


async def _begun(stage: Stage, generations: list[str]) -> list[tuple[State, int, int]]:
    found = [await stage.generation(generation) for generation in generations]
    return [(one.state, one.attempt, one.failures) for one in found]


async def test_a_stop_that_this_worker_cannot_ask_for_is_left_to_one_that_can(scene: Scene) -> None:
    """It asked four times in vain, and the provider worked on for nobody."""
    stage = scene.stage
    working = scene.worker()
    scene.vendor.holding = True
    generation = await scene.order()
    ref = await scene.noted(generation)
    async with open_place(stage, scene.card) as without:  # BOX_KEY is not set here
        await stop({"context": without, "tool": "image"}, generation, ref)
    await scene.stopped(scene.only_job)
    working.kill()


async def test_rerouted_jobs_are_claimed_in_queue_order(stage: Stage) -> None:
    await stage.account()
    reserved = [(await stage.reserve()).dispatch for _ in range(3)]
    # Apart by a millisecond at least: what was created in the same one is in no order.
    dispatches = [replace(one, score=one.score + at) for at, one in enumerate(filter(None, reserved))]
    await stage.queue.dispatch(dispatches)
    jobs = [job_id(one.generation, one.attempt) for one in dispatches]

    async def claim(limit: int, *providers: str) -> list[str]:
        claimed = await stage.queue.claim("image", limit=limit, claim_ms=60_000, providers=providers)
        return [job.id for job in claimed]

    assert await claim(2) == jobs[:2]
    await stage.queue.reroute("image", "box", jobs[1])
    await stage.queue.give_back("image", jobs[0])
    assert await claim(1, "other") == jobs[:1]
    await stage.queue.give_back("image", jobs[0])
    assert await claim(3, "other", "box") == jobs
    assert await claim(3, "other", "box") == []
    # Whoever died with it leaves it in the tool's queue, as any other.
    await stage.queue.give_back("image", jobs[1])
    assert await claim(3) == [jobs[1]]
    await stage.queue.take_out("image", jobs[1])
    assert await _left(stage.queue) == [jobs[0], jobs[2]]


async def test_a_rerouted_job_that_ends_leaves_no_queue_entry(stage: Stage) -> None:
    """It stayed, before the next ones, until a worker with the key came and found that there was nothing to do."""
    await stage.account()
    async with open_place(stage) as place:
        reserved = await stage.reserve()
        generation, provider = reserved.generation.id, reserved.generation.request.provider
        assert reserved.dispatch is not None
        await stage.queue.dispatch([reserved.dispatch])
        job = (await stage.queue.claim("image", limit=1, claim_ms=60_000))[0].id
        await stage.queue.reroute("image", provider, job)
        assert await stage.queue.rerouted_position("image", provider, job) == 0
        await place.ledger.cancel(generation=generation)
        await until(lambda: _no_place_aside(stage.queue, provider, job))


async def _no_place_aside(queue: Queue, provider: str, job: str) -> bool:
    return await queue.rerouted_position("image", provider, job) is None


async def _left(queue: Queue) -> Any:
    return [job.decode() for job in await queue.redis.zrange("farebox:queue:image", 0, -1)]
