"""R31: what each generation earned and cost, as sums of a day; credits are worth what was paid for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gateway.domain import Bucket, Cost, FailureCode, Interval, operation_id
from gateway.ledger import outcomes
from gateway.ledger.margin_records import Earned, Margin, revenue_of
from gateway.ledger.operators import GivenBack
from tests.ledger.world import DAY, HOUR, PARTITIONS, POLICY, World, an_output, the

FREE, SUBSCRIPTION, TOP_UP = Bucket.FREE, Bucket.SUBSCRIPTION, Bucket.TOP_UP
STANDARD = Fraction(30_000_000, 8_000_000)  # 30.00 a month for 8,000 credits, in micro-units per millicredit


async def rows(world: World, account: str = "ann", days: Sequence[str] = ()) -> list[Earned]:
    """The rows of the account's day."""
    now = (await world.look(account)).now
    today = datetime.fromtimestamp(now // 1000, UTC).date().isoformat()
    return await world.ledger.margin(days=days or [today])


async def by_bucket(world: World) -> dict[Bucket | None, Margin]:
    """The sums of each bucket."""
    found: dict[Bucket | None, Margin] = {}
    for row in await rows(world):
        found[row.bucket] = found.get(row.bucket, Margin()) + row.margin
    return found


async def whole(world: World) -> Margin:
    """The sums of everything."""
    return sum((row.margin for row in await rows(world)), Margin())


async def make(
    world: World, price: int, costs: Sequence[Cost | None] = (), lost: Sequence[Cost] = (), **more: Any
) -> outcomes.Ended:
    """A generation with as many outputs as costs are given."""
    account = more.pop("account", "ann")
    generation = await world.spend(price, account, outputs=max(1, more.pop("outputs", len(costs))), **more)
    await world.begin(generation)
    for index, cost in enumerate(costs):
        output = replace(an_output(index), cost=cost)
        the(outcomes.Noted, await world.ledger.deliver(generation=generation, attempt=1, output=output))
    failure = None if costs else FailureCode.PROVIDER_REJECTED
    ended = await world.ledger.settle(
        generation=generation, attempt=1, operation=operation_id(), failure=failure, lost=lost
    )
    return the(outcomes.Ended, ended)


async def bought(world: World, price: str, millicredits: int, kind: str = "bundle", **more: Any) -> None:
    """A purchase, paid."""
    checkout = f"chk_{operation_id()}"
    asked: dict[str, Any] = {
        "account": "ann", "checkout": checkout, "keys_version": None, "kind": kind, "what": "small", "interval": None,
        "name": "Small", "millicredits": millicredits, "price": Decimal(price), "currency": "USD", "provider": "local",
        "live": False,
    }  # fmt: skip
    await world.ledger.check_out(**{**asked, **more})
    await world.ledger.pay(account="ann", checkout=checkout, ref="paid")


async def test_free_credits_earn_nothing_and_others_what_was_paid_for_them(world: World) -> None:
    await world.subscribe()
    await bought(world, "5.00", 1_000_000)
    spent = {FREE: 100_000, SUBSCRIPTION: 8_000_000, TOP_UP: 400_000}
    ended = await make(world, sum(spent.values()), [Cost("sandbox", 1_000_000)])
    found = await by_bucket(world)
    assert {bucket: one.millicredits for bucket, one in found.items()} == spent
    assert {bucket: one.revenue for bucket, one in found.items()} == {
        FREE: 0, SUBSCRIPTION: 30_000_000, TOP_UP: 400_000 * 5,
    }  # fmt: skip
    assert revenue_of(ended.generation) == 32_000_000
    assert sum(one.cost for one in found.values()) == 1_000_000
    assert {bucket: one.cost for bucket, one in found.items()} == {
        FREE: 1_000_000 * 100 // 8_500, SUBSCRIPTION: 1_000_000 * 8_000 // 8_500, TOP_UP: 47_060,
    }  # fmt: skip
    assert {bucket: one.generations for bucket, one in found.items()} == {FREE: 1, SUBSCRIPTION: 0, TOP_UP: 0}


async def test_a_credit_keeps_the_worth_it_was_bought_at_whatever_the_card_says_later(world: World) -> None:
    await world.subscribe()
    await world.publish(plans={"standard": replace(POLICY.plans["standard"], price_cents={1: 90_000})})
    await make(world, 100_000 + 1_000, [None])
    assert (await whole(world)).revenue == 1_000 * STANDARD
    await world.advance(31 * DAY)  # the next interval is paid at the new price
    await make(world, 100_000 + 1_000, [None])
    assert (await whole(world)).revenue == 1_000 * 30 * STANDARD


async def test_credits_of_a_year_are_worth_a_twelfth_each_month_at_the_price_of_its_start(world: World) -> None:
    await world.subscribe(interval=Interval.YEARLY)
    await world.publish(plans={"standard": replace(POLICY.plans["standard"], price_cents={1: 90_000})})
    await world.advance(40 * DAY)
    await make(world, 100_000 + 96_000, [None])
    assert (await whole(world)).revenue == 96_000 * Fraction(252_000_000, 12 * 8_000_000) == 252_000


async def test_a_plan_that_was_bought_is_worth_its_price_at_the_checkout(world: World) -> None:
    await bought(world, "19.90", 8_000_000, "plan", what="standard", interval=Interval.MONTHLY)
    await make(world, 100_000 + 8_000_000, [None])
    assert (await whole(world)).revenue == 19_900_000
    await bought(world, "10.00", 8_000_000, "plan", what="standard", interval=Interval.QUARTERLY)
    assert (await world.look()).subscription is not None


async def test_what_operators_grant_is_worth_what_was_paid_or_nothing(world: World) -> None:
    await world.grant(amount=50_000)
    await make(world, 100_000 + 50_000, [None])
    assert (await whole(world)).revenue == 0
    await world.ledger.grant(
        account="ann", operation=operation_id(), bucket=TOP_UP, millicredits=70_000, expires_at=None, reason="invoice",
        paid_micro=1_000_001,
    )  # fmt: skip
    await make(world, 70_000, [None])
    found = await whole(world)
    assert (int(found.revenue), found.unknown_millicredits) == (1_000_001, 0)


async def test_a_refund_earns_nothing_and_costs_what_it_cost(world: World) -> None:
    await world.subscribe()
    ended = await make(world, 100_000 + 8_000, lost=[Cost("sandbox", 40_000), Cost("sandbox", None, 5_000)])
    assert ended.generation.committed_millicredits == 0
    found = await whole(world)
    assert (found.millicredits, int(found.revenue), found.cost, found.losses) == (0, 0, 45_000, 45_000)
    assert (found.generations, found.reported, found.compared) == (1, 5_000, 0)
    by = await by_bucket(world)
    assert by[FREE].cost + by[SUBSCRIPTION].cost == 45_000  # who would have paid


async def test_part_of_the_outputs_earn_their_share_and_the_others_are_lost(world: World) -> None:
    await world.subscribe()
    await make(
        world, 90_000, [Cost("sandbox", 10_000), Cost("sandbox", 10_000, 12_000)], [Cost("sandbox", 10_000)], outputs=3
    )
    found = await whole(world)
    assert found.millicredits == 60_000
    assert (found.cost, found.reported, found.compared, found.beside) == (32_000, 12_000, 12_000, 10_000)
    assert found.losses == 10_000


async def test_costs_belong_to_the_provider_that_took_them_and_credits_to_the_one_that_made_it(world: World) -> None:
    await make(world, 1_000, [Cost("fal", 7), Cost("sandbox", 5)], [Cost("fal", 1)])
    found = {row.provider: row.margin for row in await rows(world) if row.margin.cost}
    assert {name: one.cost for name, one in found.items()} == {"fal": 8, "sandbox": 5}
    assert {row.provider for row in await rows(world) if row.margin.millicredits} == {"sandbox"}


async def test_an_unknown_cost_is_counted_and_so_is_a_generation_that_costs_no_credits(world: World) -> None:
    await make(world, 0, [Cost("sandbox", 3), None])
    await make(world, 0, lost=[])
    (row,) = await rows(world)
    assert row.bucket is None
    assert (row.margin.generations, row.margin.cost, row.margin.unknown_generations) == (2, 3, 1)


async def test_a_correction_takes_the_revenue_back_on_its_own_day_and_the_cost_is_lost(world: World) -> None:
    await world.subscribe()
    ended = await make(world, 100_000 + 8_000, [Cost("sandbox", 9_000)])
    first = await rows(world)
    await world.advance(DAY)
    given = await world.ledger.adjust_generation(generation=ended.generation.id, operation="again", reason="blurred")
    again = await world.ledger.adjust_generation(generation=ended.generation.id, operation="again", reason="blurred")
    assert the(GivenBack, given).generation.id == the(GivenBack, again).generation.id
    assert sum((row.margin for row in first), Margin()).revenue == 8_000 * STANDARD
    found = await whole(world)
    assert (found.millicredits, int(found.revenue)) == (-108_000, -30_000)
    assert (found.cost, found.losses, found.generations) == (0, 9_000, 0)


async def test_refunds_keep_what_their_credits_are_worth(world: World) -> None:
    """R10: what cannot go back to its grant becomes a refund grant; credits of another worth make another."""
    await world.subscribe()
    gift = (await world.look()).now + 2 * HOUR
    await world.grant(amount=1_000, bucket=SUBSCRIPTION, expires_at=gift)
    generation = await world.spend(100_000 + 9_000)
    await world.advance(32 * DAY)
    await world.ledger.cancel(generation=generation)
    made = [grant for grant in (await world.look()).grants if grant.id.startswith("r")]
    assert sorted((grant.bucket, grant.available_millicredits) for grant in made) == [
        (FREE, 100_000), (SUBSCRIPTION, 1_000), (SUBSCRIPTION, 8_000),
    ]  # fmt: skip
    await make(world, 100_000 + 100_000 + 9_000, [None])
    found = await whole(world)
    assert (int(found.revenue), found.unknown_millicredits) == (30_000, 0)


@pytest.mark.cluster
async def test_a_late_job_is_booked_once_as_a_loss(world: World) -> None:
    ended = await make(world, 1_000, [Cost("sandbox", 5)])
    for job in ("job-1", "job-1", "job-2"):
        await world.ledger.book_loss(generation=ended.generation.id, job=job, lost=[Cost("fal", 7, 9)])
    found = {row.provider: row.margin for row in await rows(world)}
    assert (found["fal"].cost, found["fal"].losses, found["fal"].beside) == (18, 18, 14)
    await world.ledger.book_loss(generation=world_id(ended.generation.id), job="job-1", lost=[Cost("fal", 7)])
    assert (await whole(world)).cost == 23


def world_id(generation: str) -> str:
    """One that there is not."""
    return generation[:-4] + "aaaa"


async def test_credits_from_before_worths_were_stored_are_counted_as_unknown(world: World) -> None:
    """A ledger of the version before: no `worth:` of the account, no `paid_worth`, none in an open generation."""
    await world.subscribe()
    await bought(world, "5.00", 1_000_000)
    generation = await world.spend(100_000 + 8_000_000 + 1_000)
    key = world.ledger.account_key("ann")
    fields = [name for name in await world.redis.hkeys(key) if name.startswith(b"worth:") or name == b"paid_worth"]
    assert len(fields) == len(("the plan's", "the top-up's", "paid_worth"))
    await world.redis.hdel(key, *fields)
    await world.redis.hdel(world.ledger.generation_key(generation), "worth")
    await world.finish(generation)
    found = await whole(world)
    assert (found.millicredits, int(found.revenue), found.unknown_millicredits) == (8_101_000, 0, 8_001_000)
    await world.advance(31 * DAY)  # the card says what the next interval is paid at
    await make(world, 100_000 + 1_000, [None])
    assert (await whole(world)).revenue == 1_000 * STANDARD


async def test_a_day_with_too_many_different_worths_sums_them_up(world: World) -> None:
    """1,000 rows; of the others credits are summed, and revenue rounded for each generation."""
    key = f"{world.ledger.account_key('ann').partition(':')[0]}:margin:2026-01-01"
    assert int(key[3:5], 16) < PARTITIONS
    today = datetime.fromtimestamp((await world.look()).now // 1000, UTC).date().isoformat()
    key = key.replace("2026-01-01", today)
    await world.redis.hset(key, mapping={f"m{number}|sandbox|t|1/{number + 7}": "0" for number in range(1000)})
    await world.redis.pexpire(key, DAY)
    for paid in (7_777_777, 333_333):
        await world.ledger.grant(
            account="ann", operation=operation_id(), bucket=TOP_UP, millicredits=9_001, expires_at=None, reason="paid",
            paid_micro=paid,
        )  # fmt: skip
    await make(world, 100_000 + 2 * 9_001, [Cost("sandbox", 5)])
    found = await whole(world)
    assert (found.millicredits, int(found.revenue), found.cost) == (118_002, 7_777_777 + 333_333, 5)
    stored = await world.redis.hgetall(key)
    assert stored[b"nano-banana-2|sandbox|t|other"] == b"18002,8111110"
    assert stored[b"nano-banana-2|sandbox|f|0"] == b"100000"
    assert len(stored) == 1000 + len(("t|other", "f|0", "f", "t"))
