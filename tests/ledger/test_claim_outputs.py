"""`claim_outputs`: whose outputs are to be deleted is told to one caretaker at a time."""

from __future__ import annotations

from functools import partial

from tests.ledger.world import World


async def test_claimed_outputs_are_exclusive_until_the_claim_expires(world: World) -> None:
    world.ledger.outputs_kept_ms = 0
    generation = await world.spend()
    await world.finish(generation)
    claim = partial(world.ledger.claim_outputs, partition=int(generation[4:6], 16), limit=10)
    assert await claim(claim_ms=1) == [generation]
    async with world.unchanged():
        assert await claim(claim_ms=60_000) == []
    await world.later(1)
    assert await claim(claim_ms=60_000) == [generation]
    async with world.unchanged():
        assert await claim(claim_ms=60_000) == []


async def test_no_more_are_claimed_than_asked_for_and_the_longest_overdue_first(world: World) -> None:
    world.ledger.outputs_kept_ms = 0
    generations = [await world.spend(1_000) for _ in range(3)]
    for generation in generations:
        await world.finish(generation)
        await world.later(1)
    partition = int(generations[0][4:6], 16)
    assert await world.ledger.claim_outputs(partition=partition, limit=2, claim_ms=60_000) == generations[:2]
    assert await world.ledger.claim_outputs(partition=partition, limit=2, claim_ms=60_000) == generations[2:]
