"""Top-ups and plans that are bought (R4, R12, R22): paid once, taken back at most once, never another's."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from gateway.domain import Bucket, Interval, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.payments import Checkout, TakenBack
from gateway.ledger.purchases import Purchase
from tests.ledger.world import DAY, PARTITIONS, World, the
from tests.payments.shop import PRO, SMALL, STANDARD, buy, buy_plan, pay, read, start_purchase

ALL = Fraction(1)
HALF = Fraction(1, 2)


async def take_back(world: World, checkout: Checkout, part: Fraction = ALL) -> TakenBack:
    said = await world.ledger.take_back(account=checkout.account, checkout=checkout.id, part=part)
    return the(TakenBack, said)


async def top_up(world: World, account: str = "ann") -> int:
    return (await world.available(account))[2]


async def spend_top_up(world: World, millicredits: int) -> str:
    """Hold all that burns before the top-up and `millicredits` of it."""
    free, subscription, _ = await world.available()
    return await world.spend(free + subscription + millicredits)


async def test_a_paid_bundle_is_a_top_up_grant_that_never_expires(world: World) -> None:
    await world.account(plan="standard")
    paid = await pay(world, await buy(world))
    assert paid.now
    (grant,) = [grant for grant in paid.account.grants if grant.bucket is Bucket.TOP_UP]
    assert (grant.available_millicredits, grant.expires_at, grant.kind) == (SMALL, None, "top_up")
    (entry,) = await world.journal("ann", "grant")
    assert entry.reason == "bought Small"


async def test_a_bundle_needs_an_active_subscription(world: World) -> None:
    await world.account()
    assert await start_purchase(world) == outcomes.Refused("subscription_required")


async def test_a_purchase_of_an_unknown_account_is_not_found(world: World) -> None:
    assert await start_purchase(world, "nobody") == outcomes.NotFound()


async def test_a_purchase_with_a_revoked_key_begins_nothing(world: World) -> None:
    await world.account(plan="standard")
    assert await start_purchase(world, keys_version=7) == outcomes.KeysChanged()


async def test_r4_a_purchase_begun_before_the_lapse_is_honoured_after_it(world: World) -> None:
    await world.account()
    now = (await world.look()).now
    await world.subscribe(paid_through=now + DAY)
    checkout = await buy(world)
    assert (await world.advance(2 * DAY)).subscription is None
    await pay(world, checkout)
    assert await top_up(world) == SMALL
    assert await start_purchase(world) == outcomes.Refused("subscription_required")


async def test_the_same_checkout_id_is_one_purchase_with_the_price_it_began_with(world: World) -> None:
    await world.account(plan="standard")
    first = await buy(world, checkout="chk_same")
    again = await buy(world, checkout="chk_same", millicredits=1)
    assert again == first


async def test_a_payment_said_many_times_at_once_pays_once(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    said = await asyncio.gather(*(pay(world, checkout) for _ in range(20)))
    assert sum(paid.now for paid in said) == 1
    assert await top_up(world) == SMALL


async def test_a_payment_said_again_months_later_changes_nothing(world: World) -> None:
    """The memory of operations lasts a day; a checkout remembers for longer."""
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    await world.advance(200 * DAY)
    for name in await world.contents():
        if ":idempotency:" in name:
            await world.ledger.redis.delete(name)
    assert not (await pay(world, checkout)).now
    assert await top_up(world) == SMALL


@pytest.mark.cluster
async def test_a_declined_purchase_grants_nothing_also_when_it_is_paid_later(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    declined = the(Checkout, await world.ledger.decline(account="ann", checkout=checkout.id))
    assert declined.status == "declined"
    said = await world.ledger.pay(account="ann", checkout=checkout.id, ref="")
    assert the(Checkout, said).status == "declined"
    assert await top_up(world) == 0


async def test_a_paid_purchase_cannot_be_declined(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    assert the(Checkout, await world.ledger.decline(account="ann", checkout=checkout.id)).status == "paid"


async def test_r22_a_test_account_takes_no_live_payment(world: World) -> None:
    await world.account(plan="standard")
    await world.advance(1)
    assert await start_purchase(world, live=True, provider="stripe") == outcomes.Refused("test_account")
    assert (await buy(world)).status == "open"


async def test_a_refund_takes_back_what_is_left_of_its_own_grant(world: World) -> None:
    await world.account(plan="standard")
    first, second = await buy(world), await buy(world)
    await pay(world, first)
    await pay(world, second)
    await world.finish(await spend_top_up(world, 300_000))
    back = await take_back(world, first)
    assert back.checkout.taken_back_millicredits == SMALL - 300_000
    assert await top_up(world) == SMALL
    (entry,) = await world.journal("ann", "revoke")
    assert (entry.credits_millicredits, entry.reason) == (-700_000, "payment for Small returned")


async def test_a_spent_bundle_has_nothing_to_take_back(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    await world.finish(await spend_top_up(world, SMALL))
    await world.grant("ann", 5_000)
    assert (await take_back(world, checkout)).checkout.taken_back_millicredits == 0
    assert await top_up(world) == 5_000


async def test_a_refund_takes_held_credits_only_when_they_come_back(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    generation = await spend_top_up(world, 300_000)
    assert (await take_back(world, checkout)).checkout.taken_back_millicredits == 700_000
    await world.fail(generation)
    assert await top_up(world) == 0


async def test_a_partial_refund_takes_its_part_and_the_rest_the_remainder(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    await take_back(world, checkout, HALF)
    assert await top_up(world) == SMALL // 2
    await take_back(world, checkout, HALF)
    assert await top_up(world) == SMALL // 2
    await take_back(world, checkout)
    assert await top_up(world) == 0


async def test_a_partial_refund_that_comes_after_the_whole_takes_nothing_more(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    assert (await take_back(world, checkout)).now
    assert not (await take_back(world, checkout, HALF)).now


async def test_a_dispute_after_a_refund_takes_nothing_twice(world: World) -> None:
    await world.account(plan="standard")
    first, second = await buy(world), await buy(world)
    await pay(world, first)
    await pay(world, second)
    await take_back(world, first)
    await take_back(world, first)
    assert await top_up(world) == SMALL


async def test_a_refund_before_the_payment_is_applied_right_after_the_grant(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await take_back(world, checkout)
    assert await top_up(world) == 0
    await pay(world, checkout)
    assert await top_up(world) == 0
    assert [entry.kind for entry in (await world.journal())[-2:]] == ["grant", "revoke"]


async def test_what_is_unknown_is_neither_paid_nor_taken_back(world: World) -> None:
    await world.account(plan="standard")
    before = await world.contents()
    assert await world.ledger.pay(account="ann", checkout="chk_no", ref="") == outcomes.NotFound()
    assert await world.ledger.take_back(account="ann", checkout="chk_no", part=ALL) == outcomes.NotFound()
    assert await world.ledger.checkout(account="ann", checkout="chk_no") == outcomes.NotFound()
    assert await world.contents() == before


async def test_a_paid_plan_starts_and_a_better_one_leaves_what_was_left(world: World) -> None:
    await world.account()
    await pay(world, await buy_plan(world, "standard"))
    assert (await world.available())[1] == STANDARD
    paid = await pay(world, await buy_plan(world, "pro"))
    assert paid.account.subscription is not None
    assert paid.account.subscription.plan == "pro"
    assert (await world.available())[1] == STANDARD + PRO


async def test_a_plan_that_the_account_has_cannot_be_bought_again(world: World) -> None:
    await world.account(plan="standard")
    refused = await start_purchase(world, kind="plan", what="standard", interval=Interval.MONTHLY)
    assert refused == outcomes.Refused("already_subscribed")


async def test_two_checkouts_of_one_plan_that_are_both_paid_mint_once(world: World) -> None:
    await world.account()
    first, second = await buy_plan(world), await buy_plan(world)
    await pay(world, first)
    await pay(world, second)
    assert (await world.available())[1] == STANDARD


async def test_buying_a_cancelled_plan_lets_it_go_on_and_mints_nothing(world: World) -> None:
    await world.account(plan="standard")
    await world.ledger.unsubscribe(account="ann", operation="op-1")
    paid = await pay(world, await buy_plan(world))
    assert paid.account.subscription is not None
    assert paid.account.subscription.cancelled_to is None
    assert (await world.available())[1] == STANDARD


async def test_a_plan_that_is_not_on_sale_is_refused(world: World) -> None:
    await world.account()
    refused = await start_purchase(world, kind="plan", what="gone", interval=Interval.MONTHLY)
    assert refused == outcomes.Refused("unknown_plan")


async def test_paying_a_plan_promotes_who_waits(world: World) -> None:
    await world.account()
    for _ in range(3):
        await world.spend(1_000)
    paid = await pay(world, await buy_plan(world))
    assert len(paid.promoted) == 1


async def test_a_purchase_is_kept_for_400_days_after_its_last_change(world: World) -> None:
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    key = keys.checkout(partition_of_account("ann", PARTITIONS), "ann", checkout.id)
    left = await world.ledger.redis.pttl(key)
    assert 399 * DAY < left <= 400 * DAY
    assert (await read(world, checkout)).ref == "pi_1"


@pytest.mark.cluster
async def test_a_purchase_is_listed_read_and_its_customer_remembered(world: World) -> None:
    """Over HTTP these are tested on one server alone; here on the cluster too."""
    await world.account(plan="standard")
    first, second = await buy(world), await buy(world)
    await pay(world, second)
    assert await world.ledger.set_customer(account="ann", customer="cus_1", checkout=first.id) == "cus_1"
    assert await world.ledger.set_customer(account="ann", customer="cus_2") == "cus_1"
    found = the(Purchase, await world.ledger.purchase(account="ann", checkout=second.id))
    assert (found.checkout, found.returned_cents) == (await read(world, second), 0)
    assert isinstance(await world.ledger.purchase(account="ann", checkout="chk_none"), outcomes.NotFound)
    page = await world.ledger.purchases(account="ann", limit=10)
    assert isinstance(page, outcomes.Page)
    assert {purchase.checkout.id for purchase in page.data} == {first.id, second.id}
    assert not await world.ledger.list_purchase(account="ann", checkout=first.id), "it is on the list"
    await world.redis.zrem(keys.purchases(partition_of_account("ann", PARTITIONS), "ann"), first.id)
    assert await world.ledger.list_purchase(account="ann", checkout=first.id)
