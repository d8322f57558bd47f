"""How often a poll of a generation goes to Redis: once, with everything that may be asked before it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.api import services
from gateway.api.handlers import generations
from gateway.ledger import keys
from gateway.queue.keys import queue_key
from gateway.redis_link import batches
from gateway.redis_link.batches import Command
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.until import until

PER_MINUTE = 5000
Trips = list[set[str]]


@pytest.fixture
async def limited(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway that counts the requests of each key."""
    async with open_gateway(redis_url, tmp_path, requests_per_minute=PER_MINUTE) as visitor:
        yield visitor


async def polled(gateway: Visitor, key: str, generation: str) -> tuple[Reply, Trips]:
    """The answer, and what was asked of Redis for it, by round trip; what goes on beside it is left out."""
    ledger, trips = gateway.ledger, Trips()
    names = {
        keys.rate(""): "rate limit",
        f"HMGET {ledger.generation_key(generation)}": "generation",
        f"HGET {ledger.account_key('acme')} keys_version": "keys",
        f"HGET {ledger.account_key('acme')} pause": "pause",
        f"ZRANK {queue_key('image')}": "position",
    }
    packed = batches._packed  # noqa: SLF001 - every batch passes it, whoever writes it

    def noted(commands: Sequence[Command]) -> bytes:
        texts = [" ".join(map(str, command)) for command in commands]
        if found := {word for part, word in names.items() if any(part in text for text in texts)}:
            trips.append(found)
        return packed(commands)

    with patch.object(batches, "_packed", noted):
        reply = await gateway.call("GET", f"/v1/generations/{generation}", key)
    return reply, trips


async def test_a_poll_of_a_queued_generation_takes_one_round_trip(limited: Visitor) -> None:
    """It took four, one after the other: the rate limit, the generation, what is paused, its place in the queue."""
    key = await limited.account()
    generation = await limited.made(key)

    async def is_first() -> bool:
        body = (await limited.call("GET", f"/v1/generations/{generation}", key)).body
        return bool(body["queue_position"] == 0)

    await until(is_first)  # it is dispatched in the background
    limited.app[services.PAUSE_BOARD].forget()
    reply, trips = await polled(limited, key, generation)
    assert trips == [{"rate limit", "generation", "keys", "pause", "position"}]
    assert (reply.status, reply.body["status"], reply.body["queue_position"]) == (200, "queued", 0)
    assert int(reply.headers["RateLimit-Remaining"]) < PER_MINUTE


async def test_a_poll_of_an_ended_generation_takes_one_round_trip(limited: Visitor) -> None:
    key = await limited.account()
    generation = await limited.finished(key)
    assert (await limited.call("GET", f"/v1/generations/{generation}", key)).status == 200
    reply, trips = await polled(limited, key, generation)
    assert (reply.status, trips) == (200, [{"rate limit", "generation", "keys"}])


async def test_what_was_asked_for_a_generation_as_it_was_is_not_shown_for_it_as_it_is(gateway: Visitor) -> None:
    """Its place in the queue was asked together with whether it has changed."""
    key = await gateway.account()
    generation = await gateway.made(key)
    assert (await gateway.call("GET", f"/v1/generations/{generation}", key)).body["status"] == "queued"
    await gateway.begin(generation)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert (body["status"], body.get("queue_position")) == ("running", None)


async def test_a_poll_over_the_limit_is_refused_whatever_it_has_read(redis_url: str, tmp_path: Path) -> None:
    """Its reads go with the count of it, but nothing of them is answered, and it waits for nothing."""
    async with open_gateway(redis_url, tmp_path, requests_per_minute=2) as gateway:
        key, unknown = await gateway.account(), f"gen_00{'a' * 24}"
        generation = await gateway.made(key)
        assert (await gateway.call("GET", f"/v1/generations/{generation}", key)).status == 200
        with patch.object(generations, "changed", side_effect=AssertionError("it waits")):
            for name in (generation, unknown):
                for headers in ({}, {"Prefer": "wait=30"}):
                    refused = await gateway.call("GET", f"/v1/generations/{name}", key, headers=headers)
                    assert (refused.status, refused.code) == (429, "rate_limited")
                    assert refused.headers["RateLimit-Remaining"] == "0"
