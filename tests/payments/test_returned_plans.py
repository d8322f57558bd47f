"""Money that goes back of a subscription's payment: Stripe knows its invoice, and the month's credits follow."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import EventNotApplicable
from gateway.ledger.payments import Checkout
from gateway.payments.apply import Brought, apply
from gateway.payments.stripe import StripePayments
from tests.ledger.world import World
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import STANDARD, buy_plan
from tests.payments.stripe_server import StripeServer

INTENT = "pi_sub"
MONTH = 30 * shapes.DAY


class Subscriber:
    """An account whose month of the standard plan is paid, and what is left of it after an event."""

    def __init__(self, world: World, provider: StripePayments, checkout: Checkout, now: int) -> None:
        self.world = world
        self.provider = provider
        self.checkout = checkout
        self.now = now
        self.cents = int(checkout.price * 100)

    async def told(self, *events: shapes.Event) -> int:
        for event in events:
            said = await self.provider.event(*shapes.signed(event))
            if said is not None:
                assert isinstance(await apply(said, self.world.ledger, self.provider), Brought)
        return (await self.world.available())[1]

    def refunded(self, cents: int, after: int) -> shapes.Event:
        event = shapes.refunded(self.checkout, INTENT, cents, self.now + after)
        event["data"]["object"]["metadata"] = {}
        return event


@pytest.fixture
async def ann(world: World, provider: StripePayments, stripe_server: StripeServer) -> Subscriber:
    await world.account()
    checkout = await buy_plan(world, "standard", provider="stripe")
    now = await world.now() // 1000 - 3600
    paid = shapes.invoice(checkout, "sub_1", now, now + MONTH)
    buyer = Subscriber(world, provider, checkout, now)
    assert await buyer.told(paid) == STANDARD
    stripe_server.payment_intents[INTENT] = {}
    stripe_server.amounts[INTENT] = (buyer.cents, "usd")
    stripe_server.invoices[INTENT] = paid["data"]["object"]
    return buyer


async def test_a_disputed_quarter_of_a_month_takes_a_quarter_and_gives_it_back(ann: Subscriber) -> None:
    about: dict[str, Any] = {"amount": ann.cents // 4}
    taken = shapes.disputed(ann.checkout, INTENT, ann.now + 60, word="funds_withdrawn", **about)
    back = shapes.disputed(ann.checkout, INTENT, ann.now + 90, word="funds_reinstated", **about)
    assert await ann.told(taken) == STANDARD * 3 // 4
    assert await ann.told(taken, back, taken) == STANDARD


async def test_a_refunded_month_takes_its_credits_and_a_bounced_refund_gives_them_back(
    ann: Subscriber, stripe_server: StripeServer
) -> None:
    """A refund of a plan took nothing: its charge has no metadata of ours."""
    assert await ann.told(ann.refunded(ann.cents // 2, 60)) == STANDARD // 2
    failed = shapes.refund(ann.checkout, INTENT, ann.cents // 2, ann.now + 90, word="refund.failed", made=ann.now + 60)
    stripe_server.refunds.append(failed["data"]["object"])
    assert await ann.told(failed) == STANDARD


async def test_a_refund_by_its_own_event_counts_all_refunds_of_the_charge(
    ann: Subscriber, stripe_server: StripeServer
) -> None:
    first = shapes.refund(ann.checkout, INTENT, ann.cents // 4, ann.now + 60)
    second = shapes.refund(ann.checkout, INTENT, ann.cents // 4, ann.now + 90, id="re_2")
    stripe_server.refunds += [first["data"]["object"], second["data"]["object"]]
    assert await ann.told(second, first) == STANDARD // 2


async def test_what_no_invoice_of_ours_was_paid_with_is_none_of_ours(
    ann: Subscriber, stripe_server: StripeServer
) -> None:
    stripe_server.invoices.clear()
    assert await ann.provider.event(*shapes.signed(ann.refunded(ann.cents, 60))) is None


async def test_a_key_that_may_not_read_invoices_is_said(ann: Subscriber, stripe_server: StripeServer) -> None:
    stripe_server.may_read_invoices = False
    with pytest.raises(EventNotApplicable, match="permission"):
        await ann.provider.event(*shapes.signed(ann.refunded(ann.cents, 60)))
