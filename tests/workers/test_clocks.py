"""Workers and caretakers whose machines have another time do as the others do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import clock
from gateway.domain import FailureCode, State, operation_id
from gateway.ledger.outcomes import Requeued
from tests.until import until
from tests.workers.stage import Stage, dispatch_of, due

OFF = pytest.mark.parametrize("off_seconds", [-7200, 7200], ids=["two hours behind", "two hours ahead"])
SHIFTED = """
import sys, time
def shift(clock, by):
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is clock:
                setattr(module, name, lambda: clock() + by)
shift(time.time, {off})
shift(time.time_ns, {off} * 10**9)
"""


@OFF
async def test_a_worker_makes_what_is_queued_and_says_that_its_clock_differs(stage: Stage, off_seconds: int) -> None:
    """One that was two hours behind took nothing, for ever, and said nothing: no job was due yet by its own clock."""
    worker = stage.worker(prelude=SHIFTED.format(off=off_seconds))
    generation = await stage.order()
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert await worker.says("CLOCK_DIFFERS")


@OFF
async def test_a_retry_is_dispatched_when_the_ledger_says(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, off_seconds: int
) -> None:
    """Behind, it was held back for two hours more; ahead, the pause was over before it began."""
    local = clock.local_seconds
    monkeypatch.setattr(clock, "local_seconds", lambda: local() + off_seconds)
    await clock.CLOCK.measure(stage.ledger.time)
    dispatch = dispatch_of(await stage.reserve())
    retry = replace(dispatch, not_before=await stage.ledger.time() + 300)
    stage.dispatcher.dispatch([retry])

    async def dispatched() -> bool:
        return bool(await due(stage.queue))

    assert not await dispatched()
    await until(dispatched)
    assert await stage.ledger.time() >= retry.not_before


@OFF
async def test_a_caretaker_rescues_and_its_rescue_is_dispatched(stage: Stage, off_seconds: int) -> None:
    reserved = await stage.reserve()
    await stage.ledger.begin(generation=reserved.generation.id, attempt=1, operation=operation_id())
    failed = await stage.ledger.settle(
        generation=reserved.generation.id, attempt=1, operation=operation_id(), failure=FailureCode.PROVIDER_FAILED
    )
    assert isinstance(failed, Requeued)
    stage.caretaker(prelude=SHIFTED.format(off=off_seconds))

    async def dispatched() -> bool:
        return f"{reserved.generation.id}:2" in await due(stage.queue)

    await until(dispatched)
