"""The outbox (section 5): a dispatch deadline moves on only if it still is the one that was read."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import FailureCode
from gateway.ledger import outcomes
from tests.ledger.world import MINUTE, SECOND, TERMS, World, the


async def test_a_dispatched_generation_is_checked_again_in_a_minute(world: World) -> None:
    generation = await world.spend()
    before = await world.now()
    assert await world.ledger.dispatched({generation: await world.due(generation)}) == {generation}
    assert before + MINUTE <= await world.due(generation) <= await world.now() + MINUTE


async def test_many_are_dispatched_at_once_each_by_its_own_deadline(world: World) -> None:
    await world.account("ann")
    await world.account("ben")
    generations = [await world.spend(10_000, name) for name in ("ann", "ben", "ann", "ben")]
    read = {generation: await world.due(generation) for generation in generations}
    await world.begin(generations[0])
    read[generations[1]] -= 1
    before = await world.now()
    assert await world.ledger.dispatched(read) == set(generations[2:])
    assert await world.due(generations[1]) == read[generations[1]] + 1
    assert all([await world.due(generation) >= before + MINUTE for generation in generations[2:]])


async def test_a_late_dispatched_cannot_touch_a_lease(world: World) -> None:
    generation = await world.spend()
    deadline = await world.due(generation)
    await world.begin(generation)
    async with world.unchanged():
        assert not await world.ledger.dispatched({generation: deadline})
        assert not await world.ledger.dispatched({generation: await world.due(generation)})


async def test_a_late_dispatched_cannot_delay_an_earlier_check(world: World) -> None:
    """The caretaker found it overdue and dispatches it now; the first dispatcher's word comes after that."""
    generation = await world.spend()
    await world.pass_time(generation, 5 * SECOND)
    read = await world.due(generation)
    await world.rescue(generation)
    async with world.unchanged():
        assert not await world.ledger.dispatched({generation: read})


async def test_a_dispatched_of_an_ended_or_unknown_generation_changes_nothing(world: World) -> None:
    generation = await world.spend()
    deadline = await world.due(generation)
    await world.ledger.cancel(generation=generation)
    async with world.unchanged():
        assert not await world.ledger.dispatched({generation: deadline})
        assert not await world.ledger.dispatched({"gen_00aaaaaaaaaaaaaaaaaaaaaaaa": deadline})


async def test_the_next_check_is_never_later_than_the_queue_timeout(world: World) -> None:
    generation = await world.spend(terms=replace(TERMS, queue_timeout_ms=20 * SECOND))
    await world.ledger.dispatched({generation: await world.due(generation)})
    queued_at = (await world.generation(generation)).queued_at
    assert queued_at is not None
    assert await world.due(generation) == queued_at + 20 * SECOND


async def test_a_retry_is_checked_a_minute_after_its_pause(world: World) -> None:
    generation = await world.running()
    requeued = the(outcomes.Requeued, await world.settle(generation, FailureCode.PROVIDER_FAILED))
    assert await world.ledger.dispatched({generation: requeued.dispatch.deadline}) == {generation}
    assert await world.due(generation) == requeued.dispatch.not_before + MINUTE


async def test_r17_a_dispatched_poll_of_a_parked_one_is_repeated_in_a_minute(world: World) -> None:
    generation = await world.parked()
    await world.pass_time(generation, 30 * SECOND)
    look = the(outcomes.Requeued, await world.rescue(generation))
    assert await world.ledger.dispatched({generation: look.dispatch.deadline}) == {generation}
    assert await world.due(generation) >= look.dispatch.deadline


async def test_a_queued_generation_with_a_ref_has_no_queue_timeout(world: World) -> None:
    generation = await world.noted(terms=replace(TERMS, queue_timeout_ms=20 * SECOND))
    handed = await world.hand_back(generation)
    before = await world.now()
    await world.ledger.dispatched({generation: the(outcomes.Requeued, handed).dispatch.deadline})
    assert await world.due(generation) >= before + MINUTE
