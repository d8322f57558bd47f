"""One attempt, in this process, with a provider written for the occasion and a real ledger, queue and object store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from gateway.domain import FailureCode, State, operation_id
from gateway.errors import (
    Moderated,
    ProviderError,
    ProviderFailed,
    ProviderRejected,
    ProviderUnreachable,
    QueueUnavailable,
)
from gateway.ledger.outcomes import Begun, Ended, Requeued, Reserved
from gateway.queue.jobs import job_id
from tests import made_media
from tests.until import until, until_idle
from tests.workers.stage import PRICE, Stage, due, open_place, policy
from workers.attempts.generate import generate, stop
from workers.context import WorkerContext
from workers.providers import Pending, ProgressReport, ProviderRequest, Rendered, Result

Line = Result | Exception | None


@dataclass
class Scripted:
    """A provider that hands out what it was told to; `None` at the end of a list: it never answers again."""

    scripts: list[list[Line]]
    refuse_submits: list[Exception] = field(default_factory=list)
    submitted: list[ProviderRequest] = field(default_factory=list)
    asked: list[tuple[str | None, tuple[int, ...]]] = field(default_factory=list)
    jobs: list[tuple[int, ...]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def submit(self, request: ProviderRequest) -> str | None:
        if self.refuse_submits:
            raise self.refuse_submits.pop(0)
        self.submitted.append(request)
        return f"ref-{len(self.submitted)}"

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        self.asked.append((ref, request.indices))
        self.jobs.append(request.job_indices)
        for result in self.scripts.pop(0):
            if isinstance(result, Exception):
                raise result
            if result is None:
                await asyncio.get_running_loop().create_future()
                return
            yield result

    async def cancel(self, ref: str, provider_model: str) -> None:
        assert provider_model == "nano-banana-2"
        self.cancelled.append(ref)

    async def close(self) -> None:
        """There is nothing to close."""


def picture(index: int) -> Rendered:
    return Rendered(index=index, data=made_media.picture(width=16 + index, height=16))


@dataclass
class Scene:
    """A stage, a workplace in this process, and the orders for the scripted provider."""

    stage: Stage
    place: WorkerContext
    hand_back: asyncio.Event

    def provide(self, *scripts: list[Line], refuse_submits: list[Exception] | None = None) -> Scripted:
        provider = Scripted(list(scripts), refuse_submits or [])
        self.place.providers.give("scripted", provider)
        return provider

    async def reserve(self, outputs: int = 1, **terms: int) -> Reserved:
        return await self.stage.reserve(provider="scripted", outputs=outputs, terms=terms)

    async def attempt(self, generation: str, attempt: int = 1) -> None:
        """Make an attempt. The pause before a retry is over."""
        if attempt > 1:
            await self.stage.set_pause(generation)
        await generate({"context": self.place, "tool": "image", "hand_back": self.hand_back}, generation, attempt)


@pytest.fixture
async def scene(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr("workers.attempts.provider_session._UNREACHABLE_PAUSES_SECONDS", (0.01,))
    await stage.account()
    async with open_place(stage) as place:
        yield Scene(stage, place, asyncio.Event())


async def test_a_delivered_output_is_stored_under_a_key_with_the_attempt_and_described(scene: Scene) -> None:
    scene.provide([ProgressReport(0.5), picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    (output,) = ended.outputs
    assert output.object_key.endswith(f"{generation}/1-0.png")
    assert await scene.place.outputs.get(output.object_key) == picture(0).data
    assert (output.bytes, output.sha256) == (len(picture(0).data), hashlib.sha256(picture(0).data).hexdigest())
    assert (output.content_type, output.width, output.height, output.duration_seconds) == ("image/png", 16, 16, None)
    assert (ended.state, ended.committed_millicredits) == (State.SUCCEEDED, PRICE)


async def test_an_unreachable_provider_keeps_the_hold_and_is_asked_again_for_the_same_job(scene: Scene) -> None:
    provider = scene.provide(
        [ProviderUnreachable("timeout")], [picture(0)], refuse_submits=[ProviderUnreachable("dns")]
    )
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert [ref for ref, _ in provider.asked] == ["ref-1", "ref-1"]
    assert len(provider.submitted) == 1


@pytest.mark.short_lease
async def test_a_provider_that_never_answers_is_given_up_and_asked_to_stop(scene: Scene) -> None:
    provider = scene.provide([None])
    generation = (await scene.reserve(provider_timeout_ms=700)).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.error) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT)
    await until(lambda: provider.cancelled == ["ref-1"])
    assert await scene.stage.spent() == 0


@pytest.mark.short_lease
@pytest.mark.parametrize("learned_by", ["deliver", "settle", "park", "hand_back"])
async def test_an_ending_of_our_own_renewal_whose_answer_was_cut_off_is_followed_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, learned_by: str
) -> None:
    """The making's end had the renewal's answer thrown away, and what came next was told that it was stale.

    So nobody asked the provider to stop the job, and its slot was kept until it lapsed.
    """
    cut_off, run = asyncio.Event(), scene.place.ledger.run

    async def run_and_lose(name: str, key: str, /, **arguments: Any) -> Any:
        answer = await run(name, key, **arguments)
        if (name, answer[0]) == ("renew", "ended") and not cut_off.is_set():
            cut_off.set()
            await asyncio.get_running_loop().create_future()
        return answer

    class Late(Scripted):
        async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
            del ref, request
            await cut_off.wait()
            if learned_by == "deliver":
                yield picture(0)
            if learned_by == "park":
                yield Pending()
            if learned_by == "hand_back":
                scene.hand_back.set()
                await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(scene.place.ledger, "run", run_and_lose)
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    provider = Late([])
    scene.place.providers.give("scripted", provider)
    with structlog.testing.capture_logs() as lines:
        generation = (await scene.reserve(provider_timeout_ms=700)).generation.id
        await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.error) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT)
    assert [line["ending"] for line in lines if line["event"] == "attempt_ended"] == ["provider_timeout"]
    await until(lambda: provider.cancelled == ["ref-1"])


@pytest.mark.short_lease
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_job_that_the_provider_may_have_taken_is_stopped_when_the_generation_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """Its submit was never answered, so it was noted nowhere: the provider worked on a job that nobody waited for."""

    class Silent(Scripted):
        async def submit(self, request: ProviderRequest) -> str:
            request.announced.add("ref-7")
            if hangs:
                await asyncio.get_running_loop().create_future()
            raise ProviderUnreachable("its answer to POST was lost")

    monkeypatch.setattr("workers.attempts.provider_session._SUBMIT_SECONDS", 0.1)
    provider = Silent([])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve(provider_timeout_ms=700)).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.error, ended.provider_ref) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT, None)
    await until(lambda: provider.cancelled == ["ref-7"])


async def test_a_provider_that_ends_without_an_output_has_failed_and_is_tried_again(scene: Scene) -> None:
    """It used to end as `internal`, which says that Farebox broke, and was never tried again."""
    scene.provide([], [picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures) == (State.QUEUED, 1)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_after_a_provider_failure_the_next_attempt_submits_a_new_job_for_what_is_missing(scene: Scene) -> None:
    provider = scene.provide([picture(0), ProviderFailed("boom")], [picture(1)])
    generation = (await scene.reserve(outputs=2)).generation.id
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
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
    generation = (await scene.reserve(outputs=3)).generation.id
    await scene.attempt(generation)
    running = asyncio.create_task(scene.attempt(generation, 2))
    await until(lambda: _delivered(scene, generation, 2))
    scene.hand_back.set()
    await running
    scene.hand_back.clear()
    await scene.attempt(generation, 3)
    assert provider.asked == [("ref-1", (0, 1, 2)), ("ref-2", (1, 2)), ("ref-2", (2,))]
    assert provider.jobs == [(0, 1, 2), (1, 2), (1, 2)]
    outputs = (await scene.stage.generation(generation)).outputs
    assert [output.object_key.rsplit("/", 1)[1] for output in outputs] == ["1-0.png", "2-1.png", "3-2.png"]


async def _delivered(scene: Scene, generation: str, outputs: int) -> bool:
    return len((await scene.stage.generation(generation)).outputs) == outputs


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
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, code, 1)
    assert await scene.stage.spent() == 0


async def test_a_provider_that_this_worker_has_not_costs_no_failure_and_is_not_begun_again(scene: Scene) -> None:
    generation = (await scene.reserve(attempts_max=1)).generation.id
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures) == (State.QUEUED, 0)
    assert scene.place.providers.any_missing  # from now on it asks before it begins


async def test_what_was_delivered_before_a_rejection_is_paid_for_and_the_rest_refunded(scene: Scene) -> None:
    scene.provide([picture(0), ProviderRejected("no more")])
    generation = (await scene.reserve(outputs=4)).generation.id
    await scene.attempt(generation)
    assert (await scene.stage.generation(generation)).committed_millicredits == PRICE
    assert await scene.stage.spent() == PRICE


async def test_a_job_that_takes_long_is_left_with_its_provider_and_looked_at_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    provider = scene.provide([Pending(0.25)], [Pending(0.5)], [picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
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
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    found = await scene.stage.generation(generation)
    assert (found.state, found.looks) == (State.RUNNING, 1)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_each_job_has_an_idempotency_key_and_a_new_one_after_the_provider_failed(scene: Scene) -> None:
    provider = scene.provide([ProviderFailed("boom")], [picture(0)], refuse_submits=[ProviderUnreachable("no route")])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    await scene.attempt(generation, 2)
    keys = [request.idempotency_key for request in provider.submitted]
    assert keys == [f"{generation}:0", f"{generation}:1"]


async def test_a_provider_without_jobs_of_its_own_is_called_for_its_results(scene: Scene) -> None:
    class Direct(Scripted):
        async def submit(self, request: ProviderRequest) -> None:
            self.submitted.append(request)

    provider = Direct([[ProviderUnreachable("no route")], [picture(0)]])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.provider_ref, provider.asked) == (State.SUCCEEDED, None, [(None, (0,))] * 2)
    assert len(provider.submitted) == 1


async def test_what_was_delivered_before_the_provider_went_away_is_not_asked_for_again(scene: Scene) -> None:
    """A vendor without jobs makes, and is paid for, whatever it is asked for: it was asked for all once more."""
    provider = scene.provide([picture(0), ProviderUnreachable("busy")], [picture(1)])
    generation = (await scene.reserve(outputs=2)).generation.id
    await scene.attempt(generation)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert provider.asked == [("ref-1", (0, 1)), ("ref-1", (1,))]


@pytest.mark.short_lease
async def test_a_cancel_stops_the_provider(scene: Scene) -> None:
    provider = scene.provide([None])
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: bool(provider.asked))
    await scene.stage.ledger.cancel(generation=generation)
    await running
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    await until(lambda: provider.cancelled == ["ref-1"])


@pytest.mark.parametrize(
    ("found", "paid"),
    [
        ([picture(0), picture(1)], 2),
        ([picture(0), Pending(0.9)], 1),
        ([Pending()], 0),
        ([ProgressReport(0.5), picture(0)], 0),
    ],
    ids=["all finished", "one of two finished", "nothing finished", "still at work"],
)
async def test_a_cancel_takes_what_is_finished_there_and_waits_for_no_more(
    scene: Scene, found: list[Line], paid: int
) -> None:
    """A finished picture that nobody had looked at yet was thrown away by a cancel, and its provider was paid."""
    provider = scene.provide([Pending(), None], found)
    generation = (await scene.reserve(outputs=2)).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await running
    ended = await scene.stage.generation(generation)
    assert (ended.state, len(ended.outputs)) == (State.CANCELLED, paid)
    assert await scene.stage.spent() == paid * PRICE
    # Who has made all of it has nothing to stop.
    await until(lambda: provider.cancelled == ["ref-1"][: 2 - paid])


async def test_a_job_that_ended_with_fewer_outputs_has_nothing_to_stop(scene: Scene) -> None:
    """Its provider was asked four times to stop what was over, each with a warning in the log."""
    provider = scene.provide([picture(0)])
    generation = (await scene.reserve(outputs=2)).generation.id
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 1)
    await scene.place.tasks.finish()
    assert provider.cancelled == []


async def test_a_last_look_that_is_not_answered_keeps_no_cancel_waiting(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._LAST_LOOK_SECONDS", 0.05)
    provider = scene.provide([None], [None])
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await running
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    assert await scene.stage.spent() == 0


async def test_a_worker_that_must_stop_ends_its_last_look_and_settles_the_cancel(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look may take longer than the worker has: it was cut off, and the cancel waited for the lease to run out."""
    monkeypatch.setattr("workers.attempts.provider_session._LAST_LOOK_SECONDS", 600)
    provider = scene.provide([None], [None])
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await until(lambda: len(provider.asked) == 2)
    scene.hand_back.set()
    await until(running.done)
    assert (await scene.stage.generation(generation)).state is State.CANCELLED


async def test_a_worker_that_must_stop_hands_back_and_leaves_the_provider_at_work(scene: Scene) -> None:
    provider = scene.provide([None], [picture(0)])
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: bool(provider.asked))
    scene.hand_back.set()
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 0, "ref-1")
    await until(lambda: _is_due(scene, job_id(generation, 2)))
    scene.hand_back.clear()
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert (provider.cancelled, len(provider.submitted)) == ([], 1)
    assert provider.asked == [("ref-1", (0,)), ("ref-1", (0,))]


async def _is_due(scene: Scene, job: str) -> bool:
    return job in await due(scene.stage.queue)


@dataclass
class SlowToTake(Scripted):
    """It takes a job at once and says so when it is let; who hangs up before that has bought a job all the same."""

    taken: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, request: ProviderRequest) -> str | None:
        ref = await super().submit(request)
        self.taken.set()
        await self.answer.wait()
        return ref


async def test_a_worker_that_must_stop_while_it_submits_hears_of_its_job_and_the_next_resumes_it(scene: Scene) -> None:
    """It hung up, handed back without a ref, and the next worker bought a second job: of some vendors, twice."""
    provider = SlowToTake([[None], [picture(0)]])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await provider.taken.wait()
    scene.hand_back.set()
    await until_idle()
    assert not running.done()
    provider.answer.set()
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 0, "ref-1")
    scene.hand_back.clear()
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert (len(provider.submitted), provider.cancelled) == (1, [])


async def test_a_job_that_was_being_submitted_when_a_cancel_came_is_asked_to_stop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker hung up and never knew its id: the provider made, and billed, what nobody wanted any more."""
    provider = SlowToTake([[None]])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await provider.taken.wait()
    await scene.stage.ledger.cancel(generation=generation)
    heard, renew = asyncio.Event(), scene.place.ledger.renew

    async def renew_and_tell(**words: Any) -> Any:
        answer = await renew(**words)
        heard.set()
        return answer

    monkeypatch.setattr(scene.place.ledger, "renew", renew_and_tell)
    scene.place.attempts[generation]()
    await heard.wait()
    await until_idle()
    assert not running.done()
    provider.answer.set()
    await running
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    await until(lambda: provider.cancelled == ["ref-1"])


async def test_a_job_whose_id_comes_when_the_generation_is_given_up_is_asked_to_stop(scene: Scene) -> None:
    """The ledger had no ref to give back, so nobody asked."""
    provider = SlowToTake([[None]])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve(provider_timeout_ms=300)).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await provider.taken.wait()
    await until(lambda: _has_failed(scene, generation))
    provider.answer.set()
    await running
    assert (await scene.stage.generation(generation)).error is FailureCode.PROVIDER_TIMEOUT
    await until(lambda: provider.cancelled == ["ref-1"])


async def _has_failed(scene: Scene, generation: str) -> bool:
    scene.place.attempts[generation]()
    return (await scene.stage.generation(generation)).state is State.FAILED


async def test_a_provider_that_takes_no_notice_of_a_submit_does_not_keep_a_worker_from_stopping(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._SUBMIT_SECONDS", 0.05)
    provider = SlowToTake([])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await provider.taken.wait()
    scene.hand_back.set()
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 0, None)


@pytest.mark.parametrize(("error", "attempts"), [(ProviderFailed("boom"), 3), (ProviderRejected("no"), 1)])
async def test_a_job_that_goes_on_after_its_attempt_failed_is_asked_to_stop_and_the_next_one_is_not(
    scene: Scene, error: ProviderError, attempts: int
) -> None:
    """A first file that does not open, or a look that is refused: the job was left at work, and paid for."""
    provider = scene.provide([error], [picture(0)])
    generation = (await scene.reserve(attempts_max=attempts)).generation.id
    await scene.attempt(generation)
    await until(lambda: provider.cancelled == ["ref-1"])
    if attempts > 1:
        await scene.attempt(generation, 2)
        assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert provider.cancelled == ["ref-1"]


@pytest.mark.short_lease
async def test_a_stale_attempt_drops_everything_and_never_stops_the_provider(scene: Scene) -> None:
    provider = scene.provide([None])
    reserved = await scene.reserve()
    generation = reserved.generation.id
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: bool(provider.asked))
    ledger = scene.stage.ledger
    taken = await ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
    assert isinstance(taken, Requeued)
    begun = await ledger.begin(generation=generation, attempt=2, operation=operation_id())
    assert isinstance(begun, Begun)
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.attempt, provider.cancelled) == (State.RUNNING, 2, [])


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
    await until(lambda: _is_due(scene, job_id(second.generation.id, 1)))


async def test_an_attempt_that_is_not_the_next_does_nothing(scene: Scene) -> None:
    provider = scene.provide([picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.QUEUED
    assert provider.submitted == []


async def test_a_retry_begun_too_early_waits_for_the_end_of_its_pause(scene: Scene) -> None:
    scene.provide([ProviderFailed("once")], [picture(0)])
    generation = (await scene.reserve()).generation.id
    await scene.attempt(generation)
    over_at = await scene.stage.set_pause(generation, 200)
    await generate({"context": scene.place, "tool": "image", "hand_back": scene.hand_back}, generation, 2)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
    assert await scene.stage.ledger.time() >= over_at


async def test_progress_counts_what_earlier_attempts_delivered(scene: Scene) -> None:
    scene.provide([picture(0), ProviderFailed("boom")], [ProgressReport(0.5), None])
    generation = (await scene.reserve(outputs=2)).generation.id
    await scene.attempt(generation, 1)
    running = asyncio.create_task(scene.attempt(generation, 2))
    await until(lambda: _progress_is(scene, generation, 750))
    scene.hand_back.set()
    await running


async def _progress_is(scene: Scene, generation: str, thousandths: int) -> bool:
    return (await scene.stage.generation(generation)).progress_thousandths == thousandths


async def test_a_job_whose_queue_hung_for_a_moment_is_taken_out_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as queued for as long as it ran, for who was to take it out had tried once."""
    monkeypatch.setattr("workers.attempts.generate._TAKE_OUT_AGAIN_SECONDS", (0.01,))
    scene.provide([picture(0)])
    generation = await scene.stage.order(provider="scripted")
    await until(lambda: _is_due(scene, job_id(generation, 1)))
    take_out, refused = scene.place.queue.take_out, [QueueUnavailable("it did not answer")]

    async def hangs_once(*words: Any, **more: Any) -> None:
        if refused:
            raise refused.pop()
        await take_out(*words, **more)

    monkeypatch.setattr(scene.place.queue, "take_out", hangs_once)
    await generate({"context": scene.place, "tool": "image", "hand_back": scene.hand_back}, generation, 1)
    assert await due(scene.stage.queue) == []


async def test_the_stop_job_asks_the_provider_of_a_generation_that_ended_elsewhere(scene: Scene) -> None:
    provider = scene.provide([])
    generation = (await scene.reserve()).generation.id
    ledger = scene.stage.ledger
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    await ledger.note(generation=generation, attempt=1, ref="ref-9")
    await ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
    assert isinstance(await ledger.cancel(generation=generation), Ended)
    await until(lambda: provider.cancelled == ["ref-9"])
    await stop({"context": scene.place}, generation, "ref-9")
    assert provider.cancelled == ["ref-9", "ref-9"]


class Away(Scripted):
    """It cannot be reached so often when a job is to be stopped."""

    away: int = 1

    async def cancel(self, ref: str, provider_model: str) -> None:
        if self.away:
            self.away -= 1
            raise ProviderUnreachable("no route")
        await super().cancel(ref, provider_model)


async def test_a_stop_that_a_caretaker_cannot_ask_for_is_left_to_a_worker(scene: Scene) -> None:
    """A caretaker needs no provider's key. The job of what it gave up went on to its end, with one line in its log."""
    provider = Away([])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    ledger = scene.stage.ledger
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    await ledger.note(generation=generation, attempt=1, ref="ref-9")
    await ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
    assert isinstance(await ledger.cancel(generation=generation), Ended)
    await until(lambda: _has_stop(scene, generation))
    await stop({"context": scene.place}, generation, "ref-9")
    assert provider.cancelled == ["ref-9"]


async def _has_stop(scene: Scene, generation: str) -> bool:
    return any(job.startswith(f"stop:{generation}:") for job in await due(scene.stage.queue))


async def test_a_provider_that_is_away_when_it_is_to_stop_is_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked once; and the outage for which a generation is given up is the one in which nobody hears that."""
    monkeypatch.setattr("workers.context._STOP_AGAIN_SECONDS", (0.01, 0.01))
    provider = Away([])
    provider.away = 2
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    await stop({"context": scene.place}, generation, "ref-9")
    await until(lambda: provider.cancelled == ["ref-9"])
