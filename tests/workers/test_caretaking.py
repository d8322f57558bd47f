"""Nothing that a caretaker does beside its rounds keeps it from the deadlines, however long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import operation_id
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputStore, output_key
from gateway.queue.series import Series
from gateway.queue.slots import Slots
from gateway.settings import Settings
from gateway.tasks import Tasks
from tests.ledger.world import an_output
from tests.until import until
from tests.workers.stage import Stage, due, open_place
from workers.care import daily_audit
from workers.settings import caretaking

HANGS: dict[str, tuple[Any, str]] = {
    "deletion of outputs": (OutputStore, "delete_generations"),
    "deletion of uploads": (OutputStore, "delete_uploads"),
    "slots of providers": (Slots, "fill"),
    "daily audit": (daily_audit, "audit"),
    "sampler": (Series, "add"),
    "webhooks": (Ledger, "due_webhooks"),
}


class Hang:
    """Something that begins and does not go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        self.begun.set()
        await asyncio.get_running_loop().create_future()


async def expired(stage: Stage) -> str:
    """An ended generation whose outputs are to be deleted now."""
    kept, stage.ledger.outputs_kept_ms = stage.ledger.outputs_kept_ms, 0
    generation = (await stage.reserve()).generation.id
    await stage.ledger.begin(generation=generation, attempt=1, operation=operation_id())
    output = replace(an_output(), object_key=output_key(generation, 1, 0, "image/png"))
    await stage.ledger.deliver(generation=generation, attempt=1, output=output)
    await stage.ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None)
    stage.ledger.outputs_kept_ms = kept
    return generation


def is_due(stage: Stage, generation: str) -> Callable[[], Any]:
    async def found() -> bool:
        return f"{generation}:1" in await due(stage.queue)

    return found


@pytest.mark.parametrize("what", HANGS)
async def test_a_lost_dispatch_is_made_up_for_while_something_else_hangs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """949 deletions of 50 ms each stood between a dead worker's generation and its rescue: 161 s instead of 10."""
    hang = Hang()
    monkeypatch.setattr(*HANGS[what], hang)
    monkeypatch.setattr(daily_audit, "_FIRST_CHECK_SECONDS", 0)
    await expired(stage)
    async with open_place(stage) as place, caretaking(_settings(stage), place):
        await hang.begun.wait()
        lost = (await stage.reserve()).generation.id
        await until(is_due(stage, lost))
        assert place.tasks.problems == ()


async def test_a_partition_that_hangs_keeps_none_of_the_others_from_its_rescue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of a cluster that does not answer costs its own accounts a wait, and nobody else's."""
    hang, visit = Hang(), Ledger.overdue
    lost = (await stage.reserve()).generation.id
    healthy = int(lost[4:6], 16)

    async def overdue(ledger: Ledger, *, partition: int, limit: int = 100) -> Any:
        return await (visit(ledger, partition=partition, limit=limit) if partition == healthy else hang())

    monkeypatch.setattr(Ledger, "overdue", overdue)
    async with open_place(stage) as place, caretaking(_settings(stage), place):
        await hang.begun.wait()
        await until(is_due(stage, lost))
        # The round after that is made too, and the one that hangs is not asked a second time.
        again = (await stage.reserve()).generation.id
        await until(is_due(stage, again))


async def test_one_generation_that_cannot_be_rescued_keeps_no_other_from_its_rescue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = [(await stage.reserve()).generation.id for _ in range(2)]
    rescue = Ledger.rescue

    async def refuse(ledger: Ledger, *, generation: str, **how: Any) -> Any:
        if generation == broken:
            raise ValueError(generation)
        return await rescue(ledger, generation=generation, **how)

    monkeypatch.setattr(Ledger, "rescue", refuse)
    async with open_place(stage) as place, caretaking(_settings(stage), place):
        await until(is_due(stage, fine))


async def test_a_task_of_a_caretaker_that_fails_is_started_again_and_the_others_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.tasks.STEADY_SECONDS", 0.2)
    failures: list[str] = []
    fill = Slots.fill

    async def fail_once(slots: Slots, limits: Any) -> Any:
        if not failures:
            failures.append("slots")
            raise TypeError("a slot that nobody can read")
        return await fill(slots, limits)

    monkeypatch.setattr(Slots, "fill", fail_once)
    async with open_place(stage) as place, caretaking(_settings(stage), place):
        await until(lambda: _says(place.tasks, "'slots'"))
        lost = (await stage.reserve()).generation.id
        await until(is_due(stage, lost))
        await until(lambda: _running(place.tasks, "slots"))


async def _says(tasks: Tasks, words: str) -> bool:
    return any(words in problem for problem in tasks.problems)


async def _running(tasks: Tasks, name: str) -> bool:
    return any(
        sample.labels == {"task": name} and sample.value == 1 and sample.name == "farebox_background_task_up"
        for family in tasks.metrics()
        for sample in family.samples
    )


def _settings(stage: Stage) -> Settings:
    return Settings(data=stage.directory, ledger_url=stage.url, lease_seconds=stage.lease_seconds)
