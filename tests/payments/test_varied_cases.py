"""Events that once went wrong, varied: amounts, states, reasons, doubled, shuffled, among spends.

After each event the customer has no more for money than the money that is in covers. `cases/` has the events as they
were recorded; T1 is a plan that no card has, C2 a dispute of a quarter, and the others are told of in
`test_credits_follow_money.py` and `test_returns.py`.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from gateway.domain import Bucket
from gateway.ledger.audit import audit
from gateway.ledger.payments import Checkout
from gateway.payments.links import CheckoutLinks
from gateway.payments.received import ReceivedEvents
from gateway.payments.stripe import StripePayments
from tests.ledger.world import World, standing_world
from tests.lengths import LONG
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import PRICES, PRO, SMALL, STANDARD, buy, buy_plan
from tests.payments.stripe_server import KEY, StripeServer

CASES = {path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "cases").glob("*.json"))}
VARIATIONS = 100 if LONG else 10
AT_ONCE = 10
CENTS = 8_000
CENT = 3_334
"""What a cent buys at most: Stripe rounds each line to the cent."""
DAY = shapes.DAY
PLANS = {"basic": "standard", "creator": "pro"}
"""The plans of the recorded card as those of this one."""
MONTHLY = {"standard": STANDARD, "pro": PRO}
REASONS = (
    "fraudulent",
    "product_not_received",
    "duplicate",
    "subscription_canceled",
    "general",
    "credit_not_processed",
)
STATUSES = ("active", "past_due", "unpaid", "incomplete", "trialing", "paused")

Events = list[shapes.Event]


@dataclass
class Told:
    """One account, and what it has been told."""

    world: World
    received: ReceivedEvents
    account: str
    bundle: Checkout
    plan: Checkout
    now: int
    dice: Random
    in_order: bool
    lines: dict[str, Fraction] = field(default_factory=dict)
    """What each line of a paid invoice that was told of is worth in millicredits; below zero: what it takes back."""

    @property
    def intent(self) -> str:
        return f"pi_{self.account}"

    async def tell(self, event: shapes.Event) -> None:
        """Tell an event, and look whether what the account has is covered."""
        if event["type"] == "invoice.paid":
            self.lines |= {line["id"]: _worth(line) for line in event["data"]["object"]["lines"]["data"]}
        await self.received.receive(event)
        await self.check(event)

    async def check(self, event: shapes.Event) -> None:
        seen = await self.world.look(self.account)
        bought = await self.world.ledger.checkout(account=self.account, checkout=self.bundle.id)
        assert isinstance(bought, Checkout)
        left = seen.available_millicredits[Bucket.TOP_UP] + seen.held_millicredits[Bucket.TOP_UP]
        covered = SMALL - bought.taken_back_millicredits if bought.status == "paid" else 0
        assert left <= covered, (self.account, event["type"])
        of_plans = [grant for grant in seen.grants if grant.bucket is Bucket.SUBSCRIPTION]
        given = sum(grant.available_millicredits + grant.held_millicredits for grant in of_plans)
        # What goes back may be told of before what was paid: then it has nothing to go back from yet.
        counted = [worth for worth in self.lines.values() if worth > 0 or self.in_order]
        assert given <= max(sum(counted), 0) + len(counted) * CENT, (self.account, event["type"])

    async def spend(self) -> None:
        free, subscription, top_up = await self.world.available(self.account)
        price = self.dice.randint(0, free + subscription + top_up)
        if price:
            generation = await self.world.spend(price, self.account)
            await (self.world.finish if self.dice.random() < 0.5 else self.world.fail)(generation)

    async def state(self) -> Any:
        plan = (await self.world.look(self.account)).subscription
        return (await self.world.available(self.account))[1:], plan and (plan.plan, plan.paid_through)


def _worth(line: Any) -> Fraction:
    plan = line["description"].removeprefix("1 × ")
    cents = int(line["amount"])
    return Fraction(cents * MONTHLY[plan], int(PRICES[plan] * 100)) if cents else Fraction(0)


# --- the variations ---


def events_of(name: str, told: Told, dice: Random) -> Events:
    """A variation of a case, with what may come around it, in the order that it happens."""
    about = CASES[name]["data"]["object"]
    around = [shapes.bundle_paid(told.bundle, told.intent, told.now)]
    customer = Customer(told.plan, f"sub_{told.account}", told.now, told.now, told.now + 30 * DAY)
    if about["object"] in {"dispute", "charge"}:
        return around + _money(name, told, dice)
    first = [] if name.startswith("F-") else customer.period()
    return around + first + _plans(name, told, customer, dice)


def _money(name: str, told: Told, dice: Random) -> Events:
    """Disputes in all their words, and refunds beside them."""
    case, found, at = CASES[name], [], told.now + 60
    for number in range(dice.randint(1, 2)):
        amount = dice.choice((1, 2_000, CENTS, dice.randint(2, CENTS)))
        about = {"id": f"dp_{told.account}_{number}", "amount": amount, "reason": dice.choice(REASONS)}
        words = dice.choice(
            (
                [("created", "warning_needs_response"), ("closed", "warning_closed")],
                [("created", "needs_response"), ("funds_withdrawn", "needs_response"), ("closed", "lost")],
                [("funds_withdrawn", "needs_response"), ("closed", "won"), ("funds_reinstated", "won")],
                [("funds_withdrawn", "under_review"), ("funds_reinstated", "won"), ("funds_withdrawn", "lost")],
            )
        )
        for word, status in words:
            at += dice.randint(0, 3) or 1
            found.append(shapes.disputed(told.bundle, told.intent, at, word=word, status=status, **about))
    so_far = 0
    for _ in range(dice.randint(0, 3)):
        at, so_far = at + 5, min(CENTS, so_far + dice.randint(1, CENTS))
        found.append(shapes.refunded(told.bundle, told.intent, so_far, at))
    found.append(_recorded(case, told, dice, at + 5))
    return found


def _plans(name: str, told: Told, customer: Customer, dice: Random) -> Events:
    """The recorded event in other states and at other times; switches, paid for and not."""
    found, at = [], told.now + 60
    for _ in range(dice.randint(1, 3)):
        at += dice.randint(1, 3_600)
        found.append(_recorded(CASES[name], told, dice, at))
        # From a plan that nobody knows, a change gives back what nobody knows: it waits with the plan.
        if dice.random() < 0.5 and not name.startswith("T1"):
            plan = "pro" if customer.plan == "standard" else "standard"
            found += customer.switch(plan, at + 30, paid=dice.random() < 0.5)
    return found


def _recorded(case: shapes.Event, told: Told, dice: Random, at: int) -> shapes.Event:
    """The recorded event, as if it were this account's and happened then."""
    event = copy.deepcopy(case)
    event |= {"id": f"evt_{told.account}_{at}", "created": at}
    about = event["data"]["object"]
    checkout = told.bundle if about["object"] in {"dispute", "charge"} else told.plan
    names = {
        "farebox_account": told.account, "farebox_checkout": checkout.id, "charge": f"ch_{told.intent}",
        "payment_intent": told.intent, "subscription": f"sub_{told.account}",
    }  # fmt: skip
    _rename(about, names)
    match about["object"]:
        case "dispute":
            about |= {"id": f"dp_{told.account}_recorded", "amount": dice.choice((2_000, about["amount"]))}
        case "charge":
            about["id"] = f"ch_{told.intent}"
        case "invoice":
            about["id"] = f"in_{told.account}_{at}"
            for line in about["lines"]["data"]:
                line |= {"id": f"il_{told.account}_{at}", "period": {"start": at, "end": at + 14 * DAY}}
        case _:
            about |= {"id": f"sub_{told.account}", "created": told.now, "start_date": told.now}
            about["status"] = dice.choice((about["status"], *STATUSES))
            item = about["items"]["data"][0]
            item |= {"current_period_start": told.now, "current_period_end": told.now + 30 * DAY}
            # What was recorded has one id for the prices of two plans, which Stripe never has.
            item["price"]["id"] = shapes.price_id(checkout, item["price"]["metadata"]["farebox_plan"])
    return event


def _rename(thing: Any, names: dict[str, str]) -> None:
    """Give every member of these names its new value, and every plan its name on this card."""
    for item in thing if isinstance(thing, list) else []:
        _rename(item, names)
    for name, value in list(thing.items()) if isinstance(thing, dict) else []:
        if name in names and isinstance(value, str):
            thing[name] = names[name]
        elif name == "farebox_plan":
            thing[name] = PLANS.get(value, value)
        else:
            _rename(value, names)


# --- the telling ---


class Shop(NamedTuple):
    """Where all variations of a case are told, from one moment on."""

    world: World
    stripe: StripeServer
    received: ReceivedEvents
    now: int


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    async with standing_world(redis_url) as made:
        yield made


@pytest.fixture
async def received(world: World, stripe_server: StripeServer) -> AsyncIterator[ReceivedEvents]:
    links = CheckoutLinks("secret", "http://gate")
    provider = StripePayments(key=KEY, webhook_secret=shapes.SECRET, links=links, api_base=stripe_server.address)
    yield ReceivedEvents(world.ledger, provider)
    await provider.close()


async def begin(shop: Shop, order: str, seed: str) -> Told:
    account, world = f"{order}-{seed.partition('/')[2]}", shop.world
    await world.account(account)
    plan = await buy_plan(world, "standard", account=account, provider="stripe", live=True)
    await world.subscribe(account, "standard")
    bundle = await buy(world, account, price=Decimal("80.00"), provider="stripe", live=True)
    await world.ledger.unsubscribe(account=account, operation=f"op-{account}", when="now")
    told = Told(world, shop.received, account, bundle, plan, shop.now, Random(seed), order == "straight")
    shop.stripe.payment_intents[told.intent] = shapes.metadata_of(bundle)
    return told


@pytest.mark.parametrize("name", CASES)
async def test_no_variation_of_a_case_gives_more_than_its_money(
    world: World, stripe_server: StripeServer, received: ReceivedEvents, name: str
) -> None:
    shop = Shop(world, stripe_server, received, await world.now() // 1000 - 2 * DAY)
    reasons: set[str] = set()

    async def one(number: int) -> None:
        seed, ends = f"{name}/{number}", []
        for order in ("straight", "shuffled", "spent"):
            told = await begin(shop, order, seed)
            events = events_of(name, told, Random(seed))
            sent = [event for event in events for _ in range(told.dice.randint(1, 2))]
            if order != "straight":
                told.dice.shuffle(sent)
            for event in sent:
                await told.tell(event)
                if order == "spent" and told.dice.random() < 0.3:
                    await told.spend()
            ends.append(await told.state())
            for kept in await received.listed():
                if kept.account == told.account:
                    reasons.add(kept.reason)
                    await received.drop(kept.id)
        assert ends[0] == ends[1], seed

    for start in range(0, VARIATIONS, AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(start, start + AT_ONCE)))
    assert (await audit(world.ledger)).clean
    assert reasons == ({"unknown_plan"} if name.startswith("T1") else set())
