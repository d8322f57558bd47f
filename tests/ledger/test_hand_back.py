"""R16, section 6: a worker that must stop returns its generation; that is not a failure."""

from __future__ import annotations

from gateway.domain import State
from gateway.ledger import outcomes
from tests.ledger.world import World, an_output, the


async def test_a_handed_back_generation_starts_elsewhere_at_once(world: World) -> None:
    generation = await world.running()
    handed = await world.hand_back(generation)
    dispatch = the(outcomes.Requeued, handed).dispatch
    assert (dispatch.attempt, dispatch.not_before) == (2, 0)
    assert dispatch.deadline == dispatch.queued_at + world.ledger.dispatch_ms
    assert (await world.begin(generation, 2)).state is State.RUNNING


async def test_attempts_max_counts_failures_not_hand_backs(world: World) -> None:
    """A deploy that hands back costs nobody anything."""
    generation = await world.spend()
    for attempt in range(1, 8):
        await world.begin(generation, attempt)
        await world.hand_back(generation, attempt)
    found = await world.generation(generation)
    assert (found.state, found.attempt, found.failures) == (State.QUEUED, 7, 0)
    assert await world.held() == 10_000


async def test_r11_hand_back_sent_twice_answers_the_same(world: World) -> None:
    generation = await world.running()
    first = await world.ledger.hand_back(generation=generation, attempt=1, operation="one")
    async with world.unchanged():
        assert await world.ledger.hand_back(generation=generation, attempt=1, operation="one") == first


async def test_r11_a_hand_back_that_ended_it_answers_the_same_again(world: World) -> None:
    generation = await world.running()
    await world.ledger.cancel(generation=generation)
    first = await world.ledger.hand_back(generation=generation, attempt=1, operation="one")
    async with world.unchanged():
        assert isinstance(first, outcomes.Ended)
        assert await world.ledger.hand_back(generation=generation, attempt=1, operation="one") == first


async def test_an_attempt_that_was_handed_back_is_stale_whatever_its_worker_still_asks_for(world: World) -> None:
    ledger, generation = world.ledger, await world.running(outputs=2)
    await world.hand_back(generation)
    await world.begin(generation, 2)
    async with world.unchanged():
        assert isinstance(await world.hand_back(generation), outcomes.Stale)
        late = await ledger.renew(generation=generation, attempt=1, progress_thousandths=9)
        assert isinstance(late, outcomes.Stale)
        assert isinstance(await ledger.deliver(generation=generation, attempt=1, output=an_output()), outcomes.Stale)
        assert isinstance(await ledger.note(generation=generation, attempt=1, ref="x"), outcomes.Stale)
