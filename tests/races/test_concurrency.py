"""R14, the issue's point 4: never more in work than the plan says, the rest wait, and all of them finish."""

from __future__ import annotations

import asyncio
import random

from gateway.domain import FINAL_STATES, FailureCode, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import SECOND, World

LIMITS = {"image": 2, "video": 1}
GENERATIONS = 20


class Load:
    """Workers that take what is dispatched, and an account that wants more than it may."""

    def __init__(self, worlds: list[World]) -> None:
        self.worlds = worlds
        self.chance = random.Random(14)
        self.queue: asyncio.Queue[outcomes.Dispatch] = asyncio.Queue()
        self.made: list[str] = []
        self.waited = 0
        self.most = dict.fromkeys(LIMITS, 0)

    def dispatch(self, *dispatches: outcomes.Dispatch | None) -> None:
        for dispatch in dispatches:
            if dispatch is not None:
                self.queue.put_nowait(dispatch)

    async def ask(self, world: World) -> None:
        """Reserve until the waiting room is full, which is an answer too."""
        for _ in range(GENERATIONS):
            outcome = await world.reserve(price=1_000, tool=self.chance.choice(list(LIMITS)), outputs=2)
            if isinstance(outcome, outcomes.Reserved):
                self.made.append(outcome.generation.id)
                self.waited += outcome.dispatch is None
                self.dispatch(outcome.dispatch)

    async def work(self, world: World) -> None:
        """Begin what was dispatched and end it one way or another."""
        while True:
            dispatch = await self.queue.get()
            await self._one(world, dispatch)
            self.queue.task_done()

    async def _one(self, world: World, dispatch: outcomes.Dispatch) -> None:
        name = dispatch.generation
        if dispatch.not_before:
            await world.pass_time(name, 30 * SECOND)
        begun = await world.ledger.begin(generation=name, attempt=dispatch.attempt, operation=operation_id())
        if not isinstance(begun, outcomes.Begun):
            return
        end = self.chance.choice(("finish", "fail", "retry", "hand back", "cancel"))
        if end == "finish":
            await world.deliver(name, 0, 1, attempt=dispatch.attempt)
        if end == "cancel":
            await world.ledger.cancel(generation=name)
        if end == "hand back":
            outcome: object = await world.ledger.hand_back(
                generation=name, attempt=dispatch.attempt, operation=operation_id()
            )
        else:
            failure = {"fail": FailureCode.MODERATED, "retry": FailureCode.PROVIDER_FAILED}.get(end)
            outcome = await world.settle(name, failure, dispatch.attempt)
        if isinstance(outcome, outcomes.Ended):
            self.dispatch(*outcome.promoted)
        elif isinstance(outcome, outcomes.Requeued):
            self.dispatch(outcome.dispatch)

    async def watch(self, world: World) -> None:
        """Look at what is in work, again and again."""
        while True:
            for tool, count in (await world.look()).in_work.items():
                self.most[tool] = max(self.most[tool], count)


async def test_r14_under_random_load_never_more_is_in_work_than_allowed_and_all_finish(worlds: list[World]) -> None:
    await worlds[0].account(top_up=10_000_000)
    load = Load(worlds)
    behind = [asyncio.create_task(load.work(world)) for world in worlds for _ in range(3)]
    behind.append(asyncio.create_task(load.watch(worlds[0])))
    await asyncio.gather(*(load.ask(world) for world in worlds))
    await load.queue.join()
    for task in behind:
        task.cancel()
    ended = await asyncio.gather(*behind, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in ended), ended
    assert all(load.most[tool] <= limit for tool, limit in LIMITS.items()), load.most
    assert load.waited > 0, "the load must be more than the limits"
    for generation in load.made:
        assert (await worlds[0].generation(generation)).state in FINAL_STATES
    account = await worlds[0].look()
    assert (account.in_work, account.waiting) == ({}, {})
    assert sum(account.held_millicredits.values()) == 0
