"""What is shown as paused, kept for a second: an entry may expire at any step of a look at it."""

from __future__ import annotations

from itertools import count

import pytest

from gateway.api.pause_board import PauseBoard
from gateway.domain import PauseKind
from tests.ledger.world import open_world


@pytest.mark.parametrize("step", [0.1, 0.3, 0.4, 0.7, 1.1])
async def test_an_entry_that_expires_during_a_look_is_read_again(redis_url: str, step: float) -> None:
    async with open_world(redis_url) as world:
        await world.account()
        generation = await world.generation(await world.spend())
        ticks = count()
        board = PauseBoard(world.ledger, clock=lambda: next(ticks) * step)  # time goes on whenever it is read
        assert [await board.of_generations([generation]) for _ in range(20)] == [[None]] * 20
        await world.ledger.pause(kind=PauseKind.MODEL, name=generation.request.model, reason="the provider is down")
        board.forget()
        for _ in range(20):
            (pause,) = await board.of_generations([generation])
            assert pause is not None
            assert pause.name == generation.request.model
