"""R14: what one script could not promote at once is promoted by a caretaker, whoever died in between."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import operation_id
from gateway.ledger.outcomes import Begun, Ended
from tests.until import until
from tests.workers.stage import Stage, policy

WAITING = 230


async def test_r14_a_caretaker_promotes_what_a_crash_left_waiting(stage: Stage) -> None:
    """Whoever made the room has got its answer and is gone: all that is left of it is in the ledger."""
    await stage.ledger.publish(replace(policy(image=1), file_time_ms=2))
    first = (await stage.reserve()).generation.id
    for _ in range(WAITING):
        await stage.reserve()
    await stage.ledger.publish(replace(policy(image=1000), file_time_ms=3))
    begun = await stage.ledger.begin(generation=first, attempt=1, operation=operation_id())
    assert isinstance(begun, Begun)
    ended = await stage.ledger.settle(generation=first, attempt=1, operation=operation_id(), failure=None)
    assert isinstance(ended, Ended)
    assert len(ended.promoted) == 100
    assert (await stage.totals()).waiting == {"image": WAITING - 100}
    stage.caretaker()

    async def all_are_queued() -> bool:
        totals = await stage.totals()
        return not totals.waiting.get("image", 0) and totals.queued["image"] == WAITING

    await until(all_are_queued)
