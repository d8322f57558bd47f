"""R4: top-ups never expire; that they may be bought was checked when the checkout began."""

from __future__ import annotations

from gateway.domain import Bucket, FailureCode
from gateway.ledger import outcomes as o
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, World, shares, the

BUNDLE = 1_000_000


async def top_up(world: World, operation: str = "payment-1", amount: int = BUNDLE) -> o.Applied:
    """Add a purchase."""
    made = await world.ledger.top_up(
        account="ann", operation=operation, millicredits=amount, reason="Small, 1,000 credits"
    )
    return the(o.Applied, made)


async def test_r4_a_top_up_is_a_grant_without_expiry(world: World) -> None:
    await world.account(plan="standard")
    applied = await top_up(world)
    [grant] = [grant for grant in applied.account.grants if grant.id == applied.grant]
    assert (grant.bucket, grant.kind, grant.available_millicredits) == (Bucket.TOP_UP, "top_up", BUNDLE)
    assert grant.expires_at is None
    [entry] = await world.journal("ann", "grant")
    assert (entry.credits_millicredits, entry.reason) == (BUNDLE, "Small, 1,000 credits")


async def test_r4_a_top_up_outlives_years_cycles_and_the_subscription(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await top_up(world)
    await world.ledger.unsubscribe(account="ann", operation="x")
    await world.advance_to(anniversary(start, 60))
    assert await world.available() == (100_000, 0, BUNDLE)
    await world.finish(await world.spend(100_000 + BUNDLE))
    assert await world.available() == (0, 0, 0)


async def test_r5_a_top_up_is_spent_last(world: World) -> None:
    await world.account()
    await top_up(world)
    await world.subscribe()
    generation = await world.generation(await world.spend(100_000 + 8_000_000 + 1))
    assert shares(generation) == [
        (Bucket.FREE, 100_000), (Bucket.SUBSCRIPTION, 8_000_000), (Bucket.TOP_UP, 1),
    ]  # fmt: skip


async def test_r10_a_failed_generation_gives_a_top_up_back_to_itself_even_months_later(world: World) -> None:
    await world.publish(daily_millicredits=0)
    await world.account()
    applied = await top_up(world)
    generation = await world.running(400_000)
    await world.advance(90 * DAY)
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    account = await world.look()
    kept = {grant.id: grant.available_millicredits for grant in account.grants if grant.bucket is Bucket.TOP_UP}
    assert kept == {applied.grant: BUNDLE}


async def test_r4_one_that_was_paid_while_the_subscription_lapsed_is_honoured(world: World) -> None:
    """The checkout began before the lapse, so the ledger does not ask again (issue 3)."""
    start = (await world.account(plan="standard")).now
    await world.ledger.unsubscribe(account="ann", operation="x")
    await world.advance_to(anniversary(start, 1))
    await top_up(world)
    assert (await world.available())[2] == BUNDLE


async def test_r11_a_payment_told_twice_tops_up_once(world: World) -> None:
    await world.account(plan="standard")
    first = await top_up(world)
    before = await world.contents()
    again = await top_up(world)
    assert await world.contents() == before
    assert again.grant == first.grant
    second = await top_up(world, "payment-2")
    assert second.grant != first.grant
    assert (await world.available())[2] == 2 * BUNDLE


async def test_a_top_up_of_nobodys_changes_nothing(world: World) -> None:
    before = await world.contents()
    made = await world.ledger.top_up(account="nobody", operation="x", millicredits=1, reason="x")
    assert isinstance(made, o.NotFound)
    assert await world.contents() == before
