"""What becomes of bought credits (R4, R5, R10): they never expire, are spent last, and come back to themselves."""

from __future__ import annotations

from fractions import Fraction

from gateway.domain import Bucket, FailureCode
from gateway.ledger.payments import Checkout, TakenBack
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, World, shares, the
from tests.payments.shop import SMALL, STANDARD, buy, pay

FREE = 100_000


async def bought(world: World) -> Checkout:
    """The small bundle, paid."""
    checkout = await buy(world)
    return (await pay(world, checkout, checkout.id)).checkout


async def take_back(world: World, checkout: Checkout, part: Fraction = Fraction(1)) -> int:
    """The money went back: how much of the bundle was taken in all."""
    taken = await world.ledger.take_back(account="ann", checkout=checkout.id, part=part)
    return the(TakenBack, taken).checkout.taken_back_millicredits


async def hold_top_up(world: World, millicredits: int) -> str:
    """A generation that holds all that burns before, and so much of the top-ups."""
    free, subscription, _ = await world.available()
    return await world.spend(free + subscription + millicredits)


async def test_r4_a_top_up_outlives_years_cycles_and_the_subscription(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await bought(world)
    await world.ledger.unsubscribe(account="ann", operation="x")
    await world.advance_to(anniversary(start, 60))
    assert await world.available() == (FREE, 0, SMALL)
    await world.finish(await world.spend(FREE + SMALL))
    assert await world.available() == (0, 0, 0)


async def test_r5_a_top_up_is_spent_last(world: World) -> None:
    await world.account(plan="standard")
    await bought(world)
    generation = await world.generation(await world.spend(FREE + STANDARD + 1))
    assert shares(generation) == [
        (Bucket.FREE, FREE), (Bucket.SUBSCRIPTION, STANDARD), (Bucket.TOP_UP, 1),
    ]  # fmt: skip


async def test_r10_a_failed_generation_gives_a_top_up_back_to_itself_even_months_later(world: World) -> None:
    await world.publish(daily_millicredits=0)
    await world.account(plan="standard")
    checkout = await bought(world)
    generation = await world.running(STANDARD + 400_000)
    await world.advance(90 * DAY)
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    kept = {
        grant.id: grant.available_millicredits for grant in (await world.look()).grants if grant.bucket is Bucket.TOP_UP
    }
    assert kept == {checkout.grant: SMALL}


async def test_r10_what_is_held_of_a_returned_bundle_goes_the_same_way_when_it_comes_back(world: World) -> None:
    """It is written as a refund and then a revoke, so that the journal tells both."""
    await world.account(plan="standard")
    checkout = await bought(world)
    generation = await hold_top_up(world, 400_000)
    assert await take_back(world, checkout) == SMALL - 400_000
    await world.fail(generation)
    assert (await world.available())[2] == 0
    refund, revoke = (await world.journal())[-2:]
    assert (refund.kind, refund.generation) == ("refund", generation)
    assert (revoke.kind, revoke.credits_millicredits, revoke.generation) == ("revoke", -400_000, generation)


async def test_what_is_held_of_a_returned_bundle_can_still_be_delivered_and_paid(world: World) -> None:
    await world.account(plan="standard")
    checkout = await bought(world)
    generation = await hold_top_up(world, 400_000)
    await take_back(world, checkout)
    ended = await world.finish(generation)
    assert ended.generation.committed_millicredits == FREE + STANDARD + 400_000
    assert (await world.available())[2] == 0


async def test_a_partial_return_lets_what_is_held_come_back(world: World) -> None:
    await world.account(plan="standard")
    checkout = await bought(world)
    generation = await hold_top_up(world, 900_000)
    assert await take_back(world, checkout, Fraction(3, 10)) == 100_000, "never from held credits"
    await world.fail(generation)
    assert (await world.available())[2] == 900_000
