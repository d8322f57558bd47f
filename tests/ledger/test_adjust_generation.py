"""`adjust_generation` (R24, R36): what was charged for a generation is given back once, with a reason."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gateway.domain import Bucket, EntryKind, LimitPeriod, Scope, operation_id
from gateway.ledger import outcomes
from gateway.ledger.audit import audit
from gateway.ledger.operators import GivenBack
from tests.ledger.world import DAY, World, the
from tests.payments.shop import SMALL, buy, pay

WHY = "charged twice,\nsorry"


async def give_back(world: World, generation: str, operation: str | None = None) -> GivenBack | outcomes.Refused:
    made = await world.ledger.adjust_generation(
        generation=generation, operation=operation or operation_id(), reason=WHY
    )
    assert not isinstance(made, outcomes.NotFound)
    return made


async def charged(world: World, price: int, **more: Any) -> str:
    generation = await world.spend(price, **more)
    await world.finish(generation)
    return generation


@pytest.mark.cluster
async def test_credits_return_to_the_grants_that_paid_and_the_receipt_says_why(world: World) -> None:
    await world.grant(amount=50_000)
    generation = await charged(world, 120_000)  # the day's 100,000 and 20,000 of the grant
    assert await world.available() == (0, 0, 30_000)
    given = the(GivenBack, await give_back(world, generation, "op"))
    assert (given.generation.given_back_millicredits, given.generation.committed_millicredits) == (120_000, 120_000)
    assert await world.available() == (100_000, 0, 50_000)
    (entry,) = await world.journal("ann", EntryKind.ADJUST)
    assert (entry.credits_millicredits, entry.held_millicredits) == (120_000, 0)
    assert (entry.generation, entry.reason) == (generation, "charged twice, sorry")
    assert given.generation.entry_texts[-1].startswith(f"{entry.id}|")
    report = await audit(world.ledger, account="ann", rest=0)
    assert not report.differences, "farebox audit knows it"


async def test_nothing_is_given_back_twice(world: World) -> None:
    generation = await charged(world, 10_000)
    the(GivenBack, await give_back(world, generation, "op"))
    async with world.unchanged():
        again = the(GivenBack, await give_back(world, generation, "op"))
        assert again.generation.given_back_millicredits == 10_000, "the same call, sent again"
        assert the(outcomes.Refused, await give_back(world, generation)).reason == "given_back"


async def test_what_is_open_or_was_not_charged_is_refused(world: World) -> None:
    running = await world.running(1_000)
    failed = (await world.fail(await world.spend(1_000))).generation.id
    async with world.unchanged():
        assert the(outcomes.Refused, await give_back(world, running)).reason == "open"
        assert the(outcomes.Refused, await give_back(world, failed)).reason == "nothing_charged"
        unknown = failed[:-1] + ("3" if failed.endswith("2") else "2")
        nothing = await world.ledger.adjust_generation(generation=unknown, operation="x", reason=WHY)
        assert isinstance(nothing, outcomes.NotFound)


async def test_of_half_a_delivery_half_is_given_back(world: World) -> None:
    generation = await charged(world, 30_001, outputs=2)
    given = the(GivenBack, await give_back(world, generation))
    assert given.generation.given_back_millicredits == 15_000
    assert await world.available() == (100_000, 0, 0)


async def test_for_grants_that_are_gone_one_with_the_buckets_expiry_is_made_and_used_again(world: World) -> None:
    await world.subscribe("ann", "standard")
    first = [await charged(world, 60_000) for _ in range(2)]  # 100,000 free, 20,000 of the plan
    await world.advance(40 * DAY)
    bought = await world.grant(amount=5_000)
    monthly = (await world.available())[1]
    account = await world.look()
    last = await charged(world, 100_000 + monthly + 5_000)  # all there is: the grant is gone
    for generation in (*first, last):
        the(GivenBack, await give_back(world, generation))
    grants = {grant.id: grant for grant in (await world.look()).grants}
    assert bought not in grants
    made = [grant for grant in grants.values() if grant.kind == "operator"]
    assert {grant.bucket: (grant.available_millicredits, grant.expires_at) for grant in made} == {
        Bucket.FREE: (100_000, account.free_resets_at),
        Bucket.SUBSCRIPTION: (20_000, the(outcomes.Subscription, account.subscription).refreshes_at),
        Bucket.TOP_UP: (5_000, None),
    }
    assert len(made) == 3
    assert await world.available() == (200_000, monthly + 20_000, 5_000)


async def test_it_makes_room_in_the_limit_it_was_counted_in(world: World) -> None:
    await world.ledger.add_key(key="fbx_a", scope=Scope.ACCOUNT, account="ann", label=None)
    (key,) = (await world.look()).keys
    generation = await charged(world, 10_000, key=key.id)
    await charged(world, 7_000, key=key.id)
    await give_back(world, generation)
    (key,) = (await world.look()).keys
    assert key.counter is not None
    assert key.counter.by_period[LimitPeriod.NEVER] == 7_000


async def test_what_a_purchase_is_given_back_goes_with_its_payment(world: World) -> None:
    """It went to another grant, and stayed when the payment was returned."""
    await world.subscribe("ann", "standard")
    monthly = (await world.available())[1]
    await charged(world, 100_000 + monthly)
    purchase = await buy(world)
    await pay(world, purchase)
    for generation in [await charged(world, SMALL // 2) for _ in range(2)]:
        the(GivenBack, await give_back(world, generation))
    (grant,) = [grant for grant in (await world.look()).grants if grant.bucket is Bucket.TOP_UP]
    assert (grant.kind, grant.available_millicredits, grant.granted_millicredits) == ("top_up", SMALL, SMALL)
    await world.ledger.take_back(account="ann", checkout=purchase.id, part=Fraction(1))
    assert (await world.available())[2] == 0
    assert not (await audit(world.ledger, account="ann", rest=0)).differences


@pytest.mark.parametrize("when", ["before its end", "after its end, with nothing left", "after its end"])
async def test_credits_of_a_purchase_whose_payment_was_returned_are_not_given_back(world: World, when: str) -> None:
    """Only those of a purchase that had credits held at that moment were not."""
    await world.subscribe("ann", "standard")
    monthly = (await world.available())[1]
    await charged(world, 100_000 + monthly)
    purchase = await buy(world)
    await pay(world, purchase)
    generation = await world.running(SMALL - 1_000 if when == "after its end" else SMALL)
    if when == "before its end":
        await world.ledger.take_back(account="ann", checkout=purchase.id, part=Fraction(1))
    await world.deliver(generation, 0)
    await world.settle(generation)
    if when != "before its end":
        await world.ledger.take_back(account="ann", checkout=purchase.id, part=Fraction(1))
    assert the(outcomes.Refused, await give_back(world, generation)).reason == "payment_returned"
    assert (await world.available())[2] == 0
