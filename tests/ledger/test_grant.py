"""R5, R11: operators add grants of their own to any bucket, with or without expiry."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import AMOUNT_MAX_MILLICREDITS, Bucket
from gateway.ledger import outcomes
from tests.ledger.world import DAY, HOUR, World, amounts, the


@pytest.mark.parametrize("bucket", list(Bucket))
async def test_a_grant_can_be_added_to_any_bucket(world: World, bucket: Bucket) -> None:
    await world.publish(daily_millicredits=0)
    grant = await world.grant(amount=5_000, bucket=bucket)
    [found] = [item for item in (await world.look()).grants if item.id == grant]
    assert (found.bucket, found.available_millicredits, found.expires_at, found.kind) == (
        bucket, 5_000, None, "operator",
    )  # fmt: skip
    [entry] = await world.journal("ann", "grant")
    assert (entry.credits_millicredits, entry.held_millicredits, entry.reason) == (5_000, 0, "a gift")


async def test_a_grant_is_gone_after_its_expiry(world: World) -> None:
    now = (await world.account()).now
    await world.grant(amount=5_000, expires_at=now + HOUR)
    await world.advance(HOUR - 60_000)
    assert (await world.available())[2] == 5_000
    await world.advance(60_000)
    assert (await world.available())[2] == 0
    [entry] = await world.journal("ann", "expire")
    assert (entry.at, entry.credits_millicredits) == (now + HOUR, -5_000)


async def test_r2_an_operators_grant_outlives_the_cycle_and_the_subscription(world: World) -> None:
    now = (await world.account(plan="standard")).now
    await world.grant(amount=5_000, bucket=Bucket.SUBSCRIPTION, expires_at=now + 40 * DAY)
    await world.advance(35 * DAY)
    assert (await world.available())[1] == 8_005_000


async def test_a_refused_grant_leaves_no_trace(world: World) -> None:
    await world.advance(3 * DAY)
    now = (await world.look()).now
    async with world.unchanged():
        arguments: dict[str, Any] = {"account": "ann", "operation": "one", "bucket": Bucket.TOP_UP, "reason": "x"}
        late = await world.ledger.grant(**arguments, millicredits=1, expires_at=now - 1)
        assert isinstance(late, outcomes.Refused)
        assert late.reason == "expires_in_past"
        nobody = await world.ledger.grant(**{**arguments, "account": "nobody"}, millicredits=1, expires_at=None)
        assert isinstance(nobody, outcomes.NotFound)


async def test_an_account_cannot_hold_more_than_stays_exact(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account()
    for _ in range(100):
        await bare.grant(amount=AMOUNT_MAX_MILLICREDITS)
    arguments: dict[str, Any] = {"account": "ann", "operation": "x", "bucket": Bucket.TOP_UP, "millicredits": 1}
    refused = await bare.ledger.grant(**arguments, expires_at=None, reason="x")
    assert the(outcomes.Refused, refused).reason == "too_much"
    adjusted = await bare.ledger.adjust(**arguments, reason="x")
    assert the(outcomes.Refused, adjusted).reason == "too_much"


async def test_a_reason_is_kept_as_one_line_whatever_it_holds(world: World) -> None:
    """An entry is a line of text whose fields a bar parts; the reason is its last."""
    arguments: dict[str, Any] = {"account": "ann", "operation": "x", "bucket": Bucket.TOP_UP, "millicredits": 1}
    await world.ledger.grant(**arguments, expires_at=None, reason="two\nlines | a bar,\x00 and: ünïcode")
    [entry] = await world.journal("ann", "grant")
    assert entry.reason == "two lines | a bar, and: ünïcode"


async def test_many_grants_expire_at_once(world: World) -> None:
    """More than Lua's `unpack` takes would have failed after the first write; each is written by itself."""
    now = (await world.account()).now
    for _ in range(30):
        await world.grant(amount=1, expires_at=now + HOUR)
    await world.advance(2 * HOUR)
    assert len(await world.journal("ann", "expire")) == 30


async def test_r19_grants_that_expire_at_one_instant_expire_in_the_order_they_were_made(world: World) -> None:
    """Their entries stood in the order in which Redis lists a hash: by chance in a large one. The model found it."""
    now = (await world.account()).now
    made = list(range(1, 141))  # more fields than Redis keeps in order
    for amount in made:
        await world.grant(amount=amount, expires_at=now + HOUR)
    await world.advance(2 * HOUR)
    assert amounts(await world.journal("ann", "expire")) == [-amount for amount in made]
