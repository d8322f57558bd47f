"""ComfyUI: what is queued there, under which id, what is heard of it, and that exactly one job is stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import ProviderFailed, ProviderNotSetUp, ProviderRejected, ProviderUnreachable
from gateway.kinds import MediaKind
from gateway.metering import Unit
from gateway.pricing.load import load_card
from tests.cases import cases
from tests.made_media import picture
from tests.providers.comfyui_vendor import WORKFLOW, ComfyUiVendor
from tests.providers.requests import asked, made, seen
from tests.providers.vendor import PROMPT, answering, served
from tests.providers.wild import serving
from workers.providers import Connection, Pending, ProviderInput, ProviderRequest, make_provider
from workers.providers.comfyui import ComfyUi
from workers.providers.comfyui.history import failure_of, files_of
from workers.providers.comfyui.messages import JobEnding, JobProgress, QueueChanged, read

SIZE = {"width": 64, "height": 48}


def wanted(*indices: int, **more: Any) -> ProviderRequest:
    return asked(*indices, **({"provider_model": "flux.json", "arguments": SIZE} | more))


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[ComfyUiVendor]:
    vendor = ComfyUiVendor()
    async with served(vendor, tmp_path) as card:
        load_card(card)
        yield vendor


@pytest.fixture
async def provider(vendor: ComfyUiVendor, tmp_path: Path) -> AsyncIterator[ComfyUi]:
    provider = make_provider("comfyui", Connection(name="box", base_url=vendor.url, folder=tmp_path))
    assert isinstance(provider, ComfyUi)
    yield provider
    await provider.close()


async def test_the_workflow_is_filled_in_with_values_of_their_types(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    job = await provider.submit(wanted(0, 1, 2, prompt='say "hi"\n{{seed}}'))
    workflow = vendor.jobs[job].asked["prompt"]
    assert workflow["2"]["inputs"]["text"] == 'best quality, say "hi"\n{{seed}}'
    assert workflow["4"]["inputs"] == {"width": 64, "height": 48, "batch_size": 3}
    assert vendor.refused == []


async def test_a_default_seed_differs_between_jobs_and_is_the_same_for_retries(
    vendor: ComfyUiVendor, provider: ComfyUi
) -> None:
    for key in ("first", "second"):
        await provider.submit(wanted(idempotency_key=key))
    await provider.submit(wanted(idempotency_key="third", arguments=SIZE | {"seed": 7}))
    first, second, third = (job.asked["prompt"]["5"]["inputs"]["seed"] for job in vendor.jobs.values())
    assert 0 <= first != second < 2**53
    assert third == 7


async def test_a_second_submit_of_the_same_key_finds_the_first_waiting_or_done(
    vendor: ComfyUiVendor, provider: ComfyUi
) -> None:
    job = await provider.submit(wanted())
    assert await provider.submit(wanted()) == job
    await made(provider, job, wanted())
    assert await provider.submit(wanted()) == job
    assert list(vendor.jobs) == [job]
    assert await provider.submit(wanted(idempotency_key="another")) != job


@pytest.mark.parametrize("unclear", ["drop_answers", "break_answers"])
async def test_a_job_that_was_queued_although_the_answer_does_not_say_so_is_gone_on_with(
    vendor: ComfyUiVendor, provider: ComfyUi, unclear: str
) -> None:
    """After a 500 the submit had failed: the next one was another job, and this one stayed in the queue for nobody."""
    setattr(vendor, unclear, 1)
    job = await provider.submit(wanted())
    assert list(vendor.jobs) == [job]


async def test_a_workflow_that_is_taken_in_part_is_stopped_and_rejected_with_the_node(
    vendor: ComfyUiVendor, provider: ComfyUi, tmp_path: Path
) -> None:
    """A real server answered 200 with `node_errors` and ran the valid branch: the wrong picture was charged."""
    half = WORKFLOW | {"11": {"class_type": "SaveImage", "inputs": {"filename_prefix": "the one that was meant"}}}
    (tmp_path / "half.json").write_text(json.dumps(half))
    with pytest.raises(ProviderRejected, match=r"node 11, SaveImage: .*Required input is missing"):
        await provider.submit(wanted(provider_model="half.json"))
    (job,) = vendor.jobs
    assert vendor.stopped == [job]


async def test_a_500_without_a_job_is_a_failure(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    vendor.faults = [answering(500, {"error": "boom"})]
    with pytest.raises(ProviderFailed, match="500"):
        await provider.submit(wanted())
    assert vendor.jobs == {}


@pytest.mark.parametrize("unclear", ["drop_answers", "break_answers"])
async def test_a_job_that_may_be_queued_is_unknown_and_can_be_stopped(
    vendor: ComfyUiVendor, provider: ComfyUi, unclear: str
) -> None:
    setattr(vendor, unclear, 1)
    vendor.deaf_after_submit = True
    request = wanted()
    with pytest.raises(ProviderUnreachable):
        await provider.submit(request)
    (job,) = vendor.jobs
    assert request.announced == {job}
    resumed = wanted()
    with pytest.raises(ProviderUnreachable):
        await provider.submit(resumed)
    assert resumed.announced == {job}, "by a later attempt too"
    vendor.deaf = False
    assert await provider.submit(resumed) == job
    assert list(vendor.jobs) == [job]


async def test_inputs_are_uploaded_and_named_in_the_workflow(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    given = [picture("PNG"), picture("JPEG")]
    inputs = tuple(ProviderInput(kind="image", content_type="image/png", data=data) for data in given)
    job = await provider.submit(wanted(provider_model="edit.json", inputs=inputs))
    assert vendor.inputs_of(job) == given
    assert [name.rpartition(".")[2] for name in vendor.uploads] == ["png", "jpg"]


async def test_a_request_without_the_inputs_that_its_workflow_needs_is_rejected(
    vendor: ComfyUiVendor, provider: ComfyUi
) -> None:
    with pytest.raises(ProviderRejected, match="needs input_image_1"):
        await provider.submit(wanted(provider_model="edit.json"))
    assert vendor.jobs == {}


@pytest.mark.parametrize("name", ["gone.json", "../flux.json", "flux.txt", "broken.json", "odd.json"])
async def test_a_workflow_that_cannot_be_used_is_the_operators_to_mend(
    provider: ComfyUi, tmp_path: Path, name: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "odd.json").write_text(json.dumps(WORKFLOW).replace("{{width}}", "{{wide}}"))
    with pytest.raises(ProviderNotSetUp, match="the workflow"):
        await provider.submit(wanted(provider_model=name))


async def test_how_far_it_is_comes_from_the_socket_and_only_its_own_counts(
    vendor: ComfyUiVendor, provider: ComfyUi
) -> None:
    job = await provider.submit(wanted())
    results = await seen(provider, job, wanted())
    assert Pending(0.475) in results
    assert {result.fraction for result in results if isinstance(result, Pending)} <= {None, 0.475}
    assert vendor.listeners == 1


async def test_without_a_socket_the_job_is_polled(tmp_path: Path) -> None:
    vendor = ComfyUiVendor(sockets=False)
    async with served(vendor, tmp_path):
        provider = ComfyUi(Connection(name="box", base_url=vendor.url, folder=tmp_path))
        job = await provider.submit(wanted(0, 1))
        assert [one.data for one in await made(provider, job, wanted(0, 1))] == vendor.jobs[job].made
        await provider.close()


async def test_who_stops_reading_leaves_no_socket_behind(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    vendor.holding = True
    job = await provider.submit(wanted())
    async with aclosing(provider.results(job, wanted())) as results:
        async for result in results:
            if result == Pending(0.475):
                break
    vendor.holding = False
    assert len(await made(provider, job, wanted())) == 1


async def test_r29_the_seconds_that_it_ran_are_shared_by_the_outputs(provider: ComfyUi) -> None:
    rendered = await made(provider, await provider.submit(wanted(0, 1, 2)), wanted(0, 1, 2))
    assert [str(one.reported[Unit.GPU_SECONDS]) for one in rendered] == ["0.833333", "0.833333", "0.833334"]


async def test_resuming_takes_only_missing_outputs(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    job = await provider.submit(wanted(0, 1, 2))
    rest = await made(provider, job, wanted(1, 2, job_indices=(0, 1, 2)))
    assert [(one.index, one.data) for one in rest] == list(enumerate(vendor.jobs[job].made))[1:]


async def test_a_job_that_a_restart_forgot_has_failed(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    job = await provider.submit(wanted())
    vendor.jobs.clear()
    with pytest.raises(ProviderFailed, match="no longer knows the job"):
        await seen(provider, job, wanted())


async def test_a_node_that_breaks_is_a_failure_in_the_servers_words_without_the_prompt(
    vendor: ComfyUiVendor, provider: ComfyUi
) -> None:
    vendor.spoil = "failed"
    with pytest.raises(ProviderFailed, match="its node KSampler failed: OutOfMemoryError: ") as failed:
        await seen(provider, await provider.submit(wanted()), wanted())
    assert "fox" not in failed.value.detail


async def test_a_workflow_that_does_not_validate_is_rejected_with_what_is_wrong(
    provider: ComfyUi, tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text(json.dumps(WORKFLOW).replace('"steps": 20', '"steps": "many"'))
    with pytest.raises(ProviderRejected, match=r"KSampler: .*steps: many"):
        await provider.submit(wanted(provider_model="wrong.json"))
    (tmp_path / "unknown.json").write_text(json.dumps(WORKFLOW).replace("SaveImage", "SaveDream"))
    with pytest.raises(ProviderRejected, match="SaveDream"):
        await provider.submit(wanted(provider_model="unknown.json"))


async def test_a_server_that_gives_ids_of_its_own_is_refused_and_its_job_stopped(tmp_path: Path) -> None:
    async def old(request: web.Request) -> web.Response:
        if request.path == "/prompt":
            return web.json_response({"prompt_id": "an/other", "number": 1, "node_errors": {}})
        return web.json_response({"queue_running": [], "queue_pending": []})

    (tmp_path / "flux.json").write_text(json.dumps(WORKFLOW))
    async with serving(old) as wild:
        provider = ComfyUi(Connection(name="box", base_url=wild.url, folder=tmp_path))
        with pytest.raises(ProviderNotSetUp, match="update it"):
            await provider.submit(wanted())
        await provider.close()
        assert wild.asked[-1].raw_path == "/api/jobs/an%2Fother/cancel"


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modern", [True, False])
async def test_exactly_one_job_is_stopped_waiting_or_running(tmp_path: Path, *, modern: bool) -> None:
    vendor = ComfyUiVendor(modern=modern, holding=True)
    async with served(vendor, tmp_path):
        provider = ComfyUi(Connection(name="box", base_url=vendor.url, folder=tmp_path))
        running, waiting, other = [await provider.submit(wanted(idempotency_key=key)) for key in "abc"]
        await provider.cancel(waiting, "flux.json")
        assert vendor.stopped == [waiting]
        await provider.cancel(running, "flux.json")
        assert vendor.stopped == [waiting, running]
        await provider.cancel(running, "flux.json")
        await provider.cancel("unknown", "flux.json")
        await provider.close()
    assert vendor.stopped == [waiting, running]
    assert vendor.interrupts == ([] if modern else [running])
    assert not vendor.has_ended(other)


async def test_an_interruption_on_the_server_is_recognized(provider: ComfyUi) -> None:
    job = await provider.submit(wanted())
    await provider.cancel(job, "flux.json")
    with pytest.raises(ProviderFailed, match="it was interrupted on the server"):
        await seen(provider, job, wanted())


async def test_a_busy_front_is_not_comfyuis_refusal(vendor: ComfyUiVendor, provider: ComfyUi) -> None:
    vendor.faults = [answering(503, {}, Retry_After="2")]
    with pytest.raises(Exception, match="503") as busy:
        await provider.submit(wanted())
    assert getattr(busy.value, "retry_after_seconds", None) == 2


# --- the socket -----------------------------------------------------------------------------------------------------


def said(kind: str, **data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


@cases(
    ("text", "message"),
    [
        (said("progress", value=5, max=20, prompt_id="a", node="5"), JobProgress("a", 0.2375)),
        (
            said(
                "progress_state",
                prompt_id="a",
                nodes={
                    "1": {"value": 1, "max": 1, "state": "finished"},
                    "5": {"value": 10, "max": 20, "state": "running"},
                },
            ),
            JobProgress("a", 0.475),
        ),
        (said("executing", node=None, prompt_id="a"), JobEnding("a")),
        (said("execution_error", node_id="5", prompt_id="a"), JobEnding("a")),
        (said("status", status={"exec_info": {"queue_remaining": 3}}, sid="me"), QueueChanged(3)),
        (said("status", status={}), QueueChanged(None)),
        (said("executing", node="5", prompt_id="a"), None),
        (said("executing", node="5"), None),
        (said("progress", value=5, max=20), None),
        (said("execution_cached", nodes=[], prompt_id="a"), None),
    ],
)
def test_a_message_of_the_socket_is_progress_an_end_a_change_of_the_queue_or_nothing(
    text: str, message: object
) -> None:
    assert read(text) == message


# --- the history ----------------------------------------------------------------------------------------------------


def entry(**outputs: Any) -> dict[str, Any]:
    return {"outputs": {name.removeprefix("n"): node for name, node in outputs.items()}, "status": None}


def item(filename: str, kind: str = "output") -> dict[str, str]:
    return {"filename": filename, "subfolder": "", "type": kind}


def names(found: list[str]) -> list[str]:
    return [path.partition("filename=")[2].partition("&")[0] for path in found]


def test_saved_files_come_in_the_order_of_their_nodes_and_previews_do_not_count() -> None:
    saved, preview = {"images": [item("a.png"), item("b.png")]}, {"images": [item("p.png", "temp")]}
    outputs = entry(n10={"images": [item("c.png")]}, n9=saved, n3=preview)
    assert names(files_of(outputs, MediaKind.IMAGE)) == ["a.png", "b.png", "c.png"]
    assert names(files_of(entry(n3=preview), None)) == ["p.png"]


def test_a_video_is_distinguished_from_the_picture_saved_with_it() -> None:
    outputs = entry(n1={"images": [item("still.png")]}, n2={"gifs": [item("film.mp4")], "animated": [True]})
    assert names(files_of(outputs, MediaKind.VIDEO)) == ["film.mp4"]
    assert names(files_of(outputs, MediaKind.IMAGE)) == ["still.png"]
    assert names(files_of(outputs, None)) == ["still.png", "film.mp4"]


@pytest.mark.parametrize("outputs", [None, [], {"1": None}, {"1": {"images": None}}, {"1": {"images": [{}, "x"]}}])
def test_outputs_of_any_other_shape_are_no_files(outputs: object) -> None:
    assert files_of({"outputs": outputs}, None) == []


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        (None, False),
        ({"status_str": "success", "messages": []}, False),
        ({"status_str": "error", "messages": None}, True),
        ({"status_str": "error", "messages": [["execution_error"], "x", ["execution_error", {}]]}, True),
    ],
)
def test_a_status_of_any_shape_says_whether_it_failed(status: object, *, failed: bool) -> None:
    assert (failure_of({"status": status}, private=PROMPT) is not None) is failed
