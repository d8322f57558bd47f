"""The outbox (section 5): a dispatch deadline moves on only if it still is the one that was read."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import FailureCode, operation_id
from gateway.ledger import outcomes as o
from tests.ledger.world import MINUTE, SECOND, TERMS, World, the


async def deadline_of(world: World, generation: str) -> int:
    deadline = await world.deadline(generation)
    assert deadline is not None
    return deadline


async def test_a_dispatched_generation_is_looked_at_again_in_a_minute(world: World) -> None:
    await world.account()
    generation = await world.spend()
    before = await world.now()
    assert await world.ledger.dispatched(generation=generation, deadline=await deadline_of(world, generation))
    assert before + MINUTE <= await deadline_of(world, generation) <= await world.now() + MINUTE


async def test_a_late_dispatched_cannot_touch_a_lease(world: World) -> None:
    await world.account()
    generation = await world.spend()
    deadline = await deadline_of(world, generation)
    await world.begin(generation)
    before = await world.contents()
    assert not await world.ledger.dispatched(generation=generation, deadline=deadline)
    assert not await world.ledger.dispatched(generation=generation, deadline=await deadline_of(world, generation))
    assert await world.contents() == before


async def test_a_late_dispatched_cannot_put_off_what_is_looked_at_again_sooner(world: World) -> None:
    """The caretaker found it overdue and dispatches it now; the first dispatcher's word comes after that."""
    await world.account()
    generation = await world.spend()
    await world.pass_time(generation, 5 * SECOND)
    read = await deadline_of(world, generation)
    await world.rescue(generation)
    before = await world.contents()
    assert not await world.ledger.dispatched(generation=generation, deadline=read)
    assert await world.contents() == before


async def test_a_dispatched_of_an_ended_or_unknown_generation_changes_nothing(world: World) -> None:
    await world.account()
    generation = await world.spend()
    deadline = await deadline_of(world, generation)
    await world.ledger.cancel(generation=generation)
    before = await world.contents()
    assert not await world.ledger.dispatched(generation=generation, deadline=deadline)
    assert not await world.ledger.dispatched(generation="gen_00aaaaaaaaaaaaaaaaaaaaaaaa", deadline=deadline)
    assert await world.contents() == before


async def test_the_look_again_is_never_later_than_the_queue_timeout(world: World) -> None:
    await world.account()
    generation = await world.spend(terms=replace(TERMS, queue_timeout_ms=20 * SECOND))
    await world.ledger.dispatched(generation=generation, deadline=await deadline_of(world, generation))
    queued_at = (await world.generation(generation)).queued_at
    assert queued_at is not None
    assert await deadline_of(world, generation) == queued_at + 20 * SECOND


async def test_a_retry_is_looked_at_a_minute_after_its_pause(world: World) -> None:
    await world.account()
    generation = await world.running()
    requeued = the(o.Requeued, await world.settle(generation, FailureCode.PROVIDER_FAILED))
    assert await world.ledger.dispatched(generation=generation, deadline=requeued.dispatch.deadline)
    assert await deadline_of(world, generation) == requeued.dispatch.not_before + MINUTE


async def test_r17_a_dispatched_look_at_a_parked_one_is_repeated_in_a_minute(world: World) -> None:
    await world.account()
    generation = await world.parked()
    await world.pass_time(generation, 30 * SECOND)
    look = the(o.Requeued, await world.rescue(generation))
    assert await world.ledger.dispatched(generation=generation, deadline=look.dispatch.deadline)
    assert await deadline_of(world, generation) >= look.dispatch.deadline


async def test_a_queued_generation_with_a_ref_has_no_queue_timeout(world: World) -> None:
    await world.account()
    generation = await world.running(terms=replace(TERMS, queue_timeout_ms=20 * SECOND))
    await world.ledger.note(generation=generation, attempt=1, ref="job-7")
    handed = await world.ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
    before = await world.now()
    await world.ledger.dispatched(generation=generation, deadline=the(o.Requeued, handed).dispatch.deadline)
    assert await deadline_of(world, generation) >= before + MINUTE
