"""`pause` (R36): nothing new is created of what operators have paused; what was accepted goes on."""

from __future__ import annotations

import pytest

from gateway.domain import PauseKind
from gateway.ledger import outcomes
from gateway.ledger.pauses import Pause, Paused
from tests.ledger.world import World, the

WHY = "the provider is down"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PauseKind.ACCOUNT, "ann"),
        (PauseKind.TOOL, "image"),
        (PauseKind.MODEL, "nano-banana-2"),
        (PauseKind.PROVIDER, "sandbox"),
    ],
)
async def test_what_is_paused_refuses_what_is_new_and_changes_nothing(world: World, kind: PauseKind, name: str) -> None:
    await world.account(top_up=100_000)
    accepted = await world.spend(1_000, idempotency=("k", "b"))
    pause = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
    before = await world.contents()
    assert the(Paused, await world.reserve(price=1_000)).pause == pause == Pause(kind, name, pause.since, WHY)
    assert await world.contents() == before
    the(outcomes.Replayed, await world.reserve(price=1_000, idempotency=("k", "b")))
    await world.finish(accepted)
    assert await world.ledger.end_pause(kind=kind, name=name)
    await world.spend(1_000)


async def test_others_are_not_paused(world: World) -> None:
    await world.account(top_up=100_000)
    await world.account("b.o-b_@", top_up=100_000)
    for kind, name in ((PauseKind.TOOL, "video"), (PauseKind.MODEL, "image"), (PauseKind.ACCOUNT, "b.o-b_@")):
        the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
    await world.spend(1_000)


async def test_a_second_pause_changes_the_reason_and_a_second_end_nothing(world: World) -> None:
    await world.account()
    for kind, name in ((PauseKind.TOOL, "image"), (PauseKind.ACCOUNT, "ann")):
        first = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
        second = the(Pause, await world.ledger.pause(kind=kind, name=name, reason="still,\nno better"))
        assert second == Pause(kind, name, first.since, "still, no better")
        blank = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=" \u00a0"))
        assert blank == Pause(kind, name, first.since, ""), "a blank reason is not the end of a pause"
        assert the(Paused, await world.reserve(price=1_000)).pause == blank
        assert await world.ledger.end_pause(kind=kind, name=name)
        before = await world.contents()
        assert not await world.ledger.end_pause(kind=kind, name=name)
        assert await world.contents() == before
    assert await world.ledger.pauses() == []


async def test_a_new_rate_card_ends_no_pause(world: World) -> None:
    pause = the(Pause, await world.ledger.pause(kind=PauseKind.MODEL, name="image", reason=WHY))
    await world.publish()
    assert await world.ledger.pauses() == [pause]


async def test_there_is_no_account_to_pause(world: World) -> None:
    before = await world.contents()
    the(outcomes.NotFound, await world.ledger.pause(kind=PauseKind.ACCOUNT, name="nobody", reason=WHY))
    assert await world.contents() == before
