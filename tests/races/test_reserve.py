"""R8: N requests racing for credits that cover one: exactly one wins."""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.domain import generation_id, operation_id, partition_of_account
from gateway.ledger import outcomes
from tests.ledger.world import PARTITIONS, World

RACERS = 50
ROUNDS = 20


async def test_of_50_racing_for_credits_that_cover_one_exactly_one_wins_in_each_of_20_rounds(
    worlds: list[World],
) -> None:
    """The issue's point 3."""
    for number in range(ROUNDS):
        account = f"racer-{number}"
        await worlds[0].account(account)
        answers = await asyncio.gather(
            *(worlds[index % len(worlds)].reserve(account, price=60_000) for index in range(RACERS))
        )
        assert Counter(type(outcome) for outcome in answers) == {
            outcomes.Reserved: 1,
            outcomes.InsufficientCredits: RACERS - 1,
        }
        assert await worlds[0].available(account) == (40_000, 0, 0)
        assert await worlds[0].held(account) == 60_000


async def test_r11_of_50_with_one_idempotency_key_one_reserves_and_the_others_replay(worlds: list[World]) -> None:
    for number in range(5):
        account = f"racer-{number}"
        await worlds[0].account(account)
        generation = generation_id(partition_of_account(account, PARTITIONS), f"{account}\nkey\nbody")
        answers = await asyncio.gather(
            *(
                worlds[index % len(worlds)].reserve(account, generation=generation, idempotency=("key", "body"))
                for index in range(RACERS)
            )
        )
        assert Counter(type(outcome) for outcome in answers) == {outcomes.Reserved: 1, outcomes.Replayed: RACERS - 1}
        either = [outcome for outcome in answers if isinstance(outcome, outcomes.Reserved | outcomes.Replayed)]
        assert {outcome.generation.id for outcome in either} == {generation}
        assert await worlds[0].held(account) == 10_000


async def test_r14_of_50_racing_for_two_places_two_are_queued(worlds: list[World]) -> None:
    await worlds[0].account(top_up=1_000_000)
    answers = await asyncio.gather(*(worlds[index % len(worlds)].reserve() for index in range(RACERS)))
    reserved = [outcome for outcome in answers if isinstance(outcome, outcomes.Reserved)]
    assert sum(outcome.dispatch is not None for outcome in reserved) == 2
    assert len(reserved) == 22, "two in work, 20 in the waiting room"
    assert all(isinstance(outcome, outcomes.Reserved | outcomes.WaitingRoomFull) for outcome in answers)


async def test_r11_one_operation_sent_by_many_is_done_once(worlds: list[World]) -> None:
    await worlds[0].account()
    operation = operation_id()
    await asyncio.gather(
        *(
            world.ledger.advance(account="ann", operation=operation, advance_ms=86_400_000)
            for world in worlds
            for _ in range(5)
        )
    )
    assert (await worlds[0].look()).clock_offset_ms == 86_400_000
