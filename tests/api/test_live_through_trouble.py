"""Live events go on through odd notices, lost subscriptions and failures: nothing is missed, and nothing told twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.api.handlers import events
from gateway.api.streams import hub
from gateway.queue.keys import CHANGES_CHANNEL
from gateway.queue.messages import ChangeNotice, SubscriptionState
from gateway.queue.queue import Queue
from tests.api.visitor import Stream, Visitor, open_gateway, open_stream
from tests.redis_servers import RedisServer
from tests.until import until


def unreadable_messages(account: str, generation: str) -> list[bytes]:
    """A thousand messages that no Farebox writes, in a fixed order."""
    dice = random.Random(12)
    odd: list[Any] = [
        *(None, 7, "x", {}, [], [1, 2, 3], [account], [account, generation, "one"], [account, generation, 1, 2]),
        *([account, "gen_zz", 1], [account, 7, 1], [account, "gen_00" + "a" * 24, 1]),
        {"v": 2, "hints": [[account, generation, 1]]},
    ]
    messages = []
    for _ in range(1000):
        match dice.randrange(4):
            case 0:
                messages.append(dice.randbytes(dice.randrange(40)))
            case 1:
                messages.append(json.dumps(dice.choice(odd)).encode())
            case 2:
                messages.append(json.dumps([dice.choice(odd), dice.choice(odd)]).encode())
            case _:
                messages.append(b"[" * dice.randrange(2000))
    return messages


async def publish(visitor: Visitor, *messages: bytes) -> None:
    redis = visitor.app[services.QUEUE].redis
    async with redis.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.publish(CHANGES_CHANNEL, message)
        await pipeline.execute()


async def command(visitor: Visitor, *words: str) -> None:
    redis: Any = visitor.app[services.QUEUE].redis
    await redis.execute_command(*words)


async def readyz(visitor: Visitor) -> dict[str, Any]:
    body: dict[str, Any] = (await visitor.call("GET", "/readyz")).body
    return body


async def test_a_gateway_that_is_fed_a_thousand_odd_notices_keeps_its_streams(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message of another version ended the listener for good, and `/readyz` went on saying ok."""
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 3600.0)  # only notices
    key = await gateway.account()
    generation = await gateway.made(key)
    async with (
        open_stream(gateway, f"/v1/generations/{generation}/events", key) as one,
        open_stream(gateway, "/v1/events", key) as everything,
    ):
        await one.next()
        await everything.until("snapshot")
        await publish(gateway, *unreadable_messages("acme", generation))
        await gateway.finish(generation)
        await gateway.notice(generation)
        assert (await one.until("done")).data["status"] == "succeeded"
        assert (await everything.until("done")).data["id"] == generation
    assert gateway.app[services.QUEUE].unreadable[CHANGES_CHANNEL] > 900
    assert (await gateway.samples())["farebox_odd_messages_total"]["farebox:hints",] > 900
    assert not [problem for problem in (await readyz(gateway))["problems"] if "background" in problem]


async def test_a_listener_that_fails_is_started_again_and_the_gateway_is_degraded_meanwhile(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = Queue.change_notices
    fail = asyncio.Event()
    fail.set()

    async def change_notices(queue: Queue, **_: object) -> AsyncGenerator[ChangeNotice | SubscriptionState, None]:
        async with aclosing(listen(queue)) as told:
            async for one in told:
                if fail.is_set() and isinstance(one, ChangeNotice):
                    raise TypeError("a notice that nobody foresaw")
                yield one

    monkeypatch.setattr(Queue, "change_notices", change_notices)
    monkeypatch.setattr("gateway.tasks.RESTART_SECONDS", (0.01,))
    gateway.app[services.BACKGROUND].keep("change notices, again", gateway.app[services.HUB].listen)
    key = await gateway.account()
    await gateway.made(key)
    while not any("'change notices, again' failed (TypeError)" in one for one in (await readyz(gateway))["problems"]):
        await gateway.notice("")
    assert (await readyz(gateway))["status"] == "degraded"
    fail.clear()
    generation = await gateway.made(key)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", key) as stream:
        await stream.next()
        await gateway.finish(generation)
        await gateway.notice(generation)
        await stream.until("done")


async def test_changes_missed_by_a_lost_subscription_are_sent_when_it_is_back(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 3600.0)  # so that only the new subscription can tell
    key = await gateway.account()
    before = await gateway.made(key)
    async with (
        open_stream(gateway, f"/v1/generations/{before}/events", key) as one,
        open_stream(gateway, "/v1/events", key) as everything,
    ):
        await one.next()
        await everything.until("snapshot")
        await gateway.finish(before)  # no notice of this reaches anybody
        dispatch = gateway.app[services.DISPATCHER].dispatch
        monkeypatch.setattr(gateway.app[services.DISPATCHER], "dispatch", lambda these, _notices=(): dispatch(these))
        meanwhile = await gateway.finished(key)
        await command(gateway, "CLIENT", "KILL", "TYPE", "pubsub")
        await one.until("done")
        ended = {(await everything.until("done")).data["id"] for _ in range(2)}
    assert ended == {before, meanwhile}, "also what began and ended in between"


async def test_a_lost_notice_is_made_up_for_while_others_keep_coming(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.2)
    key = await gateway.account()
    lost, busy = await gateway.made(key), await gateway.made(key)
    async with open_stream(gateway, "/v1/events", key) as stream:
        await gateway.finish(lost)
        done = asyncio.create_task(_ended(stream, lost))
        while not done.done():
            await gateway.notice(busy)
            await asyncio.sleep(0.01)
        await done


async def _ended(stream: Stream, generation: str) -> None:
    while (await stream.until("done")).data["id"] != generation:
        pass


async def test_an_end_is_sent_once_however_many_notices_arrive(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    key = await gateway.account()
    long_ago = await gateway.finished(key)
    generation = await gateway.made(key)
    async with open_stream(gateway, "/v1/events", key) as stream:
        await stream.until("snapshot")
        await gateway.finish(generation)
        await gateway.notice(generation)
        assert (await stream.until("done")).data["id"] == generation
        for _ in range(3):
            await gateway.notice(generation)
            await gateway.notice(long_ago)
            await asyncio.sleep(0.1)
        last = await gateway.made(key)
        names = []
        while (event := await stream.next()) is not None and event.data.get("id") != last:
            names.append(event.name)
    assert set(names) <= {"balance"}


async def test_a_client_that_has_a_generations_end_gets_204(gateway: Visitor, key: str) -> None:
    """A browser reconnects 2 s after each end of a stream, for ever, and was told the same each time."""
    generation = await gateway.made(key, outputs=2)
    path = f"/v1/generations/{generation}/events"
    async with open_stream(gateway, path, key) as stream:
        await stream.next()
        await gateway.finish(generation)
        await gateway.notice(generation)
        output = await stream.until("output")
        done = await stream.until("done")
    for last, status in ((done.id, 204), (output.id, 200), ("1", 200), ("odd", 200), ("9" * 400, 200)):
        headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": str(last)}
        async with gateway.session.get(gateway.address + path, headers=headers) as response:
            text = await response.text()
        assert response.status == status, last
        assert ("event: done" in text) is (status == 200), "whoever was cut off before the end is told it"


async def test_a_gateway_that_hears_no_notices_is_degraded(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LATE_SECONDS", 0.0)
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        await until(lambda: gateway.app[services.HUB].problem is None)
        await command(gateway, "ACL", "SETUSER", "default", "resetchannels")
        await command(gateway, "CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: gateway.app[services.HUB].problem is not None)
        found = await readyz(gateway)
        assert found["status"] == "degraded"
        assert any(problem.startswith("live events may be up to 5 s late") for problem in found["problems"])
        await command(gateway, "ACL", "SETUSER", "default", "allchannels")
        await until(lambda: gateway.app[services.HUB].problem is None)
