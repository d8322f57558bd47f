"""Replicate: what is sent, what answers mean, and that our server speaks as the real one does."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderNotSetUp, ProviderRejected
from tests.cases import cases
from tests.made_media import picture
from tests.providers.replicate_vendor import MODEL, VERSION, ReplicateVendor
from tests.providers.requests import asked, made
from tests.providers.vendor import KEY, PROMPT, answering, served
from workers.providers import ArgumentNames, Connection, Pending, ProviderInput, ProviderRequest, Rendered
from workers.providers.replicate import Replicate

NAMES = ArgumentNames(outputs="num_outputs", input_images="image_prompts")


def request(*indices: int, **more: Any) -> ProviderRequest:
    terms = {"provider_model": MODEL, "arguments": {"megapixels": "1"}, "names": NAMES}
    return asked(*(indices or (0, 1)), **(terms | more))


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[ReplicateVendor]:
    vendor = ReplicateVendor()
    async with served(vendor, tmp_path / "card"):
        yield vendor
        assert vendor.refused == []
        assert vendor.hosted.keys_seen == 0


@pytest.fixture
async def provider(vendor: ReplicateVendor) -> AsyncIterator[Replicate]:
    provider = Replicate(Connection(name="box", base_url=vendor.url, key=KEY))
    yield provider
    await provider.close()


async def ended(provider: Replicate, request: ProviderRequest) -> list[Rendered]:
    return await made(provider, await provider.submit(request), request)


@cases(
    ("provider_model", "version"),
    [(MODEL, None), (f"{MODEL}:{VERSION}", VERSION), (VERSION, VERSION)],
)
async def test_a_model_is_named_by_its_owner_by_a_version_of_it_or_by_a_version(
    provider: Replicate, vendor: ReplicateVendor, provider_model: str, version: str | None
) -> None:
    ref = await provider.submit(request(provider_model=provider_model))
    body = vendor.jobs[ref].asked
    assert body.get("version") == version
    assert body["input"] == {"prompt": PROMPT, "megapixels": "1", "num_outputs": 2}
    assert "webhook" not in body


async def test_a_model_without_a_prompt_is_sent_none(provider: Replicate, vendor: ReplicateVendor) -> None:
    """Many models refuse an argument that they do not have."""
    ref = await provider.submit(request(prompt=""))
    assert vendor.jobs[ref].asked["input"] == {"megapixels": "1", "num_outputs": 2}


async def test_what_is_no_model_of_replicates_is_said_before_anything_is_sent(provider: Replicate) -> None:
    with pytest.raises(ProviderNotSetUp, match="owner/name"):
        await provider.submit(request(provider_model="a/b/c"))


async def test_it_calls_back_only_when_the_job_has_ended(provider: Replicate, vendor: ReplicateVendor) -> None:
    ref = await provider.submit(request(callback_url="https://farebox.example/v1/callbacks/box/token"))
    assert vendor.hooks[ref] == "https://farebox.example/v1/callbacks/box/token"
    assert vendor.jobs[ref].asked["webhook_events_filter"] == ["completed"]


async def test_inputs_go_as_addresses_and_large_ones_are_uploaded(provider: Replicate, vendor: ReplicateVendor) -> None:
    small, large = picture(width=80), picture(width=640, height=480)
    inputs = tuple(ProviderInput(kind="image", content_type="image/png", data=data) for data in (small, large))
    by_address = ProviderInput(kind="image", url="https://example.org/fox.png")
    ref = await provider.submit(request(inputs=(*inputs, by_address)))
    first, second, third = vendor.jobs[ref].asked["input"]["image_prompts"]
    assert (first[:22], second, third) == ("data:image/png;base64,", *vendor.uploaded, "https://example.org/fox.png")
    assert list(vendor.uploaded.values()) == [large]


async def test_a_model_that_takes_one_input_is_not_sent_a_list(provider: Replicate, vendor: ReplicateVendor) -> None:
    names = ArgumentNames(prompt="prompt", input_images="megapixels", one_image=True)
    ref = await provider.submit(request(names=names, inputs=(ProviderInput(kind="image", url="https://a.example/1"),)))
    assert vendor.jobs[ref].asked["input"] == {"prompt": PROMPT, "megapixels": "https://a.example/1"}


async def test_an_input_that_the_rate_card_has_no_name_for_is_never_left_out(provider: Replicate) -> None:
    names = ArgumentNames(input_images="image_prompts")
    with pytest.raises(ProviderNotSetUp, match="input videos"):
        await provider.submit(request(names=names, inputs=(ProviderInput(kind="video", url="https://a.example/1"),)))


@cases("shape", ["list", "table", "data"])
async def test_files_are_found_in_whatever_a_model_answers(
    provider: Replicate, vendor: ReplicateVendor, shape: str
) -> None:
    vendor.shape = shape
    rendered = await ended(provider, request())
    assert [(each.index, each.data) for each in rendered] == list(enumerate(vendor.jobs.popitem()[1].made))


@pytest.mark.parametrize(
    ("metrics", "each"),
    [
        ({"predict_time": 3.5}, {"gpu_seconds": 1.75}),
        ({"video_output_duration_seconds": 5, "total_time": 9}, {"seconds": 2.5}),
        ({"token_input_count": 7, "token_output_count": 4}, {"input_tokens": 3.5, "output_tokens": 2, "tokens": 5.5}),
        ({"input_token_count": 7}, {"input_tokens": 3.5}),
        ({"character_input_count": 3}, {"characters": 1.5}),
        ({"predict_time": "soon"}, {"gpu_seconds": "soon"}),
        (None, {}),
    ],
)
async def test_r29_its_metrics_are_shared_by_the_outputs(
    provider: Replicate, vendor: ReplicateVendor, metrics: dict[str, object], each: dict[str, object]
) -> None:
    vendor.metrics = metrics
    assert [one.reported for one in await ended(provider, request(0, 1))] == [each, each]


async def test_a_model_of_one_file_answers_it_alone_and_more_than_was_asked_for_is_left_out(
    provider: Replicate, vendor: ReplicateVendor
) -> None:
    vendor.shape = "one"
    assert [each.index for each in await ended(provider, request())] == [0]
    vendor.shape = "list"
    vendor.fewer = -2
    assert [each.index for each in await ended(provider, request())] == [0, 1]


async def test_of_a_resumed_job_only_what_is_missing_is_fetched(provider: Replicate, vendor: ReplicateVendor) -> None:
    ref = await provider.submit(request(1, 2, 3))
    resumed = request(3, job_indices=(1, 2, 3), attempt=2)
    (rendered,) = await made(provider, ref, resumed)
    assert (rendered.index, rendered.data) == (3, vendor.jobs[ref].made[2])


async def test_a_job_that_ended_without_a_file_has_failed(provider: Replicate, vendor: ReplicateVendor) -> None:
    vendor.fewer = 2
    with pytest.raises(ProviderFailed, match="no files"):
        await ended(provider, request())


async def test_progress_is_read_from_the_last_bar_of_the_log(provider: Replicate, vendor: ReplicateVendor) -> None:
    vendor.holding = True
    results = provider.results(await provider.submit(request()), request())
    assert [await anext(results), await anext(results)] == [Pending(None), Pending(0.5)]
    await results.aclose()


@pytest.mark.parametrize("status", ["canceled", "aborted"])
async def test_a_job_that_somebody_else_ended_is_worth_another(
    provider: Replicate, vendor: ReplicateVendor, status: str
) -> None:
    vendor.holding, vendor.status = True, status
    with pytest.raises(ProviderFailed, match="Replicate"):
        await ended(provider, request())


@cases(
    ("said", "error"),
    [
        ("NSFW content detected. Try running it again, or try a different prompt.", Moderated),
        ("The input or output was flagged as sensitive. Please try again with different inputs. (E005)", Moderated),
        ("Prompt was blocked by the content policy", Moderated),
        ("Image was filtered for safety", Moderated),
        ("CUDA out of memory", ProviderFailed),
        ("safety_tolerance must be at most 6", ProviderFailed),
        (f"could not do {PROMPT}", ProviderFailed),
    ],
)
async def test_moderation_is_distinguished_from_failures(
    provider: Replicate, vendor: ReplicateVendor, said: str, error: type[ProviderError]
) -> None:
    vendor.spoil = said
    with pytest.raises(ProviderError) as refused:
        await ended(provider, request())
    assert type(refused.value) is error
    assert "fox" not in refused.value.detail


async def test_a_refused_submit_is_about_the_request_or_about_its_content(
    provider: Replicate, vendor: ReplicateVendor
) -> None:
    vendor.faults = [
        answering(422, {"detail": "- input.safety_tolerance: Must be less than 6"}),
        answering(400, {"detail": "prompt was flagged by moderation"}),
    ]
    with pytest.raises(ProviderRejected):
        await provider.submit(request())
    with pytest.raises(Moderated):
        await provider.submit(request())


async def test_a_stop_of_what_has_ended_or_is_not_known_is_no_error(
    provider: Replicate, vendor: ReplicateVendor
) -> None:
    ref = await provider.submit(request())
    await provider.cancel(ref, MODEL)
    await provider.cancel("unknown", MODEL)
    assert vendor.stopped == [ref]
    assert vendor.refused.pop().startswith("POST /v1/predictions/unknown/cancel 404")


async def test_a_ref_that_is_no_id_never_becomes_an_address(provider: Replicate) -> None:
    for ref in (None, "../files", "a?b"):
        with pytest.raises(ProviderFailed):
            await anext(provider.results(ref, request()))


async def test_the_official_sdk_takes_what_our_server_says(vendor: ReplicateVendor) -> None:
    """A server that we wrote ourselves would else only show that we agree with ourselves."""

    def use() -> None:
        client = Client(api_token=KEY, base_url=vendor.url)
        prediction = client.models.predictions.create(MODEL, {"prompt": PROMPT, "num_outputs": 2})
        assert prediction.status == "starting"
        vendor.holding = True
        prediction.reload()
        prediction.reload()
        assert prediction.progress is not None
        assert (prediction.status, prediction.progress.percentage) == ("processing", 0.5)
        vendor.holding = False
        prediction.wait()
        done = client.predictions.get(prediction.id)
        assert done.status == "succeeded"
        assert done.output is not None
        assert len(done.output) == 2
        by_version = client.predictions.create(version=VERSION, input={"prompt": PROMPT})
        assert client.predictions.cancel(by_version.id).status == "canceled"
        vendor.spoil = "moderated"
        by_version.wait()
        assert (by_version.status, by_version.error is not None) == ("failed", True)
        assert client.files.create(io.BytesIO(picture())).urls["get"] in vendor.uploaded
        with pytest.raises(ReplicateError) as refused:
            client.models.predictions.create(MODEL, {"prompt": 7})
        assert (refused.value.status, refused.value.title) == (422, "Input validation failed")
        client._client.close()  # noqa: SLF001 - it has no way of its own to close its connections

    await asyncio.to_thread(use)
    assert vendor.refused.pop().startswith(f"POST /v1/models/{MODEL}/predictions 422")
