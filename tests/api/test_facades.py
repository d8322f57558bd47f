"""Calls that are held open, at a gateway without workers: the test does what they would, when it wants to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.api.services import CLIENT_CALLS, HUB, METRICS, OUTPUTS
from gateway.domain import FailureCode, Output, operation_id, partition_of_account
from gateway.facades.open_calls import OpenCall
from gateway.ledger import keys
from gateway.ledger.client_calls import ClientCall
from gateway.outputs import output_key
from tests.api.visitor import CARD, PICTURE, Visitor, open_gateway
from tests.cases import cases
from tests.until import until

GENERATIONS = "/openai/v1/images/generations"
SKETCH = {"model": "sketch", "prompt": "a red bicycle", "response_format": "url"}
PACKAGE = {"x-stainless-lang": "python", "x-stainless-read-timeout": "0.2", "x-stainless-retry-count": "0"}
RETRY = PACKAGE | {"x-stainless-retry-count": "1"}
# A model whose videos can be remixed, and one whose names and tables are another's.
MORE_MODELS = """
[models.remixer]
name = "Remixer"
tool = "video"
provider = "sandbox"
inputs = { video = 1 }
[models.remixer.settings]
duration = { min = 1, max = 8, default = 4, unit = "s" }
[[models.remixer.rates]]
credits = 10
"""


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    (tmp_path / "pricing.toml").write_text(CARD.read_text() + MORE_MODELS)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


@asynccontextmanager
async def held(
    gateway: Visitor, key: str, headers: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An image call from when its headers have come, which is before its generation has ended."""
    sent = {"Authorization": f"Bearer {key}", **PACKAGE, **(headers or {})}
    async with gateway.session.post(gateway.address + GENERATIONS, json=SKETCH | more, headers=sent) as response:
        yield response


async def listed(gateway: Visitor, key: str) -> list[str]:
    return [one["id"] for one in (await gateway.call("GET", "/v1/generations", key)).body["data"]]


async def test_white_space_comes_until_the_result_does(gateway: Visitor) -> None:
    async with held(gateway, await gateway.account()) as response:
        assert response.status == 200
        generation = response.headers["X-Farebox-Generation"]
        assert await response.content.readexactly(2) == b" \n"
        await gateway.finish(generation)
        await gateway.notice(generation)
        body = await response.read()
    assert json.loads(body)["generation"] == generation
    assert json.loads(body)["data"][0]["url"].startswith(gateway.address.rsplit(":", 1)[0])


async def test_a_late_error_cuts_the_package_off_and_its_retry_gets_the_error_itself(gateway: Visitor) -> None:
    key = await gateway.account()
    async with held(gateway, key) as response:
        generation = response.headers["X-Farebox-Generation"]
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.MODERATED)
        await gateway.notice(generation)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with held(gateway, key, RETRY) as again:
        assert (again.status, again.headers["x-should-retry"]) == (400, "false")
        assert (await again.json())["error"]["code"] == "moderated"
        assert again.headers["X-Farebox-Generation"] == generation
    assert await listed(gateway, key) == [generation]


async def test_a_client_that_is_no_package_reads_a_late_error_in_the_body(gateway: Visitor, key: str) -> None:
    sent = {"Authorization": f"Bearer {key}", "x-stainless-read-timeout": "0.2"}
    async with gateway.session.post(gateway.address + GENERATIONS, json=SKETCH, headers=sent) as response:
        generation = response.headers["X-Farebox-Generation"]
        await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)
        await gateway.notice(generation)
        assert json.loads(await response.read())["error"]["code"] == "cancelled"


async def test_a_retry_while_the_first_is_still_held_makes_nothing(gateway: Visitor, key: str) -> None:
    async with held(gateway, key) as first, held(gateway, key, RETRY) as second:
        generation = first.headers["X-Farebox-Generation"]
        assert second.headers["X-Farebox-Generation"] == generation
        assert second.headers["Idempotent-Replay"] == "true"
        await gateway.finish(generation)
        await gateway.notice(generation)
        bodies = [json.loads(await one.read()) for one in (first, second)]
    assert [body["generation"] for body in bodies] == [generation] * 2
    assert await listed(gateway, key) == [generation]


async def test_a_retry_belongs_to_the_same_key_path_and_body_only(gateway: Visitor, key: str) -> None:
    another = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body["key"]
    await gateway.grant(1000)
    async with held(gateway, key) as first:
        made = [first.headers["X-Farebox-Generation"]]
        for with_key, more in ((another, {}), (key, {"prompt": "another"}), (key, {})):
            async with held(gateway, with_key, RETRY, **more) as retry:
                made.append(retry.headers["X-Farebox-Generation"])
    assert made[3] == made[0]
    assert len(set(made)) == 3


async def test_a_retry_of_what_never_arrived_is_the_first_and_its_own_retry_finds_it(gateway: Visitor) -> None:
    key = await gateway.account()
    async with held(gateway, key, RETRY) as one, held(gateway, key, RETRY | {"x-stainless-retry-count": "2"}) as two:
        assert one.headers["X-Farebox-Generation"] == two.headers["X-Farebox-Generation"]


async def test_equal_calls_side_by_side_each_find_their_own_when_all_are_cut_off(gateway: Visitor, key: str) -> None:
    """With only the last remembered, both retries had its result, and the other's was paid for and lost."""
    async with held(gateway, key) as one, held(gateway, key) as two:
        made = {answer.headers["X-Farebox-Generation"] for answer in (one, two)}
        one.close()
        two.close()
    async with held(gateway, key, RETRY) as one, held(gateway, key, RETRY) as two:
        assert {answer.headers["X-Farebox-Generation"] for answer in (one, two)} == made
    assert set(await listed(gateway, key)) == made
    assert len(made) == 2


async def test_a_prediction_that_a_client_without_a_count_repeats_is_the_same(gateway: Visitor) -> None:
    """The package for JavaScript repeats a create whose connection broke, up to five times, and says so nowhere."""
    key, asked = await gateway.account(), {"version": "farebox/sketch", "input": {"prompt": "x"}}
    sent, address = {"Authorization": f"Bearer {key}", "Prefer": "wait"}, f"{gateway.address}/replicate/v1/predictions"
    made = []
    for _ in range(2):
        async with gateway.session.post(address, json=asked, headers=sent) as response:
            made.append(response.headers["X-Farebox-Generation"])
    del sent["Prefer"]
    async with gateway.session.post(address, json=asked, headers=sent) as response:
        made.append((await response.json())["id"])
    async with gateway.session.post(address, json=asked, headers=sent) as response:
        made.append((await response.json())["id"])
    assert made[0] == made[1] == made[2] != made[3]
    assert await listed(gateway, key) == [made[3], made[0]]


async def test_of_equal_calls_one_that_never_arrived_is_not_taken_for_another(gateway: Visitor, key: str) -> None:
    """The gateway died before it had remembered the first: both retries were the second's, and one was paid for all."""
    async with held(gateway, key) as arrived:
        made = arrived.headers["X-Farebox-Generation"]
    async with held(gateway, key, RETRY) as one, held(gateway, key, RETRY) as two:
        found = {answer.headers["X-Farebox-Generation"] for answer in (one, two)}
    assert made in found
    assert sorted(found) == sorted(await listed(gateway, key))
    assert len(found) == 2


async def test_a_call_is_remembered_for_as_long_as_its_client_waits(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten minutes it was forgotten: cut off then, its retry made and charged another."""
    monkeypatch.setattr("gateway.api.ownership.awaited.READ_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(OpenCall, "is_due_to_be_kept", lambda _: True)
    key, redis = await gateway.account(), gateway.ledger.redis
    async with held(gateway, key):
        (remembered,) = await redis.keys("*:client_call:*")
        await redis.expire(remembered, 60)

        async def kept() -> bool:
            return bool(await redis.ttl(remembered) > 60)

        await until(kept)


async def test_of_equal_calls_the_one_that_was_cut_off_is_retried(gateway: Visitor, key: str) -> None:
    """Its retry had the result of the newer one, which was still waited for."""
    async with held(gateway, key) as older, held(gateway, key) as newer:
        older.close()

        async def is_noticed() -> bool:
            await asyncio.sleep(0)
            return gateway.app[HUB].watched == 1

        await until(is_noticed)
        async with held(gateway, key, RETRY) as retry:
            found = [one.headers["X-Farebox-Generation"] for one in (older, newer, retry)]
    assert found[2] == found[0] != found[1]


async def test_a_call_that_was_told_to_come_again_is_no_other_one_then(gateway: Visitor, key: str) -> None:
    """Equal calls above the plan's limit all got the results of those below it."""
    async with held(gateway, key) as one, held(gateway, key) as two, held(gateway, key) as three:
        made = [answer.headers["X-Farebox-Generation"] for answer in (one, two, three)]
        async with held(gateway, key) as refused:
            assert (refused.status, "x-should-retry" in refused.headers) == (429, False)
        await gateway.finish(made[0])
        async with held(gateway, key, RETRY) as again:
            made.append(again.headers["X-Farebox-Generation"])
    assert sorted(made) == sorted(await listed(gateway, key))
    assert len(set(made)) == len(made)


async def test_what_was_answered_is_not_another_calls_retry(gateway: Visitor, key: str) -> None:
    async with held(gateway, key) as lost, held(gateway, key) as read:
        await gateway.finish(read.headers["X-Farebox-Generation"])
        await gateway.notice(read.headers["X-Farebox-Generation"])
        await read.read()
        lost.close()
    async with held(gateway, key, RETRY) as again:
        assert again.headers["X-Farebox-Generation"] == lost.headers["X-Farebox-Generation"]


async def test_a_refused_call_leaves_nothing_for_a_retry_to_find(gateway: Visitor, key: str) -> None:
    body = SKETCH | {"n": 4, "model": "sketch"}
    for _ in range(5):
        assert (await gateway.call("POST", GENERATIONS, key, body | {"max_credits": 1}, PACKAGE)).status == 400
    partition = partition_of_account("acme", gateway.ledger.partitions)

    async def nothing_is_left() -> bool:
        return not await gateway.ledger.redis.keys(f"{keys.tag(partition)}:client_call:*")

    await until(nothing_is_left)


async def test_a_call_whose_client_has_left_before_it_was_accepted_makes_nothing(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held up while the ledger was slow, it came after its own retry, and made a second generation."""
    key, calls = await gateway.account(), gateway.app[CLIENT_CALLS]
    come, left = asyncio.Event(), asyncio.Event()
    ordinary = calls.key_of

    async def held_up(call: ClientCall, retries: int, **more: Any) -> str:
        come.set()
        await left.wait()
        return await ordinary(call, retries, **more)

    statuses: list[str] = []  # of the requests that have ended
    requests = gateway.app[METRICS].requests
    observe = requests.observe

    def observed(seconds: float, *labels: str) -> None:
        statuses.append(labels[-1])
        observe(seconds, *labels)

    monkeypatch.setattr(requests, "observe", observed)
    monkeypatch.setattr(calls, "key_of", held_up)
    first = asyncio.create_task(gateway.call("POST", GENERATIONS, key, SKETCH, PACKAGE))
    await come.wait()
    first.cancel()
    await asyncio.wait([first])
    monkeypatch.setattr(calls, "key_of", ordinary)
    async with held(gateway, key, RETRY) as retry:
        left.set()
        await until(lambda: "499" in statuses)
        assert await listed(gateway, key) == [retry.headers["X-Farebox-Generation"]]


async def test_more_calls_are_held_than_streams_may_be_open(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.limits.STREAMS_MAX", 1)
    key = await gateway.account()
    async with held(gateway, key) as one, held(gateway, key) as two:
        assert {one.status, two.status} == {200}


async def test_streams_of_facades_count_as_streams(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.limits.STREAMS_MAX", 1)
    key = await gateway.account()
    async with held(gateway, key, stream=True) as one:
        generation = one.headers["X-Farebox-Generation"]
        refused = [
            await gateway.call("POST", GENERATIONS, key, SKETCH | {"stream": True}, PACKAGE),
            await gateway.call("POST", "/fal/run/farebox/sketch/stream", key, {"prompt": "x"}),
            await gateway.call("GET", f"/replicate/v1/predictions/{generation}/stream", key),
            await gateway.call("GET", "/v1/events", key),
        ]
    assert [(reply.status, reply.code) for reply in refused] == [
        (status, "rate_limited") for status in (429, 429, 503, 429)
    ]
    assert await listed(gateway, key) == [generation], "what was refused has made nothing"


async def test_whoever_hangs_up_is_watched_for_no_longer(gateway: Visitor) -> None:
    async with held(gateway, await gateway.account()) as response:
        assert gateway.app[HUB].watched == 1
        response.close()

    async def nobody_waits() -> bool:
        await asyncio.sleep(0)
        return gateway.app[HUB].watched == 0

    await until(nobody_waits)


async def test_a_gateway_that_stops_lets_its_clients_try_elsewhere(gateway: Visitor, key: str) -> None:
    async with held(gateway, key) as response:
        gateway.app[HUB].close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with held(gateway, key, RETRY) as again:
        assert (again.status, (await again.json())["error"]["code"]) == (503, "ledger_unavailable")
        assert "Retry-After" in again.headers


async def test_a_video_is_remixed_where_the_model_takes_one(gateway: Visitor, key: str) -> None:
    made = await gateway.call("POST", "/openai/v1/videos", key, {"model": "remixer", "prompt": "x", "seconds": "6"})
    video = made.body["id"]
    await gateway.begin(video)
    await deliver_video(gateway, video, output_key(video, 1, 0, "video/mp4"))
    remixed = await gateway.call("POST", f"/openai/v1/videos/{video}/remix", key, {"prompt": "bluer"})
    assert remixed.status == 200, remixed.raw
    assert (remixed.body["remixed_from_video_id"], remixed.body["seconds"]) == (video, "6")
    generation = (await gateway.call("GET", f"/v1/generations/{remixed.body['id']}", key)).body
    assert (generation["prompt"], [one["kind"] for one in generation["inputs"]]) == ("bluer", ["video"])


async def deliver_video(gateway: Visitor, video: str, object_key: str) -> None:
    """Deliver a file as the video's output, and end it."""
    await gateway.app[OUTPUTS].put(object_key, PICTURE)
    output = Output(
        index=0,
        object_key=object_key,
        content_type="video/mp4",
        bytes=len(PICTURE),
        width=16,
        height=16,
        sha256="0" * 64,
    )
    await gateway.ledger.deliver(generation=video, attempt=1, output=output)
    await gateway.ledger.settle(generation=video, attempt=1, operation=operation_id(), failure=None)


@cases(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x", "n": "many"}, "n"),
        ({"prompt": "x", "n": 99}, "n"),
        ({"prompt": "x", "stream": "perhaps"}, "stream"),
        ({"prompt": "x", "partial_images": 4}, "partial_images"),
        ({"prompt": "x", "response_format": "gif"}, "response_format"),
        ({"prompt": "x", "user": "u", "metadata": "none"}, "metadata"),
        ({"prompt": "x", "strength": 2}, "strength"),
        ({"prompt": "x", "style": {"a": [1]}}, "style"),
        ({"prompt": "x", "max_credits": "many"}, "max_credits"),
    ],
)
async def test_what_is_wrong_is_named(gateway: Visitor, body: dict[str, Any], param: str) -> None:
    reply = await gateway.call("POST", GENERATIONS, await gateway.account(), {"model": "sketch"} | body)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", param)


async def test_of_thousands_of_unknown_parameters_only_some_are_named(gateway: Visitor) -> None:
    body = SKETCH | {f"p{number}": number for number in range(5000)}
    reply = await gateway.call("POST", GENERATIONS, await gateway.account(), body)
    assert (reply.status, len(reply.fields)) == (400, 20)


async def test_every_error_below_the_path_has_the_packages_form(gateway: Visitor, key: str) -> None:
    for method, path, with_key, status in (
        ("GET", "/openai/v1/none", key, 404),
        ("PUT", "/openai/v1/models", key, 405),
        ("GET", "/openai/v1/models", None, 401),
        ("GET", "/openai/v1/models", gateway.admin, 403),
        ("POST", GENERATIONS, key, 400),
    ):
        reply = await gateway.call(method, path, with_key)
        assert reply.status == status, path
        assert reply.error.keys() >= {"message", "type", "param", "code", "request_id"}
        assert reply.headers["x-should-retry"] == "false"
    assert "x-should-retry" not in (await gateway.call("GET", "/v1/none", key)).headers
