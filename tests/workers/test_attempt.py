"""One attempt, in this process, with a provider written for the occasion and a real ledger, queue and object store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.domain import FailureCode, State, operation_id
from gateway.errors import (
    Moderated,
    ProviderError,
    ProviderFailed,
    ProviderRejected,
    ProviderUnreachable,
    QueueUnavailable,
)
from gateway.queue.jobs import job_id
from tests.until import until
from tests.workers.scripted import Scene, Scripted, picture
from tests.workers.stage import PRICE, due, policy
from workers.attempts.generate import generate
from workers.providers import Pending, ProgressReport, ProviderRequest, Result


async def test_a_delivered_output_is_stored_under_a_key_with_the_attempt_and_described(scene: Scene) -> None:
    scene.provide([ProgressReport(0.5), picture(0)])
    ended = await scene.attempted()
    (output,) = ended.outputs
    assert output.object_key.endswith(f"{ended.id}/1-0.png")
    assert await scene.place.outputs.get(output.object_key) == picture(0).data
    assert (output.bytes, output.sha256) == (len(picture(0).data), hashlib.sha256(picture(0).data).hexdigest())
    assert (output.content_type, output.width, output.height, output.duration_seconds) == ("image/png", 16, 16, None)
    assert (ended.state, ended.committed_millicredits) == (State.SUCCEEDED, PRICE)


async def test_an_unreachable_provider_keeps_the_hold_and_is_asked_again_for_the_same_job(scene: Scene) -> None:
    provider = scene.provide(
        [ProviderUnreachable("timeout")], [picture(0)], refuse_submits=[ProviderUnreachable("dns")]
    )
    ended = await scene.attempted()
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert [ref for ref, _ in provider.asked] == ["ref-1", "ref-1"]
    assert len(provider.submitted) == 1


async def test_a_provider_that_ends_without_an_output_has_failed_and_is_tried_again(scene: Scene) -> None:
    """It used to end as `internal`, which says that Farebox broke, and was never tried again."""
    scene.provide([], [picture(0)])
    found = await scene.attempted()
    generation = found.id
    assert (found.state, found.failures) == (State.QUEUED, 1)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_after_a_provider_failure_the_next_attempt_submits_a_new_job_for_what_is_missing(scene: Scene) -> None:
    provider = scene.provide([picture(0), ProviderFailed("boom")], [picture(1)])
    found = await scene.attempted(outputs=2)
    generation = found.id
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 1, None)
    await scene.attempt(generation, 2)
    ended = await scene.stage.generation(generation)
    assert ended.state is State.SUCCEEDED
    assert provider.asked == [("ref-1", (0, 1)), ("ref-2", (1,))]
    assert [output.object_key.rsplit("/", 1)[1] for output in ended.outputs] == ["1-0.png", "2-1.png"]
    assert await scene.stage.spent() == 2 * PRICE


async def test_a_resumed_job_is_said_to_be_of_all_that_it_was_asked_for(scene: Scene) -> None:
    """A job's files have no numbers: which of ours they are depends on what was missing when it was submitted."""
    provider = scene.provide([picture(0), ProviderFailed("boom")], [picture(1), None], [picture(1), picture(2)])
    generation = (await scene.attempted(outputs=3)).id
    running = asyncio.create_task(scene.attempt(generation, 2))
    await scene.stage.when(generation, lambda found: len(found.outputs) == 2)
    scene.hand_back.set()
    await running
    scene.hand_back.clear()
    await scene.attempt(generation, 3)
    assert provider.asked == [("ref-1", (0, 1, 2)), ("ref-2", (1, 2)), ("ref-2", (2,))]
    assert provider.jobs == [(0, 1, 2), (1, 2), (1, 2)]
    outputs = (await scene.stage.generation(generation)).outputs
    assert [output.object_key.rsplit("/", 1)[1] for output in outputs] == ["1-0.png", "2-1.png", "3-2.png"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderRejected("no"), FailureCode.PROVIDER_REJECTED),
        (Moderated("no"), FailureCode.MODERATED),
        (ProviderError("odd", FailureCode.PROVIDER_TIMEOUT), FailureCode.PROVIDER_TIMEOUT),
        (ZeroDivisionError("a bug"), FailureCode.INTERNAL),
    ],
)
async def test_a_failure_that_no_retry_can_mend_ends_the_generation_refunded(
    scene: Scene, error: Exception, code: FailureCode
) -> None:
    scene.provide([error])
    ended = await scene.attempted()
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, code, 1)
    assert await scene.stage.spent() == 0


async def test_a_provider_that_this_worker_has_not_costs_no_failure_and_is_not_begun_again(scene: Scene) -> None:
    found = await scene.attempted(attempts_max=1)
    assert (found.state, found.failures) == (State.QUEUED, 0)
    assert scene.place.providers.any_missing  # from now on it asks before it begins


async def test_what_was_delivered_before_a_rejection_is_paid_for_and_the_rest_refunded(scene: Scene) -> None:
    scene.provide([picture(0), ProviderRejected("no more")])
    generation = (await scene.attempted(outputs=4)).id
    assert (await scene.stage.generation(generation)).committed_millicredits == PRICE
    assert await scene.stage.spent() == PRICE


async def test_a_long_job_is_parked_and_polled_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    provider = scene.provide([Pending(0.25)], [Pending(0.5)], [picture(0)])
    found = await scene.attempted()
    generation = found.id
    assert (found.state, found.provider_ref, found.looks, found.failures) == (State.RUNNING, "ref-1", 1, 0)
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 1000)  # who was left once is only looked at
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).looks == 2
    await scene.attempt(generation, 3)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.committed_millicredits, ended.attempt) == (State.SUCCEEDED, PRICE, 3)
    assert (len(provider.submitted), [ref for ref, _ in provider.asked]) == (1, ["ref-1"] * 3)


async def test_a_worker_does_not_wait_for_a_provider_that_is_away_with_a_job(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    scene.provide([ProviderUnreachable("no route")], [picture(0)])
    found = await scene.attempted()
    generation = found.id
    assert (found.state, found.looks) == (State.RUNNING, 1)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_each_job_has_an_idempotency_key_and_a_new_one_after_the_provider_failed(scene: Scene) -> None:
    provider = scene.provide([ProviderFailed("boom")], [picture(0)], refuse_submits=[ProviderUnreachable("no route")])
    generation = (await scene.attempted()).id
    await scene.attempt(generation, 2)
    keys = [request.idempotency_key for request in provider.submitted]
    assert keys == [f"{generation}:0", f"{generation}:1"]


async def test_a_provider_without_jobs_of_its_own_is_called_for_its_results(scene: Scene) -> None:
    class Direct(Scripted):
        async def submit(self, request: ProviderRequest) -> None:
            self.submitted.append(request)

    provider = Direct([[ProviderUnreachable("no route")], [picture(0)]])
    scene.place.providers.give("scripted", provider)
    ended = await scene.attempted()
    assert (ended.state, ended.provider_ref, provider.asked) == (State.SUCCEEDED, None, [(None, (0,))] * 2)
    assert len(provider.submitted) == 1


async def test_what_was_delivered_before_the_provider_went_away_is_not_asked_for_again(scene: Scene) -> None:
    """A vendor without jobs makes, and is paid for, whatever it is asked for: it was asked for all once more."""
    provider = scene.provide([picture(0), ProviderUnreachable("busy")], [picture(1)])
    generation = (await scene.attempted(outputs=2)).id
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert provider.asked == [("ref-1", (0, 1)), ("ref-1", (1,))]


async def test_a_late_output_of_a_stale_attempt_is_not_delivered(scene: Scene) -> None:
    generation = (await scene.reserve(outputs=2)).generation.id
    ledger = scene.stage.ledger

    class Overtaken(Scripted):
        async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
            del ref, request
            yield picture(0)
            await ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
            yield picture(1)

    scene.place.providers.give("scripted", Overtaken([]))
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
    assert [output.index for output in found.outputs] == [0]
    assert found.state is State.QUEUED


async def test_the_end_of_one_dispatches_the_one_that_waited_behind_it(scene: Scene) -> None:
    await scene.stage.ledger.publish(policy(image=1))
    scene.provide([picture(0)])
    first, second = await scene.reserve(), await scene.reserve()
    assert second.dispatch is None
    await scene.attempt(first.generation.id)
    await until(lambda: scene.is_due(job_id(second.generation.id, 1)))


async def test_an_attempt_that_is_not_the_next_does_nothing(scene: Scene) -> None:
    provider = scene.provide([picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.QUEUED
    assert provider.submitted == []


async def test_a_retry_begun_too_early_waits_for_the_end_of_its_pause(scene: Scene) -> None:
    scene.provide([ProviderFailed("once")], [picture(0)])
    generation = (await scene.attempted()).id
    over_at = await scene.stage.set_pause(generation, 200)
    await generate({"context": scene.place, "tool": "image", "hand_back": scene.hand_back}, generation, 2)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert await scene.stage.ledger.time() >= over_at


async def test_progress_counts_what_earlier_attempts_delivered(scene: Scene) -> None:
    scene.provide([picture(0), ProviderFailed("boom")], [ProgressReport(0.5), None])
    generation = (await scene.attempted(outputs=2)).id
    running = asyncio.create_task(scene.attempt(generation, 2))
    await scene.stage.when(generation, lambda found: found.progress_thousandths == 750)
    scene.hand_back.set()
    await running


async def test_a_job_whose_queue_hung_for_a_moment_is_taken_out_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as queued for as long as it ran, for who was to take it out had tried once."""
    monkeypatch.setattr("workers.attempts.generate._TAKE_OUT_AGAIN_SECONDS", (0.01,))
    scene.provide([picture(0)])
    generation = await scene.stage.order(provider="scripted")
    await until(lambda: scene.is_due(job_id(generation, 1)))
    take_out, refused = scene.place.queue.take_out, [QueueUnavailable("it did not answer")]

    async def hangs_once(*words: Any, **more: Any) -> None:
        if refused:
            raise refused.pop()
        await take_out(*words, **more)

    monkeypatch.setattr(scene.place.queue, "take_out", hangs_once)
    await generate({"context": scene.place, "tool": "image", "hand_back": scene.hand_back}, generation, 1)
    assert await due(scene.stage.queue) == []
