"""R16, section 6: a worker that must stop returns its generation; that is not a failure."""

from __future__ import annotations

from gateway.domain import State
from gateway.ledger import outcomes
from tests.ledger.world import World, the


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
