"""A gateway whose object store is away, or was never there: it runs, says so, and answers 503."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from yarl import URL

from gateway.domain import FailureCode
from tests.api.visitor import PICTURE, Visitor, open_gateway
from tests.made_media import picture
from tests.s3_server import BUCKET, S3Server, s3_server

PNG = picture(width=16, height=16)
SECRETS = ("127.0.0.1", "s3://", BUCKET, "NoSuchBucket", "InvalidAccessKeyId", "AKIA")


@pytest.fixture
async def s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Server]:
    """A bucket, and what a gateway needs to find it."""
    monkeypatch.setattr("gateway.outputs.watch.PAUSES_SECONDS", (0.02,))
    async with s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


async def ready(gateway: Visitor) -> dict[str, Any]:
    reply = await gateway.call("GET", "/readyz")
    assert reply.status == 200
    assert set(reply.body) == {"status", "problems", "rate_card", "durable_by", "audit"}
    shape: dict[str, Any] = reply.body
    return shape


async def upload(gateway: Visitor, key: str) -> Any:
    return await gateway.call("POST", "/v1/uploads", key, headers={"Content-Type": "image/png"}, raw=PNG)


async def test_a_gateway_starts_without_its_store_says_so_and_goes_on_when_it_is_there(
    redis_url: str, tmp_path: Path, s3: S3Server
) -> None:
    """`/readyz` was `ok` while every generation failed."""
    await s3.away()
    with capture_logs() as lines:
        async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{BUCKET}") as gateway:
            shape = await ready(gateway)
            assert shape["status"] == "degraded"
            assert "object store" in shape["problems"][0]
            assert not any(secret in shape["problems"][0] for secret in SECRETS)
            assert (await gateway.samples())["farebox_store_up"] == {(): 0}
            key = await gateway.account()
            assert (await gateway.create(key)).status == 202, "orders are taken: their outputs wait"
            refused = await upload(gateway, key)
            assert (refused.status, refused.code) == (503, "store_unavailable")
            assert int(refused.headers["Retry-After"]) > 0
            assert not any(secret in refused.message for secret in SECRETS)
            await s3.back()
            await gateway.until_ready()
            assert (await gateway.samples())["farebox_store_up"] == {(): 1}
            assert (await upload(gateway, key)).status == 201
    said = [line for line in lines if line["event"] == "STORE_UNAVAILABLE"]
    assert said[0]["store"] == f"the bucket s3://{BUCKET} at {s3.address}"
    assert said[0]["reason"] == "Connection refused"
    assert "FAREBOX_OUTPUTS_URL" in said[0]["change"]


@pytest.mark.parametrize(
    ("bucket", "key", "words", "setting"),
    [
        ("nobody-made-it", S3Server.access_key, "the bucket does not exist", "FAREBOX_OUTPUTS_URL"),
        (BUCKET, "AKIAWRONG00000000000", "rejects our credentials", "AWS_ACCESS_KEY_ID"),
    ],
)
async def test_a_wrong_bucket_or_key_is_said_at_start_and_the_setting_with_it(
    redis_url: str,
    tmp_path: Path,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bucket: str,
    key: str,
    words: str,
    setting: str,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    with capture_logs() as lines:
        async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{bucket}") as gateway:
            shape = await ready(gateway)
            assert shape["status"] == "degraded"
            assert words in shape["problems"][0]
            refused = await upload(gateway, await gateway.account())
            assert (refused.status, refused.code) == (503, "store_unavailable")
    said = [line for line in lines if line["event"] == "STORE_UNAVAILABLE"]
    assert f"s3://{bucket}" in said[0]["store"]
    assert s3.address in said[0]["store"]
    assert setting in said[0]["change"]
    assert said[0]["log_level"] == "error"


async def test_an_upload_that_is_refused_shows_in_readyz_though_the_last_probe_was_well(
    redis_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{BUCKET}") as gateway:
        key = await gateway.account()
        assert (await ready(gateway))["status"] == "ok"
        s3.refuses = "SlowDown"
        assert (await upload(gateway, key)).code == "store_unavailable"
        assert (await ready(gateway))["status"] == "degraded"
        s3.refuses = None
        await gateway.until_ready()
        assert (await upload(gateway, key)).status == 201


async def test_an_output_of_a_bucket_that_is_gone_is_away_and_not_lost(
    redis_url: str, tmp_path: Path, s3: S3Server
) -> None:
    """It was a 404, "gone from the object store", for a bucket that somebody had renamed for a minute."""
    async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{BUCKET}") as gateway:
        key = await gateway.account()
        path = f"/v1/generations/{await gateway.finished(key)}/outputs/0"
        objects = s3.objects.pop(BUCKET)
        for method in ("GET", "HEAD"):
            assert (await gateway.call(method, path, key)).status == 503
        s3.objects[BUCKET] = objects
        for method in ("GET", "HEAD"):
            assert (await gateway.call(method, path, key)).status == 200


async def test_a_folder_that_takes_nothing_degrades_too(redis_url: str, tmp_path: Path, s3: S3Server) -> None:
    async with open_gateway(redis_url, tmp_path) as gateway:
        key, folder = await gateway.account(), tmp_path / "data" / "outputs"
        folder.rmdir()
        folder.touch()
        assert (await upload(gateway, key)).code == "store_unavailable"
        shape = await ready(gateway)
        assert (shape["status"], "object store" in shape["problems"][0]) == ("degraded", True)
        assert str(tmp_path) not in shape["problems"][0]
        folder.unlink()
        await gateway.until_ready()
    assert s3.asked.total() == 0


async def test_a_customers_message_is_in_plain_words(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await gateway.settle(generation, FailureCode.STORE_UNAVAILABLE)
    error = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body["error"]
    assert error["code"] == "store_unavailable"
    assert "could not be stored or read in time. Nothing was charged" in error["message"]


async def test_a_large_video_is_fetched_from_the_bucket_itself(
    redis_url: str, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its link, from other pages, and in parts; with a key, from our pages, or if small, through the gateway."""
    monkeypatch.setattr("gateway.api.handlers.outputs.REDIRECTED_FROM_BYTES", 1000)
    async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{BUCKET}", output_redirects="always") as gateway:
        key = await gateway.account()
        generation = await gateway.made(key, outputs=2)
        await gateway.begin(generation)
        await gateway.deliver(generation, 0)
        await gateway.deliver(generation, 1, data=PICTURE[:999])
        await gateway.settle(generation)
        large, small = await links(gateway, key, generation)

        async def answer(url: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
            async with gateway.session.request(method, url, headers=headers, allow_redirects=False) as response:
                return response.status, response.headers.get("Location", ""), await response.read()

        status, location, _ = await answer(large)
        assert status == 302
        assert location.startswith(f"{s3.address}/{BUCKET}/outputs/")
        assert "X-Amz-Expires=3600" in location
        assert (await answer(large, Range="bytes=1-3"))[0] == 302
        assert await answer(location, Range="bytes=1-3") == (206, "", PICTURE[1:4])
        for url, data, headers in (
            (small, PICTURE[:999], {}),
            (large, PICTURE, {"Sec-Fetch-Site": "same-origin"}),
            (f"{gateway.address}/v1/generations/{generation}/outputs/0", PICTURE, {"Authorization": f"Bearer {key}"}),
        ):
            assert await answer(url, **headers) == (200, "", data), url
        assert (await answer(large, "HEAD"))[:2] == (200, "")
    for chosen in ("auto", "never"):  # the endpoint is not the cloud's own: clients may not reach it
        async with open_gateway(redis_url, tmp_path, outputs_url=f"s3://{BUCKET}", output_redirects=chosen) as gateway:
            url, _ = await links(gateway, key, generation)
            async with gateway.session.get(url, allow_redirects=False) as response:
                assert response.status == 200


async def links(gateway: Visitor, key: str, generation: str) -> list[str]:
    """The links of a generation's outputs, at this gateway."""
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    return [gateway.address + URL(one["url"]).raw_path_qs for one in body["outputs"]]
