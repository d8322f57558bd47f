"""Usage: counters per day, tool and model, exactly what the journal says was committed and refunded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.domain import Bucket, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.sums import Counts, UsageBy, Used
from tests.ledger.world import DAY, FREE, PARTITIONS, World


def days_of(account: outcomes.Account, count: int) -> list[str]:
    """The account's last days, in UTC."""
    today = datetime.fromtimestamp(account.now // 1000, UTC).date()
    return [(today - timedelta(days=back)).isoformat() for back in reversed(range(count))]


async def used(world: World, count: int = 2) -> tuple[Used, ...]:
    """What ann used in her last days."""
    found = await world.ledger.usage(account="ann", keys_version=None, days=days_of(await world.look(), count))
    assert isinstance(found, tuple)
    return found


async def test_each_tool_and_model_has_counters_of_its_own(world: World) -> None:
    await world.finish(await world.spend(10_000, outputs=2), 2)
    await world.finish(await world.spend(10_000, outputs=2, model="flux-dev"), 1)
    await world.fail(await world.spend(7_000, tool="video", model="wan-2.2"))
    found = {(one.tool, one.model): one.counts for one in await used(world)}
    assert found == {
        ("image", "flux-dev"): Counts(
            generations=1, outputs=1, credits_millicredits=5_000, refunded_millicredits=5_000
        ),
        ("image", "nano-banana-2"): Counts(generations=1, outputs=2, credits_millicredits=10_000),
        ("video", "wan-2.2"): Counts(generations=1, failed=1, refunded_millicredits=7_000),
    }


async def divided(world: World, by: UsageBy, tag: str | None = None) -> dict[tuple[str | None, ...], Counts]:
    """Today's usage by tool, model, key and member, or by tool, model and a tag."""
    days = days_of(await world.look(), 1)
    found = await world.ledger.usage(account="ann", keys_version=None, days=days, by=by, tag=tag)
    assert isinstance(found, tuple)
    return {
        (one.tool, one.model, one.tag) if by == "tag" else (one.tool, one.model, one.key, one.member): one.counts
        for one in found
    }


async def test_usage_is_divided_by_key_and_by_tag_and_nothing_is_lost(world: World) -> None:
    await world.account(top_up=900_000)
    await world.publish(free=replace(FREE, concurrency={"image": 9}))
    await world.finish(await world.spend(10_000, outputs=2, key="key_a", tags={"project": "x|y", "team": "red"}), 1)
    await world.fail(await world.spend(3_001, key="key_b", tags={"project": "x|y"}))
    await world.finish(await world.spend(501, key="key_b", model="flux-dev", tags={"projects": "x|y"}))
    await world.finish(await world.spend(7))
    a, b = Counts(1, 1, 5_000, 0, 5_000), Counts(1, 0, 0, 1, 3_001)
    flux, keyless = Counts(1, 1, 501, 0, 0), Counts(1, 1, 7, 0, 0)
    banana = ("image", "nano-banana-2")
    assert await divided(world, "key") == {
        (*banana, "key_a", None): a,
        (*banana, "key_b", None): b,
        ("image", "flux-dev", "key_b", None): flux,
        (*banana, None, None): keyless,
    }
    assert await divided(world, "tag", "project") == {
        (*banana, "x|y"): a + b,
        (*banana, None): keyless,
        ("image", "flux-dev", None): flux,
    }
    assert await divided(world, "tag", "team") == {
        (*banana, "red"): a,
        (*banana, None): b + keyless,
        ("image", "flux-dev", None): flux,
    }
    whole = sum((one.counts for one in await used(world, 1)), Counts())
    divisions: list[tuple[UsageBy, str | None]] = [("key", None), ("tag", "project"), ("tag", "nothing")]
    for by, tag in divisions:
        assert sum((await divided(world, by, tag)).values(), Counts()) == whole, (by, tag)


async def test_a_day_with_1000_rows_counts_what_is_new_as_other(world: World) -> None:
    world.holds = False  # the rows are made up
    await world.account(top_up=900_000)
    (day,), partition = days_of(await world.look(), 1), partition_of_account("ann", PARTITIONS)
    of, ended = "image|nano-banana-2|", {"generations": 1000, "credits": 1000, "outputs": 1000}
    await world.redis.hset(keys.usage(partition, "ann", day), mapping={of + name: n for name, n in ended.items()})
    await world.redis.hset(
        keys.usage_keys(partition, "ann", day), mapping={f"{of}key_{n}|": "1,1,1,0,0" for n in range(1000)}
    )
    await world.redis.hset(
        keys.usage_tags(partition, "ann", day), mapping={f"{of}user\t{n}": "1,1,1,0,0" for n in range(1000)}
    )
    for number in range(3):
        await world.finish(await world.spend(10, key=f"key_new_{number}", tags={"user": f"new {number}"}))
    await world.finish(await world.spend(10, key="key_7", tags={"user": "7"}))
    found = {key: counts for (_, _, key, _), counts in (await divided(world, "key")).items()}
    assert len(found) == 1001, "no row for what has none left"
    assert found["other"] == Counts(3, 3, 30, 0, 0)
    assert found["key_7"] == Counts(2, 2, 11, 0, 0)
    tagged = {tag: counts for (_, _, tag), counts in (await divided(world, "tag", "user")).items()}
    assert (tagged["other"], tagged["7"]) == (Counts(3, 3, 30, 0, 0), Counts(2, 2, 11, 0, 0))
    await world.redis.hset(
        keys.usage_tags(partition, "ann", day), mapping={f"{of}{n}\tother": "1,1,1,0,0" for n in range(1000)}
    )
    await world.finish(await world.spend(10, tags={"one more": "x"}))
    assert list(await divided(world, "tag", "one more")) == [("image", "nano-banana-2", None)]
    whole = sum((one.counts for one in await used(world, 1)), Counts())
    divisions: list[tuple[UsageBy, str | None]] = [("key", None), ("tag", "user"), ("tag", "one more")]
    for by, tag in divisions:
        assert sum((await divided(world, by, tag)).values(), Counts()) == whole == Counts(1005, 1005, 1050), (by, tag)


async def test_usage_of_an_earlier_version_has_neither_key_nor_tag(world: World) -> None:
    """It counted by tool and model only: on the day of an upgrade a part of the sums has no key."""
    world.holds = False  # the counters are made up
    await world.account(top_up=900_000)
    await world.finish(await world.spend(10_000, key="key_a", tags={"project": "x"}))
    day, name = days_of(await world.look(), 1)[0], "image|nano-banana-2|"
    counters = keys.usage(partition_of_account("ann", PARTITIONS), "ann", day)
    for counter, amount in (("generations", 2), ("outputs", 3), ("credits", 400)):
        await world.redis.hincrby(counters, name + counter, amount)
    banana, old, new = ("image", "nano-banana-2"), Counts(2, 3, 400), Counts(1, 1, 10_000)
    assert await divided(world, "key") == {(*banana, "key_a", None): new, (*banana, None, None): old}
    assert await divided(world, "tag", "project") == {(*banana, "x"): new, (*banana, None): old}


async def test_a_cancelled_generation_counts_but_did_not_fail(world: World) -> None:
    await world.ledger.cancel(generation=await world.spend(10_000))
    [one] = await used(world)
    assert one.counts == Counts(generations=1, refunded_millicredits=10_000)


async def test_a_generation_counts_on_the_day_it_ended_in_account_time(world: World) -> None:
    generation = await world.spend(10_000)
    before = days_of(await world.look(), 1)
    await world.advance(3 * DAY)
    await world.finish(generation)
    found = await used(world, 5)
    assert [one.day for one in found] == days_of(await world.look(), 1) != before


async def test_days_are_answered_in_the_order_they_were_asked_for(world: World) -> None:
    await world.account(top_up=900_000)
    for _ in range(3):
        await world.finish(await world.spend(1_000))
        await world.advance(DAY)
    found = await used(world, 10)
    assert [one.day for one in found] == days_of(await world.look(), 4)[:3]


async def test_thirteen_months_are_one_call(world: World) -> None:
    """And none of them is kept for ever."""
    account = await world.account()
    await world.grant(amount=10_000_000, bucket=Bucket.TOP_UP)
    await world.finish(await world.spend(110_000))
    await world.advance_to(account.now + 395 * DAY)
    await world.finish(await world.spend(110_000))
    found = await used(world, 400)
    assert [one.counts.credits_millicredits for one in found] == [110_000, 110_000]


async def test_an_unknown_account_has_no_usage_and_a_changed_key_reads_none(world: World) -> None:
    assert isinstance(
        await world.ledger.usage(account="nobody", keys_version=None, days=["2026-11-22"]), outcomes.NotFound
    )
    assert isinstance(
        await world.ledger.usage(account="ann", keys_version=3, days=["2026-11-22"]), outcomes.KeysChanged
    )
