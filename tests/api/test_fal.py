"""What `fal_client` cannot say or show, at a gateway without workers: which call is a retry, which address is which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.api.services import METRICS
from tests.api.visitor import Visitor, open_gateway
from tests.cases import cases
from tests.until import until

SKETCH = {"prompt": "a red bicycle"}


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


@asynccontextmanager
async def streamed(gateway: Visitor, key: str) -> AsyncIterator[str]:
    """The generation of a stream while its client listens, which then leaves."""
    headers, address = {"Authorization": f"Key {key}"}, f"{gateway.address}/fal/run/farebox/sketch/stream"
    async with gateway.session.post(address, json=SKETCH, headers=headers) as response:
        yield response.headers["X-Farebox-Generation"]


async def listed(gateway: Visitor, key: str) -> list[str]:
    return [one["id"] for one in (await gateway.call("GET", "/v1/generations", key)).body["data"]]


async def test_equal_submits_that_were_answered_are_two_calls(gateway: Visitor, key: str) -> None:
    made = [(await gateway.call("POST", "/fal/farebox/sketch", key, SKETCH)).body["request_id"] for _ in range(2)]
    assert len(set(made)) == 2


async def test_a_call_whose_answer_was_lost_is_found_by_the_same_call(gateway: Visitor, key: str) -> None:
    async with streamed(gateway, key) as first:
        pass
    async with streamed(gateway, key) as again:
        assert again == first
    assert await listed(gateway, key) == [first]


async def test_equal_calls_side_by_side_are_as_many_and_so_are_their_retries(gateway: Visitor, key: str) -> None:
    """Three variations of one prompt, asked for at once, were one generation: each was taken for the first's retry."""
    made: list[set[str]] = []
    for _ in range(2):
        async with AsyncExitStack() as leaving:
            opened = (leaving.enter_async_context(streamed(gateway, key)) for _ in range(3))
            made.append(set(await asyncio.gather(*opened)))
    assert len(made[0]) == 3
    assert made[1] == made[0], "all were left, and came again"
    assert set(await listed(gateway, key)) == made[0]


async def test_equal_submits_side_by_side_are_as_many(gateway: Visitor, key: str) -> None:
    calls = (gateway.call("POST", "/fal/farebox/sketch", key, SKETCH) for _ in range(3))
    made = {reply.body["request_id"] for reply in await asyncio.gather(*calls)}
    assert len(made) == 3


async def test_what_another_gateway_has_begun_counts_as_left(gateway: Visitor, redis_url: str, tmp_path: Path) -> None:
    """It may have been killed: then nobody will ever note that its client has left."""
    key = await gateway.account()
    async with streamed(gateway, key) as first, open_gateway(redis_url, tmp_path) as another:
        async with streamed(another, key) as again:
            assert again == first
        async with streamed(another, key) as again:
            assert again == first
    assert await listed(gateway, key) == [first]


async def test_a_run_that_ended_after_its_client_had_left_is_found_by_the_same_call(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its response was noted before it was sent: the retry was taken for a new call, and was charged again."""
    key, ended = await gateway.account(), list[str]()
    requests = gateway.app[METRICS].requests
    observe = requests.observe

    def observed(seconds: float, *labels: str) -> None:
        ended.append(labels[-1])
        observe(seconds, *labels)

    async def made() -> bool:
        return bool(await listed(gateway, key))

    path = "/fal/run/farebox/sketch"
    run = asyncio.create_task(gateway.call("POST", path, key, SKETCH))
    await until(made)
    (first,) = await listed(gateway, key)
    run.cancel()
    await asyncio.wait([run])
    await gateway.finish(first)
    monkeypatch.setattr(requests, "observe", observed)
    await gateway.notice(first)
    await until(lambda: bool(ended))
    assert ended == ["499"]
    again = await gateway.call("POST", path, key, SKETCH)
    assert (again.status, again.headers["X-Farebox-Generation"], await listed(gateway, key)) == (200, first, [first])


@pytest.mark.parametrize("host", [{}, {"Host": "queue.farebox.example.com"}])
async def test_versions_with_one_host_reach_the_queue_by_its_name(gateway: Visitor, host: dict[str, str]) -> None:
    path = "/fal/run/farebox/sketch" if host else "/fal/queue/farebox/sketch"
    reply = await gateway.call("POST", path, await gateway.account(), SKETCH, host)
    assert (reply.status, reply.body["status"]) == (200, "IN_QUEUE")
    assert reply.body["status_url"].endswith(f"/fal/queue/farebox/sketch/requests/{reply.body['request_id']}/status")


async def test_a_file_is_named_by_what_it_is(gateway: Visitor, key: str) -> None:
    """A text was `….plain`, a model `….gltf-binary`: no program opens them."""
    types = {"image/jpeg": "jpg", "audio/mpeg": "mp3", "model/gltf-binary": "glb", "application/octet-stream": "bin"}
    generation = await gateway.made(key, outputs=len(types))
    await gateway.begin(generation)
    for index, content_type in enumerate(types):
        await gateway.deliver(generation, index, content_type=content_type)
    await gateway.settle(generation)
    files = (await gateway.call("GET", f"/fal/farebox/sketch/requests/{generation}", key)).body["images"]
    assert [file["file_name"].rpartition(".")[2] for file in files] == list(types.values())


@cases("argument", ["nonsense", "num_images", "image_size", "image_url", "sync_mode"])
async def test_what_is_wrong_is_named(gateway: Visitor, argument: str) -> None:
    reply = await gateway.call("POST", "/fal/farebox/sketch", await gateway.account(), SKETCH | {argument: [7]})
    assert (reply.status, reply.body["detail"][0]["loc"]) == (422, ["body", argument])
    assert reply.headers["X-Fal-Error-Type"] == reply.body["error_type"] == reply.code
