"""R14: what takes one out of work promotes as many as now fit, a hundred in one script; the rest follow at once.

A promotion of 10,000 in one script once kept Redis from answering anybody for 954 ms.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain import partition_of_account
from gateway.ledger import outcomes
from tests.ledger.world import FREE, PARTITIONS, POLICY, TERMS, World, the

AT_ONCE = 100
WIDE = replace(POLICY.plans["pro"], concurrency={"image": 400, "video": 400})


async def a_full_waiting_room(world: World, waiting: int, tools: tuple[str, ...] = ("image",)) -> list[str]:
    """Those that wait, in order; the account is about to get a plan under which all of them fit."""
    free = replace(FREE, concurrency=dict.fromkeys(tools, 1), max_waiting=waiting)
    await world.publish(free=free, plans={**POLICY.plans, "wide": WIDE})
    for tool in tools:
        await world.spend(10, tool=tool)
    return [await world.spend(10, tool=tool) for _ in range(waiting) for tool in tools]


async def due(world: World) -> list[str]:
    """Those that are due though they wait; on a slow machine what was promoted may be due to be dispatched by now."""
    found = await world.ledger.overdue(partition=partition_of_account("ann", PARTITIONS))
    return [item.generation for item in found if (await world.generation(item.generation)).state == "waiting"]


def names(dispatches: tuple[outcomes.Dispatch, ...]) -> list[str]:
    return [dispatch.generation for dispatch in dispatches]


async def rescued(world: World, generation: str) -> list[str]:
    outcome = the(outcomes.Requeued, await world.rescue(generation))
    return names((outcome.dispatch, *outcome.promoted))


async def test_r14_a_plan_change_promotes_a_hundred_and_rescues_promote_the_rest(world: World) -> None:
    waiting = await a_full_waiting_room(world, 220)
    promoted = names((await world.subscribe(plan="wide")).promoted)
    assert promoted == waiting[:AT_ONCE]
    while marked := await due(world):
        assert marked == waiting[len(promoted) : len(promoted) + 1], "the first of those who wait, and nobody else"
        promoted += await rescued(world, marked[0])
    assert promoted == waiting
    account = await world.look()
    assert (account.in_work, account.waiting) == ({"image": 221}, {})


async def test_r14_whatever_ends_meanwhile_promotes_on(world: World) -> None:
    waiting = await a_full_waiting_room(world, 110)
    first = names((await world.subscribe(plan="wide")).promoted)[0]
    ended = await world.finish(first)
    assert names(ended.promoted) == waiting[AT_ONCE:]
    assert await due(world) == []


async def test_r14_when_the_marked_one_is_cancelled_those_behind_it_are_promoted(world: World) -> None:
    waiting = await a_full_waiting_room(world, 103)
    await world.subscribe(plan="wide")
    (marked,) = await due(world)
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=marked))
    assert names(ended.promoted) == waiting[AT_ONCE + 1 :]
    assert (await world.look()).waiting == {}


async def test_r14_where_the_room_was_taken_meanwhile_the_marked_one_waits_on(world: World) -> None:
    await a_full_waiting_room(world, 102)
    await world.subscribe(plan="wide")
    (marked,) = await due(world)
    await world.publish(plans={**POLICY.plans, "wide": replace(WIDE, concurrency={})})
    assert isinstance(await world.rescue(marked), outcomes.NotDue)
    found = await world.generation(marked)
    assert (found.state, await due(world)) == ("waiting", [])
    assert await world.deadline(marked) == found.created_at + TERMS.waiting_timeout_ms


async def test_r14_the_hundred_are_of_all_tools_together(world: World) -> None:
    waiting = await a_full_waiting_room(world, 60, ("image", "video"))
    promoted = names((await world.subscribe(plan="wide")).promoted)
    assert len(promoted) == AT_ONCE
    while marked := await due(world):
        promoted += await rescued(world, marked[0])
    assert sorted(promoted) == sorted(waiting)


@pytest.mark.parametrize("count", [1, AT_ONCE])
async def test_r14_promotions_that_fit_one_script_mark_no_other(world: World, count: int) -> None:
    waiting = await a_full_waiting_room(world, count)
    assert names((await world.subscribe(plan="wide")).promoted) == waiting
    assert await due(world) == []
