"""Usage: counters per day, tool and model, exactly what the journal says was committed and refunded."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain import Bucket, FailureCode
from gateway.ledger import outcomes
from gateway.ledger.sums import Counts, Used
from tests.ledger.world import DAY, HOUR, World, the

MODELS = (("image", "nano-banana-2"), ("image", "flux-dev"), ("video", "wan-2.2"))


def days_of(account: outcomes.Account, count: int) -> list[str]:
    """The account's last days, in UTC."""
    today = datetime.fromtimestamp(account.now // 1000, UTC).date()
    return [(today - timedelta(days=back)).isoformat() for back in reversed(range(count))]


async def used(world: World, count: int = 2) -> tuple[Used, ...]:
    """What ann used in her last days."""
    found = await world.ledger.usage(account="ann", keys_version=None, days=days_of(await world.look(), count))
    assert isinstance(found, tuple)
    return found


async def end_somehow(world: World, dice: random.Random) -> None:
    """Ask for a generation and end it in one of the ways there are."""
    tool, model = dice.choice(MODELS)
    outputs = dice.randint(1, 4)
    made = await world.reserve(price=dice.randint(0, 30_011), tool=tool, model=model, outputs=outputs)
    if not isinstance(made, outcomes.Reserved):
        return
    generation = made.generation.id
    if made.dispatch is None or dice.random() < 0.2:
        await world.ledger.cancel(generation=generation)
        return
    await world.begin(generation)
    await world.deliver(generation, *range(dice.randint(0, outputs)))
    failure = dice.choice([None, FailureCode.PROVIDER_REJECTED, FailureCode.MODERATED])
    the(outcomes.Ended, await world.settle(generation, failure))


@pytest.mark.parametrize("seed", range(4))
async def test_totals_add_up_exactly_to_the_journal_for_any_history(world: World, seed: int) -> None:
    dice = random.Random(seed)
    account = await world.account(top_up=900_000, plan="standard")
    for _ in range(60):
        await end_somehow(world, dice)
        if dice.random() < 0.3:
            await world.advance(dice.randint(1, 40) * HOUR)
    span = ((await world.look()).now - account.now) // DAY + 2
    counts = sum((one.counts for one in await used(world, span)), Counts())
    journal = await world.journal()
    assert span < 400, "nothing was trimmed"
    commits = [entry for entry in journal if entry.kind == "commit"]
    refunds = [entry for entry in journal if entry.kind == "refund"]
    assert counts.credits_millicredits == -sum(entry.held_millicredits for entry in commits) > 0
    assert counts.refunded_millicredits == sum(entry.credits_millicredits for entry in refunds) > 0
    page = the(outcomes.Page, await world.ledger.generations(account="ann", keys_version=None, limit=100))
    ended = Counter[str](generation.state for generation in page.data)
    assert (counts.generations, counts.failed) == (ended.total(), ended["failed"])
    assert counts.outputs == sum(len(generation.outputs) for generation in page.data)


async def test_each_tool_and_model_has_counters_of_its_own(world: World) -> None:
    await world.finish(await world.spend(10_000, outputs=2), 2)
    await world.finish(await world.spend(10_000, outputs=2, model="flux-dev"), 1)
    await world.fail(await world.spend(7_000, tool="video", model="wan-2.2"))
    found = {(one.tool, one.model): one.counts for one in await used(world)}
    assert found == {
        ("image", "flux-dev"): Counts(
            generations=1, outputs=1, credits_millicredits=5_000, refunded_millicredits=5_000
        ),
        ("image", "nano-banana-2"): Counts(generations=1, outputs=2, credits_millicredits=10_000),
        ("video", "wan-2.2"): Counts(generations=1, failed=1, refunded_millicredits=7_000),
    }


async def test_a_cancelled_generation_counts_but_did_not_fail(world: World) -> None:
    await world.ledger.cancel(generation=await world.spend(10_000))
    [one] = await used(world)
    assert one.counts == Counts(generations=1, refunded_millicredits=10_000)


async def test_a_generation_counts_on_the_day_it_ended_in_account_time(world: World) -> None:
    generation = await world.spend(10_000)
    before = days_of(await world.look(), 1)
    await world.advance(3 * DAY)
    await world.finish(generation)
    found = await used(world, 5)
    assert [one.day for one in found] == days_of(await world.look(), 1) != before


async def test_days_are_answered_in_the_order_they_were_asked_for(world: World) -> None:
    await world.account(top_up=900_000)
    for _ in range(3):
        await world.finish(await world.spend(1_000))
        await world.advance(DAY)
    found = await used(world, 10)
    assert [one.day for one in found] == days_of(await world.look(), 4)[:3]


async def test_thirteen_months_are_one_call(world: World) -> None:
    """And none of them is kept for ever."""
    account = await world.account()
    await world.grant(amount=10_000_000, bucket=Bucket.TOP_UP)
    await world.finish(await world.spend(110_000))
    await world.advance_to(account.now + 395 * DAY)
    await world.finish(await world.spend(110_000))
    found = await used(world, 400)
    assert [one.counts.credits_millicredits for one in found] == [110_000, 110_000]


async def test_an_unknown_account_has_no_usage_and_a_changed_key_reads_none(world: World) -> None:
    assert isinstance(
        await world.ledger.usage(account="nobody", keys_version=None, days=["2026-11-22"]), outcomes.NotFound
    )
    assert isinstance(
        await world.ledger.usage(account="ann", keys_version=3, days=["2026-11-22"]), outcomes.KeysChanged
    )
