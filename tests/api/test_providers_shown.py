"""A provider's slots and its line, as callers and operators see them; and who cancels in the line leaves it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.ledger import outcomes
from gateway.queue.jobs import job_id
from gateway.queue.keys import provider_key, queue_key
from gateway.queue.slots import Limits, Slots
from tests.api.test_support_commands import as_json, run
from tests.api.visitor import CARD, Visitor, open_gateway, open_stream
from tests.until import until

PROVIDERS = """
[providers.box]
kind = "http"
base_url = "http://127.0.0.1:9"
max_in_work = 1
[providers.studio]
kind = "openai"
open_after = 1
requests_per_minute = 1
"""


@dataclass
class Scene:
    gateway: Visitor
    key: str

    @property
    def slots(self) -> Slots:
        return self.gateway.app[services.SLOTS]

    async def made(self) -> str:
        """A generation that a worker has picked up."""
        generation = await self.gateway.made(self.key, model="remote")
        await self.queued(job_id(generation, 1))
        await self.gateway.app[services.QUEUE].take_out("image", job_id(generation, 1))
        return generation

    async def waiting_for_slot(self) -> str:
        """A generation that found no room."""
        generation = await self.made()
        assert not (await self.slots.acquire("box", Limits(1), generation)).acquired
        outcome = await self.gateway.ledger.wait_for_slot(generation=generation, attempt=1)
        assert isinstance(outcome, outcomes.WaitingForSlot)
        assert await self.slots.enqueue("box", Limits(1), outcome.dispatch) == []
        return generation

    async def queued(self, job: str) -> None:
        """Return when a job is in the queue."""
        redis = self.gateway.app[services.QUEUE].redis

        async def is_queued() -> bool:
            return await redis.zscore(queue_key("image"), job) is not None

        await until(is_queued)

    async def providers(self) -> dict[str, Any]:
        shown = (await self.gateway.call("GET", "/v1/ops/queues", self.gateway.admin)).body["providers"]
        return {one.pop("name"): one for one in shown}


@pytest.fixture
async def scene(redis_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    head, remote = CARD.read_text().split("[models.remote]")
    remote = remote.replace('provider = "sandbox"', 'provider = "box"', 1)
    head = head.replace("concurrency = { image = 2", "concurrency = { image = 9", 1)
    (tmp_path / "pricing.toml").write_text(f"{head}[models.remote]{remote}{PROVIDERS}")
    async with open_gateway(redis_url, tmp_path) as gateway:
        key = await gateway.account()
        await gateway.grant(1000)
        yield Scene(gateway, key)


async def test_the_place_in_the_line_is_the_place_in_the_queue(scene: Scene) -> None:
    assert (await scene.slots.acquire("box", Limits(1), await scene.made())).acquired
    waiting_for_slot = [await scene.waiting_for_slot() for _ in range(3)]
    for place, generation in enumerate(waiting_for_slot):
        shown = (await scene.gateway.call("GET", f"/v1/generations/{generation}", scene.key)).body
        assert (shown["status"], shown["queue_position"], shown["started_at"]) == ("queued", place, None)
    listed = (await scene.gateway.call("GET", "/v1/generations", scene.key)).body["data"]
    assert [one["queue_position"] for one in listed if one["id"] in waiting_for_slot] == [2, 1, 0]


async def test_who_cancels_in_the_line_leaves_it_and_who_has_a_slot_lets_the_next_go_on(scene: Scene) -> None:
    first = await scene.made()
    assert (await scene.slots.acquire("box", Limits(1), first)).acquired
    second, third = await scene.waiting_for_slot(), await scene.waiting_for_slot()
    await scene.gateway.call("POST", f"/v1/generations/{second}/cancel", scene.key)
    await scene.gateway.app[services.BACKGROUND].finish()
    assert (await scene.providers())["box"]["in_line"] == 1
    await scene.gateway.call("POST", f"/v1/generations/{first}/cancel", scene.key)
    await scene.queued(job_id(third, 1))


async def test_operators_see_each_provider_how_much_it_has_and_how_it_does(scene: Scene) -> None:
    assert (await scene.slots.acquire("box", Limits(1), await scene.made())).acquired
    await scene.waiting_for_slot()
    for outcome in ("succeeded", "provider_failed", "provider_failed"):
        await scene.slots.note("box", outcome, "500: out of memory")
    shown = await scene.providers()
    box, studio = shown["box"], shown["studio"]
    assert (box["kind"], box["in_work"], box["max_in_work"], box["in_line"]) == ("http", 1, 1, 1)
    assert box["last_hour"] == {"succeeded": 1, "provider_failed": 2}
    assert box["last_failure"] == {"code": "provider_failed", "message": "500: out of memory"}
    assert (studio["last_failure"], box["models"]) == (None, ["remote"])
    assert box["succeeded_at"] <= box["failed_at"]
    assert (studio["state"], studio["max_in_work"], studio["succeeded_at"], studio["last_hour"]) == (
        "unknown", None, None, {},
    )  # fmt: skip
    async with open_stream(scene.gateway, "/v1/events", scene.gateway.admin) as stream:
        event = await stream.next()
        assert event is not None
        assert {one["name"]: one["in_line"] for one in event.data["providers"]} == {"box": 1, "studio": 0}


async def test_operators_see_why_a_provider_is_given_nothing_new(scene: Scene) -> None:
    limits = Limits(open_after=1)

    async def shown() -> tuple[Any, ...]:
        studio = (await scene.providers())["studio"]
        return studio["breaker"]["state"], studio["skipped"], studio["requests_last_minute"]

    assert await shown() == ("closed", None, 0)
    assert (await scene.slots.acquire("studio", limits, "gen_first")).acquired
    assert await shown() == ("closed", "rate", 1)  # one a minute
    assert await scene.slots.note_of("gen_first", "studio", limits, "unreachable") == "opened"
    breaker = (await scene.providers())["studio"]["breaker"]
    assert (await shown())[:2] == ("open", "open")
    assert breaker["since"] < breaker["tries_at"]
    await scene.gateway.call("PUT", "/v1/ops/pauses/provider/box", scene.gateway.admin, {"reason": "it fails"})
    box = (await scene.providers())["box"]
    assert (box["breaker"], box["skipped"]) == (None, "paused")


async def test_the_command_lists_them_with_why_and_pausing_takes_one_out(scene: Scene) -> None:
    await scene.slots.note("box", "provider_failed", "500: out of memory")
    assert (await scene.slots.acquire("studio", Limits(open_after=1), "gen_first")).acquired
    assert await scene.slots.note_of("gen_first", "studio", Limits(open_after=1), "unreachable") == "opened"
    said = await run(scene.gateway, "ops", "providers")
    assert re.search(r" box failing 0/1 0 20\S+ provider_failed: 500: out of memory studio", said), said
    assert re.search(r" studio unknown its breaker is open open since 20\S+ ", said), said
    await run(scene.gateway, "pause", "provider", "box", "--reason", "it fails")
    assert " box failing paused 0/1" in await run(scene.gateway, "ops", "providers")
    await run(scene.gateway, "resume", "provider", "box")
    listed = (await as_json(scene.gateway, "ops", "providers"))["providers"]
    assert {one["name"]: one["skipped"] for one in listed} == {"box": None, "studio": "open"}


async def test_a_providers_state_is_what_it_did_last(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_795_338_000_000
    for at, outcome, state in ((1, "unreachable", "failing"), (2, "succeeded", "working"), (3, "busy", "failing")):
        monkeypatch.setattr("gateway.queue.slots._now_ms", lambda at=at: now + at)
        await scene.slots.note("studio", outcome)
        assert (await scene.providers())["studio"]["state"] == state


async def test_a_generation_whose_provider_does_not_respond_says_so_and_by_when_it_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "Running: starting" for ten minutes, while operators saw 36 failed calls."""
    gateway, generation = scene.gateway, await scene.made()
    await gateway.begin(generation)
    await scene.slots.note("box", "unreachable")
    path = f"/v1/generations/{generation}"
    assert "delayed" not in (await gateway.call("GET", path, scene.key)).body, "it has just begun"
    monkeypatch.setattr("gateway.api.ownership.own_generations.SLOW_MS", -1)
    delayed = (await gateway.call("GET", path, scene.key)).body["delayed"]
    at = delayed["gives_up_at"]
    assert delayed["reason"] == "provider_unreachable"
    assert delayed["message"].startswith(
        f"Its provider is not responding, and is tried again until {at[:10]} {at[11:16]} UTC. "
    )
    assert (await gateway.call("GET", "/v1/generations", scene.key)).body["data"][0]["delayed"] == delayed
    async with open_stream(gateway, "/v1/events", scene.key) as stream:
        assert (await stream.until("snapshot")).data["delayed"] == delayed
        await asyncio.sleep(0.002)
        await scene.slots.note("box", "succeeded")
        await gateway.notice(generation)
        assert "delayed" not in (await stream.until("progress")).data
    await gateway.deliver(generation)
    await gateway.settle(generation)
    assert "delayed" not in (await gateway.call("GET", path, scene.key)).body


async def test_prometheus_sees_the_same(scene: Scene) -> None:
    assert (await scene.slots.acquire("box", Limits(1), await scene.made())).acquired
    await scene.waiting_for_slot()
    await scene.slots.note("box", "moderated")
    samples = await scene.gateway.samples()
    assert {name: of for name, of in samples.items() if name.startswith("farebox_provider")} == {
        "farebox_provider_in_work": {("box",): 1, ("studio",): 0},
        "farebox_provider_max_in_work": {("box",): 1},
        "farebox_provider_in_line": {("box",): 1, ("studio",): 0},
        "farebox_provider_requests_last_minute": {("box",): 1, ("studio",): 0},
        "farebox_provider_breaker_open": {("studio",): 0},
        "farebox_provider_last_hour": {("moderated", "box"): 1},
    }


async def test_a_provider_that_cannot_be_reached_is_named_in_readyz_until_it_makes_something(scene: Scene) -> None:
    """It was in the operators' figures only, while `/readyz` was `ok` and all its jobs waited."""

    async def problems() -> list[str]:
        body = (await scene.gateway.call("GET", "/readyz")).body
        assert (body["status"] == "ok") == (body["problems"] == [])
        found: list[str] = body["problems"]
        return found

    await scene.slots.note("box", "provider_failed")
    assert await problems() == [], "it answers"
    await scene.slots.note("box", "unreachable")
    assert await problems() == ["the provider 'box' cannot be reached: its generations wait"]
    redis = scene.gateway.app[services.QUEUE].redis
    a_minute_ago = int(await redis.hget(provider_key("box"), "unreachable_at") or 0) - 60_000  # type: ignore[misc]  # redis-py types it for both clients
    await redis.hset(provider_key("box"), "unreachable_at", str(a_minute_ago))  # type: ignore[misc]  # redis-py types it for both clients
    assert await problems() == [], "nobody has asked it since"
    await scene.slots.note("box", "unreachable")
    assert len(await problems()) == 1
    await asyncio.sleep(0.002)
    await scene.slots.note("box", "succeeded")
    assert await problems() == []
