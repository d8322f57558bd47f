"""fal: where a request goes and is looked for, what its ends mean, and which files are its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fal_client import Completed, FalClientHTTPError, InProgress, Queued, SyncClient

from gateway.errors import (
    Moderated,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from tests.cases import cases
from tests.providers.fal_vendor import APP, FalVendor
from tests.providers.requests import asked, made
from tests.providers.vendor import KEY, PROMPT, answering, served
from workers.providers import ArgumentNames, Connection, Pending, ProviderInput, ProviderRequest, Rendered
from workers.providers.fal import Fal

NAMES = ArgumentNames(outputs="num_images", input_images="image_urls")


def request(*indices: int, **more: Any) -> ProviderRequest:
    terms = {"provider_model": f"{APP}/dev/image-to-image", "arguments": {"image_size": "square"}, "names": NAMES}
    return asked(*(indices or (0, 1)), **(terms | more))


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[FalVendor]:
    vendor = FalVendor()
    async with served(vendor, tmp_path / "card"):
        yield vendor
        assert vendor.refused == []
        assert vendor.hosted.keys_seen == 0


@pytest.fixture
async def provider(vendor: FalVendor) -> AsyncIterator[Fal]:
    provider = Fal(Connection(name="box", base_url=f"{vendor.url}/q", key=KEY))
    yield provider
    await provider.close()


async def ended(provider: Fal, request: ProviderRequest) -> list[Rendered]:
    return await made(provider, await provider.submit(request), request)


@pytest.mark.parametrize(
    ("provider_model", "app"),
    [
        (APP, APP),
        (f"{APP}/dev/image-to-image", APP),
        ("workflows/acme/relight", "workflows/acme/relight"),
        ("comfy/acme/relight/v2", "comfy/acme/relight"),
    ],
)
async def test_a_request_is_submitted_at_its_path_and_polled_and_stopped_at_its_app(
    provider: Fal, vendor: FalVendor, provider_model: str, app: str
) -> None:
    wanted = request(provider_model=provider_model)
    ref = await provider.submit(wanted)
    assert vendor.apps[ref] == app
    assert len(await made(provider, ref, wanted)) == 2
    await provider.cancel(ref, provider_model)
    assert vendor.stopped == [ref]


@cases("provider_model", ["flux", "fal-ai/../admin", "fal-ai/flux?x=1", "https://fal.run/a/b"])
async def test_what_is_no_app_is_said_before_anything_is_sent(provider: Fal, provider_model: str) -> None:
    with pytest.raises(ProviderNotSetUp, match="owner/app"):
        await provider.submit(request(provider_model=provider_model))


async def test_arguments_are_the_body_and_the_callback_url_is_in_the_query(provider: Fal, vendor: FalVendor) -> None:
    called = "https://farebox.example/v1/callbacks/box/to.ken?a=b&c=d"
    inputs = (
        ProviderInput(kind="image", content_type="image/png", data=b"\x89PNG"),
        ProviderInput(kind="image", url="https://a.example/1.png"),
    )
    ref = await provider.submit(request(callback_url=called, inputs=inputs))
    assert vendor.hooks[ref] == called
    assert vendor.jobs[ref].asked == {
        "prompt": PROMPT,
        "image_size": "square",
        "num_images": 2,
        "image_urls": ["data:image/png;base64,iVBORw==", "https://a.example/1.png"],
    }


async def test_a_model_that_takes_one_input_is_not_sent_a_list(provider: Fal, vendor: FalVendor) -> None:
    names = ArgumentNames(input_images="image_url", one_image=True)
    inputs = (ProviderInput(kind="image", url="https://a.example/1.png"),)
    ref = await provider.submit(request(names=names, inputs=inputs))
    assert vendor.jobs[ref].asked["image_url"] == "https://a.example/1.png"
    assert "num_images" not in vendor.jobs[ref].asked


async def test_it_waits_in_line_then_reads_progress_from_the_log(provider: Fal, vendor: FalVendor) -> None:
    vendor.holding = True
    results = provider.results(await provider.submit(request()), request())
    assert [await anext(results), await anext(results)] == [Pending(None), Pending(0.5)]
    await results.aclose()


@cases(("shape", "count"), [("images", 2), ("video", 1), ("data", 1)])
async def test_files_are_found_in_whatever_a_model_answers(
    provider: Fal, vendor: FalVendor, shape: str, count: int
) -> None:
    """A thumbnail that stands before the video is not the output; an address that is no file is none either."""
    vendor.shape = shape
    rendered = await ended(provider, request(*range(count)))
    assert [(each.index, each.data) for each in rendered] == list(enumerate(vendor.jobs.popitem()[1].made))


async def test_r29_what_it_bills_and_how_long_it_ran_are_shared_by_the_outputs(
    provider: Fal, vendor: FalVendor
) -> None:
    rendered = await ended(provider, request(0, 1))
    assert [one.reported for one in rendered] == [{"gpu_seconds": 0.75, "provider_credits": Decimal("1.504")}] * 2
    vendor.shape, vendor.billed = "video", "a lot"
    (film,) = await ended(provider, request(0))
    assert film.reported == {"seconds": 5.04, "provider_credits": "a lot"}


async def test_of_a_resumed_job_only_what_is_missing_is_fetched(provider: Fal, vendor: FalVendor) -> None:
    ref = await provider.submit(request(1, 2, 3))
    resumed = request(3, job_indices=(1, 2, 3), attempt=2)
    (rendered,) = await made(provider, ref, resumed)
    assert (rendered.index, rendered.data) == (3, vendor.jobs[ref].made[2])


async def test_what_the_safety_checker_blackened_is_no_output(provider: Fal, vendor: FalVendor) -> None:
    vendor.unsafe = [True, False]
    (rendered,) = await ended(provider, request())
    assert rendered.data == vendor.jobs.popitem()[1].made[1]
    vendor.unsafe = [True, True]
    with pytest.raises(Moderated):
        await ended(provider, request())


async def test_a_result_without_files_has_failed(provider: Fal, vendor: FalVendor) -> None:
    vendor.fewer = 2
    with pytest.raises(ProviderFailed, match="no files"):
        await ended(provider, request())


def model_error(kind: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": kind, "input": PROMPT}]}


@cases(
    ("ending", "error"),
    [
        ((422, model_error("content_policy_violation"), {"X-Fal-Retryable": "false"}), Moderated),
        ((422, model_error("image_too_large"), {"X-Fal-Retryable": "false"}), ProviderRejected),
        ((422, model_error("no_media_generated"), {"X-Fal-Retryable": "true"}), ProviderFailed),
        ((500, model_error("internal_server_error"), {}), ProviderFailed),
        ((504, {"detail": "Request timed out", "error_type": "request_timeout"}, {}), ProviderFailed),
        ((499, {"detail": "cancelled", "error_type": "client_cancelled"}, {}), ProviderFailed),
        ((422, {"detail": f"{PROMPT} was flagged", "error_type": "bad_request"}, {}), Moderated),
        ((503, {"detail": "Service Unavailable"}, {}), ProviderUnreachable),
        ((429, {"detail": "Too many requests"}, {"Retry-After": "2"}), ProviderBusy),
        ((404, {"detail": "Request not found"}, {}), ProviderFailed),
        ((401, {"detail": "Authentication is required"}, {}), ProviderNotSetUp),
    ],
)
async def test_an_error_is_the_jobs_result_or_the_polls(
    provider: Fal, vendor: FalVendor, ending: tuple[int, dict[str, Any], dict[str, str]], error: type[ProviderError]
) -> None:
    """The result's address answers with the status that the model ended with, so a 503 may be either."""
    vendor.ending = ending
    with pytest.raises(ProviderError) as refused:
        await ended(provider, request())
    assert type(refused.value) is error
    assert "fox" not in refused.value.detail


async def test_a_refused_submit_is_about_the_request_or_about_its_content(provider: Fal, vendor: FalVendor) -> None:
    vendor.faults = [answering(422, model_error("missing")), answering(422, model_error("content_policy_violation"))]
    with pytest.raises(ProviderRejected):
        await provider.submit(request())
    with pytest.raises(Moderated):
        await provider.submit(request())


async def test_a_stop_of_what_is_not_known_is_no_error(provider: Fal, vendor: FalVendor) -> None:
    await provider.cancel("unknown", APP)
    assert vendor.refused.pop().startswith(f"PUT /q/{APP}/requests/unknown/cancel 404")


async def test_a_ref_that_is_no_id_never_becomes_an_address(provider: Fal) -> None:
    for ref in (None, "../x", "a/status", "a?b"):
        with pytest.raises(ProviderFailed):
            await anext(provider.results(ref, request()))


async def test_the_official_sdk_takes_what_our_server_says(vendor: FalVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that we wrote ourselves would else only show that we agree with ourselves. `https:` is built into it."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"{vendor.url}/q/")

    def use() -> None:
        client = SyncClient(key=KEY)
        handle = client.submit(
            APP, {"prompt": PROMPT, "num_images": 2}, path="dev", webhook_url="https://a.example/?b=c"
        )
        assert vendor.hooks[handle.request_id] == "https://a.example/?b=c"
        assert handle.status() == Queued(position=3)
        vendor.holding = True
        assert isinstance(client.status(f"{APP}/dev", handle.request_id, with_logs=True), InProgress)
        vendor.holding = False
        assert isinstance(handle.status(), Completed)
        assert len(client.result(f"{APP}/dev", handle.request_id)["images"]) == 2
        handle.cancel()
        for spoil, status in (("moderated", 422), ("failed", 500)):
            vendor.spoil = spoil
            with pytest.raises(FalClientHTTPError) as refused:
                handle.get()
            assert refused.value.status_code == status
        client._client.close()  # noqa: SLF001 - it has no way of its own to close its connections

    await asyncio.to_thread(use)
