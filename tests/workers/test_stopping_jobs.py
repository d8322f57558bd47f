"""A job that nobody wants any more: its provider is asked to stop it, once, whoever ended the generation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import structlog

from gateway.domain import FailureCode, State, operation_id
from gateway.errors import (
    ProviderError,
    ProviderFailed,
    ProviderRejected,
    ProviderUnreachable,
)
from gateway.ledger.outcomes import Begun, Ended, Requeued
from tests.until import until, until_idle
from tests.workers.scripted import Scene, Scripted, SlowToTake, picture
from tests.workers.stage import due
from workers.attempts.generate import stop
from workers.providers import Pending, ProviderRequest, Result


@pytest.mark.short_lease
async def test_a_provider_that_never_answers_is_given_up_and_asked_to_stop(scene: Scene) -> None:
    provider = scene.provide([None])
    ended = await scene.attempted(provider_timeout_ms=700)
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
        ended = await scene.attempted(provider_timeout_ms=700)
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
    ended = await scene.attempted(provider_timeout_ms=700)
    assert (ended.state, ended.error, ended.provider_ref) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT, None)
    await until(lambda: provider.cancelled == ["ref-7"])


@pytest.mark.short_lease
async def test_a_cancel_stops_the_provider(scene: Scene) -> None:
    provider = scene.provide([None])
    generation, running = await scene.begin()
    await until(lambda: bool(provider.asked))
    await scene.stage.ledger.cancel(generation=generation)
    await running
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    await until(lambda: provider.cancelled == ["ref-1"])


async def test_a_job_that_ended_with_fewer_outputs_has_nothing_to_stop(scene: Scene) -> None:
    """Its provider was asked four times to stop what was over, each with a warning in the log."""
    provider = scene.provide([picture(0)])
    ended = await scene.attempted(outputs=2)
    assert (ended.state, len(ended.outputs)) == (State.SUCCEEDED, 1)
    await scene.place.tasks.finish()
    assert provider.cancelled == []


async def test_a_job_that_was_being_submitted_when_a_cancel_came_is_asked_to_stop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker hung up and never knew its id: the provider made, and billed, what nobody wanted any more."""
    provider = SlowToTake([[None]])
    scene.place.providers.give("scripted", provider)
    generation, running = await scene.begin()
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
    generation, running = await scene.begin(provider_timeout_ms=300)
    await provider.taken.wait()
    await until(lambda: _has_failed(scene, generation))
    provider.answer.set()
    await running
    assert (await scene.stage.generation(generation)).error is FailureCode.PROVIDER_TIMEOUT
    await until(lambda: provider.cancelled == ["ref-1"])


async def _has_failed(scene: Scene, generation: str) -> bool:
    scene.place.attempts[generation]()
    return (await scene.stage.generation(generation)).state is State.FAILED


@pytest.mark.parametrize(("error", "attempts"), [(ProviderFailed("boom"), 3), (ProviderRejected("no"), 1)])
async def test_a_job_that_goes_on_after_its_attempt_failed_is_asked_to_stop_and_the_next_one_is_not(
    scene: Scene, error: ProviderError, attempts: int
) -> None:
    """A first file that does not open, or a look that is refused: the job was left at work, and paid for."""
    provider = scene.provide([error], [picture(0)])
    generation = (await scene.attempted(attempts_max=attempts)).id
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


async def ended_elsewhere(scene: Scene) -> str:
    """A generation with a job at its provider, which was cancelled while no worker had it."""
    generation = (await scene.reserve()).generation.id
    ledger = scene.stage.ledger
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    await ledger.note(generation=generation, attempt=1, ref="ref-9")
    await ledger.hand_back(generation=generation, attempt=1, operation=operation_id())
    assert isinstance(await ledger.cancel(generation=generation), Ended)
    return generation


async def test_the_stop_job_asks_the_provider_of_a_generation_that_ended_elsewhere(scene: Scene) -> None:
    provider = scene.provide([])
    generation = await ended_elsewhere(scene)
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
    generation = await ended_elsewhere(scene)
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
