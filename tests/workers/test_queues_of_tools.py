"""A tool whose jobs have a Redis of their own (`FAREBOX_QUEUE_URL_<TOOL>`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.domain import State
from gateway.errors import QueueUnavailable, SettingsError
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.heartbeats import alive, caretaker_seen, worker_seen
from gateway.queue.keys import queue_key
from gateway.queue.messages import ChangeNotice, SubscriptionState
from gateway.queue.queue import Queue
from gateway.queue.servers import QueueServers
from gateway.queue.workforce import Workforce
from gateway.settings import Settings, load_settings
from gateway.startup.misspelt import misspelt
from tests.api.visitor import open_gateway
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import Stage, dispatch_of

TOOLS = ["image", "talking-head"]


@pytest.fixture
async def queue(redis_url: str, own_redis: RedisServer) -> AsyncIterator[Queue]:
    """Where talking heads have a Redis of their own."""
    queue = Queue(QueueServers.connect(redis_url, {"TALKING_HEAD": own_redis.url}))
    yield queue
    await queue.aclose()


async def test_a_tools_jobs_are_on_its_own_redis_and_all_is_found_there(stage: Stage, queue: Queue) -> None:
    its_own = queue.servers.of("talking-head")
    image = dispatch_of(await stage.reserve())
    head = replace(image, tool="talking-head", generation=image.generation[:-4] + "aaaa")
    async with Dispatcher(ledger=stage.ledger, queue=queue) as dispatcher:
        dispatcher.dispatch([image, head])
    assert [await server.zcard(queue_key("talking-head")) for server in (its_own, queue.redis)] == [1, 0]
    assert [await server.zcard(queue_key("image")) for server in (its_own, queue.redis)] == [0, 1]
    assert [depth.queued for depth in await queue.depths(TOOLS)] == [1, 1]

    await worker_seen(queue.redis, "image", "a")
    await worker_seen(its_own, "talking-head", "b", ["fal"])
    await caretaker_seen(queue.redis, "c")
    found = await alive(queue.servers, TOOLS)
    assert (found.workers, found.caretakers) == ({"image": 1, "talking-head": 1}, 1)
    assert found.callable_providers == {"talking-head": {"fal"}}

    (claimed,) = await queue.claim("talking-head", limit=9, claim_ms=60_000)
    assert [await queue.position(tool, claimed.id) for tool in ("talking-head", "image")] == [0, None]
    await queue.reroute("talking-head", "fal", claimed.id)
    assert await queue.rerouted_position("talking-head", "fal", claimed.id) == 0
    assert await queue.claim("talking-head", limit=9, claim_ms=60_000, providers=["fal"]) == [claimed]
    await queue.take_out("talking-head", claimed.id, provider="fal", waited_ms=5)
    assert [sum(waits.values()) for waits in (await queue.waits(TOOLS)).values()] == [0, 1]
    assert not await its_own.exists(queue_key("talking-head"))


async def test_while_it_is_away_other_tools_are_dispatched_and_a_caretaker_queues_the_rest(
    stage: Stage, queue: Queue, own_redis: RedisServer
) -> None:
    image = dispatch_of(await stage.reserve())
    head = replace(image, tool="talking-head")
    own_redis.kill()
    async with Dispatcher(ledger=stage.ledger, queue=queue) as dispatcher, aclosing(queue.change_notices()) as notices:
        assert await anext(notices) is SubscriptionState.MADE
        dispatcher.dispatch([head, image], [ChangeNotice("acme", head.generation, 1)])
        assert await anext(notices) == ChangeNotice("acme", head.generation, 1)

        async def queued() -> bool:
            return bool(await queue.redis.zcard(queue_key("image")))

        await until(queued)
    assert await queue.servers.problems() == [
        "the Redis of FAREBOX_QUEUE_URL_TALKING_HEAD is not responding: work is accepted and starts when it is back"
    ]


async def test_while_it_is_away_the_other_tools_are_watched_as_ever(queue: Queue, own_redis: RedisServer) -> None:
    """Of no tool was it known whether it had workers, and the metrics and samples of all queues were missing."""
    card: Any = SimpleNamespace(models={tool: SimpleNamespace(tool=tool, offers={"fal": None}) for tool in TOOLS})
    workforce = Workforce(queue, lambda: card, accept_seconds=0, clock=iter(range(0, 9000, 100)).__next__)
    await worker_seen(queue.servers.of("talking-head"), "talking-head", "b", ["fal"])
    own_redis.kill()
    assert [depth.tool for depth in await queue.depths(TOOLS)] == ["image"]
    await queue.redis.zadd(queue_key("image"), {"a": 1})
    assert await queue.position("image", "a") == 0
    for asked in (queue.depths(["talking-head"]), queue.position("talking-head", "b")):
        with pytest.raises(QueueUnavailable):
            await asked
    with pytest.raises(QueueUnavailable):
        await queue.callable_providers("talking-head")
    await workforce.check()
    assert [one.tool or "caretaker" for one in workforce.missing] == ["caretaker", "image"]
    assert not workforce.takes("image", ["fal"])
    assert workforce.takes("talking-head", ["fal"])


async def test_workers_and_caretakers_find_its_jobs_there(stage: Stage, own_redis: RedisServer) -> None:
    """The caretaker queues what nobody dispatched; the worker, told to, takes it from the tool's own Redis."""
    generation = (await stage.reserve()).generation.id
    where = {"FAREBOX_QUEUE_URL_IMAGE": own_redis.url}
    stage.caretaker(**where)
    stage.worker(**where)
    assert (await stage.ended(generation)).state is State.SUCCEEDED
    with own_redis.client() as client:
        assert client.exists("farebox:workers:image")
    assert not await stage.queue.redis.exists("farebox:workers:image", queue_key("image"))


def test_a_wrong_address_names_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAREBOX_QUEUE_URL_VIDEO", "redis+cluster://localhost:7000")
    with pytest.raises(SettingsError, match=r"FAREBOX_QUEUE_URL_VIDEO: must start with one of redis"):
        load_settings(data=tmp_path)


def test_children_of_up_get_them_and_unknown_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_QUEUE_URL_VIDEO_2", "redis://elsewhere")
    settings = load_settings(queue_url="redis://here")
    assert settings.queue_urls == {"VIDEO_2": "redis://elsewhere"}
    assert Settings(queue_urls={"A": "redis://a"}).environment()["FAREBOX_QUEUE_URL_A"] == "redis://a"
    assert "FAREBOX_QUEUE_URLS" not in settings.environment()
    assert settings.queues_without_a_tool(["video-2"]) == []
    assert settings.queues_without_a_tool(["video"]) == ["FAREBOX_QUEUE_URL_VIDEO_2"]
    assert misspelt({"FAREBOX_QUEUE_URL_VIDEO_2": ""}) == {}


async def test_readyz_names_a_variable_without_a_tool(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, queue_urls={"VIDOE": redis_url}) as gateway:
        problems = (await gateway.call("GET", "/readyz")).body["problems"]
        assert "FAREBOX_QUEUE_URL_VIDOE belongs to no tool of the rate card: rename it, or unset it" in problems
