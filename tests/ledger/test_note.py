"""R17: the provider's own job id is noted before anybody waits for it."""

from __future__ import annotations

from gateway.ledger import outcomes
from tests.ledger.world import World


async def test_the_next_attempt_finds_the_ref(world: World) -> None:
    generation = await world.running()
    assert isinstance(await world.ledger.note(generation=generation, attempt=1, ref="job|7, ü"), outcomes.Noted)
    await world.hand_back(generation)
    assert (await world.begin(generation, 2)).provider_ref == "job|7, ü"


async def test_r11_a_ref_noted_twice_is_one_change(world: World) -> None:
    generation = await world.noted()
    async with world.unchanged():
        await world.note(generation)


async def test_a_stale_attempt_notes_nothing(world: World) -> None:
    generation = await world.spend()
    async with world.unchanged():
        for attempt in (0, 1):
            assert isinstance(await world.ledger.note(generation=generation, attempt=attempt, ref="x"), outcomes.Stale)
