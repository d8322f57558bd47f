"""R33: a refund or a dispute takes what its money is, when it moves, and gives back what it took when it comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import Bucket, partition_of_account
from gateway.ledger import keys
from gateway.ledger.payments import Checkout
from gateway.payments.apply import Brought, apply
from gateway.payments.stripe import StripePayments
from tests.ledger.world import PARTITIONS, World
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import SMALL, buy, pay, read
from tests.payments.stripe_server import StripeServer

NOW = 1_795_000_000
CENTS = 8_000
INTENT = "pi_1"

Event = shapes.Event


class Buyer:
    """An account with a bundle of 1,000 credits for 80.00 USD, and Stripe, which tells of its money."""

    def __init__(self, world: World, provider: StripePayments, checkout: Checkout) -> None:
        self.world = world
        self.provider = provider
        self.checkout = checkout

    async def told(self, *events: Event) -> int:
        """What is left of the bundle once these were told."""
        for event in events:
            said = await self.provider.event(*shapes.signed(event))
            if said is not None:
                assert isinstance(await apply(said, self.world.ledger, self.provider), Brought)
        return (await self.world.available())[2]

    def dispute(self, word: str, after: int = 0, **changes: Any) -> Event:
        return shapes.disputed(self.checkout, INTENT, NOW + after, word=word, **changes)

    def refunded(self, cents: int, after: int = 0) -> Event:
        return shapes.refunded(self.checkout, INTENT, cents, NOW + after)

    def refund(self, cents: int, after: int = 0, word: str = "refund.updated", **changes: Any) -> Event:
        return shapes.refund(self.checkout, INTENT, cents, NOW + after, word=word, **changes)

    async def reasons(self) -> list[tuple[str, int, str | None]]:
        return [
            (str(entry.kind), entry.credits_millicredits, entry.reason)
            for entry in await self.world.journal()
            if entry.kind in {"revoke", "grant"} and entry.reason != "test"
        ]


@pytest.fixture
async def ann(world: World, provider: StripePayments, stripe_server: StripeServer) -> Buyer:
    return await buyer_of(world, provider, stripe_server)


async def buyer_of(world: World, provider: StripePayments, stripe_server: StripeServer) -> Buyer:
    """`ann`, who has paid."""
    await world.account(plan="standard")
    checkout = await buy(world, price=Decimal("80.00"), provider="stripe")
    stripe_server.payment_intents[INTENT] = shapes.metadata_of(checkout)
    await pay(world, checkout, INTENT)
    return Buyer(world, provider, checkout)


async def top_up_grants(world: World) -> list[tuple[str, int, int, int | None]]:
    return [
        (grant.id, grant.available_millicredits, grant.granted_millicredits, grant.expires_at)
        for grant in (await world.look()).grants
        if grant.bucket is Bucket.TOP_UP
    ]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("created", "needs_response"), ("created", "warning_needs_response"), ("updated", "under_review"),
        ("updated", "warning_under_review"), ("closed", "warning_closed"), ("updated", "prevented"),
    ],
)  # fmt: skip
async def test_a_dispute_in_which_no_money_moved_takes_nothing(ann: Buyer, word: str, status: str) -> None:
    """`created` alone took all; an inquiry never moves anything."""
    assert await ann.told(ann.dispute(word, status=status)) == SMALL


async def test_a_dispute_whose_withdrawal_is_in_the_balance_takes_its_part_with_its_first_word(ann: Buyer) -> None:
    assert (
        await ann.told(ann.dispute("created", amount=2_000, balance_transactions=[shapes.balance_line(-2_000)]))
        == 750_000
    )


async def test_c2_a_quarter_disputed_takes_a_quarter(ann: Buyer) -> None:
    """It took all for a quarter."""
    assert await ann.told(ann.dispute("created", amount=2_000)) == SMALL
    assert await ann.told(ann.dispute("funds_withdrawn", amount=2_000)) == 750_000
    revoke = (await ann.reasons())[-1]
    assert revoke == ("revoke", -250_000, f"dispute dp_{INTENT}: 25 % of Small taken back")


async def test_c3_what_was_taken_comes_back_to_its_grant_exactly(ann: Buyer) -> None:
    """elizaOS/eliza#10997: a dispute was won and the credits were never given back."""
    before = await top_up_grants(ann.world)
    assert await ann.told(ann.dispute("funds_withdrawn")) == 0
    assert await ann.told(ann.dispute("funds_reinstated", 60, status="won")) == SMALL
    assert await top_up_grants(ann.world) == before
    assert (await ann.reasons())[-1] == ("grant", SMALL, f"dispute dp_{INTENT}: money came back, Small given back")


async def test_c3b_a_refund_after_a_won_dispute_takes_all(ann: Buyer) -> None:
    await ann.told(ann.dispute("funds_withdrawn"), ann.dispute("funds_reinstated", 60, status="won"))
    assert await ann.told(ann.refunded(CENTS, 120)) == 0


async def test_a_refund_after_a_lost_dispute_takes_nothing_more(ann: Buyer) -> None:
    """elizaOS/eliza#10963, #11017, #11155: a refund after a dispute took twice."""
    await ann.told(ann.dispute("funds_withdrawn"), ann.dispute("closed", 60, status="lost"))
    assert await ann.told(ann.refunded(CENTS, 120)) == 0
    taken = [amount for kind, amount, _ in await ann.reasons() if kind == "revoke"]
    assert taken == [-SMALL]


async def test_a_refund_takes_its_delta_beside_a_lost_dispute_of_a_part(ann: Buyer) -> None:
    await ann.told(ann.dispute("funds_withdrawn", amount=2_000), ann.dispute("closed", 60, amount=2_000, status="lost"))
    assert await ann.told(ann.refunded(4_000, 120)) == 250_000
    assert await ann.told(ann.refunded(6_000, 180)) == 0
    assert await ann.told(ann.refunded(CENTS, 240)) == 0, "never more than all"


async def test_two_disputes_on_one_charge_add_up(ann: Buyer) -> None:
    other: dict[str, Any] = {"id": "dp_other", "amount": 4_000}
    assert await ann.told(ann.dispute("funds_withdrawn", amount=2_000)) == 750_000
    assert await ann.told(ann.dispute("funds_withdrawn", 5, **other)) == 250_000
    assert await ann.told(ann.dispute("closed", 60, status="won", amount=2_000)) == 500_000
    assert await ann.told(ann.dispute("funds_reinstated", 90, **other)) == SMALL


async def test_a_dispute_won_only_in_part_gives_back_that_part(ann: Buyer) -> None:
    lines = [shapes.balance_line(-CENTS), shapes.balance_line(3_000)]
    await ann.told(ann.dispute("funds_withdrawn", balance_transactions=lines[:1]))
    assert await ann.told(ann.dispute("funds_reinstated", 60, balance_transactions=lines)) == 375_000


async def test_a_dispute_that_is_lost_after_its_money_came_back_takes_it_again(ann: Buyer) -> None:
    await ann.told(ann.dispute("funds_withdrawn"), ann.dispute("funds_reinstated", 60))
    assert await ann.told(ann.dispute("funds_withdrawn", 120)) == 0


async def test_what_was_spent_stays_spent_and_only_what_was_taken_comes_back(ann: Buyer) -> None:
    free, subscription, _ = await ann.world.available()
    await ann.world.finish(await ann.world.spend(free + subscription + 600_000))
    assert await ann.told(ann.dispute("funds_withdrawn")) == 0
    assert await ann.told(ann.dispute("closed", 60, status="won")) == 400_000


async def test_what_was_held_when_it_was_taken_is_given_back_too(ann: Buyer) -> None:
    free, subscription, _ = await ann.world.available()
    generation = await ann.world.spend(free + subscription + 600_000)
    assert await ann.told(ann.dispute("funds_withdrawn")) == 0
    await ann.world.fail(generation)
    assert (await ann.world.available())[2] == 0
    assert await ann.told(ann.dispute("funds_reinstated", 60)) == SMALL


async def test_what_is_held_while_the_money_comes_back_returns_to_its_grant(ann: Buyer) -> None:
    free, subscription, _ = await ann.world.available()
    generation = await ann.world.spend(free + subscription + 600_000)
    await ann.told(ann.dispute("funds_withdrawn"), ann.dispute("funds_reinstated", 60))
    await ann.world.fail(generation)
    assert (await ann.world.available())[2] == SMALL


@pytest.mark.parametrize("word", ["refund.failed", "refund.updated", "charge.refund.updated"])
async def test_a_refund_that_bounces_gives_its_credits_back(ann: Buyer, word: str) -> None:
    """The customer's bank did not take it: the money is ours again, and so are the credits the customer's."""
    assert await ann.told(ann.refunded(2_000, 1)) == 750_000
    assert await ann.told(ann.refund(2_000, 90, word, status="failed", made=NOW + 1)) == SMALL
    assert (await ann.reasons())[-1] == ("grant", 250_000, "refund failed, Small given back")


async def test_a_refund_is_known_by_its_own_events_alone(ann: Buyer) -> None:
    assert await ann.told(ann.refund(2_000, 1, "refund.created")) == 750_000
    assert await ann.told(ann.refunded(2_000, 1)) == 750_000, "the same refund, as the charge says it"
    assert await ann.told(ann.refund(2_000, 90, status="canceled", made=NOW + 1)) == SMALL


@pytest.mark.parametrize(("status", "booked", "left"), [
    ("requires_action", None, SMALL), ("pending", None, SMALL), ("pending", "txn_1", 750_000),
    ("succeeded", None, 750_000),
])  # fmt: skip
async def test_a_refund_takes_credits_once_its_money_is_out(
    ann: Buyer, status: str, booked: str | None, left: int
) -> None:
    event = ann.refund(2_000, word="refund.created", status=status, balance_transaction=booked)
    assert await ann.told(event) == left


async def test_a_refund_that_failed_before_another_was_made_is_not_subtracted_from_it(ann: Buyer) -> None:
    await ann.told(ann.refunded(2_000, 1), ann.refund(2_000, 50, "refund.failed", made=NOW + 1))
    assert await ann.told(ann.refunded(4_000, 100)) == 500_000


STORIES: dict[str, Callable[[Buyer], list[Event]]] = {
    "won": lambda b: [
        b.dispute("created"), b.dispute("funds_withdrawn"), b.dispute("closed", 60, status="won"),
        b.dispute("funds_reinstated", 60),
    ],
    "part lost, part refunded": lambda b: [
        b.dispute("funds_withdrawn", amount=1_000), b.refunded(2_000, 5), b.refund(2_000, 5, "refund.created"),
        b.dispute("closed", 60, amount=1_000, status="lost"),
    ],
    "bounced, then refunded again": lambda b: [
        b.refunded(3_333, 1), b.refund(3_333, 70, "refund.failed", made=NOW + 1),
        b.refund(2_500, 80, "refund.created", id="re_2", made=NOW + 80), b.refunded(2_500, 80),
    ],
    "won, then refunded": lambda b: [
        b.dispute("funds_withdrawn"), b.dispute("funds_reinstated", 60), b.refunded(1, 90), b.refunded(CENTS, 120),
    ],
}  # fmt: skip
ENDS = {"won": SMALL, "part lost, part refunded": 625_000, "bounced, then refunded again": 687_500}


@pytest.mark.parametrize("story", STORIES)
async def test_all_orders_and_doubled_end_in_the_same_ledger(
    world: World, provider: StripePayments, stripe_server: StripeServer, story: str
) -> None:
    for number, order in enumerate(itertools.permutations(range(4))):
        name = f"a{number}"
        await world.account(name, plan="standard")
        checkout = await buy(world, name, price=Decimal("80.00"), provider="stripe")
        stripe_server.payment_intents[INTENT] = shapes.metadata_of(checkout)
        buyer = Buyer(world, provider, checkout)
        events = STORIES[story](buyer)
        paid = number % 5
        for place, index in enumerate((*order, *order[::2])):
            if place == paid:
                await pay(world, checkout, INTENT)
            said = await provider.event(*shapes.signed(events[index]))
            if said is not None:
                await apply(said, world.ledger, provider)
        left = (await world.available(name))[2]
        assert left == ENDS.get(story, 0), order
        assert (await read(world, checkout)).taken_back_millicredits == SMALL - left


async def test_a_purchase_of_before_facts_were_kept_gives_back_nothing_that_was_taken_then(ann: Buyer) -> None:
    """Its record had one number, the largest part that ever went back."""
    key = keys.checkout(partition_of_account("ann", PARTITIONS), "ann", ann.checkout.id)
    assert await ann.told(ann.refunded(2_000)) == 750_000
    await ann.world.ledger.command("HDEL", key, "back|charge", "granted_at")
    assert await ann.told(ann.refunded(2_000, 50)) == 750_000
    assert await ann.told(ann.refunded(6_000, 60)) == 250_000
    assert await ann.told(ann.dispute("funds_withdrawn", 70)) == 0
    assert await ann.told(ann.dispute("funds_reinstated", 80)) == 250_000


async def test_a_dispute_in_another_currency_counts_by_stripes_balance(ann: Buyer, stripe_server: StripeServer) -> None:
    """7,500 EUR cents of a charge of 8,000 USD cents are all of it, or half: the balance knows."""
    stripe_server.amounts[INTENT] = (CENTS, "usd")
    stripe_server.charges[f"ch_{INTENT}"] = (7_000, "gbp")
    moved: dict[str, Any] = {
        "amount": 3_750,
        "currency": "eur",
        "balance_transactions": [shapes.balance_line(-3_500, "gbp")],
    }
    assert await ann.told(ann.dispute("funds_withdrawn", **moved)) == 500_000
