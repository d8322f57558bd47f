"""R9: an output is delivered, can be downloaded and will be paid for, once `deliver` has recorded it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.errors import LedgerBroken
from gateway.ledger import outcomes
from tests.ledger.world import World, an_output, the


async def test_a_delivered_output_comes_back_as_it_was_recorded(world: World) -> None:
    generation = await world.running()
    film = replace(an_output(), content_type="video/mp4", duration_seconds=Decimal("7.50"))
    assert isinstance(await world.ledger.deliver(generation=generation, attempt=1, output=film), outcomes.Noted)
    assert (await world.generation(generation)).outputs == (film,)


async def test_audio_and_text_come_back_with_their_own_measures(world: World) -> None:
    """And a version that knows only pictures can read them: it expects seven values, with two numbers for the size."""
    generation = await world.running(outputs=2)
    tune = replace(an_output(), content_type="audio/wav", width=None, height=None, duration_seconds=Decimal(3))
    words = replace(an_output(), index=1, content_type="text/plain", width=None, height=None, characters=70)
    for output in (tune, words):
        await world.ledger.deliver(generation=generation, attempt=1, output=output)
    assert (await world.generation(generation)).outputs == (tune, words)
    kept = await world.fields(generation)
    assert [json.loads(kept[f"output:{index}"])[3:5] for index in (0, 1)] == [[0, 0], [70, 0]]
    assert [len(json.loads(kept[f"output:{index}"])) for index in (0, 1)] == [7, 7]


async def test_outputs_may_be_delivered_in_any_order(world: World) -> None:
    generation = await world.running(outputs=12)
    await world.deliver(generation, 11, 2, 0)
    assert [output.index for output in (await world.generation(generation)).outputs] == [0, 2, 11]


async def test_r9_a_later_attempt_finds_what_was_delivered_before(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 0)
    await world.hand_back(generation)
    assert [output.index for output in (await world.begin(generation, 2)).outputs] == [0]
    await world.deliver(generation, 1, 2, attempt=2)
    ended = the(outcomes.Ended, await world.settle(generation, attempt=2))
    assert ended.generation.committed_millicredits == 9_000


@pytest.mark.parametrize("index", [-1, 2])
async def test_an_output_that_was_not_asked_for_is_a_fault_and_changes_nothing(world: World, index: int) -> None:
    generation = await world.running(outputs=2)
    async with world.unchanged():
        with pytest.raises(LedgerBroken, match="was not asked for"):
            await world.ledger.deliver(generation=generation, attempt=1, output=an_output(index))
