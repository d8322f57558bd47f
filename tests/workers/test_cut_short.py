"""Attempts that are cut short: by a cancel, which takes what is finished, or by the end of their worker."""

from __future__ import annotations

import pytest

from gateway.domain import State
from gateway.queue.jobs import job_id
from tests.until import until, until_idle
from tests.workers.scripted import Line, Scene, SlowToTake, picture
from tests.workers.stage import PRICE
from workers.providers import Pending, ProgressReport


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
    generation, running = await scene.begin(outputs=2)
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await running
    ended = await scene.stage.generation(generation)
    assert (ended.state, len(ended.outputs)) == (State.CANCELLED, paid)
    assert await scene.stage.spent() == paid * PRICE
    # Who has made all of it has nothing to stop.
    await until(lambda: provider.cancelled == ["ref-1"][: 2 - paid])


async def test_an_unanswered_last_poll_does_not_delay_a_cancel(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._LAST_POLL_SECONDS", 0.05)
    provider = scene.provide([None], [None])
    generation, running = await scene.begin()
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await running
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    assert await scene.stage.spent() == 0


async def test_a_stopping_worker_ends_its_last_poll_and_settles_the_cancel(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look may take longer than the worker has: it was cut off, and the cancel waited for the lease to run out."""
    monkeypatch.setattr("workers.attempts.provider_session._LAST_POLL_SECONDS", 600)
    provider = scene.provide([None], [None])
    generation, running = await scene.begin()
    await until(lambda: len(provider.asked) == 1)
    await scene.stage.ledger.cancel(generation=generation)
    scene.place.attempts[generation]()
    await until(lambda: len(provider.asked) == 2)
    scene.hand_back.set()
    await until(running.done)
    assert (await scene.stage.generation(generation)).state is State.CANCELLED


async def test_a_worker_that_must_stop_hands_back_and_leaves_the_provider_at_work(scene: Scene) -> None:
    provider = scene.provide([None], [picture(0)])
    generation, running = await scene.begin()
    await until(lambda: bool(provider.asked))
    scene.hand_back.set()
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 0, "ref-1")
    await until(lambda: scene.is_due(job_id(generation, 2)))
    scene.hand_back.clear()
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert (provider.cancelled, len(provider.submitted)) == ([], 1)
    assert provider.asked == [("ref-1", (0,)), ("ref-1", (0,))]


async def test_a_worker_that_must_stop_while_it_submits_hears_of_its_job_and_the_next_resumes_it(scene: Scene) -> None:
    """It hung up, handed back without a ref, and the next worker bought a second job: of some vendors, twice."""
    provider = SlowToTake([[None], [picture(0)]])
    scene.place.providers.give("scripted", provider)
    generation, running = await scene.begin()
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


async def test_a_provider_that_takes_no_notice_of_a_submit_does_not_keep_a_worker_from_stopping(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._SUBMIT_SECONDS", 0.05)
    provider = SlowToTake([])
    scene.place.providers.give("scripted", provider)
    generation, running = await scene.begin()
    await provider.taken.wait()
    scene.hand_back.set()
    await running
    found = await scene.stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 0, None)
