"""R1 with `for = "verified"`: sign-ups get no free credits until the product says so."""

from __future__ import annotations

from gateway.domain import Bucket
from gateway.ledger import outcomes
from tests.ledger.world import DAY, World, the

FREE = 100_000


async def flag(world: World, account: str, *, given: bool) -> outcomes.Account:
    account_now, _ = the(tuple, await world.ledger.put_account(account=account, free_credits=given))
    return the(outcomes.Account, account_now)


async def free_of(world: World, account: str) -> int:
    return (await world.look(account)).available_millicredits[Bucket.FREE]


async def test_farmed_accounts_get_nothing_however_many_days_they_wait(bare: World) -> None:
    await bare.publish(free_for_verified=True)
    names = [f"farm{number}" for number in range(100)]
    for name in names:
        await bare.account(name)
    assert [await free_of(bare, name) for name in names] == [0] * 100
    await bare.advance(3 * DAY, "farm7")
    assert await free_of(bare, "farm7") == 0
    refused = await bare.reserve("farm7", 1)
    assert isinstance(refused, outcomes.InsufficientCredits)


async def test_who_is_verified_gets_todays_at_once_and_once(bare: World) -> None:
    """The flag is set, unset and set again, and sent twice: a day's credits are given once."""
    await bare.publish(free_for_verified=True)
    await bare.account()
    made = await flag(bare, "ann", given=True)
    assert (made.free_credits, made.available_millicredits[Bucket.FREE]) == (True, FREE)
    await bare.spend(30_000)
    for given in (True, False, True, True):
        await flag(bare, "ann", given=given)
        assert await free_of(bare, "ann") == FREE - 30_000
    assert len(await bare.journal("ann", "reset")) == 1
    await bare.advance(DAY)
    assert await free_of(bare, "ann") == FREE
    await flag(bare, "ann", given=False)
    await bare.advance(DAY)
    assert await free_of(bare, "ann") == 0, "from the next reset"


async def test_an_idle_account_that_is_verified_stays_small_until_it_is_used(bare: World) -> None:
    await bare.publish(free_for_verified=True)
    await bare.ledger.put_account(account="ann")
    await flag(bare, "ann", given=True)
    assert await bare.redis.hlen(bare.ledger.account_key("ann")) == 2
    assert await free_of(bare, "ann") == FREE


async def test_accounts_without_the_flag_are_as_before_and_no_says_no_on_any_card(bare: World) -> None:
    await bare.account("before")
    await flag(bare, "barred", given=False)
    assert (await free_of(bare, "before"), await free_of(bare, "barred")) == (FREE, 0)
    await bare.publish(free_for_verified=True)
    assert await free_of(bare, "before") == FREE, "what today's reset gave stays"
    await bare.advance(DAY, "before")
    assert await free_of(bare, "before") == 0


async def test_the_flag_gives_a_subscriber_nothing_that_the_card_does_not(bare: World) -> None:
    await bare.publish(free_for_everyone=False)
    await bare.account(plan="standard")
    await bare.advance(DAY)
    await flag(bare, "ann", given=True)
    assert await free_of(bare, "ann") == 0
