"""R17: the provider's own job id is noted before anybody waits for it."""

from __future__ import annotations

from gateway.ledger import outcomes
from tests.ledger.world import World


async def test_the_next_attempt_finds_the_ref(world: World) -> None:
    generation = await world.running()
    assert isinstance(await world.ledger.note(generation=generation, attempt=1, ref="job|7, ü"), outcomes.Noted)
    await world.hand_back(generation)
    assert (await world.begin(generation, 2)).provider_ref == "job|7, ü"
