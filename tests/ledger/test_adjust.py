"""R24: an operator's correction, with a reason; never below zero available, never from held credits."""

from __future__ import annotations

from gateway.domain import Bucket, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import DAY, World, the


async def adjust(world: World, amount: int, bucket: Bucket = Bucket.TOP_UP, operation: str = "") -> object:
    return await world.ledger.adjust(
        account="ann", operation=operation or operation_id(), bucket=bucket, millicredits=amount, reason="a mistake"
    )


async def test_r24_up_is_a_new_grant_with_the_buckets_current_expiry(world: World) -> None:
    account = await world.account(plan="standard")
    assert account.subscription is not None
    expiries = {
        Bucket.FREE: account.free_resets_at,
        Bucket.SUBSCRIPTION: account.subscription.refreshes_at,
        Bucket.TOP_UP: None,
    }
    for bucket, expires_at in expiries.items():
        applied = the(outcomes.Applied, await adjust(world, 5_000, bucket))
        [grant] = [item for item in applied.account.grants if item.id == applied.grant]
        assert (grant.bucket, grant.available_millicredits, grant.expires_at) == (bucket, 5_000, expires_at)


async def test_r24_up_in_a_subscription_that_ends_before_its_next_cycle_ends_with_it(world: World) -> None:
    """R3: after the lapse its credits are gone. A correction used to stay until the date of the next cycle."""
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 5 * DAY)
    await adjust(world, 5_000, Bucket.SUBSCRIPTION)
    await world.advance(5 * DAY)
    assert (await world.available())[1] == 0


async def test_r24_down_goes_in_burn_order_within_the_bucket(world: World) -> None:
    now = (await world.account()).now
    lasting = await world.grant(amount=5_000)
    soon = await world.grant(amount=5_000, expires_at=now + DAY)
    applied = the(outcomes.Applied, await adjust(world, -7_000))
    left = {grant.id: grant.available_millicredits for grant in applied.account.grants}
    assert soon not in left
    assert left[lasting] == 3_000
    [entry] = await world.journal("ann", "adjust")
    assert (entry.credits_millicredits, entry.held_millicredits, entry.reason) == (-7_000, 0, "a mistake")


async def test_r24_down_never_takes_what_is_held_or_not_there(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account(top_up=10_000)
    await bare.spend(8_000)
    async with bare.unchanged():
        assert await adjust(bare, -2_001) == outcomes.Refused("not_available", "2000")
    assert isinstance(await adjust(bare, -2_000), outcomes.Applied)
    assert await bare.held() == 8_000


async def test_r24_down_never_takes_from_another_bucket(world: World) -> None:
    await world.account(top_up=10_000)
    assert await adjust(world, -100_001, Bucket.FREE) == outcomes.Refused("not_available", "100000")


async def test_subscription_credits_need_a_subscription(world: World) -> None:
    assert await adjust(world, 1, Bucket.SUBSCRIPTION) == outcomes.Refused("no_subscription", "0")


async def test_a_refusal_is_not_remembered(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account()
    assert isinstance(await adjust(bare, -5, operation="one"), outcomes.Refused)
    await bare.grant(amount=5)
    assert isinstance(await adjust(bare, -5, operation="one"), outcomes.Applied)
