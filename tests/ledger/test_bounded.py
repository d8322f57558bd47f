"""No script's work grows with data: as many commands for ten times as much of it, and a row of the table for each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import gateway.ledger
from gateway.domain import Bucket, EntryKind, Scope, member_id, operation_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.webhooks import Due
from tests.ledger.world import DAY, FREE, HOUR, PARTITIONS, POLICY, World, open_world, the

PARTITION = partition_of_account("ann", PARTITIONS)
LEDGER = Path(gateway.ledger.__file__).parent
YEARS = 5
_NOT_OURS = {"evalsha", "eval", "config|resetstat", "info"}


async def commands(world: World, work: Callable[[], Awaitable[Any]]) -> int:
    """How many commands the server ran for it, those within scripts counted."""
    await world.redis.config_resetstat()
    await work()
    found = await world.redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in found.items()}
    return sum(count for name, count in calls.items() if name not in _NOT_OURS)


async def an_old_list(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """An ending, of an account whose list is full of what has expired."""
    old = await world.now() - 50 * DAY
    await world.redis.zadd(keys.recent(PARTITION, "ann"), {f"gen_{number}": old + number for number in range(count)})
    generation = await world.running(10)
    return lambda: world.settle(generation)


async def a_list_of_nothing(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A look at a list whose generations have all gone."""
    new = await world.now()
    await world.redis.zadd(keys.recent(PARTITION, "ann"), {f"gen_{number}": new + number for number in range(count)})
    return lambda: world.ledger.generations(account="ann", keys_version=None, limit=100)


async def a_member_among_others(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A look at a member's own list, which is short, in an account of many generations."""
    new, member = await world.now(), member_id()
    await world.ledger.add_member(account="ann", member=member, name="Ann")
    await world.ledger.add_key(key="fbx_hers", scope=Scope.ACCOUNT, account="ann", label=None, member=member)
    await world.spend(10, key=key_id_of("fbx_hers"))
    await world.redis.zadd(keys.recent(PARTITION, "ann"), {f"gen_{number}": new + number for number in range(count)})
    return lambda: world.ledger.generations(account="ann", keys_version=None, limit=100, member=member)


async def an_old_journal(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """Sixteen entries, one of which trims, of a journal that is full of what is too old."""
    old = await world.now() - 500 * DAY
    key = keys.journal(PARTITION, "ann")
    await world.redis.rpush(key, *(f"{count - number}|{old}|alert|0|0|||" for number in range(count)))

    async def write() -> None:
        for _ in range(16):
            await world.grant()

    return write


async def a_period_of_the_journal(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A page of a short period in the midst of a long journal."""
    now = await world.now()
    key = keys.journal(PARTITION, "ann")
    await world.redis.delete(key)
    await world.redis.rpush(key, *(f"{count - number}|{now - number * HOUR}|alert|0|0|||" for number in range(count)))
    middle = now - count // 2 * HOUR
    return lambda: world.ledger.journal(
        account="ann", keys_version=None, limit=10, created_after=middle - HOUR, created_before=middle
    )


async def a_filtered_journal(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A page of a journal in which the filter finds nothing."""
    await an_old_journal(world, count)
    return lambda: world.ledger.journal(account="ann", keys_version=None, limit=10, kind=EntryKind.REFUND)


async def a_full_day(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """An ending on a day on which hundreds of keys and values of a tag were counted."""
    day = datetime.fromtimestamp((await world.look()).now // 1000, UTC).date().isoformat()
    rows = {f"image|nano-banana-2|user\t{number}": "1,1,1,0,0" for number in range(count)}
    await world.redis.hset(keys.usage_tags(PARTITION, "ann", day), mapping=rows)
    rows = {f"image|nano-banana-2|key_{number}|": "1,1,1,0,0" for number in range(count)}
    await world.redis.hset(keys.usage_keys(PARTITION, "ann", day), mapping=rows)
    generation = await world.running(10, key="key_new", tags={"user": "new", "team": "red"})
    return lambda: world.settle(generation)


async def a_trim(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """What is done for idle accounts."""
    await an_old_journal(world, count)
    return lambda: world.ledger.trim(account="ann", at_most=100)


async def a_waiting_room(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A plan under which all who wait fit."""
    wide = replace(POLICY.plans["pro"], concurrency={"image": 10_000})
    await world.publish(free=replace(FREE, max_waiting=count), plans={**POLICY.plans, "wide": wide})
    for _ in range(count + 2):
        await world.spend(1)
    return lambda: world.subscribe(plan="wide")


async def gone_deliveries(world: World, count: int) -> Callable[[], Awaitable[Any]]:
    """A webhook whose pending events have all expired."""
    webhook = await world.listen("ann")
    pending = keys.pending(PARTITION, "ann", webhook)
    await world.redis.zadd(pending, {f"evt_{number}": number + 1 for number in range(count)})
    due = Due(PARTITION, "ann", webhook)
    return lambda: world.ledger.claim_deliveries(due=due, claim="c", for_ms=1_000, limit=10)


@pytest.mark.parametrize(
    ("scene", "few", "many"),
    [
        (an_old_list, 300, 3_000), (a_list_of_nothing, 1_100, 5_000), (an_old_journal, 300, 3_000),
        (a_trim, 300, 3_000), (a_period_of_the_journal, 300, 3_000), (a_waiting_room, 110, 330),
        (a_filtered_journal, 300, 3_000), (gone_deliveries, 300, 3_000), (a_full_day, 300, 3_000),
        (a_member_among_others, 100, 1_000),
    ],
)  # fmt: skip
async def test_ten_times_the_data_is_no_more_work(
    redis_url: str, scene: Callable[[World, int], Awaitable[Callable[[], Awaitable[Any]]]], few: int, many: int
) -> None:
    counts = []
    for count in (few, many):
        async with open_world(redis_url) as world:
            world.holds = False  # what is in the way is made up
            await world.redis.flushall()
            await world.ledger.start()
            await world.ledger.publish(world.policy)
            await world.account()
            work = await scene(world, count)
            counts.append(await commands(world, work))
    assert counts[1] <= counts[0] * 1.05 + 5, counts  # a deadline or a reset may fall between


async def test_an_account_untouched_for_years_takes_a_command_for_each_month(redis_url: str) -> None:
    async with open_world(redis_url) as world:
        await world.account(plan="standard")
        quiet = await commands(world, world.look)
        await world.redis.hincrby(keys.account(PARTITION, "ann"), "offset", YEARS * 366 * DAY)
        await world.redis.hset(keys.account(PARTITION, "ann"), "test", "1")
        assert await commands(world, world.look) <= quiet + 12 * YEARS + 50


async def test_operators_cannot_give_an_account_grants_without_end(redis_url: str) -> None:
    """Each script reads them all: with 10,000 each took 20 ms."""
    async with open_world(redis_url) as world:
        await world.account()
        for _ in range(499):
            await world.grant()
        ask: dict[str, Any] = {"account": "ann", "bucket": Bucket.TOP_UP, "reason": "r"}
        before = await world.contents()
        refused = [
            await world.ledger.grant(**ask, operation=operation_id(), millicredits=1, expires_at=None),
            await world.ledger.adjust(**ask, operation=operation_id(), millicredits=1),
        ]
        assert [the(outcomes.Refused, one).reason for one in refused] == ["too_many_grants"] * 2
        assert await world.contents() == before
        await world.advance(HOUR)
        await world.spend(10)


def test_the_table_has_a_row_for_each_script() -> None:
    table = (LEDGER / "README.md").read_text().partition("## What bounds each script")[2]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(path.stem for path in (LEDGER / "lua").glob("*.lua"))
