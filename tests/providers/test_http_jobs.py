"""The `http` contract: what its servers may say, and its example, run as the docs say."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.domain import State
from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderRejected, ProviderUnreachable
from gateway.media import inspect
from gateway.pricing.load import load_card
from tests.free_ports import free_port
from tests.providers.http_vendor import HttpVendor
from tests.providers.requests import asked, made, seen
from tests.providers.vendor import CARD, KEY, PROMPT, answering, pictures, served
from tests.providers.wild import always, serving
from tests.until import until
from tests.workers.stage import PRICE, ROOT, Stage
from workers.providers import Connection, Pending, ProviderInput, make_provider
from workers.providers.files import File
from workers.providers.http_jobs import HttpJobs, _with_costs


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[HttpVendor]:
    vendor = HttpVendor()
    async with served(vendor, tmp_path / "card") as card:
        load_card(card)
        yield vendor
        assert vendor.refused == []


@pytest.fixture
async def provider(vendor: HttpVendor) -> AsyncIterator[HttpJobs]:
    provider = make_provider("http", Connection(name="box", base_url=f"{vendor.url}/gpu", key=KEY))
    assert isinstance(provider, HttpJobs)
    yield provider
    await provider.close()


async def test_a_job_carries_all_that_was_asked(vendor: HttpVendor, provider: HttpJobs) -> None:
    inputs = (
        ProviderInput(kind="image", content_type="image/png", data=pictures(1)[0]),
        ProviderInput(kind="video", url="https://films.example/a.mp4"),
    )
    ref = await provider.submit(
        asked(0, 1, arguments={"width": 64, "guidance": 3.5}, inputs=inputs, callback_url="https://us.example/c/1")
    )
    sent = vendor.jobs[ref].asked
    assert (sent["model"], sent["prompt"], sent["outputs"]) == ("flux.1-dev", PROMPT, 2)
    assert sent["settings"] == {"width": 64, "guidance": 3.5}
    assert [set(given) for given in sent["inputs"]] == [{"kind", "content_type", "b64"}, {"kind", "url"}]
    assert sent["callback_url"] == "https://us.example/c/1"


async def test_the_same_key_is_the_same_job(vendor: HttpVendor, provider: HttpJobs) -> None:
    assert await provider.submit(asked()) == await provider.submit(asked())
    assert await provider.submit(asked(idempotency_key="another")) != await provider.submit(asked())
    assert len(vendor.jobs) == 2


async def test_outputs_are_taken_when_they_are_there(vendor: HttpVendor, provider: HttpJobs) -> None:
    ref = await provider.submit(asked(0, 1, 2))
    results = await seen(provider, ref, asked(0, 1, 2))
    assert results[0] == Pending(None)
    assert [one.data for one in await made(provider, ref, asked(0, 1, 2))] == vendor.jobs[ref].made


async def test_r29_an_output_says_what_it_used(provider: HttpJobs) -> None:
    rendered = await made(provider, await provider.submit(asked(0, 1)), asked(0, 1))
    assert [one.reported for one in rendered] == [{"gpu_seconds": 0.5}, {"gpu_seconds": 1.5}]
    assert [one.cost for one in rendered] == [0.01, 0.02]  # R31


def test_r31_outputs_without_a_cost_share_what_is_said_of_the_whole_job() -> None:
    files = [File(words="a"), File(words="b", cost=0.5), File(words="c")]
    assert [file.cost for file in _with_costs(files, 0.1)] == [Decimal("0.033333"), 0.5, Decimal("0.033334")]
    assert [file.cost for file in _with_costs(files, "NaN")] == ["NaN", 0.5, "NaN"]  # the worker judges it
    assert [file.cost for file in _with_costs(files, None)] == [None, 0.5, None]


async def test_resuming_takes_only_missing_outputs_under_their_own_numbers(
    vendor: HttpVendor, provider: HttpJobs
) -> None:
    ref = await provider.submit(asked(0, 1, 2))
    rest = await made(provider, ref, asked(1, 2, job_indices=(0, 1, 2)))
    assert [(one.index, one.data) for one in rest] == list(enumerate(vendor.jobs[ref].made))[1:]


async def test_a_later_job_for_the_rest_has_their_numbers(vendor: HttpVendor, provider: HttpJobs) -> None:
    ref = await provider.submit(asked(1, 3))
    first, second = vendor.jobs[ref].made
    assert [(one.index, one.data) for one in await made(provider, ref, asked(3, job_indices=(1, 3)))] == [(3, second)]
    assert [(one.index, one.data) for one in await made(provider, ref, asked(1, 3))] == [(1, first), (3, second)]


@pytest.mark.parametrize(
    ("spoil", "error"), [("moderated", Moderated), ("rejected", ProviderRejected), ("odd", ProviderFailed)]
)
async def test_a_failed_jobs_code_says_whether_another_attempt_is_worth_it(
    vendor: HttpVendor, provider: HttpJobs, spoil: str, error: type[ProviderError]
) -> None:
    vendor.spoil = spoil
    with pytest.raises(error) as failed:
        await seen(provider, await provider.submit(asked()), asked())
    assert type(failed.value) is error
    assert spoil in failed.value.detail
    assert "fox" not in failed.value.detail


async def test_a_submit_may_be_refused_as_moderated(vendor: HttpVendor, provider: HttpJobs) -> None:
    vendor.faults = [answering(422, {"error": {"code": "moderated", "message": "no foxes"}})]
    with pytest.raises(Moderated):
        await provider.submit(asked())


async def test_a_job_that_the_server_forgot_has_failed(provider: HttpJobs, vendor: HttpVendor) -> None:
    with pytest.raises(ProviderFailed, match="does not know the job"):
        await seen(provider, "job/7", asked())
    await provider.cancel("job/7", "flux.1-dev")
    assert len(vendor.refused) == 2
    vendor.refused.clear()


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, ProviderUnreachable),
        ({"status": "done"}, ProviderUnreachable),
        ({"status": "succeeded", "outputs": [{}]}, ProviderFailed),
        ({"status": "succeeded", "outputs": ["x"]}, ProviderFailed),
        ({"status": "succeeded", "outputs": [{"url": "file:///etc/passwd"}]}, ProviderFailed),
        ({"status": "succeeded", "outputs": [{"b64": "?"}]}, ProviderFailed),
        ({"status": "failed", "error": "boom"}, ProviderFailed),
        ({"status": "failed"}, ProviderFailed),
    ],
)
async def test_an_answer_that_is_not_the_contract_is_an_error_of_the_server(
    document: object, error: type[ProviderError]
) -> None:
    async with serving(always(200, document)) as wild:
        provider = HttpJobs(Connection(name="box", base_url=wild.url))
        with pytest.raises(ProviderError) as failed:
            await seen(provider, "job", asked())
        assert type(failed.value) is error
        await provider.close()


@pytest.mark.parametrize("document", [{}, {"id": ""}, {"id": None}, {"id": True}, {"id": "x" * 501}])
async def test_a_job_without_an_id_has_failed(document: object) -> None:
    async with serving(always(201, document)) as wild:
        provider = HttpJobs(Connection(name="box", base_url=wild.url))
        with pytest.raises(ProviderFailed):
            await provider.submit(asked())
        await provider.close()


async def test_more_outputs_than_were_asked_for_are_left_there() -> None:
    outputs = [{"b64": "aGk="}] * 3
    async with serving(always(200, {"status": "succeeded", "outputs": outputs})) as wild:
        provider = HttpJobs(Connection(name="box", base_url=wild.url))
        assert [one.index for one in await made(provider, "job", asked(0, 1))] == [0, 1]
        assert [one.index for one in await made(provider, "job", asked(2, 5))] == [2, 5]
        await provider.close()


async def test_the_example_server_does_what_the_page_says(stage: Stage) -> None:
    """docs/examples/gpu_server.py with the page's own rate card: a worker dies, and the pictures come all the same."""
    port = free_port()
    page = (ROOT / "docs" / "providers.md").read_text()
    snippet = next(part.partition("```")[0] for part in page.split("```toml\n")[1:] if "[models.mine]" in part)
    card = stage.directory / "pricing.toml"
    card.write_text(CARD.replace("flux-dev", "mine") + snippet.replace(":9000", f":{port}"))
    environment = {"FAREBOX_RATE_CARD": str(card), "GPU_BOX_KEY": KEY}
    program = (sys.executable, str(ROOT / "docs" / "examples" / "gpu_server.py"), str(port))
    server = await asyncio.create_subprocess_exec(
        *program, env=os.environ | {"GPU_SERVER_KEY": KEY}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await stage.account()
        stage.caretaker()
        first = stage.worker(**environment)
        generation = await stage.order(
            outputs=2, provider="my-gpu", model="mine", provider_model="gradient", settings={"resolution": "1K"}
        )
        await until(lambda: _has_output(stage, generation))
        first.kill()
        await stage.lapse(generation)
        stage.worker(**environment)
        ended = await stage.ended(generation)
    finally:
        server.kill()
        await server.wait()
    assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 2)
    assert [(output.width, output.height) for output in ended.outputs] == [(1024, 1024)] * 2
    assert await stage.spent() == 2 * PRICE
    store = stage.directory / "outputs"
    assert inspect((store / ended.outputs[1].object_key).read_bytes()).content_type == "image/png"


async def _has_output(stage: Stage, generation: str) -> bool:
    return bool((await stage.generation(generation)).outputs)
