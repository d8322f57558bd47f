"""R3, R12: until it takes effect, a cancellation or a scheduled change can be taken back."""

from __future__ import annotations

from gateway.domain import operation_id
from gateway.ledger import outcomes
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, MINUTE, World, amounts, the


async def resume(world: World, operation: str = "") -> outcomes.Account:
    """Resume ann's subscription, which must be accepted."""
    made = await world.ledger.resume(account="ann", operation=operation or operation_id())
    return the(outcomes.Applied, made).account


async def test_r3_a_cancellation_can_be_undone_until_the_end_of_the_paid_period(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.ledger.unsubscribe(account="ann", operation="x")
    await world.advance_to(anniversary(start, 1) - MINUTE)
    account = await resume(world)
    assert account.subscription is not None
    assert account.subscription.cancelled_to is None
    await world.advance_to(anniversary(start, 1) + DAY)
    assert (await world.look()).subscription is not None
    assert amounts(await world.journal("ann", "refresh")) == [8_000_000, 0], "it minted nothing of its own"
    assert [entry.reason for entry in await world.journal("ann", "change")][-1] == "standard resumed"


async def test_r3_after_the_lapse_there_is_nothing_to_resume(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.ledger.unsubscribe(account="ann", operation="x")
    await world.advance_to(anniversary(start, 1))
    refused = await world.ledger.resume(account="ann", operation="y")
    assert the(outcomes.Refused, refused).reason == "no_subscription"


async def test_r3_resuming_does_not_lengthen_what_was_paid(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 10 * DAY)
    await world.ledger.unsubscribe(account="ann", operation="x")
    await resume(world)
    assert (await world.advance_to(now + 10 * DAY)).subscription is None


async def test_r12_resume_unschedules_a_change(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.ledger.change(account="ann", operation="x", plan="pro", interval=None, when="period_end")
    account = await resume(world)
    assert account.subscription is not None
    assert account.subscription.scheduled_plan is None
    renewed = (await world.advance_to(anniversary(start, 1))).subscription
    assert renewed is not None
    assert renewed.plan == "standard"


async def test_resuming_what_goes_on_anyway_changes_nothing(world: World) -> None:
    await world.account(plan="standard")
    before = await world.journal()
    await resume(world)
    assert await world.journal() == before


async def test_r11_a_resume_sent_twice_is_made_once(world: World) -> None:
    """Between the two the customer cancelled again: the second sending must not undo that."""
    await world.account(plan="standard")
    await world.ledger.unsubscribe(account="ann", operation="x")
    await resume(world, "one")
    await world.ledger.unsubscribe(account="ann", operation="y")
    account = await resume(world, "one")
    assert account.subscription is not None
    assert account.subscription.cancelled_to is not None


async def test_an_unknown_account_has_nothing_to_resume(world: World) -> None:
    assert isinstance(await world.ledger.resume(account="nobody", operation="x"), outcomes.NotFound)
