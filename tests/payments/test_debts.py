"""R33 with `[payments] spent = "debt"`: what was spent of money that went back is owed; what is bought next pays it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gateway.domain import FailureCode
from gateway.ledger.payments import Billed, Billing, Checkout, TakenBack
from gateway.payments.stripe_events import translate
from tests.ledger.world import World, the
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import SMALL, STANDARD, buy, buy_plan, pay


async def debtor(world: World, *, spent: int) -> Checkout:
    """Subscribed, with a bundle of which so much is spent, by a card that makes debts."""
    await world.publish(spent_is_owed=True)
    await world.account(plan="standard")
    checkout = await buy(world)
    await pay(world, checkout)
    free, subscription, _ = await world.available()
    await world.finish(await world.spend(free + subscription + spent))
    return checkout


async def dispute(world: World, checkout: Checkout, part: Fraction = Fraction(1), at: int = 1) -> int:
    """So much of the money is out by a dispute; the account's debt with it."""
    back = await world.ledger.take_back(account="ann", checkout=checkout.id, part=part, of="dispute:dp_1", at=at)
    return the(TakenBack, back).account.debt_millicredits


async def debt(world: World) -> int:
    return (await world.look()).debt_millicredits


async def test_what_was_spent_is_owed_and_what_is_left_is_taken(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    assert await dispute(world, checkout) == 600_000
    assert (await world.available())[2] == 0
    (entry,) = await world.journal("ann", "revoke")
    assert entry.credits_millicredits == -400_000
    assert entry.reason == "dispute dp_1: 100 % of Small taken back; 600 spent credits are owed"


async def test_what_was_spent_is_forgiven_by_a_card_that_does_not_say_otherwise(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    await world.publish(spent_is_owed=False)
    assert await dispute(world, checkout) == 0


async def test_the_next_bundle_pays_first(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    await dispute(world, checkout)
    await pay(world, await buy(world), "pi_2")
    assert (await world.available())[2] == SMALL - 600_000
    assert await debt(world) == 0
    assert [(entry.kind, entry.credits_millicredits, entry.reason) for entry in (await world.journal())[-2:]] == [
        ("grant", SMALL, "bought Small"), ("revoke", -600_000, "debt of a returned payment"),
    ]  # fmt: skip


async def test_a_bundle_that_pays_all_of_itself_leaves_nothing(world: World) -> None:
    checkout = await debtor(world, spent=SMALL)
    assert await dispute(world, checkout) == SMALL
    small = await buy(world, millicredits=400_000)
    await pay(world, small, "pi_2")
    assert (await world.available())[2] == 0
    assert await debt(world) == 600_000


async def test_the_next_months_credits_pay_first_and_free_credits_never(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    await dispute(world, checkout)
    await world.advance_to((await world.look()).free_resets_at)
    assert await debt(world) == 600_000
    plan = (await world.look()).subscription
    assert plan is not None
    await world.advance_to(plan.refreshes_at)
    assert (await world.available())[1:] == (STANDARD - 600_000, 0)
    assert await debt(world) == 0


async def test_an_operators_grant_pays_no_debt(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    await dispute(world, checkout)
    await world.grant("ann", 50_000)
    assert ((await world.available())[2], await debt(world)) == (50_000, 600_000)


async def test_money_that_comes_back_ends_the_debt_before_it_adds_credits(world: World) -> None:
    checkout = await debtor(world, spent=600_000)
    await dispute(world, checkout)
    assert await dispute(world, checkout, Fraction(1, 2), 2) == 100_000
    assert (await world.available())[2] == 0
    assert await dispute(world, checkout, Fraction(0), 3) == 0
    assert (await world.available())[2] == 400_000


async def test_a_debt_that_was_paid_comes_back_as_credits(world: World) -> None:
    checkout = await debtor(world, spent=SMALL)
    await dispute(world, checkout)
    await pay(world, await buy(world), "pi_2")
    assert ((await world.available())[2], await debt(world)) == (0, 0)
    await dispute(world, checkout, Fraction(0), 2)
    assert ((await world.available())[2], await debt(world)) == (SMALL, 0)


@pytest.mark.parametrize("delivered", [True, False])
async def test_what_is_held_is_owed_until_it_comes_back(world: World, *, delivered: bool) -> None:
    checkout = await debtor(world, spent=0)
    free, subscription, _ = await world.available()
    price = free + subscription + 300_000
    generation = await (world.spend(price) if delivered else world.running(price))
    assert await dispute(world, checkout) == 300_000
    if delivered:
        await world.finish(generation)
    else:
        await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    assert await debt(world) == (300_000 if delivered else 0)
    assert (await world.available())[2] == 0


async def test_what_was_owed_for_a_part_is_not_taken_again_with_the_whole(world: World) -> None:
    """The debt was paid by another bundle, so what was held came back; the rest of the payment takes only the rest."""
    checkout = await debtor(world, spent=0)
    free, subscription, _ = await world.available()
    generation = await world.running(free + subscription + 500_000)
    assert await dispute(world, checkout, Fraction(7, 10)) == 200_000
    await pay(world, await buy(world), "pi_2")
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    assert (await world.available())[2] == SMALL - 200_000 + 500_000
    assert await dispute(world, checkout, at=2) == 0
    assert (await world.available())[2] == SMALL, "all of the second bundle: nothing was spent"


async def test_an_account_of_before_debts_were_kept_owes_nothing(world: World) -> None:
    assert (await world.account()).debt_millicredits == 0


async def test_a_month_that_is_paid_for_in_stripe_pays_the_debt_first(world: World) -> None:
    await world.publish(spent_is_owed=True)
    await world.account()
    now = await world.now() // 1000 - 3_600
    plan = await buy_plan(world, "standard", provider="stripe")
    customer = Customer(plan, "sub_1", now, now, now + 30 * shapes.DAY)
    for event in [*customer.seen(now), *customer.period()]:
        said = translate(event)
        assert isinstance(said, Billing)
        the(Billed, await world.ledger.bill(said))
    checkout = await buy(world)
    await pay(world, checkout)
    free, subscription, _ = await world.available()
    await world.finish(await world.spend(free + subscription + 600_000))
    assert await dispute(world, checkout) == 600_000
    await world.advance_to(customer.end * 1000 + 1)
    for event in customer.renew():
        said = translate(event)
        assert isinstance(said, Billing)
        for _ in range(2):
            the(Billed, await world.ledger.bill(said))
    assert ((await world.available())[1], await debt(world)) == (STANDARD - 600_000, 0)
