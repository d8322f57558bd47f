"""R1, R19: an account is rolled forward by whoever looks, and an idle one costs nothing."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain import Bucket
from gateway.errors import LedgerBroken
from gateway.ledger import keys, outcomes
from tests.ledger.world import DAY, HOUR, MINUTE, World, the


async def test_an_account_is_made_once_and_updated_after(bare: World) -> None:
    made, is_new = the(tuple, await bare.ledger.put_account(account="ann", email="Ann@Example.com", metadata={"a": 1}))
    assert (is_new, made.email, made.metadata) == (True, "Ann@Example.com", {"a": 1})
    same, is_new = the(tuple, await bare.ledger.put_account(account="ann"))
    assert (is_new, same.email, same.metadata, same.created_at) == (False, made.email, made.metadata, made.created_at)
    changed, _ = the(tuple, await bare.ledger.put_account(account="ann", metadata={}))
    assert (changed.email, changed.metadata) == (made.email, {})


@pytest.mark.cluster
async def test_an_account_is_found_by_its_email_whatever_the_case(world: World) -> None:
    await world.ledger.put_account(account="ann", email="ann@example.com")
    assert the(outcomes.Account, await world.ledger.find_account(email=" ANN@example.com")).id == "ann"
    await world.ledger.put_account(account="ann", email="new@example.com")
    assert the(outcomes.Account, await world.ledger.find_account(email="new@example.com")).id == "ann"
    assert isinstance(await world.ledger.find_account(email="ann@example.com"), outcomes.NotFound)
    assert isinstance(await world.ledger.find_account(email="nobody@example.com"), outcomes.NotFound)


async def test_of_two_that_claim_an_email_at_once_one_gets_it(world: World) -> None:
    """The second saw that the first did not have the address yet, took its claim for an old one, and both had it."""
    names = [f"a{number}" for number in range(20)]
    made = await asyncio.gather(*(world.ledger.put_account(account=name, email="ann@example.com") for name in names))
    (winner,) = [name for name, one in zip(names, made, strict=True) if not isinstance(one, outcomes.Refused)]
    assert the(outcomes.Account, await world.ledger.find_account(email="ann@example.com")).id == winner
    assert {one for one in made if isinstance(one, outcomes.Refused)} == {outcomes.Refused("email_taken", winner)}


async def test_an_email_that_is_given_up_leaves_nothing_behind(world: World) -> None:
    await world.ledger.put_account(account="ann", email="ann@example.com")
    await world.ledger.put_account(account="ann", email="new@example.com")
    assert await world.ledger.redis.exists(keys.email("ann@example.com")) == 0
    assert await world.ledger.redis.exists(keys.email("new@example.com")) == 1


async def test_a_claim_whose_account_never_wrote_the_email_lapses(world: World) -> None:
    """Whoever claimed it died before the account was written; a minute later it is anyone's."""
    await world.ledger.redis.set(keys.email("ann@example.com"), "ann,1795305600000")
    await world.ledger.put_account(account="bob", email="ann@example.com")
    assert the(outcomes.Account, await world.ledger.find_account(email="ann@example.com")).id == "bob"


async def test_an_email_belongs_to_one_account_until_that_gives_it_up(world: World) -> None:
    await world.ledger.put_account(account="ann", email="ann@example.com")
    await world.look()
    async with world.unchanged():
        taken = await world.ledger.put_account(account="bob", email="Ann@example.com")
        assert taken == outcomes.Refused("email_taken", "ann")
    await world.ledger.put_account(account="ann", email="new@example.com")
    await world.ledger.put_account(account="bob", email="ann@example.com")
    assert the(outcomes.Account, await world.ledger.find_account(email="ann@example.com")).id == "bob"


async def test_r1_free_credits_are_there_from_the_start_and_an_idle_account_is_one_key(bare: World) -> None:
    made, _ = the(tuple, await bare.ledger.put_account(account="ann"))
    assert made.available_millicredits[Bucket.FREE] == 100_000
    assert [name for name in await bare.contents() if "ann" in name] == [bare.ledger.account_key("ann")]


async def test_r1_free_credits_reset_to_the_amount_and_what_was_left_is_gone(world: World) -> None:
    account = await world.account()
    await world.finish(await world.spend(30_000))
    await world.advance_to(account.free_resets_at - MINUTE)
    assert await world.available() == (70_000, 0, 0)
    later = await world.advance(MINUTE)
    assert await world.available() == (100_000, 0, 0)
    entry = (await world.journal())[-1]
    assert (entry.kind, entry.at, entry.credits_millicredits) == ("reset", account.free_resets_at, 30_000)
    assert later.free_resets_at == account.free_resets_at + DAY


async def test_r19_missed_daily_resets_collapse_into_one_entry(world: World) -> None:
    await world.finish(await world.spend(30_000))
    account = await world.advance(100 * DAY)
    resets = await world.journal("ann", "reset")
    assert len(resets) == 2
    assert resets[-1].at == account.free_resets_at - DAY
    assert await world.available() == (100_000, 0, 0)


async def test_reading_an_account_twice_writes_once(world: World) -> None:
    await world.advance(DAY)
    await world.look()
    async with world.unchanged():
        await world.look()


async def test_a_later_reset_time_does_not_rewrite_the_past(world: World) -> None:
    """A card that moves the reset later: the entry used to be dated to a reset before the ones already written."""
    account = await world.account()
    await world.advance_to(account.free_resets_at)
    await world.look()
    await world.publish(reset_ms=(world.policy.reset_ms + 6 * HOUR) % DAY)
    account = await world.advance(DAY)
    resets = [entry.at for entry in await world.journal("ann", "reset")]
    assert resets == sorted(resets)
    assert account.free_resets_at > account.now


async def test_no_day_comes_twice_after_a_failover_to_a_slower_clock(world: World) -> None:
    """An account's time is never before the last it has seen."""
    account = await world.account()
    await world.advance_to(account.free_resets_at)
    await world.finish(await world.spend(30_000))
    seen = await world.look()
    # The new master's clock is an hour behind the old one's: the same as an offset an hour smaller.
    name = world.ledger.account_key("ann")
    await world.redis.hset(name, "offset", str(seen.clock_offset_ms - HOUR))
    later = await world.look()
    assert later.now >= seen.now - MINUTE
    assert later.available_millicredits[Bucket.FREE] == 70_000
    assert later.free_resets_at == seen.free_resets_at


async def test_keys_changed_is_said_before_anything_else_is(world: World) -> None:
    assert isinstance(await world.ledger.account(account="ann", keys_version=1), outcomes.KeysChanged)
    assert isinstance(await world.ledger.account(account="ann", keys_version=0), outcomes.Account)
    assert isinstance(await world.ledger.account(account="nobody"), outcomes.NotFound)


async def test_a_ledger_without_a_rate_card_says_so(world: World) -> None:
    partition = int(world.ledger.account_key("ann")[3:5], 16)
    await world.redis.rename(keys.policy(partition), keys.policy(partition) + ":aside")
    with pytest.raises(LedgerBroken, match="no policy: start a gateway"):
        await world.ledger.account(account="ann")
