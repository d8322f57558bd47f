"""R16: a generation whose provider has no room goes back: that is no failure, and no time in the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain import FailureCode, State, operation_id
from gateway.errors import LedgerBroken
from gateway.ledger import outcomes as o
from tests.ledger.world import MINUTE, SECOND, TERMS, World, the


async def line_up(world: World, generation: str, attempt: int = 1, operation: str | None = None) -> object:
    return await world.ledger.line_up(generation=generation, attempt=attempt, operation=operation or operation_id())


async def test_it_is_queued_again_and_has_not_started_nor_failed(world: World) -> None:
    await world.account()
    generation = await world.running()
    before = await world.now()
    dispatch = the(o.Requeued, await line_up(world, generation)).dispatch
    found = await world.generation(generation)
    assert (found.state, found.failures, found.started_at, dispatch.attempt) == (State.QUEUED, 0, None, 2)
    assert await world.held() == 10_000
    deadline = await world.deadline(generation)
    assert deadline == dispatch.deadline
    assert before + MINUTE <= deadline < before + MINUTE + SECOND


async def test_its_time_in_the_queue_does_not_run_while_it_stands_there(world: World) -> None:
    await world.account()
    generation = await world.running(terms=replace(TERMS, queue_timeout_ms=30 * SECOND))
    await line_up(world, generation)
    await world.pass_time(generation, 61 * SECOND)
    looked_at = the(o.Requeued, await world.rescue(generation))
    assert looked_at.dispatch.attempt == 2
    await world.begin(generation, 2)


async def test_it_runs_again_when_it_was_looked_at_and_no_worker_comes(world: World) -> None:
    await world.account()
    generation = await world.running(terms=replace(TERMS, queue_timeout_ms=30 * SECOND))
    await line_up(world, generation)
    await world.pass_time(generation, 61 * SECOND)
    the(o.Requeued, await world.rescue(generation))
    await world.pass_time(generation, 31 * SECOND)
    assert the(o.Ended, await world.rescue(generation)).generation.error is FailureCode.QUEUE_TIMEOUT


async def test_a_dispatch_from_the_line_does_not_start_its_time_either(world: World) -> None:
    await world.account()
    generation = await world.running(terms=replace(TERMS, queue_timeout_ms=30 * SECOND))
    dispatch = the(o.Requeued, await line_up(world, generation)).dispatch
    await world.pass_time(generation, 40 * SECOND)
    deadline = await world.deadline(generation)
    assert deadline is not None
    await world.ledger.dispatched({generation: deadline})
    later = await world.deadline(generation)
    assert later is not None
    assert later >= await world.now() + MINUTE - SECOND
    await world.begin(generation, dispatch.attempt)


async def test_one_that_has_failed_before_keeps_the_time_at_which_it_started(world: World) -> None:
    await world.account()
    generation = await world.running()
    started_at = (await world.generation(generation)).started_at
    await world.settle(generation, FailureCode.PROVIDER_FAILED)
    await world.pass_time(generation, 2 * SECOND)
    await world.begin(generation, 2)
    await line_up(world, generation, 2)
    assert (await world.generation(generation)).started_at == (started_at or 0) - 2 * SECOND


async def test_a_cancel_that_was_asked_for_ends_it(world: World) -> None:
    await world.account()
    generation = await world.running()
    await world.ledger.cancel(generation=generation)
    ended = the(o.Ended, await line_up(world, generation, operation="one"))
    assert (ended.generation.state, ended.generation.refunded_millicredits) == (State.CANCELLED, 10_000)
    before = await world.contents()
    assert await line_up(world, generation, operation="one") == ended
    assert await world.contents() == before


async def test_r11_sent_twice_answers_the_same(world: World) -> None:
    await world.account()
    generation = await world.running()
    first = await line_up(world, generation, operation="one")
    before = await world.contents()
    assert await line_up(world, generation, operation="one") == first
    assert await world.contents() == before


async def test_a_stale_worker_lines_nothing_up(world: World) -> None:
    await world.account()
    generation = await world.running()
    before = await world.contents()
    assert await line_up(world, generation, 2) == o.Stale()
    assert await world.contents() == before


async def test_what_its_provider_has_does_not_wait_for_room(world: World) -> None:
    await world.account()
    generation = await world.running()
    await world.ledger.note(generation=generation, attempt=1, ref="job-7")
    before = await world.contents()
    with pytest.raises(LedgerBroken, match="cannot line up"):
        await line_up(world, generation)
    assert await world.contents() == before


async def test_cancelled_in_the_line_it_is_refunded_at_once(world: World) -> None:
    await world.account()
    generation = await world.running()
    await line_up(world, generation)
    ended = the(o.Ended, await world.ledger.cancel(generation=generation)).generation
    assert (ended.state, ended.refunded_millicredits) == (State.CANCELLED, 10_000)
    assert "in_line" not in await world.fields(generation)
