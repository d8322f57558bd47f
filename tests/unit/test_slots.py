"""Slots and the line for them, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.ledger.outcomes import Dispatch
from gateway.queue import slots as slots_module
from gateway.queue.keys import provider_dispatches_key, provider_queue_key, slots_key
from gateway.queue.queue import Queue
from gateway.queue.redis_calls import execute
from gateway.queue.slots import OUTCOME_STEP_SECONDS, Limits, Slots
from gateway.redis_link.connections import connect_queue
from tests.until import until

LONG = 60_000
DAY_MS = 86_400_000


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    queue = Queue(connect_queue(redis_url))
    yield queue
    await queue.redis.aclose()


@pytest.fixture
def slots(queue: Queue) -> Slots:
    return Slots(queue, lease_ms=LONG)


def a_dispatch(name: str, score: int = 0) -> Dispatch:
    return Dispatch(name, "image", 2, score, 5, 0, 7)


async def enqueue(slots: Slots, name: str, score: int = 0, limit: int | None = 2) -> list[str]:
    return [one.generation for one in await slots.enqueue("box", Limits(limit), a_dispatch(name, score))]


async def release(slots: Slots, name: str, limit: int | None = 2) -> list[str]:
    return [one.generation for one in await slots.release("box", Limits(limit), name)]


async def acquire(slots: Slots, name: str, limit: int | None = 2) -> bool:
    return (await slots.acquire("box", Limits(limit), name)).acquired


async def lapse(queue: Queue, name: str) -> None:
    """As if nobody had renewed a slot for a lease."""
    await queue.redis.zadd(slots_key("box"), {name: 1})


async def test_no_more_are_in_work_than_the_limit(slots: Slots) -> None:
    assert [await acquire(slots, name) for name in "abc"] == [True, True, False]
    assert await acquire(slots, "a"), "who has a slot has it"
    assert (await slots.states(["box"]))["box"].in_work == 2


async def test_without_a_limit_everybody_has_a_slot(slots: Slots) -> None:
    assert all([await acquire(slots, name, None) for name in "abcdef"])
    assert (await slots.states(["box"]))["box"].in_work == 6


async def test_a_release_lets_the_next_one_go_on_and_keeps_its_slot(slots: Slots) -> None:
    for name in "ab":
        await acquire(slots, name)
    assert await enqueue(slots, "c") == []
    (released,) = await slots.release("box", Limits(2), "a")
    assert released == a_dispatch("c")
    assert not await acquire(slots, "d"), "the slot is c's"
    assert await acquire(slots, "c")


async def test_the_line_goes_by_the_order_of_the_queue(slots: Slots) -> None:
    await acquire(slots, "x", 1)
    for name, score in (("late", 30), ("early", 10), ("middle", 20)):
        await enqueue(slots, name, score, 1)
    assert [await slots.place("box", name) for name in ("early", "middle", "late", "x")] == [0, 1, 2, None]
    order, last = [], "x"
    for _ in range(3):
        (last,) = await release(slots, last, 1)
        order.append(last)
    assert order == ["early", "middle", "late"]


async def test_the_provider_queue_is_served_in_order(slots: Slots, queue: Queue) -> None:
    await acquire(slots, "x", 1)
    await enqueue(slots, "a", limit=1)
    await lapse(queue, "x")
    entry = await slots.acquire("box", Limits(1), "b")
    assert (entry.acquired, [one.generation for one in entry.dispatches]) == (False, ["a"])


async def test_room_that_came_meanwhile_is_its_own_at_once(slots: Slots) -> None:
    await acquire(slots, "a", 1)
    assert not await acquire(slots, "b", 1)
    assert await release(slots, "a", 1) == []
    assert await enqueue(slots, "b", limit=1) == ["b"]


async def test_a_slot_that_is_not_renewed_lapses(slots: Slots, queue: Queue) -> None:
    await acquire(slots, "a", 1)
    await enqueue(slots, "b", limit=1)
    await lapse(queue, "a")
    assert [one.generation for one in await slots.fill({"box": Limits(1)})] == ["b"]
    assert not await acquire(slots, "c", 1)


async def test_who_gives_up_in_the_line_holds_no_place(slots: Slots, queue: Queue) -> None:
    await acquire(slots, "x", 1)
    for name in "ab":
        await enqueue(slots, name, limit=1)
    assert await release(slots, "a", 1) == []
    assert await release(slots, "x", 1) == ["b"]
    await release(slots, "b", 1)
    assert await queue.redis.exists(slots_key("box"), provider_queue_key("box"), provider_dispatches_key("box")) == 0


async def test_a_queued_generation_that_acquires_a_slot_itself_is_not_dispatched_too(slots: Slots) -> None:
    await acquire(slots, "x", 1)
    await enqueue(slots, "a", limit=1)
    assert not await acquire(slots, "a", 1)
    assert await release(slots, "x", 1) == []
    assert await acquire(slots, "a", 1)


async def test_a_job_that_the_provider_has_counts_beyond_the_limit(slots: Slots) -> None:
    await acquire(slots, "a", 1)
    await slots.hold("box", "b")
    assert (await slots.states(["box"]))["box"].in_work == 2
    await enqueue(slots, "c", limit=1)
    assert await release(slots, "a", 1) == [], "b is in work still"
    assert await release(slots, "b", 1) == ["c"]


async def test_a_changed_limit_is_followed(slots: Slots) -> None:
    await acquire(slots, "x", 1)
    for name in "abcd":
        await enqueue(slots, name, limit=1)
    assert [one.generation for one in await slots.fill({"box": Limits(3)})] == ["a", "b"]
    assert await release(slots, "x", 1) == [], "two are in work, and one may be"
    assert [one.generation for one in await slots.fill({"box": Limits(None)})] == ["c", "d"]


async def test_after_the_loss_of_all_data_slots_come_back_with_their_renewals(slots: Slots, queue: Queue) -> None:
    for name in "ab":
        await acquire(slots, name)
    await queue.redis.flushall()
    for name in "ab":
        await slots.hold("box", name)
    assert not await acquire(slots, "c")


async def test_a_place_whose_dispatch_was_lost_takes_no_slot(slots: Slots, queue: Queue) -> None:
    await acquire(slots, "x", 1)
    for name in "ab":
        await enqueue(slots, name, limit=1)
    await execute(queue.redis, ("HDEL", provider_dispatches_key("box"), "a"))
    assert await release(slots, "x", 1) == ["b"]


async def test_many_go_on_by_and_by(slots: Slots) -> None:
    await acquire(slots, "x", 1)
    for number in range(120):
        await enqueue(slots, f"g{number:03}", number, 1)
    first = await slots.fill({"box": Limits(1000)})
    rest = await slots.fill({"box": Limits(1000)})
    assert [one.score for one in (*first, *rest)] == list(range(120))


async def test_what_a_provider_did_is_counted_for_an_hour(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    step_ms = OUTCOME_STEP_SECONDS * 1000
    now = 1_000 * step_ms

    async def at(moment: int, outcome: str) -> None:
        monkeypatch.setattr("gateway.queue.slots._now_ms", lambda: moment)
        await slots.note("box", outcome)

    await at(now - 5 * step_ms, "succeeded")
    await at(now, "succeeded")
    await at(now + 1, "provider_failed")
    state = (await slots.states(["other", "box"]))["box"]
    assert (state.succeeded_at, state.failed_at) == (now, now + 1)
    assert state.outcomes == {"succeeded": 2, "provider_failed": 1}
    monkeypatch.setattr("gateway.queue.slots._now_ms", lambda: now + step_ms)
    assert (await slots.states(["box"]))["box"].outcomes == {"succeeded": 1, "provider_failed": 1}


async def test_every_key_goes_by_itself(slots: Slots, queue: Queue) -> None:
    await acquire(slots, "x", 1)
    await enqueue(slots, "a", limit=1)
    await slots.note("box", "succeeded")
    for key in await queue.redis.keys("farebox:*"):
        assert 0 < await queue.redis.pttl(key) <= 7 * DAY_MS, key


async def test_a_hold_that_is_slow_is_not_overtaken_by_the_release_that_comes_after_it(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both run beside the attempt, each over a connection of its own: the slot of a job that had ended was held again.

    For a lease, or as long as a parked one is not looked at: minutes in which a provider with one slot did nothing.
    """

    slow = iter([0.2])

    async def first_slowly(redis: Redis, *commands: Any) -> list[Any]:
        await asyncio.sleep(next(slow, 0))
        return await execute(redis, *commands)

    await acquire(slots, "a", 1)
    await enqueue(slots, "b", limit=1)
    monkeypatch.setattr(slots_module, "execute", first_slowly)
    async with asyncio.TaskGroup() as group:
        group.create_task(slots.hold("box", "a", for_ms=DAY_MS))
        released = group.create_task(release(slots, "a", 1))
    assert released.result() == ["b"]
    assert (await slots.states(["box"]))["box"].in_work == 1, "b's"


async def test_a_hold_that_comes_after_the_release_all_the_same_ends_by_itself(queue: Queue) -> None:
    """From another process, or out of a connection that hung while Redis was frozen: there no order can be had."""
    short, long = Slots(queue, lease_ms=1000), Slots(queue, lease_ms=LONG)
    await acquire(long, "a", 1)
    await release(long, "a", 1)
    await short.hold("box", "a")
    assert await enqueue(long, "c", limit=1) == [], "the late hold has the only slot"
    released: list[str] = []

    async def is_free() -> list[str]:
        released[:] = [each.generation for each in await long.fill({"box": Limits(1)})]
        return released

    await until(is_free)
    assert released == ["c"]
    assert (await long.states(["box"]))["box"].in_work == 1
