"""`find`: what operators look for, over all partitions, within a bounded number of reads."""

from __future__ import annotations

import pytest

from gateway.domain import FailureCode, State
from gateway.ledger import keys
from gateway.ledger.finding import READ_AT_ONCE, FoundGeneration, GenerationFilter, Kind
from tests.ledger.world import DAY, MINUTE, TERMS, World

ALL = GenerationFilter()


async def ids(world: World, kind: Kind, only: GenerationFilter = ALL) -> set[str]:
    finds = await world.ledger.find(kind=kind, only=only)
    assert finds.complete
    return {one.id for one in finds.data}


async def one(world: World, generation: str) -> FoundGeneration:
    finds = await world.ledger.find(kind=Kind.OPEN, only=ALL)
    return next(each for each in finds.data if each.id == generation)


@pytest.mark.cluster
async def test_open_failed_and_charged_ones_are_found_in_all_partitions(world: World) -> None:
    await world.account("bob")
    for account in ("ann", "bob"):
        await world.grant(account, 1_000_000)
    failed = {(await world.fail(await world.spend(1_000, account))).generation.id for account in ("ann", "bob")}
    charged = await world.spend(1_000, "bob")
    await world.finish(charged)
    free = await world.spend(0, "bob")
    await world.finish(free)
    await world.ledger.cancel(generation=await world.spend(1_000, "bob"))
    kept = {await world.spend(1_000, account) for account in ("ann", "bob")} | {await world.parked(1_000)}
    assert await ids(world, Kind.OPEN) == kept
    assert await ids(world, Kind.FAILED) == failed
    assert await ids(world, Kind.CHARGED) == {charged}
    assert await ids(world, Kind.CHARGED, GenerationFilter(account="ann")) == set()
    assert await ids(world, Kind.CHARGED, GenerationFilter(account="bob")) == {charged}
    assert len(await ids(world, Kind.FAILED, GenerationFilter(account="bob"))) == 1


async def test_every_filter_counts(world: World) -> None:
    await world.grant(amount=1_000_000)
    image = await world.spend(1_000)
    video = await world.running(1_000, tool="video", model="wan", provider="fal")
    waiting = await world.spend(1_000, tool="video", model="wan", provider="fal")
    made = (await world.generation(video)).created_at
    for only, wanted in (
        (GenerationFilter(tool="image"), {image}),
        (GenerationFilter(model="wan"), {video, waiting}),
        (GenerationFilter(provider="fal", state=State.RUNNING), {video}),
        (GenerationFilter(state=State.WAITING), {waiting}),
        (GenerationFilter(account="bob"), set()),
        (GenerationFilter(code=FailureCode.PROVIDER_FAILED), set()),
        (GenerationFilter(created_before=(await world.generation(image)).created_at), set()),
        (GenerationFilter(created_after=made, tool="video"), {video, waiting}),
    ):
        assert await ids(world, Kind.OPEN, only) == wanted, only
    await world.settle(video, FailureCode.MODERATED)
    assert await ids(world, Kind.FAILED, GenerationFilter(code=FailureCode.MODERATED)) == {video}
    assert await ids(world, Kind.FAILED, GenerationFilter(code=FailureCode.INTERNAL)) == set()


async def test_it_says_when_it_is_given_up(world: World) -> None:
    await world.grant(amount=1_000_000)
    running = await world.noted(1_000)
    queued, waiting = [await world.spend(1_000) for _ in range(2)]
    found = await one(world, running)
    fields = await world.fields(running)
    assert (found.gives_up_at, found.deadline, found.provider_ref, found.attempt) == (
        int(fields["give_up_at"]), int(fields["lease_until"]), "job-7", 1,
    )  # fmt: skip
    assert (await one(world, queued)).gives_up_at == int((await world.fields(queued))["queued_at"]) + (
        TERMS.queue_timeout_ms
    )
    assert (await one(world, waiting)).gives_up_at == await world.due(waiting)
    await world.ledger.wait_for_slot(generation=queued, attempt=1)
    found = await one(world, queued)
    assert (found.gives_up_at, found.waits_for_slot) == (None, True), "its time in the queue does not run"


async def test_long_sets_are_read_in_parts_and_given_up_on_when_they_are_too_long(world: World) -> None:
    await world.grant(amount=1_000_000)
    kept = await world.spend(1_000)
    partition = int(kept[4:6], 16)
    failed = [(await world.fail(await world.spend(1_000))).generation.id for _ in range(3)]
    now = await world.now()
    gone = {f"gen_{number}": now + MINUTE for number in range(3 * READ_AT_ONCE)}
    await world.redis.zadd(keys.deadlines(partition), gone)
    await world.redis.zadd(keys.failed(partition), gone)
    assert await ids(world, Kind.OPEN) == {kept}
    assert await ids(world, Kind.FAILED) == set(failed)
    finds = await world.ledger.find(kind=Kind.FAILED, only=ALL, examine=READ_AT_ONCE)
    assert (finds.complete, finds.data) == (False, ())
    await world.redis.zremrangebyscore(keys.deadlines(partition), now + MINUTE, now + MINUTE)
    await world.redis.delete(keys.failed(partition))


async def test_ended_ones_are_read_until_there_are_enough(world: World) -> None:
    await world.grant(amount=1_000_000)
    partition = int((await world.spend(1_000))[4:6], 16)
    newest = (await world.fail(await world.spend(1_000))).generation.id
    now = await world.now()
    await world.redis.zadd(keys.failed(partition), {f"gen_{number}": now - MINUTE for number in range(READ_AT_ONCE)})
    finds = await world.ledger.find(kind=Kind.FAILED, only=ALL, enough=1)
    assert ([each.id for each in finds.data], finds.examined, finds.complete) == ([newest], READ_AT_ONCE, True)


async def test_the_list_of_failed_ones_is_bounded(world: World) -> None:
    partition = int((await world.spend(1_000))[4:6], 16)
    now = await world.now()
    await world.redis.zadd(keys.failed(partition), {f"gen_{number}": now - number for number in range(1, 2_100)})
    newest = (await world.fail(await world.spend(1_000))).generation.id
    assert await world.redis.zcard(keys.failed(partition)) == 2_000
    assert await world.redis.zrevrank(keys.failed(partition), newest) == 0


async def test_what_failed_a_month_ago_is_not_listed_any_more(world: World) -> None:
    """It left the list only when 2,000 newer ones came: the list outlived the records by months."""
    partition = int((await world.spend(1_000))[4:6], 16)
    now = await world.now()
    old = {"gen_kept": now - 29 * DAY, **{f"gen_{number}": now - 31 * DAY for number in range(3)}}
    await world.redis.zadd(keys.failed(partition), old)
    failed = (await world.fail(await world.spend(1_000))).generation.id
    assert {one.decode() for one in await world.redis.zrange(keys.failed(partition), 0, -1)} == {failed, "gen_kept"}
