"""R19: every movement is one entry, each the one before plus its deltas; trimming by age keeps the proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Bucket, EntryKind, partition_of_account
from gateway.errors import LedgerBroken
from gateway.ledger import keys, outcomes
from gateway.ledger.journal_records import BucketChange
from gateway.ledger.records import decode_entry
from tests.ledger.ageing import age_account, age_journal
from tests.ledger.world import DAY, FREE, PARTITIONS, World, the


async def listed(world: World, limit: int, **filters: Any) -> list[int]:
    found: list[int] = []
    before: str | None = None
    while True:
        read = await world.ledger.journal(account="ann", keys_version=None, limit=limit, before=before, **filters)
        page = the(outcomes.Page, read)
        found += [entry.id for entry in page.data]
        if page.next is None:
            return found
        before = page.next


async def test_r19_a_page_is_newest_first_and_says_where_to_go_on(world: World) -> None:
    for amount in range(1, 8):
        await world.grant(amount=amount)
    assert await listed(world, 3) == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_r19_a_page_goes_on_where_it_was_while_entries_are_added(world: World) -> None:
    for amount in range(1, 8):
        await world.grant(amount=amount)
    first = the(outcomes.Page, await world.ledger.journal(account="ann", keys_version=None, limit=3))
    await world.grant()
    second = the(
        outcomes.Page, await world.ledger.journal(account="ann", keys_version=None, limit=3, before=first.next)
    )
    assert [entry.id for entry in second.data] == [5, 4, 3]


async def test_a_cursor_beyond_either_end_is_an_honest_page(world: World) -> None:
    await world.grant()
    beyond = the(outcomes.Page, await world.ledger.journal(account="ann", keys_version=None, limit=9, before="999"))
    assert [entry.id for entry in beyond.data] == [2, 1]
    for before in ("1", "0"):
        end = the(outcomes.Page, await world.ledger.journal(account="ann", keys_version=None, limit=9, before=before))
        assert (end.data, end.next) == ((), None)


async def test_a_period_is_half_open_in_the_accounts_own_time(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account()
    for amount in range(1, 8):
        await bare.grant(amount=amount)
        await bare.advance(DAY // 2)
    entries = (await bare.journal())[::-1]
    times = {entry.at for entry in entries}
    assert max(times) > await bare.now() + 2 * DAY, "shown in account time, and asked for in it"
    for edge in sorted({*times, min(times) - 1, max(times) + 1}):
        for limit in (1, 3, 100):
            assert await listed(bare, limit, created_before=edge) == [one.id for one in entries if one.at < edge]
            assert await listed(bare, limit, created_after=edge) == [one.id for one in entries if one.at >= edge]
            period = {"created_after": edge, "created_before": edge + DAY}
            assert await listed(bare, limit, **period) == [one.id for one in entries if edge <= one.at < edge + DAY]


async def test_entries_are_found_by_kind_generation_key_and_member(world: World) -> None:
    await world.publish(free=replace(FREE, concurrency={"image": 9}))
    await world.account()
    made = [await world.spend(10_000, outputs=2, key=key) for key in ("key_a", "key_b", None)]
    for one in made:
        await world.finish(one, 1)
    entries = (await world.journal())[::-1]
    assert {one.key for one in entries if one.kind == "reserve"} == {"key_a", "key_b", None}
    for name, wanted in (
        ("kind", "commit"), ("kind", "reset"), ("generation", made[0]), ("generation", made[2]), ("key", "key_a"),
        ("key", "key_c"), ("member", "mem_a"),
    ):  # fmt: skip
        found = [one.id for one in entries if getattr(one, name) == wanted]
        for limit in (1, 2, 100):
            assert await listed(world, limit, **{name: wanted}) == found, (name, wanted)
    assert len(await listed(world, 9, key="key_a", kind=EntryKind.REFUND)) == 1
    assert await listed(world, 9, kind=EntryKind.COMMIT, created_after=entries[0].at + 1) == []


async def test_a_filter_examines_1000_entries_at_a_time(world: World) -> None:
    world.holds = False  # the entries are made up
    name = keys.journal(partition_of_account("ann", PARTITIONS), "ann")
    await world.redis.delete(name)
    rare = {1: "refund", 1400: "refund", 2500: "refund"}
    made_up = (f"{number}|1|{rare.get(number, 'alert')}|0|0|||key_a,|x" for number in range(2500, 0, -1))
    await world.redis.rpush(name, *made_up)
    await world.redis.hset(keys.account(partition_of_account("ann", PARTITIONS), "ann"), "entries", "2500")
    asked: dict[str, Any] = {"account": "ann", "keys_version": None, "limit": 2, "kind": EntryKind.REFUND}
    page = the(outcomes.Page, await world.ledger.journal(**asked))
    assert ([one.id for one in page.data], page.next) == ([2500], "1501")
    page = the(outcomes.Page, await world.ledger.journal(**asked, before="1501"))
    assert ([one.id for one in page.data], page.next) == ([1400], "501")
    assert await listed(world, 2, kind=EntryKind.REFUND) == [2500, 1400, 1]
    assert await listed(world, 100, key="key_a") == [], "a reason is no key"


def test_an_entry_of_an_earlier_version_has_neither_key_nor_member() -> None:
    generation = "gen_00" + "a" * 24
    old = decode_entry(f"7|5|commit|90000|0|f:0:-10000|{generation}|")
    assert (old.generation, old.key, old.member, old.reason) == (generation, None, None, None)
    reason = decode_entry("7|5|grant|90000|0|t:5:0||bought a|b, and c")
    assert (reason.generation, reason.key, reason.reason) == (None, None, "bought a|b, and c")
    new = decode_entry(f"7|5|refund|90000|0|f:0:-10000|{generation}|key_a,mem_b|a|b")
    assert (new.key, new.member, new.reason) == ("key_a", "mem_b", "a|b")
    assert decode_entry(f"7|5|refund|90000|0|f:0:-10000|{generation}|,mem_b|").key is None


async def test_r19_reading_the_journal_rolls_the_account_forward_first(world: World) -> None:
    assert [entry.kind for entry in await world.journal()] == ["reset"]


async def test_r19_every_entry_says_what_each_bucket_did_and_the_balance_after(world: World) -> None:
    await world.account(top_up=50_000)
    await world.finish(await world.spend(120_000, outputs=2), 1)
    _, _, reserve, commit, refund = await world.journal()
    assert reserve.buckets == {
        Bucket.FREE: BucketChange(-100_000, 100_000),
        Bucket.TOP_UP: BucketChange(-20_000, 20_000),
    }
    assert (reserve.available_after_millicredits, reserve.held_after_millicredits) == (30_000, 120_000)
    assert commit.buckets == {Bucket.FREE: BucketChange(0, -60_000)}
    assert refund.buckets == {
        Bucket.FREE: BucketChange(40_000, -40_000),
        Bucket.TOP_UP: BucketChange(20_000, -20_000),
    }
    assert (refund.available_after_millicredits, refund.held_after_millicredits) == (90_000, 0)


async def test_r19_entries_are_trimmed_after_400_days_and_the_rest_still_proves_the_balance(world: World) -> None:
    await world.account(top_up=50_000)
    for _ in range(30):
        await age_journal(world, 30 * DAY)
        await world.grant(amount=10_000)
    entries = await world.journal()
    # Each sixteenth entry looks for old ones, here at most 16 times 30 days after the last that did.
    assert entries[0].at >= await world.now() - (400 + 16 * 30) * DAY
    assert entries[0].id > 1
    assert entries[-1].available_after_millicredits == sum((await world.look()).available_millicredits.values())


async def test_r19_a_test_clock_trims_nothing(world: World) -> None:
    """Whoever watches years go by sees all of them: the age of an entry is in real time."""
    await world.account(plan="standard")
    for _ in range(3):
        await world.advance(366 * DAY)
    await world.grant()
    assert [entry.id for entry in await world.journal()][:2] == [1, 2]
    assert len(await world.journal("ann", "refresh")) == 37


async def test_r19_the_newest_entry_stays_however_old_it_is(bare: World) -> None:
    """Long untouched: a look writes an expiry that is older than what is kept itself."""
    await bare.publish(daily_millicredits=0)
    now = (await bare.account()).now
    for _ in range(8):  # eight expiries make sixteen entries, and each sixteenth looks for old ones
        await bare.grant(amount=5, expires_at=now + 10 * DAY)
    await age_account(bare, 1000 * DAY)
    (newest,) = await bare.journal()
    assert (newest.kind, newest.available_after_millicredits) == ("expire", 0)
    assert newest.at < await bare.now() - 900 * DAY


async def test_an_unknown_account_has_no_journal_and_a_changed_key_reads_none(world: World) -> None:
    assert isinstance(await world.ledger.journal(account="nobody", keys_version=None, limit=1), outcomes.NotFound)
    assert isinstance(await world.ledger.journal(account="ann", keys_version=3, limit=1), outcomes.KeysChanged)


async def test_a_balance_that_contradicts_the_journal_is_refused_before_any_write(world: World) -> None:
    """A grant that was tampered with: no script builds on it."""
    world.holds = False
    await world.account(top_up=50_000)
    name = keys.account(partition_of_account("ann", PARTITIONS), "ann")
    generation = await world.spend(100_000)
    grants = [field for field in await world.redis.hkeys(name) if field.startswith(b"grant:d")]
    await world.redis.hset(name, grants[0].decode(), "f,0,5,100000,99999999999999,0")
    async with world.unchanged():
        with pytest.raises(LedgerBroken, match="below zero"):
            await world.ledger.cancel(generation=generation)
