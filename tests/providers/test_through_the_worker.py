"""Each asynchronous provider through the real worker: what it made is delivered once, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain import FailureCode, State
from gateway.metering import MILLIONTHS, Meter, Metering, Unit
from tests.made_media import picture
from tests.providers.comfyui_vendor import ComfyUiVendor
from tests.providers.fal_vendor import FalVendor
from tests.providers.http_vendor import HttpVendor
from tests.providers.replicate_vendor import ReplicateVendor
from tests.providers.scene import Scene, open_scene, sums, sums_of
from tests.providers.vendor import KEY, PROMPT, Vendor, answering
from tests.until import until
from tests.workers.stage import PRICE, Stage

PER_GPU_SECOND = Metering(0, (Meter(Unit.GPU_SECONDS, 10**9, 10 * MILLIONTHS, 10 * MILLIONTHS),), 0)
"""R29: a credit for each, up to the usual price."""
REPORTED = {"http": 2_000, "comfyui": 2_500, "replicate": 3_500, "fal": 1_500}
"""What two outputs cost by it: each vendor here reports the same of every job."""
VENDORS: list[type[Vendor]] = [HttpVendor, ComfyUiVendor, ReplicateVendor, FalVendor]


def through(*vendors: type[Vendor]) -> pytest.MarkDecorator:
    """Run the test with these vendors, and in a long run with each.

    What the worker does is the same for all; how each vendor answers is tested without a worker in its own file. Every
    vendor has some of the tests here, and what it makes is delivered through the worker in the first of them.
    """
    every = [pytest.param(each, id=each.kind, marks=() if each in vendors else pytest.mark.long) for each in VENDORS]
    return pytest.mark.parametrize("scene", every, indirect=True)


@pytest.fixture
async def scene(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(stage, request.param(), tmp_path / "card") as scene:
        yield scene


@through(*VENDORS)
async def test_inputs_arrive_and_all_outputs_come_back_in_their_order(scene: Scene) -> None:
    scene.worker()
    ended = await scene.stage.ended(
        await scene.order(outputs=3, inputs=await scene.inputs(2), **scene.vendor.for_inputs)
    )
    assert (ended.state, ended.progress_thousandths) == (State.SUCCEEDED, 1000)
    assert sums(ended) == sums_of(scene.vendor.jobs[scene.only_job].made)
    assert scene.vendor.inputs_of(scene.only_job) == [picture(width=80), picture(width=81)]
    assert await scene.stage.spent() == 3 * PRICE


@through(ReplicateVendor)
async def test_fewer_outputs_than_were_asked_for_are_delivered_and_only_they_are_paid(scene: Scene) -> None:
    scene.worker()
    scene.vendor.fewer = 1
    ended = await scene.stage.ended(await scene.order(outputs=3))
    assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 2)
    assert await scene.stage.spent() == 2 * PRICE


@through(FalVendor)
async def test_what_the_vendor_will_not_do_ends_at_once_refunded(scene: Scene) -> None:
    scene.worker()
    scene.vendor.faults = scene.vendor.rejections()
    ended = await scene.stage.ended(await scene.order())
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, FailureCode.PROVIDER_REJECTED, 1)
    assert await scene.stage.spent() == 0


@through(ReplicateVendor)
async def test_a_job_that_fails_is_tried_again_as_a_new_job(scene: Scene) -> None:
    worker = scene.worker()
    scene.vendor.spoil = "failed"
    generation = await scene.order()
    await until(lambda: worker.says("attempt_failed"))
    scene.vendor.spoil = None
    ended = await scene.stage.ended(generation)
    assert (ended.state, ended.failures, len(scene.vendor.jobs)) == (State.SUCCEEDED, 1, 2)
    assert await scene.stage.spent() == PRICE


@through(HttpVendor)
async def test_a_busy_vendor_is_waited_for_and_nothing_has_failed(scene: Scene) -> None:
    scene.worker()
    scene.vendor.faults = [answering(429, {"detail": "slow down"}, Retry_After="1")]
    ended = await scene.stage.ended(await scene.order())
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)


@through(FalVendor)
async def test_a_vendor_that_is_away_at_first_is_asked_until_it_is_there(scene: Scene) -> None:
    worker = scene.worker()
    await scene.vendor.down()
    generation = await scene.order()
    await until(lambda: worker.says("provider_unreachable"))
    await scene.vendor.up()
    ended = await scene.stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert len(scene.vendor.jobs) == 1


@through(ReplicateVendor)
async def test_a_vendor_that_goes_away_with_a_job_keeps_the_hold_and_finishes_later(scene: Scene) -> None:
    worker = scene.worker()
    scene.vendor.holding = True
    generation = await scene.order()
    ref = await scene.noted(generation)
    await scene.vendor.down()
    await until(lambda: worker.says("provider_unreachable"))
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.RUNNING, 0, ref)
    scene.vendor.holding = False
    await scene.vendor.up()
    ended = await scene.stage.ended(generation)
    assert (ended.state, ended.failures, len(scene.vendor.jobs)) == (State.SUCCEEDED, 0, 1)
    assert await scene.stage.spent() == PRICE


@through(HttpVendor, FalVendor)
async def test_a_submit_whose_answer_is_lost_makes_no_second_job_where_it_can_be_known(scene: Scene) -> None:
    """Elsewhere it has failed, which is tried again `attempts_max` times at most: never an endless row of jobs."""
    scene.worker()
    scene.vendor.drop_answers = 2
    ended = await scene.stage.ended(await scene.order(outputs=2, terms={"attempts_max": 2}))
    if scene.vendor.knows_keys:
        assert (ended.state, ended.failures, len(scene.vendor.jobs)) == (State.SUCCEEDED, 0, 1)
    else:
        assert (ended.state, ended.error, len(scene.vendor.jobs)) == (State.FAILED, FailureCode.PROVIDER_FAILED, 2)
        assert await scene.stage.spent() == 0


@through(ComfyUiVendor)
async def test_a_worker_killed_after_the_id_was_noted_leaves_a_job_that_the_next_resumes(scene: Scene) -> None:
    scene.stage.caretaker()
    first = scene.worker()
    scene.vendor.holding = True
    generation = await scene.order(outputs=2, metering=PER_GPU_SECOND)
    ref = await scene.noted(generation)
    first.kill()
    await scene.stage.lapse(generation)
    scene.worker()
    scene.vendor.holding = False
    ended = await scene.stage.ended(generation)
    assert (ended.state, ended.provider_ref, len(ended.outputs)) == (State.SUCCEEDED, ref, 2)
    assert (len(scene.vendor.jobs), scene.vendor.stopped) == (1, [])
    assert await scene.stage.spent() == REPORTED[scene.vendor.kind], "R29: what the one job reported"


@through(HttpVendor)
async def test_a_worker_killed_after_a_result_and_before_the_end_delivers_once(scene: Scene) -> None:
    scene.stage.caretaker()
    first = scene.worker()
    scene.vendor.holding = True
    scene.vendor.early = scene.vendor.early_most
    generation = await scene.order(outputs=2, metering=PER_GPU_SECOND)
    await scene.delivered(generation, 1)
    first.kill()
    await scene.stage.lapse(generation)
    scene.worker()
    scene.vendor.holding = False
    ended = await scene.stage.ended(generation)
    assert (ended.state, len(scene.vendor.jobs)) == (State.SUCCEEDED, 1)
    assert sums(ended) == sums_of(scene.vendor.jobs[scene.only_job].made)
    assert await scene.stage.spent() == REPORTED[scene.vendor.kind], "R29: of two attempts, what the job reported"


@pytest.mark.short_lease
@through(FalVendor)
async def test_a_silent_vendor_times_out_is_refunded_and_its_late_result_discarded(scene: Scene) -> None:
    scene.worker()
    scene.stage.caretaker()
    scene.vendor.holding = True
    generation = await scene.order(terms={"provider_timeout_ms": 2500})
    ended = await scene.stage.ended(generation)
    assert (ended.state, ended.error) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT)
    await scene.stopped(scene.only_job)
    scene.vendor.holding = False
    await scene.stage.ended(await scene.order())  # the worker has done something else since
    late = await scene.stage.generation(generation)
    assert (late.state, late.outputs) == (State.FAILED, ())
    assert await scene.stage.spent() == PRICE


@through(ComfyUiVendor)
async def test_a_cancel_stops_exactly_that_job(scene: Scene) -> None:
    scene.worker()
    scene.vendor.holding = True
    kept = await scene.order()
    await scene.noted(kept)
    (first,) = scene.vendor.jobs
    cancelled = await scene.order()
    await scene.noted(cancelled)
    second = next(job for job in scene.vendor.jobs if job != first)
    await scene.stage.cancel(cancelled)
    assert (await scene.stage.generation(cancelled)).state is State.CANCELLED
    await scene.stopped(second)
    scene.vendor.holding = False
    assert (await scene.stage.ended(kept)).state is State.SUCCEEDED
    assert scene.vendor.stopped == [second]
    assert await scene.stage.spent() == PRICE


@through(ReplicateVendor)
async def test_neither_the_key_nor_the_prompt_is_in_the_workers_log(scene: Scene) -> None:
    worker = scene.worker()
    scene.vendor.faults = [
        answering(429, {"detail": f"too many of {PROMPT}"}, Retry_After="1"),
        answering(400, {"error": {"message": f"no {KEY}, and no {PROMPT[6:40]}"}}),
    ]
    await scene.stage.ended(await scene.order())
    scene.vendor.spoil = "failed"
    await scene.stage.ended(await scene.order(terms={"attempts_max": 1}))
    log = await asyncio.to_thread(worker.log_path.read_text)
    assert log.count("attempt_failed") == 2
    assert KEY not in log
    assert "fox that" not in log  # an id may well hold "fox"
