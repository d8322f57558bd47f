"""`client_call`: what makes a client's own retry the same call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.domain import partition_of_account
from gateway.ledger import client_calls, keys
from gateway.ledger.client_calls import ClientCall, ClientCalls
from tests.ledger.world import World
from tests.until import until

SECONDS = 600
CALL = ClientCall("ann", "a" * 64, SECONDS)
OTHER = ClientCall("ann", "b" * 64, SECONDS)


@pytest.fixture
def calls(world: World) -> ClientCalls:
    return ClientCalls(world.ledger)


async def remembered(world: World) -> list[str]:
    return [one.decode() for one in await world.redis.lrange(key(world), 0, -1)]


def key(world: World) -> str:
    return keys.client_call(partition_of_account(CALL.account, world.ledger.partitions), CALL.account, CALL.digest)


async def test_a_retry_is_the_call_before_it_however_often_it_comes(calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 0)
    assert [await calls.key_of(CALL, retries) for retries in (1, 2, 3)] == [made] * 3


async def test_a_client_that_does_not_count_says_one_of_each_retry(calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 0)
    assert {await calls.key_of(CALL, 1) for _ in range(5)} == {made}


async def test_two_equal_calls_are_two(calls: ClientCalls) -> None:
    assert await calls.key_of(CALL, 0) != await calls.key_of(CALL, 0)


async def test_a_retry_of_what_never_arrived_is_a_call_and_its_retry_finds_it(calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 1)
    assert await calls.key_of(CALL, 2) == made
    assert await calls.key_of(OTHER, 1) != made


async def test_of_calls_side_by_side_each_retry_is_another(calls: ClientCalls) -> None:
    made = {await calls.key_of(CALL, 0) for _ in range(4)}
    for retries in (1, 2):
        assert set(await asyncio.gather(*(calls.key_of(CALL, retries) for _ in range(4)))) == made


async def test_a_second_retry_is_its_own_call_and_not_one_that_was_left_before(calls: ClientCalls) -> None:
    """Whoever gave up left a call without a response; by turns, a second retry would have been that one's."""
    await calls.key_of(CALL, 0)
    made = await calls.key_of(CALL, 0)
    assert [await calls.key_of(CALL, retries) for retries in (1, 2, 3)] == [made] * 3


async def test_a_retry_is_none_of_the_calls_that_still_wait(calls: ClientCalls) -> None:
    first, second = [await calls.key_of(CALL, 0) for _ in range(2)]
    assert await calls.key_of(CALL, 1, waiting=[second]) == first
    assert await calls.key_of(CALL, 1, waiting=[first, second]) not in {first, second}


async def test_a_retry_is_rather_of_a_call_whose_connection_broke(calls: ClientCalls) -> None:
    """Cut off, the older of two equal calls got the other's result, and its own was paid for and lost."""
    first, second = [await calls.key_of(CALL, 0) for _ in range(2)]
    assert await calls.key_of(CALL, 1, connected=[second]) == first
    assert await calls.key_of(CALL, 1, connected=[first, second]) == second


async def test_a_call_refused_for_now_is_its_own_retry(calls: ClientCalls) -> None:
    """Told to come again, a call got the result of an equal one that had its response, or still waited for it."""
    answered, waits, refused = [await calls.key_of(CALL, 0) for _ in range(3)]
    await calls.answered(CALL, answered)
    await calls.refused(CALL, refused)
    assert await calls.key_of(CALL, 1, connected=[waits]) == refused
    await calls.refused(CALL, refused)
    assert await calls.key_of(CALL, 2, connected=[waits]) == refused


async def test_a_refused_call_that_is_not_retried_is_no_other_calls_retry(world: World, calls: ClientCalls) -> None:
    answered, gave_up = [await calls.key_of(CALL, 0) for _ in range(2)]
    await calls.answered(CALL, answered)
    await calls.refused(CALL, gave_up)
    assert await calls.key_of(CALL, 2) == answered, "it was not retried once"
    for entry in await remembered(world):
        if gave_up in entry:
            name, _, at = entry.rpartition(" ")
            await world.redis.lset(key(world), 0, f"{name} {int(at) - 150_001}")
    assert await calls.key_of(CALL, 1) == answered, "no client waits for that long"


async def test_a_call_is_kept_for_longer_and_never_shorter(world: World, calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 0)
    await world.redis.expire(key(world), SECONDS // 2)
    await calls.kept(CALL, made)
    assert SECONDS // 2 < await world.redis.ttl(key(world)) <= SECONDS
    await calls.kept(replace(CALL, seconds=60), made)
    assert SECONDS // 2 < await world.redis.ttl(key(world)) <= SECONDS
    assert await remembered(world) == [f"-0 {made}"]


async def test_a_refused_call_has_no_retries(world: World, calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 0)
    await calls.forgotten(CALL, made)
    assert await remembered(world) == []
    assert await calls.key_of(CALL, 1) != made


async def test_an_answered_call_is_retried_only_if_no_other_waits_for_its_response(calls: ClientCalls) -> None:
    first, second = [await calls.key_of(CALL, 0) for _ in range(2)]
    await calls.answered(CALL, first)
    assert [await calls.key_of(CALL, retries) for retries in (1, 2)] == [second] * 2
    await calls.answered(CALL, second)
    assert [await calls.key_of(CALL, retries) for retries in (1, 2)] == [second] * 2, "its response may be lost"
    third = await calls.key_of(CALL, 0)
    assert await calls.key_of(CALL, 1) == third


async def test_a_retry_at_a_gateway_that_was_started_since_is_of_a_call_that_found_none(
    world: World, calls: ClientCalls
) -> None:
    """A restart kept the first request of a call out: its retry got the result of an equal call before it."""
    made = await calls.key_of(CALL, 0)
    await calls.answered(CALL, made)
    assert await calls.key_of(CALL, 1) == made
    answered_at = int((await remembered(world))[0].rpartition(" ")[2])

    async def is_over() -> bool:  # the millisecond in which it was
        return await world.redis_now() > answered_at + 1

    await until(is_over)
    assert await ClientCalls(world.ledger).key_of(CALL, 1) != made


async def test_what_an_earlier_version_noted_of_a_response_is_read(world: World, calls: ClientCalls) -> None:
    await world.redis.lpush(key(world), "=1 old")
    assert await calls.key_of(CALL, 2) != "old"


async def test_noting_twice_has_the_effect_of_once(world: World, calls: ClientCalls) -> None:
    made = await calls.key_of(CALL, 0)
    for _ in range(2):
        await calls.answered(CALL, made)
        assert [one.rpartition(" ")[0] for one in await remembered(world)] == [f"=0 {made}"]
    for _ in range(2):
        await calls.forgotten(CALL, made)
        assert await remembered(world) == []


async def test_a_script_that_is_sent_again_begins_one_call(world: World) -> None:
    for _ in range(2):
        await world.ledger.run(
            "client_call",
            key(world),
            what="call",
            key="k",
            retries=0,
            seconds=SECONDS,
            calls_max=100,
            waiting="",
            connected="",
            up_ms=0,
        )
    assert await remembered(world) == ["-0 k"]


async def test_no_more_calls_are_remembered_than_the_limit_and_none_for_ever(world: World, calls: ClientCalls) -> None:
    made = [await calls.key_of(CALL, 0) for _ in range(client_calls.CALLS_MAX + 5)]
    assert await remembered(world) == [f"-0 {one}" for one in reversed(made[5:])]
    assert 0 < await world.redis.ttl(key(world)) <= SECONDS
