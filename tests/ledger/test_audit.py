"""The audit: silent on a ledger that agrees, and each kind of damage by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.archive.rows import moment
from gateway.domain import Scope, generation_id, member_id, operation_id, partition_of_account
from gateway.errors import LedgerBroken
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.audit import Report, audit, keyspace, last_audit, remember, scanning, walk
from gateway.ledger.audit import journals as audited_journals
from gateway.ledger.audit.report import DIFFERENCES_MAX, DifferenceKind
from gateway.ledger.ledger import Ledger
from tests.ledger.ageing import age_journal
from tests.ledger.damages import DAMAGES, set_scene
from tests.ledger.test_keys_have_ttl import a_busy_time
from tests.ledger.world import DAY, PARTITIONS, World


def text(report: Report) -> str:
    return "\n".join(map(str, report.differences))


async def test_a_busy_ledger_that_agrees_is_clean(world: World) -> None:
    await a_busy_time(world)
    report = await audit(world.ledger)
    assert report.clean, text(report)
    assert report.unproved == ()
    assert (report.accounts, report.generations) == (2, 17)
    written = [await world.redis.llen(keys.journal(partition_of_account(name, PARTITIONS), name)) for name in NAMES]
    assert report.entries == sum(written)
    assert report.keys >= report.accounts + report.generations
    assert report.at <= report.finished <= await world.now()


NAMES = ("ann", "b.o-b_@")


async def test_a_webhook_that_was_paused_for_a_month_is_no_difference(world: World) -> None:
    """What it was to be told is kept no longer; that it is still in the index was reported every night."""
    webhook = await world.listen()
    await world.ledger.cancel(generation=await world.spend())
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="paused")
    partition = partition_of_account("ann", PARTITIONS)
    (event,) = await world.redis.zrange(keys.pending(partition, "ann", webhook), 0, -1)
    for name in (
        keys.pending(partition, "ann", webhook),
        keys.deliveries(partition, "ann", webhook),
        keys.delivery(partition, "ann", webhook, event.decode()),
    ):
        await world.redis.delete(name)  # as their TTL does
    world.holds = False
    report = await audit(world.ledger)
    assert report.clean, text(report)


async def test_a_single_account_can_be_audited(world: World) -> None:
    await a_busy_time(world)
    await world.redis.hincrby(keys.account(partition_of_account("ann", PARTITIONS), "ann"), "held:f", 1)
    world.holds = False
    assert (await audit(world.ledger, account="b.o-b_@")).clean
    report = await audit(world.ledger, account="ann")
    assert {difference.account for difference in report.differences} == {"ann"}
    assert report.generations == 8
    assert (await audit(world.ledger, account="nobody")).accounts == 0


async def test_damage_is_named(world: World) -> None:
    """Each on its own, in one ledger: what a damage changed is put back before the next."""
    world.holds = False
    scene = await set_scene(world)
    whole, intact = await audit(world.ledger), await world.contents()
    assert whole.clean, text(whole)
    dumps = {name: await world.redis.dump(name) for name in intact}
    for name, (damage, kind, subject) in DAMAGES.items():
        await damage(scene)
        damaged = await world.contents()
        report = await audit(world.ledger)
        whose = subject.format(
            **{state: f"generation {getattr(scene, state)}" for state in ("running", "waiting", "ended")}
        )
        found = [one for one in report.differences if one.kind is kind and whose in one.subject]
        assert found, f"{name}: {text(report)}"
        assert all(one.expected != one.found and one.fix for one in found), name
        assert await world.contents() == damaged, "an audit changes nothing"
        for key in {key for key in intact | damaged if intact.get(key) != damaged.get(key)}:
            await world.redis.delete(key)
            if key in intact:
                expires_at = max(intact[key].expires_at, 0)
                await world.redis.restore(key, expires_at, dumps[key], absttl=True)
        assert await world.contents() == intact, name


async def test_a_broken_journal_is_named_once_also_between_two_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.holds = False
    scene = await set_scene(world)
    monkeypatch.setattr(audited_journals, "ENTRIES_AT_ONCE", 3)
    await world.redis.lrem(scene.journal, 1, await world.redis.lindex(scene.journal, 3))
    (found,) = (await audit(world.ledger)).differences
    newest = int(await world.redis.hget(scene.account, "entries"))
    assert found.subject == f"account ann, entry {newest - 2}"
    assert (found.expected, found.found) == (f"entry {newest - 3} before it", f"entry {newest - 4}")


async def test_other_programs_keys_on_the_same_server_are_ignored(world: World) -> None:
    """One whose name is no UTF-8, as other programs have them, ended every audit with a traceback."""
    world.holds = False
    await set_scene(world)
    for name in (b"\xac\xed\x00\x05t\x00\x03session", "arq:queue:image", "fbx"):
        await world.redis.set(name, "1")
    report = await audit(world.ledger)
    assert report.clean, text(report)
    await world.redis.set(b"{fb00}:account:\xff", "1")
    (found,) = (await audit(world.ledger)).differences
    assert (found.kind, found.subject) == (DifferenceKind.ORPHAN, r"key {fb00}:account:\xff")


async def test_a_ruined_ledger_is_counted_and_its_report_stays_small(world: World) -> None:
    world.holds = False
    partition = partition_of_account("ann", PARTITIONS)
    missing = [generation_id(partition) for _ in range(DIFFERENCES_MAX + 1)]
    await world.redis.zadd(keys.deadlines(partition), dict.fromkeys(missing, 1))
    report = await audit(world.ledger)
    assert report.counted == {DifferenceKind.DEADLINE: DIFFERENCES_MAX + 1}
    assert len(report.differences) == DIFFERENCES_MAX


async def test_the_result_is_kept_for_who_watches(world: World) -> None:
    world.holds = False
    assert await last_audit(world.ledger) is None
    scene = await set_scene(world)
    await remember(world.ledger, await audit(world.ledger))
    kept = await last_audit(world.ledger)
    assert kept is not None
    assert (kept.accounts, kept.generations, kept.differences, kept.texts) == (1, 5, 0, ())
    await world.redis.zrem(scene.deadlines, scene.running)
    report = await audit(world.ledger)
    kept = await remember(world.ledger, report)
    assert await last_audit(world.ledger) == kept
    assert kept.differences == report.difference_count == len(kept.texts) == 1
    assert kept.texts[0].startswith(f"generation {scene.running}: deadline: expected one deadline, found none. ")
    assert "lighthouse" not in str(kept), "a prompt is nobody's business"


async def test_a_redis_without_a_ledger_is_not_proved_and_stays_empty(world: World) -> None:
    await world.redis.flushall()
    world.holds = False
    with pytest.raises(LedgerBroken, match="no ledger here"):
        await audit(world.ledger)
    assert await world.contents() == {}


async def test_a_ledger_of_other_partitions_is_not_judged(world: World) -> None:
    with pytest.raises(LedgerBroken, match="4 partitions"):
        await audit(Ledger(world.redis, partitions=64))


def test_every_key_that_is_spelled_has_a_kind() -> None:
    functions = {name: value for name, value in vars(keys).items() if callable(value) and name != "tag"}
    spelled = {
        name for name, value in functions.items() if getattr(value, "__annotations__", {}).get("return") == "str"
    }
    alone = {name.lower() for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    assert {kind.name for kind in keyspace.KINDS} == spelled | alone


async def test_a_generation_that_its_member_does_not_list_is_named(world: World) -> None:
    await world.account()
    member, partition = member_id(), partition_of_account("ann", PARTITIONS)
    await world.ledger.add_member(account="ann", member=member, name="Ann")
    await world.ledger.add_key(key="fbx_hers", scope=Scope.ACCOUNT, account="ann", label=None, member=member)
    made = await world.spend(key=key_id_of("fbx_hers"))
    assert (await audit(world.ledger)).clean
    await world.redis.zrem(keys.made_by(partition, "ann", member), made)
    (difference,) = (await audit(world.ledger)).differences
    assert (difference.kind, difference.subject) == (DifferenceKind.RECENT, f"generation {made}")
    world.holds = False


PARTITION = keys.tag(partition_of_account("ann", PARTITIONS))


async def days_ago(world: World, days: int) -> None:
    """As if all that ann has done was done so many days before."""
    await age_journal(world, days * DAY)
    names = [name for name in await world.contents() if ":margin:" in name and PARTITION in name]
    for name in sorted(names):
        place, _, day = name.rpartition(":")
        await world.redis.rename(name, f"{place}:{date.fromisoformat(day) - timedelta(days)}")


async def wrong_margins(world: World) -> list[tuple[str, str, str]]:
    found = (await audit(world.ledger)).differences
    return [(one.subject, one.expected, one.found) for one in found if one.kind is DifferenceKind.MARGIN]


async def test_what_was_earned_on_days_that_are_over_is_compared_with_the_journals(world: World) -> None:
    world.holds = False  # the generations' own entries are not aged
    first = f"{moment(await world.now() - 20 * DAY):%Y-%m-%d}"
    await world.redis.hset(keys.margin(0, first), "flux|sandbox|t|0", "5")  # maybe an upgrade: it is not compared
    await world.account("ann", top_up=10**9)
    await world.finish(await world.spend(120_000))  # of two buckets
    await world.fail(await world.spend(7_000))
    wrong = await world.spend(9_000)
    await world.finish(wrong)
    await world.ledger.adjust_generation(generation=wrong, operation=operation_id(), reason="blurred")
    await days_ago(world, 3)
    await world.finish(await world.spend(1_000))  # today, which is not over
    assert await wrong_margins(world) == []
    key = min(name for name in await world.contents() if ":margin:" in name and PARTITION in name)
    (row,) = [name for name in await world.redis.hkeys(key) if name.count(b"|") == 3 and b"|t|" in name]
    await world.redis.hincrby(key, row, 2_000)
    of_the_day = f"margin of {key.rpartition(':')[2]} in partition {PARTITION[3:5]}, bucket"
    assert await wrong_margins(world) == [(f"{of_the_day} top_up", "20 earned by the journals", "22")]
    await world.redis.delete(key)
    assert [found for _, _, found in await wrong_margins(world)] == ["0", "0"]
    await world.redis.hset(key, "flux|sandbox|t|0", "five")
    unreadable = [one for one in (await audit(world.ledger)).differences if one.kind is DifferenceKind.UNREADABLE]
    assert [one.subject for one in unreadable] == [f"margin of partition {PARTITION[3:5]}"]
    await world.redis.hset(keys.policy(0), "keep:journal_least", "0")  # as in a ledger that was rebuilt
    assert await wrong_margins(world) == []


async def test_a_key_that_a_scan_returns_twice_is_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """SCAN may, while Redis's table grows."""
    world.holds = False
    for _ in range(2):
        await world.account(top_up=10**9)
        await world.finish(await world.spend(120_000))
        await days_ago(world, 3)

    async def twice(*words: Any) -> AsyncIterator[list[str]]:
        async for names in scanning.scan(*words):
            yield names + names

    monkeypatch.setattr(walk, "scan", twice)
    assert await wrong_margins(world) == []
