"""What nobody makes is said after ten seconds and refused after the time that the operator allows; on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.pricing.load import load_card
from gateway.queue.heartbeats import caretaker_gone, caretaker_seen, worker_gone, worker_seen
from gateway.queue.queue import Queue
from gateway.queue.workforce import Missing, Workforce
from gateway.redis_link.connections import connect_queue

CARD = load_card(Path(__file__).parents[1] / "api" / "card.toml")
PROVIDERS = {tool: {one.provider for one in CARD.models.values() if one.tool == tool} for tool in ("image", "video")}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    queue = Queue(connect_queue(redis_url))
    yield queue
    await queue.redis.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workforce(queue: Queue, clock: Clock) -> Workforce:
    return Workforce(queue, lambda: CARD, accept_seconds=600, clock=clock)


async def all_work(queue: Queue) -> None:
    for tool, providers in PROVIDERS.items():
        await worker_seen(queue.redis, tool, f"{tool}-1", providers)
    await caretaker_seen(queue.redis, "caretaker-1")


async def test_nothing_is_missing_while_everybody_works(workforce: Workforce, queue: Queue, clock: Clock) -> None:
    await all_work(queue)
    await workforce.check()
    clock.now += 3600
    await workforce.check()
    assert not workforce.problems
    assert all(workforce.takes(tool, [one]) for tool, providers in PROVIDERS.items() for one in providers)


async def test_a_tool_without_a_worker_is_said_and_then_not_sold(
    workforce: Workforce, queue: Queue, clock: Clock
) -> None:
    await all_work(queue)
    await worker_gone(queue.redis, "video", "video-1")
    await workforce.check()
    assert not workforce.problems, "a restart is no problem"
    clock.now += 10
    assert workforce.missing == [Missing("video")]
    assert "farebox worker video" in workforce.problems[0]
    clock.now += 589
    assert workforce.takes("video", PROVIDERS["video"])
    clock.now += 1
    assert not workforce.takes("video", PROVIDERS["video"])
    assert workforce.takes("image", PROVIDERS["image"])
    await worker_seen(queue.redis, "video", "video-2", PROVIDERS["video"])
    await workforce.check()
    assert workforce.takes("video", PROVIDERS["video"])
    assert not workforce.problems


async def test_a_provider_that_no_worker_can_call_is_named(workforce: Workforce, queue: Queue, clock: Clock) -> None:
    """C1: the workers run, and none has the provider's key."""
    await all_work(queue)
    lacking = min(PROVIDERS["image"])
    await worker_gone(queue.redis, "image", "image-1")
    await queue.redis.delete("farebox:callable:image")
    await worker_seen(queue.redis, "image", "image-2", {"another", *PROVIDERS["image"]} - {lacking})
    await workforce.check()
    clock.now += 600
    assert workforce.missing == [Missing("image", lacking)]
    assert repr(lacking) in workforce.problems[0]
    assert not workforce.takes("image", [lacking])


async def test_a_missing_caretaker_is_named_and_refuses_nothing(
    workforce: Workforce, queue: Queue, clock: Clock
) -> None:
    await all_work(queue)
    await caretaker_gone(queue.redis, "caretaker-1")
    await workforce.check()
    clock.now += 3600
    assert workforce.missing == [Missing()]
    assert "farebox caretaker" in workforce.problems[0]
    assert workforce.takes("image", PROVIDERS["image"])


async def test_while_the_queue_is_away_nothing_is_known(clock: Clock) -> None:
    queue = Queue(connect_queue("redis://127.0.0.1:1"))
    workforce = Workforce(queue, lambda: CARD, accept_seconds=0, clock=clock)
    await workforce.check()
    clock.now += 3600
    assert not workforce.problems
    assert workforce.takes("image", ["sandbox"])
    assert list(workforce.metrics()) == []
    await queue.redis.aclose()


async def test_prometheus_sees_the_same(workforce: Workforce, queue: Queue, clock: Clock) -> None:
    await all_work(queue)
    await worker_gone(queue.redis, "video", "video-1")
    await workforce.check()
    clock.now += 10
    samples = {(one.name, *one.labels.values()): one.value for family in workforce.metrics() for one in family.samples}
    assert samples == {("farebox_caretakers",): 1, ("farebox_unserved", "video", ""): 1}
