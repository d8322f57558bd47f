"""The Images API: against a strict server that OpenAI's own SDK takes for OpenAI, and through the real worker."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web

from gateway.domain import FailureCode, Input, State
from gateway.errors import (
    InputUnavailable,
    Moderated,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
)
from gateway.media import Media, inspect
from gateway.outside.addresses import AddressGuard, parse_networks
from gateway.pricing.load import load_card
from tests.cases import cases
from tests.made_media import picture
from tests.providers.openai_vendor import OpenAiVendor, error
from tests.providers.requests import asked, made
from tests.providers.scene import Scene, open_scene, sums, sums_of
from tests.providers.vendor import KEY, PROMPT, answering, served
from tests.providers.wild import always, serving
from tests.until import until
from tests.workers.stage import PRICE, Stage
from workers.providers import Connection, ProviderInput
from workers.providers.openai_images import OpenAiImages

LOOPBACK = AddressGuard(parse_networks("127.0.0.0/8"))


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[OpenAiVendor]:
    vendor = OpenAiVendor()
    async with served(vendor, tmp_path / "card") as card:
        load_card(card)
        yield vendor


@pytest.fixture
async def provider(vendor: OpenAiVendor) -> AsyncIterator[OpenAiImages]:
    provider = OpenAiImages(Connection(name="box", base_url=f"{vendor.url}/v1", key=KEY))
    yield provider
    await provider.close()


@pytest.fixture
async def sdk(vendor: OpenAiVendor) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{vendor.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


# --- the server is a fair stand-in ---------------------------------------------------------------------------------


async def test_openais_own_sdk_takes_the_server_for_openai(vendor: OpenAiVendor, sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.images.generate(model="gpt-image-2", prompt=PROMPT, n=2, size="1024x1024", quality="low")
    assert [base64.b64decode(each.b64_json or "") for each in answer.data or []] == vendor.jobs["1"].made
    files = [("a.png", picture(), "image/png"), ("b.png", picture(width=80), "image/png")]
    for images in (files, files[0]):
        edited = await sdk.images.edit(model="gpt-image-2", prompt=PROMPT, image=images, n=1, output_compression=50)
        assert edited.usage is not None
    assert vendor.inputs_of("2") == [picture(), picture(width=80)]
    assert vendor.refused == []


async def test_the_server_refuses_what_openai_refuses(vendor: OpenAiVendor, sdk: openai.AsyncOpenAI) -> None:
    wrong: list[dict[str, Any]] = [{"n": 11}, {"size": "big"}, {"response_format": "url"}, {"extra_body": {"steps": 4}}]
    for field in wrong:
        with pytest.raises(openai.BadRequestError):
            await sdk.images.generate(**({"model": "gpt-image-2", "prompt": PROMPT} | field))
    with pytest.raises(openai.NotFoundError):
        await sdk.images.generate(model="no-such", prompt=PROMPT)
    with pytest.raises(openai.BadRequestError):
        await sdk.images.edit(model="gpt-image-2", prompt=PROMPT, image=("a.bin", b"x", "application/octet-stream"))
    with pytest.raises(openai.AuthenticationError):
        await sdk.with_options(api_key="wrong").images.generate(model="gpt-image-2", prompt=PROMPT)
    vendor.faults = [error(400, "moderation_blocked", "Rejected.", "image_generation_user_error")]
    with pytest.raises(openai.BadRequestError) as blocked:
        await sdk.images.generate(model="gpt-image-2", prompt=PROMPT)
    assert blocked.value.code == "moderation_blocked"
    assert vendor.jobs == {}


# --- what is sent, and what becomes of the answers ------------------------------------------------------------------


async def test_twelve_outputs_are_two_calls_of_at_most_ten(vendor: OpenAiVendor, provider: OpenAiImages) -> None:
    indices = tuple(range(1, 13))
    rendered = await made(provider, None, asked(*indices, arguments={"size": "64x64", "quality": "high"}))
    assert [one.index for one in rendered] == list(indices)
    tenth = {"input_tokens": Decimal("0.5"), "output_tokens": Decimal("0.9"), "tokens": Decimal("1.4")}
    half = {"input_tokens": 2.5, "output_tokens": 4.5, "tokens": 7}
    assert [one.reported for one in rendered] == [tenth] * 10 + [half] * 2
    assert [job.asked["n"] for job in vendor.jobs.values()] == [10, 2]
    assert vendor.jobs["1"].asked == {
        "model": "flux.1-dev", "prompt": PROMPT, "n": 10, "size": "64x64", "quality": "high"
    }  # fmt: skip
    assert len(set(vendor.keys)) == 2
    assert vendor.refused == []


@pytest.mark.parametrize("count", [1, 3])
async def test_inputs_make_an_edit_of_it(vendor: OpenAiVendor, provider: OpenAiImages, count: int) -> None:
    given = [picture("JPEG" if at else "PNG", width=80 + at) for at in range(count)]
    inputs = tuple(ProviderInput(kind="image", content_type="image/png", data=data) for data in given)
    await made(provider, None, asked(0, 1, inputs=inputs, arguments={"output_compression": 80}))
    assert vendor.inputs_of("1") == given
    assert (vendor.jobs["1"].asked["n"], vendor.jobs["1"].asked["output_compression"]) == (2, 80)
    assert vendor.refused == []


async def test_outputs_by_address_are_fetched(vendor: OpenAiVendor, provider: OpenAiImages) -> None:
    vendor.by_url = True
    assert [one.data for one in await made(provider, None, asked(0, 1))] == vendor.jobs["1"].made


@pytest.mark.parametrize(("away", "delivered"), [(3, True), (1000, False)])
async def test_a_picture_whose_server_is_away_is_fetched_again_and_never_bought_again(
    monkeypatch: pytest.MonkeyPatch, away: int, *, delivered: bool
) -> None:
    """There is no job to come back to: the worker, told that it is unreachable, bought one each half minute."""
    monkeypatch.setattr("workers.providers.openai_images._FETCH_PAUSES_SECONDS", (0, 0, 0, 0))
    asked_for: list[int] = []

    async def file(_: web.Request) -> web.Response:
        asked_for.append(1)
        return web.Response(status=503) if len(asked_for) <= away else web.Response(body=picture())

    async with (
        serving(file) as files,
        serving(always(200, {"data": [{"url": f"{files.url}/a.png"}]})) as wild,
    ):
        provider = OpenAiImages(Connection(name="box", base_url=wild.url, key=KEY))
        if delivered:
            assert [one.data for one in await made(provider, None, asked())] == [picture()]
        else:
            with pytest.raises(ProviderFailed):
                await made(provider, None, asked())
        await provider.close()
        assert len(wild.asked) == 1


@cases(
    ("status", "document", "wanted"),
    [
        (400, {"error": {"code": "moderation_blocked", "message": PROMPT}}, Moderated),
        (400, {"error": {"code": "content_policy_violation", "type": "invalid_request_error"}}, Moderated),
        (400, {"error": {"code": "contentFilter", "message": "Azure"}}, Moderated),
        (200, {"error": {"code": "moderation_blocked"}}, Moderated),
        (200, {"data": [{"b64_json": None, "respect_moderation": False}]}, Moderated),
        (400, {"error": {"code": "invalid_value", "message": "no such size"}}, ProviderRejected),
        (400, {"error": {"code": "billing_hard_limit_reached"}}, ProviderNotSetUp),
        (429, {"error": {"code": "insufficient_quota", "type": "insufficient_quota"}}, ProviderNotSetUp),
        (429, {"error": {"code": "rate_limit_exceeded"}}, ProviderBusy),
        (404, {"error": {"code": "model_not_found"}}, ProviderNotSetUp),
        (500, {"error": {"code": 500, "message": "rpc error", "type": ""}}, ProviderFailed),
        (502, None, ProviderFailed),
        (200, {"error": {"code": "server_error"}}, ProviderFailed),
        (200, {"data": []}, ProviderFailed),
        (200, {"data": [{"b64_json": "?"}]}, ProviderFailed),
        (200, {"data": [{"url": "ftp://x/y"}]}, ProviderFailed),
        (200, {"data": None}, ProviderFailed),
        (200, [], ProviderFailed),
    ],
)
async def test_an_answer_says_what_may_be_done_next(status: int, document: object, wanted: type[ProviderError]) -> None:
    async with serving(always(status, document)) as wild:
        provider = OpenAiImages(Connection(name="box", base_url=wild.url, key=KEY))
        with pytest.raises(ProviderError) as failed:
            await made(provider, None, asked())
        await provider.close()
        assert type(failed.value) is wanted
        assert "fox" not in failed.value.detail
        assert len(wild.asked) == 1


async def test_entries_without_a_picture_are_fewer_outputs() -> None:
    whole = {"b64_json": base64.b64encode(picture()).decode()}
    async with serving(always(200, {"data": [whole, {"b64_json": None}, whole]})) as wild:
        provider = OpenAiImages(Connection(name="box", base_url=wild.url))
        assert len(await made(provider, None, asked(0, 1, 2))) == 2
        await provider.close()


async def give_picture(_: web.Request) -> web.Response:
    return web.Response(body=picture())


# --- inputs by their address ----------------------------------------------------------------------------------------


async def test_an_input_by_its_address_is_fetched_also_after_a_redirect(vendor: OpenAiVendor) -> None:
    async with (
        serving(give_picture) as store,
        serving(always(302, headers={"Location": f"{store.url}/a.png"})) as link,
    ):
        provider = OpenAiImages(Connection(name="box", base_url=f"{vendor.url}/v1", key=KEY), guard=LOOPBACK)
        for address in (f"{store.url}/a.png?signature=1%2F2", f"{link.url}/short"):
            await made(provider, None, asked(inputs=(ProviderInput(kind="image", url=address),)))
        await provider.close()
    assert [vendor.inputs_of(job) for job in vendor.jobs] == [[picture()]] * 2
    assert "Authorization" not in store.asked[0].headers


@pytest.mark.parametrize(
    ("status", "wanted"), [(404, ProviderRejected), (403, ProviderRejected), (503, InputUnavailable)]
)
async def test_an_input_that_cannot_be_had_is_the_requests_fault_unless_it_may_come_back(
    vendor: OpenAiVendor, status: int, wanted: type[ProviderError]
) -> None:
    async with serving(always(status)) as store:
        provider = OpenAiImages(Connection(name="box", base_url=f"{vendor.url}/v1", key=KEY), guard=LOOPBACK)
        with pytest.raises(ProviderError) as refused:
            await made(provider, None, asked(inputs=(ProviderInput(kind="image", url=store.url),)))
        await provider.close()
    assert type(refused.value) is wanted
    assert vendor.jobs == {}


async def test_no_private_address_is_ever_fetched(vendor: OpenAiVendor, provider: OpenAiImages) -> None:
    async with serving(give_picture) as store:
        port = store.url.rpartition(":")[2]
        addresses = (store.url, f"https://127.0.0.1:{port}/", f"https://localhost:{port}/", "https://169.254.169.254/x")
        for address in addresses:
            with pytest.raises(ProviderRejected):
                await made(provider, None, asked(inputs=(ProviderInput(kind="image", url=address),)))
        assert store.asked == []
    assert vendor.jobs == {}


async def test_an_input_that_is_no_picture_is_rejected_before_anything_is_paid(
    vendor: OpenAiVendor, provider: OpenAiImages
) -> None:
    for given in (
        ProviderInput(kind="image", content_type="image/png", data=b"<html>"),
        ProviderInput(kind="video", content_type="video/mp4", data=b"x"),
    ):
        with pytest.raises(ProviderRejected):
            await made(provider, None, asked(inputs=(given,)))
    assert vendor.jobs == {}


@pytest.mark.parametrize("name", ["photo.heic", "image.avif"])
async def test_a_heic_or_avif_by_its_address_is_handed_on_as_a_jpeg(vendor: OpenAiVendor, name: str) -> None:
    """Its server calls it what it likes, and the Images API takes neither."""
    data = (Path(__file__).parents[1] / "media_files" / name).read_bytes()

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=data, content_type="application/octet-stream")

    async with serving(give) as store:
        provider = OpenAiImages(Connection(name="box", base_url=vendor.url + "/v1", key=KEY), guard=LOOPBACK)
        await made(provider, None, asked(inputs=(ProviderInput(kind="image", url=store.url),)))
        (job,) = vendor.jobs
        assert inspect(vendor.inputs_of(job)[0]) == Media("image/jpeg", 64, 48)
        with pytest.raises(ProviderRejected, match="cannot be decoded"):
            await made(provider, None, asked(inputs=(ProviderInput(kind="image", data=data[:-40]),)))
        await provider.close()


# --- through the real worker ----------------------------------------------------------------------------------------


@pytest.fixture
async def scene(stage: Stage, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(stage, OpenAiVendor(), tmp_path / "card") as scene:
        yield scene


async def test_an_edit_of_two_inputs_is_delivered_and_paid(scene: Scene) -> None:
    scene.worker()
    ended = await scene.stage.ended(await scene.order(outputs=3, inputs=await scene.inputs(2)))
    assert (ended.state, ended.provider_ref) == (State.SUCCEEDED, None)
    assert sums(ended) == sums_of(scene.vendor.jobs[scene.only_job].made)
    assert scene.vendor.inputs_of(scene.only_job) == [picture(width=80), picture(width=81)]
    assert scene.vendor.jobs[scene.only_job].asked["size"] == "1024x1024"
    assert await scene.stage.spent() == 3 * PRICE


async def test_of_three_outputs_the_two_that_came_are_paid(scene: Scene) -> None:
    scene.worker()
    scene.vendor.fewer = 1
    ended = await scene.stage.ended(await scene.order(outputs=3))
    assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 2)
    assert await scene.stage.spent() == 2 * PRICE


async def test_what_moderation_refuses_is_refunded_at_once(scene: Scene) -> None:
    scene.worker()
    scene.vendor.faults = [error(400, "moderation_blocked", "no", "image_generation_user_error")]
    ended = await scene.stage.ended(await scene.order(outputs=2))
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, FailureCode.MODERATED, 1)
    assert await scene.stage.spent() == 0


async def test_a_rejection_an_absence_and_a_rate_limit_each_end_as_they_must(scene: Scene) -> None:
    worker = scene.worker()
    scene.vendor.faults = scene.vendor.rejections()
    assert (await scene.stage.ended(await scene.order())).error is FailureCode.PROVIDER_REJECTED
    scene.vendor.faults = [answering(429, {"error": {"code": "rate_limit_exceeded"}}, Retry_After="1")]
    waited = await scene.stage.ended(await scene.order())
    assert (waited.state, waited.attempt) == (State.SUCCEEDED, 1)
    await scene.vendor.down()
    generation = await scene.order()
    await until(lambda: worker.says("no connection"))
    await scene.vendor.up()
    assert (await scene.stage.ended(generation)).failures == 0
    assert await scene.stage.spent() == 2 * PRICE


async def test_a_lost_answer_is_one_failure_of_at_most_attempts_max(scene: Scene) -> None:
    """Nobody knows whether it was made and paid for, and asking again may pay for it again: so not for ever."""
    scene.worker()
    scene.vendor.drop_answers = 9
    ended = await scene.stage.ended(await scene.order(terms={"attempts_max": 2}))
    assert (ended.state, ended.error, len(scene.vendor.jobs)) == (State.FAILED, FailureCode.PROVIDER_FAILED, 2)
    assert await scene.stage.spent() == 0


class LimitedAfterTheFirst(OpenAiVendor):
    def take(self, job: str, asked: dict[str, Any], outputs: int) -> None:
        super().take(job, asked, outputs)
        if job == "1":
            self.faults.append(answering(429, {"error": {"code": "rate_limit_exceeded"}}, Retry_After="1"))


async def test_a_rate_limit_between_two_calls_does_not_pay_for_the_first_again(stage: Stage, tmp_path: Path) -> None:
    async with open_scene(stage, LimitedAfterTheFirst(), tmp_path / "card") as scene:
        scene.worker()
        ended = await scene.stage.ended(await scene.order(outputs=12))
        assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 12)
        assert [job.asked["n"] for job in scene.vendor.jobs.values()] == [10, 2]


async def test_a_private_address_as_input_ends_the_generation_refunded(scene: Scene) -> None:
    scene.worker()
    given = Input(kind="image", url=f"https://127.0.0.1:{scene.vendor.port}/generated/1/0")
    ended = await scene.stage.ended(await scene.order(inputs=(given,)))
    assert (ended.state, ended.error, scene.vendor.jobs) == (State.FAILED, FailureCode.PROVIDER_REJECTED, {})


async def test_a_wrong_key_is_the_operators_to_mend_and_the_log_has_neither_key_nor_prompt(scene: Scene) -> None:
    worker = scene.stage.worker(FAREBOX_RATE_CARD=str(scene.card), BOX_KEY="sk-wrong-0123456789")
    ended = await scene.stage.ended(await scene.order(terms={"attempts_max": 1}))
    assert (ended.state, ended.error) == (State.FAILED, FailureCode.PROVIDER_FAILED)
    assert await worker.says("check the key")
    scene.vendor.refused.clear()
    log = await asyncio.to_thread(worker.log_path.read_text)
    assert "sk-wrong" not in log
    assert "fox that" not in log  # an id may well hold "fox"
