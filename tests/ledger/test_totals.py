"""Sums for operators: right over all partitions, and nobody scans for them."""

from __future__ import annotations

from gateway.domain import FailureCode
from gateway.ledger import outcomes
from tests.ledger.world import MINUTE, World


async def test_totals_add_up_over_all_partitions(world: World) -> None:
    for name in ("ann", "bob", "carol", "dave", "erin"):
        await world.account(name)
        for _ in range(2):
            await world.spend(10_000, name)
        await world.running(5_000, tool="video", account=name)
        await world.spend(1_000, name)
    await world.ledger.put_account(account="ann")
    totals = await world.ledger.totals()
    assert (totals.accounts, totals.open, totals.held_millicredits) == (5, 20, 130_000)
    assert {tool: count for tool, count in totals.queued.items() if count} == {"image": 10}
    assert (totals.running, totals.waiting) == ({"video": 5}, {"image": 5})


async def test_totals_count_outcomes_by_tool_model_state_and_code(world: World) -> None:
    await world.finish(await world.spend())
    await world.fail(await world.spend())
    await world.ledger.cancel(generation=await world.spend())
    model = ("image", "nano-banana-2")
    assert (await world.ledger.totals()).outcomes == {
        (*model, "succeeded", ""): 1,
        (*model, "failed", str(FailureCode.PROVIDER_REJECTED)): 1,
        (*model, "cancelled", ""): 1,
    }


async def test_totals_say_how_many_are_overdue_and_what_rescues_did(world: World) -> None:
    first, second = await world.spend(), await world.spend()
    assert (await world.ledger.totals()).overdue == 0
    await world.pass_time(first, MINUTE)
    await world.pass_time(second, 2 * 60 * MINUTE)
    assert (await world.ledger.totals()).overdue == 2
    assert isinstance(await world.rescue(first), outcomes.Requeued)
    await world.rescue(second)
    totals = await world.ledger.totals()
    assert totals.overdue == 0
    assert totals.rescues == {"dispatched": 1, "queue_timeout": 1}
