"""Calls that are enough for a batch reach Redis before the turn of the event loop in which they were made has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from gateway.redis_link.calls import Calls
from gateway.redis_link.connections import connect_ledger
from gateway.redis_link.open_connections import abandon, close_idle
from gateway.redis_link.scripts import ScriptFolder
from tests.redis_servers import RedisServer

MANY = 12
PATIENCE_SECONDS = 30  # nothing here takes so long: it only ends a test that would hang


class Replicas:
    """Says when a batch may be sent, and that it is confirmed."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.confirmed = 0

    async def ready(self) -> int:
        await self.may.wait()
        return 0

    async def confirm(self, _: int, servers: AbstractSet[str | None]) -> None:
        self.confirmed += len(servers)

    async def abandon(self) -> None: ...


@pytest.fixture
def other(single_server: RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    """Another client of the server, which looks without giving the event loop a turn."""
    del redis_url  # the server, empty
    with single_server.client() as client:
        yield client


@asynccontextmanager
async def calls_to(url: str, *, idle: int = 1, **options: Any) -> AsyncIterator[tuple[Calls, Redis]]:
    """Calls to a server, with some connections that are open."""
    client = connect_ledger(url)
    assert isinstance(client, Redis)
    opened = [await client.connection_pool.get_connection() for _ in range(idle)]
    for connection in opened:
        await client.connection_pool.release(connection)
    yield Calls(client, ScriptFolder("gateway.ledger"), lambda error, _: error, **options), client
    await client.aclose()


def count_of(other: redis.Redis) -> int:
    found: Any = other.get("count")
    return int(found or 0)


def until(other: redis.Redis, count: int) -> None:
    """Wait until the server has counted so far, without giving the event loop a turn."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while count_of(other) < count:
        assert time.monotonic() < give_up_at, f"{count_of(other)} of {count} are there"


async def replies(*answers: asyncio.Future[Any]) -> list[Any]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.gather(*answers)


async def test_enough_calls_are_there_before_their_turn_ends(redis_url: str, other: redis.Redis) -> None:
    async with calls_to(redis_url) as (calls, _):
        answers = [calls.command("INCR", "count") for _ in range(MANY)]
        until(other, 8)
        assert await replies(*answers) == list(range(1, MANY + 1))
        assert count_of(other) == MANY


async def test_what_must_run_in_order_is_never_parted(redis_url: str, other: redis.Redis) -> None:
    """A job is written before its queue entry, and a hash deleted before it is set, in one batch however long it is."""
    async with calls_to(redis_url, idle=4) as (calls, _):
        before = [calls.command("INCR", "count") for _ in range(7)]
        answers = calls.commands(("INCR", "count") for _ in range(3 * MANY))
        until(other, 7 + 3 * MANY)
        assert await replies(*before, *answers) == list(range(1, 7 + 3 * MANY + 1))


async def test_a_script_that_the_server_does_not_know_is_sent_again(redis_url: str, other: redis.Redis) -> None:
    other.script_flush()
    async with calls_to(redis_url) as (calls, _):
        answers = await replies(*(calls.run("time", "policy") for _ in range(8)))
        assert [answer[0] for answer in answers] == [b"time"] * 8


async def test_what_is_lost_on_its_way_is_sent_again(redis_url: str, other: redis.Redis) -> None:
    """As redis-py does it for every call: what the caller made an id for has its first result."""
    async with calls_to(redis_url) as (calls, client):
        answers = [calls.command("INCR", "count") for _ in range(8)]
        until(other, 8)
        await abandon(client.connection_pool)
        assert await replies(*answers) == list(range(9, 17))


@pytest.mark.parametrize("lost", ["killed", "closed"])
async def test_a_connection_that_was_lost_loses_nothing(redis_url: str, other: redis.Redis, lost: str) -> None:
    async with calls_to(redis_url) as (calls, client):
        if lost == "killed":
            other.client_kill_filter(_type="normal", skipme=True)
        else:
            await close_idle(client.connection_pool)
        answers = [calls.command("INCR", "count") for _ in range(MANY)]
        assert sorted(await replies(*answers)) == list(range(1, MANY + 1))


async def test_no_more_than_four_such_batches_are_in_flight(redis_url: str, other: redis.Redis) -> None:
    async with calls_to(redis_url, idle=9) as (calls, _):
        answers = [calls.command("INCR", "count") for _ in range(8 * 6)]
        until(other, 8 * 4)
        assert count_of(other) == 8 * 4
        assert sorted(await replies(*answers)) == list(range(1, 8 * 6 + 1))


async def test_where_replicas_confirm_nothing_is_written_before_they_may(redis_url: str, other: redis.Redis) -> None:
    replicas = Replicas()
    async with calls_to(redis_url, confirming=lambda *_: replicas) as (calls, _):
        answers = [calls.command("INCR", "count") for _ in range(MANY)]
        for _ in range(MANY):
            await asyncio.sleep(0)
        assert count_of(other) == 0
        replicas.may.set()
        assert await replies(*answers) == list(range(1, MANY + 1))
        assert replicas.confirmed == 1
