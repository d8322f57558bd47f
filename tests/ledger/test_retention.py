"""What is kept for how long is one setting for everybody: gateways publish it, scripts and audit read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain import operation_id, partition_of_account, partition_of_generation
from gateway.errors import SettingsError
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import audit
from gateway.ledger.core import USUAL
from gateway.ledger.ledger import Ledger
from gateway.ledger.retention import Retention
from gateway.settings import load_settings
from tests.ledger.ageing import age_journal
from tests.ledger.world import DAY, FREE, PARTITIONS, POLICY, World, open_world, the

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
    kept = ("outputs", "lists", "lists_set", "journal", "usage", "journal_least", "promised")
    names = [*(f"keep:{name}" for name in kept), *(f"outputs:{plan}" for plan in ("free", "standard", "pro"))]
    for partition in range(PARTITIONS):
        await world.redis.hdel(keys.policy(partition), *names)
    ended = await world.finish(await world.spend())
    the(outcomes.Generation, ended.generation)
    (usage,) = [name for name in await world.contents() if ":usage:" in name]
    assert 399 * DAY < await world.redis.pttl(usage) <= 400 * DAY
    assert await world.ledger.kept_otherwise() is None


STANDARD, PRO = POLICY.plans["standard"], POLICY.plans["pro"]
KEEPING = {"standard": replace(STANDARD, outputs_kept_ms=90 * DAY), "pro": PRO}


async def outputs_kept(world: World, generation: str) -> int:
    """End it; for how long its outputs are kept, as the list of what is to be deleted says."""
    ended = (await world.finish(generation)).generation
    partition = partition_of_generation(generation)
    deleted_at = await world.redis.zscore(keys.outputs(partition), generation)
    record_gone_at = await world.redis.pexpiretime(keys.generation(partition, generation))
    assert ended.finished_at is not None
    assert ended.outputs_expire_at == deleted_at, "callers are told the same"
    assert record_gone_at >= deleted_at, "as long as its outputs are there, its record is"
    return int(deleted_at) - ended.finished_at


async def lists_kept(world: World) -> int:
    """How many days lists are kept."""
    return int((await world.ledger.published())["keep:lists"]) // DAY


async def test_a_plan_says_how_long_its_outputs_are_kept_and_else_the_gateway_does(world: World) -> None:
    await world.publish(free=replace(FREE, outputs_kept_ms=7 * DAY), plans=KEEPING)
    for account, plan, days in (("ann", None, 7), ("bob", "standard", 90), ("cid", "pro", 30)):
        await world.account(account, plan=plan)
        assert await outputs_kept(world, await world.spend(account=account)) == days * DAY
    assert await lists_kept(world) == 100, "who is erased is found in the lists"
    assert await world.ledger.kept_otherwise() is None, "which is no difference between gateways"
    told = Retention().as_published(await world.ledger.published())
    assert told == Retention(), "and who publishes for them does not make it the setting"


async def test_what_was_promised_with_the_order_stays_whatever_plan_follows(world: World) -> None:
    await world.publish(plans=KEEPING)
    await world.account("ann", plan="standard")
    long, short = await world.spend(), await world.spend(account=(await world.account("bob")).id)
    await world.subscribe("ann", "pro")
    await world.subscribe("bob", "standard")
    assert await outputs_kept(world, long) == 90 * DAY
    assert await outputs_kept(world, short) == 30 * DAY
    assert await outputs_kept(world, await world.spend(account="bob")) == 90 * DAY


async def test_a_plan_that_lapses_with_the_order_says_nothing_of_it_any_more(world: World) -> None:
    await world.publish(plans=KEEPING)
    await world.account("ann", plan="standard")
    await world.ledger.unsubscribe(account="ann", operation=operation_id())
    await world.advance(40 * DAY)
    assert await outputs_kept(world, await world.spend()) == 30 * DAY


async def test_a_plan_that_is_no_longer_sold_keeps_outputs_as_long_as_before(world: World) -> None:
    await world.publish(plans=KEEPING)
    await world.account("ann", plan="standard")
    await world.publish(plans={"pro": PRO})
    assert await outputs_kept(world, await world.spend()) == 90 * DAY
    assert await lists_kept(world) == 100


async def test_lists_stay_until_what_was_promised_longer_is_gone(world: World) -> None:
    """They were trimmed by the new setting at once: a person's outputs were there for 50 more days, and not erased."""
    await world.publish(plans=KEEPING)
    assert await lists_kept(world) == 100
    await world.publish(plans={"standard": replace(STANDARD, outputs_kept_ms=60 * DAY), "pro": PRO})
    await world.later(50 * DAY)
    await world.publish(plans=POLICY.plans)
    assert await lists_kept(world) == 100
    await world.later(99 * DAY)
    await world.publish()
    assert await lists_kept(world) == 100
    await world.later(2 * DAY)
    await world.publish()
    assert await lists_kept(world) == 40


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
