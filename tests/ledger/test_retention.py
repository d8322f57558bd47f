"""What is kept for how long is one setting for everybody: gateways publish it, scripts and audit read it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.domain import partition_of_account
from gateway.errors import SettingsError
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import audit
from gateway.ledger.core import USUAL
from gateway.ledger.ledger import Ledger
from gateway.ledger.retention import Retention
from gateway.settings import load_settings
from tests.ledger.ageing import age_journal
from tests.ledger.world import DAY, PARTITIONS, World, open_world, the

LONG = Retention(outputs=90, lists=100, journal=60, usage=500)
PARTITION = partition_of_account("ann", PARTITIONS)


@pytest.fixture
async def keeping(ledger_url: str) -> AsyncIterator[World]:
    """A ledger whose gateway keeps outputs for 90 days, and journals for 60."""
    async with open_world(ledger_url, retention=LONG) as world:
        await world.account()
        yield world
        while _OTHERS:  # each has connections of its own to a cluster's nodes; the client is closed by its world
            await _OTHERS.pop()._calls.aclose()  # noqa: SLF001 - `close` would close the client that they share


_OTHERS: list[Ledger] = []


def other(world: World, retention: Retention = USUAL) -> World:
    """The same ledger as another process sees it, such as a worker that is set up otherwise."""
    _OTHERS.append(Ledger(world.redis, partitions=PARTITIONS, retention=retention))
    return World(_OTHERS[-1], world.policy)


async def test_a_record_lives_as_long_as_its_outputs(keeping: World) -> None:
    """It was gone after 30 days, and its files stayed for 60 more: nobody knew whose they were."""
    worker = other(keeping)
    generation = await keeping.spend()
    await worker.finish(generation)
    deleted_at = await keeping.redis.zscore(keys.outputs(PARTITION), generation)
    gone_at = await keeping.redis.pexpiretime(keys.generation(PARTITION, generation))
    assert gone_at >= deleted_at
    assert gone_at > await keeping.now() + 89 * DAY


async def test_a_record_lives_for_thirty_days_however_short_its_outputs_do(ledger_url: str) -> None:
    async with open_world(ledger_url, retention=Retention(outputs=1)) as world:
        await world.account()
        generation = await world.spend()
        await world.finish(generation)
        assert await world.redis.pttl(keys.generation(PARTITION, generation)) > 29 * DAY


async def test_list_and_usage_retention_is_the_gateways_whoever_ends_it(keeping: World) -> None:
    worker = other(keeping)
    listed = keys.recent(PARTITION, "ann")
    now = await keeping.now()
    await keeping.redis.zadd(listed, {"gen_old": now - 101 * DAY, "gen_kept": now - 99 * DAY})
    await worker.finish(await keeping.spend())
    found = [name.decode() for name in await keeping.redis.zrange(listed, 0, -1)]
    assert "gen_kept" in found
    assert "gen_old" not in found
    await keeping.redis.zrem(listed, "gen_kept")
    (usage,) = [name for name in await keeping.contents() if ":usage:" in name]
    assert await keeping.redis.pttl(usage) > 499 * DAY


async def test_a_list_that_was_busy_once_is_trimmed_a_hundred_at_a_time(keeping: World) -> None:
    listed, now = keys.recent(PARTITION, "ann"), await keeping.now()
    await keeping.redis.zadd(listed, {f"gen_{number}": now - 200 * DAY for number in range(250)})
    left = []
    for _ in range(3):
        await keeping.finish(await keeping.spend())
        left.append(await keeping.redis.zcount(listed, "-inf", now - 100 * DAY))
    assert left == [150, 50, 0]


async def test_the_journal_is_trimmed_as_the_gateway_says_and_the_audit_knows(keeping: World) -> None:
    for _ in range(20):
        await keeping.grant()
    await age_journal(keeping, 61 * DAY)
    made_at = await keeping.now() - 61 * DAY
    await keeping.redis.hset(keys.account(PARTITION, "ann"), "created_at", str(made_at))
    for _ in range(20):
        await other(keeping).grant()
    entries = await keeping.journal()
    assert entries[0].id > 20
    assert not (await audit(keeping.ledger)).differences
    longer = other(keeping, retention=Retention())
    await longer.ledger.publish(longer.policy)
    report = await audit(longer.ledger)
    assert not report.differences, "what was trimmed while journals were kept for 60 days is gone, and no difference"


async def test_a_gateway_that_is_set_otherwise_says_so(keeping: World) -> None:
    assert await keeping.ledger.kept_otherwise() is None
    said = await other(keeping, retention=Retention(outputs=90, lists=100, usage=500)).ledger.kept_otherwise()
    mend = "configure all gateways the same and restart them"
    assert said == f"FAREBOX_JOURNAL_DAYS is 400 here and 60 at another gateway: {mend}"


async def test_a_ledger_of_before_keeps_what_it_kept(world: World) -> None:
    """Its policy says nothing of it, until a gateway of this version publishes."""
    for partition in range(PARTITIONS):
        names = [f"keep:{name}" for name in ("outputs", "lists", "journal", "usage", "journal_least")]
        await world.redis.hdel(keys.policy(partition), *names)
    ended = await world.finish(await world.spend())
    the(outcomes.Generation, ended.generation)
    (usage,) = [name for name in await world.contents() if ":usage:" in name]
    assert 399 * DAY < await world.redis.pttl(usage) <= 400 * DAY
    assert await world.ledger.kept_otherwise() is None


def test_a_list_is_never_shorter_than_what_is_kept() -> None:
    assert load_settings(output_days=90).retention == Retention(outputs=90, lists=100)
    assert load_settings(output_days=7).retention == Retention(outputs=7, lists=40)
    assert load_settings(output_days=90, list_days=120).retention.lists == 120
    with pytest.raises(
        SettingsError, match="FAREBOX_LIST_DAYS must be at least 100: an ended generation is kept for 90"
    ):
        load_settings(output_days=90, list_days=99)
    with pytest.raises(SettingsError, match="FAREBOX_JOURNAL_DAYS"):
        load_settings(journal_days=59)
