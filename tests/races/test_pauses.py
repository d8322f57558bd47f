"""R36: once a pause has been answered, nothing of it starts at any gateway; what began before goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from gateway.domain import FailureCode, PauseKind, operation_id
from gateway.ledger import outcomes
from gateway.ledger.pause_records import Pause, Paused
from tests.ledger.world import FREE, World, the
from tests.lengths import LONG

ROUNDS = 20 if LONG else 2
EACH = 16
NAMES = {PauseKind.PROVIDER: "sandbox", PauseKind.ACCOUNT: "team-0"}


@dataclass
class Round:
    """What two gateways begin while one of them pauses it."""

    answered: bool = False
    late: list[object] = field(default_factory=list)
    """What came of those that were begun after the pause had been answered."""
    begun: set[str] = field(default_factory=set)

    async def begin(self, world: World, generation: str) -> object:
        after = self.answered
        outcome = await world.ledger.begin(generation=generation, attempt=1, operation=operation_id())
        if after:
            self.late.append(outcome)
        if isinstance(outcome, outcomes.Begun):
            assert generation not in self.begun, "it starts once"
            self.begun.add(generation)
        return outcome

    async def begin_all(self, world: World, generations: list[str]) -> None:
        for generation in generations:
            await self.begin(world, generation)

    async def pause(self, world: World, kind: PauseKind) -> None:
        the(Pause, await world.ledger.pause(kind=kind, name=NAMES[kind], reason="a test"))
        self.answered = True


@pytest.mark.parametrize("kind", NAMES)
async def test_of_what_two_gateways_begin_around_a_pause_each_starts_once_or_is_held(
    worlds: list[World], kind: PauseKind
) -> None:
    """A provider's pause is written to one partition after another: it is answered when all of them have it."""
    one, other = worlds[:2]
    await one.publish(free=replace(FREE, concurrency={"image": EACH}))
    accounts = [f"team-{number}" for number in range(1 if kind is PauseKind.ACCOUNT else EACH)]
    for account in accounts:
        await one.account(account, top_up=1_000_000)
    for _ in range(ROUNDS):
        queued, race = [await one.spend(1_000, accounts[index % len(accounts)]) for index in range(EACH)], Round()
        await asyncio.gather(
            race.begin_all(one, queued[::2]), race.pause(one, kind), race.begin_all(other, queued[1::2])
        )
        held = [generation for generation in queued if generation not in race.begun]
        await asyncio.gather(race.begin_all(one, held), race.begin_all(other, held))
        assert {type(outcome) for outcome in race.late} <= {Paused}
        race.answered = not await one.ledger.end_pause(kind=kind, name=NAMES[kind])
        await asyncio.gather(race.begin_all(one, held), race.begin_all(other, held))
        assert race.begun == set(queued)
        for generation in queued:
            the(outcomes.Ended, await one.settle(generation, FailureCode.PROVIDER_REJECTED))
