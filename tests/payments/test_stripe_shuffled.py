"""Hundreds of Stripe events, shuffled and each sent one to three times, end in the same state every time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import Bucket, Interval, operation_id
from gateway.ledger.payments import Checkout
from gateway.payments.apply import apply
from gateway.payments.stripe import StripePayments
from tests.ledger.world import World, standing_world
from tests.lengths import LONG
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import buy, buy_plan, read
from tests.payments.stripe_server import StripeServer

EVENTS = 1_000 if LONG else 600
ACCOUNTS = 20
AT_ONCE = 25
SEEDS = (1, 2, 3) if LONG else (1,)
DAY = shapes.DAY
MONTH = 30 * DAY


@dataclass
class Story:
    """What happened to some accounts, in the order it happened, as Stripe tells it."""

    world: World
    stripe: StripeServer
    now: int
    """In seconds, one for all tellings."""
    prefix: str
    checkouts: dict[str, list[Checkout]] = field(default_factory=dict)
    events: list[shapes.Event] = field(default_factory=list)

    async def happen(self) -> None:
        """Begin every purchase, with a subscription that ends before the first event, and tell what followed."""
        self.checkouts = {f"{self.prefix}-{number}": [] for number in range(ACCOUNTS)}
        await asyncio.gather(*(self._begin(account, number) for number, account in enumerate(self.checkouts)))
        number = 0
        while len(self.events) < EVENTS:
            for bought in await asyncio.gather(*(self._bundle(account, number) for account in self.checkouts)):
                self.events.extend(bought)
            number += 1
        del self.events[EVENTS:]
        await asyncio.gather(*(self._end(account) for account in self.checkouts))
        self.events.sort(key=lambda event: int(event["created"]))

    async def _begin(self, account: str, number: int) -> None:
        await self.world.account(account)
        await self.world.subscribe(account, "standard", interval=Interval.YEARLY)
        plans = (self._renewed, self._upgraded, self._changed, self._ended, self._none)
        await plans[number % len(plans)](account, number)

    async def _end(self, account: str) -> None:
        await self.world.ledger.unsubscribe(account=account, operation=operation_id(), when="now")

    def is_about(self, event: shapes.Event, account: str) -> bool:
        """Whether an event is about a purchase of the account."""
        about = event["data"]["object"]
        details = (about.get("parent") or {}).get("subscription_details") or {}
        metadata = (
            about.get("metadata") or details.get("metadata") or self.stripe.payment_intents[about["payment_intent"]]
        )
        return bool(metadata["farebox_account"] == account)

    async def _bundle(self, account: str, number: int) -> list[shapes.Event]:
        checkout = await buy(self.world, account, price=Decimal("5.00"), provider="stripe", live=True)
        self.checkouts[account].append(checkout)
        intent, at = f"pi_{checkout.id}", self.now - (number % 50) * DAY // 2
        self.stripe.payment_intents[intent] = shapes.metadata_of(checkout)
        events = [shapes.bundle_paid(checkout, intent, at)]
        for cents in [[], [], [125], [125, 300], [500], [200, 500]][number % 6]:
            at += 3600
            events.append(shapes.refunded(checkout, intent, cents, at))
        if number % 7 == 0:
            words = ("created", "funds_withdrawn", "funds_reinstated")[: 3 if number % 2 else 2]
            events.extend(shapes.disputed(checkout, intent, at + DAY, word=word) for word in words)
        return events

    async def _plan(self, account: str, plan: str, start: int, periods: int = 1) -> tuple[Checkout, str]:
        checkout = await buy_plan(self.world, plan, account=account, provider="stripe", live=True)
        self.checkouts[account].append(checkout)
        subscription = f"sub_{checkout.id}"
        self.events.append(shapes.plan_checked_out(checkout, subscription, start + 5))
        for period in range(periods):
            begins = start + period * MONTH
            if period:
                self.events.append(shapes.invoice(checkout, subscription, begins, begins + MONTH, paid=False))
            self.events.append(shapes.invoice(checkout, subscription, begins, begins + MONTH))
            self.events.append(shapes.subscription_seen(checkout, subscription, start, begins + 10))
        return checkout, subscription

    async def _renewed(self, account: str, number: int) -> None:
        await self._plan(account, "pro", self.now - 70 * DAY - number * 3600, periods=3)

    async def _upgraded(self, account: str, number: int) -> None:
        """A second purchase takes the place of the first, whose subscription then ends."""
        start = self.now - 9 * DAY - number * 3600
        first, subscription = await self._plan(account, "standard", start)
        second, _ = await self._plan(account, "pro", start + 4 * DAY)
        assert first.what != second.what
        ended = start + 4 * DAY + 20
        self.events.append(shapes.subscription_seen(first, subscription, start, ended, kind="deleted", ended_at=ended))

    async def _changed(self, account: str, number: int) -> None:
        """Changed in Stripe's own portal and paid for, then cancelled, then resumed, then cancelled for good."""
        start = self.now - 8 * DAY - number * 3600
        checkout, subscription = await self._plan(account, "standard", start)
        at, end = start + 3 * DAY, start + MONTH
        back = shapes.line(checkout, subscription, at, end, -2700, plan="standard", proration=True)
        rest = shapes.line(checkout, subscription, at, end, 8100, plan="pro", proration=True)
        self.events.append(shapes.invoice(checkout, subscription, at, end, lines=[back, rest]))
        for days, cancelled in ((3, False), (4, True), (5, False), (6, True)):
            self.events.append(
                shapes.subscription_seen(
                    checkout, subscription, start, start + days * DAY,
                    plan="pro", cancel_at_period_end=cancelled, cancel_at=start + MONTH if cancelled else None,
                )
            )  # fmt: skip

    async def _ended(self, account: str, number: int) -> None:
        """Cancelled at once by an operator in Stripe."""
        start = self.now - 20 * DAY - number * 3600
        checkout, subscription = await self._plan(account, "pro", start)
        ended = start + 11 * DAY
        self.events.append(
            shapes.subscription_seen(checkout, subscription, start, ended, kind="deleted", ended_at=ended)
        )

    async def _none(self, account: str, number: int) -> None:
        """Top-ups only."""

    async def state(self) -> dict[str, Any]:
        """All that the events decide, without names that differ between tellings."""
        return {account.partition("-")[2]: await self._state_of(account) for account in self.checkouts}

    async def _state_of(self, account: str) -> dict[str, Any]:
        seen = await self.world.look(account)
        plan = seen.subscription
        bought = [await read(self.world, checkout) for checkout in self.checkouts[account]]
        return {
            "plan": plan and (plan.plan, plan.interval, plan.started_at, plan.paid_through, plan.cancelled_to),
            "refreshes": plan and plan.refreshes_at,
            "grants": Counter(
                (grant.bucket, grant.kind, grant.available_millicredits, grant.granted_millicredits, grant.expires_at)
                for grant in seen.grants
                if grant.bucket is not Bucket.FREE
            ),
            "checkouts": [(one.what, one.status, one.taken_back_millicredits) for one in bought],
        }


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    async with standing_world(redis_url) as made:
        yield made


def shuffled(events: list[shapes.Event], seed: int) -> Iterator[shapes.Event]:
    """Each event one to three times, in any order."""
    chance = random.Random(seed)
    sent = [event for event in events for _ in range(chance.randint(1, 3))]
    chance.shuffle(sent)
    yield from sent


async def send(world: World, provider: StripePayments, event: shapes.Event) -> None:
    said = await provider.event(*shapes.signed(event))
    if event["type"] == "charge.dispute.created":
        assert said is None, "no money has moved"
        return
    assert said is not None
    assert await apply(said, world.ledger, provider) is not None


async def tell_in_order(world: World, provider: StripePayments, story: Story) -> None:
    """Each account's events once, in the order they happened; accounts do not wait for one another."""

    async def of_account(account: str) -> None:
        for event in story.events:
            if story.is_about(event, account):
                await send(world, provider, event)

    await asyncio.gather(*(of_account(account) for account in story.checkouts))


async def test_many_events_in_any_order_one_to_three_times_end_in_the_same_state(
    world: World, provider: StripePayments, stripe_server: StripeServer
) -> None:
    now = await world.now() // 1000
    in_order = Story(world, stripe_server, now, "straight")
    await in_order.happen()
    await tell_in_order(world, provider, in_order)
    wanted = await in_order.state()
    check_that_it_is_worth_telling(in_order, wanted)
    for seed in SEEDS:
        telling = Story(world, stripe_server, now, f"seed{seed}")
        await telling.happen()
        sent = list(shuffled(telling.events, seed))
        for start in range(0, len(sent), AT_ONCE):
            await asyncio.gather(*(send(world, provider, event) for event in sent[start : start + AT_ONCE]))
        assert await telling.state() == wanted, f"seed {seed}"


def check_that_it_is_worth_telling(story: Story, ends: dict[str, Any]) -> None:
    """All kinds of events, and plans that renewed, were upgraded, changed, ended; bundles taken back."""
    assert len(story.events) == EVENTS
    assert len({event["type"] for event in story.events}) == 9
    renewed, upgraded, changed, ended, none = [ends[str(number)] for number in range(5)]
    assert renewed["plan"][0] == upgraded["plan"][0] == changed["plan"][0] == "pro"
    assert changed["plan"][4] is not None
    assert upgraded["plan"][4] is None
    assert ended["plan"] is None
    assert none["plan"] is None
    # 27 of the month's 30 days or so: of a calendar month, so a little more or less.
    (available,) = [available for bucket, _, available, _, _ in changed["grants"] if bucket is Bucket.SUBSCRIPTION]
    assert 27_000_000 < available < 28_000_000, "standard for three days, pro for the rest of the month"
    left = [grant for grant in upgraded["grants"] if grant[0] is Bucket.SUBSCRIPTION]
    assert sorted(available for _, _, available, _, _ in left) == [8_000_000, 30_000_000]
    taken = {taken_back for what, _, taken_back in none["checkouts"] if what == "small"}
    assert taken == {0, 250_000, 600_000, 1_000_000}
