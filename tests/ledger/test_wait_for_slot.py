"""R16: a generation whose provider has no room goes back: that is no failure, and no time in the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import FailureCode, State
from gateway.errors import LedgerBroken
from gateway.ledger import outcomes
from tests.ledger.world import MINUTE, SECOND, TERMS, World, the

SHORT = replace(TERMS, queue_timeout_ms=30 * SECOND)


async def waiting_for_slot(world: World, **more: Any) -> tuple[str, outcomes.Dispatch]:
    """A generation that stands in its provider's line, and what is dispatched when there is room."""
    generation = await world.spend(**more)
    outcome = await world.ledger.wait_for_slot(generation=generation, attempt=1)
    return generation, the(outcomes.WaitingForSlot, outcome).dispatch


async def test_it_stays_queued_and_has_not_started_nor_failed(world: World) -> None:
    before = await world.now()
    generation, dispatch = await waiting_for_slot(world)
    found = await world.generation(generation)
    assert (found.state, found.attempt, found.failures, found.started_at) == (State.QUEUED, 0, 0, None)
    assert dispatch.attempt == 1
    assert await world.held() == 10_000
    deadline = await world.deadline(generation)
    assert deadline == dispatch.deadline
    assert before + MINUTE <= deadline < before + MINUTE + SECOND
    await world.begin(generation)


async def test_queue_timeout_does_not_run_in_the_provider_queue(world: World) -> None:
    generation, _ = await waiting_for_slot(world, terms=SHORT)
    await world.pass_time(generation, 61 * SECOND)
    assert the(outcomes.Requeued, await world.rescue(generation)).dispatch.attempt == 1
    await world.begin(generation)


async def test_queue_timeout_runs_again_after_the_check(world: World) -> None:
    generation, _ = await waiting_for_slot(world, terms=SHORT)
    await world.pass_time(generation, 61 * SECOND)
    the(outcomes.Requeued, await world.rescue(generation))
    await world.pass_time(generation, 31 * SECOND)
    assert the(outcomes.Ended, await world.rescue(generation)).generation.error is FailureCode.QUEUE_TIMEOUT


async def test_a_dispatch_from_the_line_does_not_start_its_time_either(world: World) -> None:
    generation, _ = await waiting_for_slot(world, terms=SHORT)
    await world.pass_time(generation, 40 * SECOND)
    deadline = await world.due(generation)
    await world.ledger.dispatched({generation: deadline})
    later = await world.due(generation)
    assert later >= await world.now() + MINUTE - SECOND
    await world.begin(generation)


async def test_begin_forgets_the_line(world: World) -> None:
    generation, _ = await waiting_for_slot(world)
    await world.begin(generation)
    assert "in_line" not in await world.fields(generation)


async def test_a_running_or_stale_attempt_is_not_queued_for_a_slot(world: World) -> None:
    generation = await world.running()
    async with world.unchanged():
        for attempt in (1, 2):
            assert await world.ledger.wait_for_slot(generation=generation, attempt=attempt) == outcomes.Stale()
    await world.hand_back(generation)
    async with world.unchanged():
        assert await world.ledger.wait_for_slot(generation=generation, attempt=1) == outcomes.Stale()


async def test_what_its_provider_has_does_not_wait_for_room(world: World) -> None:
    generation = await world.noted()
    await world.hand_back(generation)
    async with world.unchanged():
        with pytest.raises(LedgerBroken, match="cannot wait for a slot"):
            await world.ledger.wait_for_slot(generation=generation, attempt=2)


async def test_cancelled_in_the_line_it_is_refunded_at_once(world: World) -> None:
    generation, _ = await waiting_for_slot(world)
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=generation)).generation
    assert (ended.state, ended.refunded_millicredits) == (State.CANCELLED, 10_000)
    assert "in_line" not in await world.fields(generation)
