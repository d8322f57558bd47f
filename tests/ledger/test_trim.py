"""The past of an account that nobody touches is trimmed once a day; before, it stayed for ever."""

from __future__ import annotations

import pytest

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.audit import audit
from gateway.ledger.trimming import AT_ONCE, trim_all
from tests.ledger.ageing import age_journal
from tests.ledger.world import DAY, PARTITIONS, World

PARTITION = partition_of_account("ann", PARTITIONS)


async def grow_old(world: World, entries: int, days: int) -> None:
    """An account with so many entries, and nothing since."""
    for _ in range(entries - 1):
        await world.grant()
    await age_journal(world, days * DAY)
    made_at = await world.now() - (days + 1) * DAY
    await world.redis.hset(keys.account(PARTITION, "ann"), "created_at", str(made_at))


async def length(world: World) -> int:
    return int(await world.redis.llen(keys.journal(PARTITION, "ann")))


async def test_of_an_idle_account_the_newest_entry_is_left_and_proves_its_balance(world: World) -> None:
    await grow_old(world, 30, days=401)
    before = await world.redis.lindex(keys.journal(PARTITION, "ann"), 0)
    assert await trim_all(world.ledger, rest=0) == 29
    assert await world.redis.lrange(keys.journal(PARTITION, "ann"), 0, -1) == [before]
    assert not (await audit(world.ledger)).differences
    await world.grant()
    assert not (await audit(world.ledger)).differences, "it goes on from there"


async def test_what_is_young_enough_stays(world: World) -> None:
    await grow_old(world, 30, days=399)
    async with world.unchanged():
        assert await trim_all(world.ledger, rest=0) == 0


async def test_one_script_trims_so_many_and_the_next_goes_on(world: World) -> None:
    await grow_old(world, 30, days=500)
    listed = keys.recent(PARTITION, "ann")
    await world.redis.zadd(listed, {f"gen_{number}": await world.now() - 41 * DAY for number in range(25)})
    counts = [await world.ledger.trim(account="ann", at_most=10) for _ in range(5)]
    assert counts == [20, 20, 14, 0, 0]
    assert (await length(world), await world.redis.exists(listed)) == (1, 0)


@pytest.mark.parametrize("account", ["nobody", "bob"])
async def test_an_account_without_a_past_has_nothing_to_trim(world: World, account: str) -> None:
    await world.ledger.put_account(account="bob")
    async with world.unchanged():
        assert await world.ledger.trim(account=account, at_most=AT_ONCE) == 0
