"""R17: a job that was left with its provider is looked at again, whoever says so, and comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.domain import State, operation_id
from gateway.ledger import keys
from gateway.ledger.outcomes import CancelRequested, Ended
from gateway.queue.jobs import job_id
from tests.until import until
from tests.workers.scripted import Line, Scene, Scripted, picture
from tests.workers.stage import PRICE, caretaker_in
from workers.providers import Pending, ProviderRequest, Result

FOR_EVER = 1_000.0


pytestmark = pytest.mark.usefixtures("stays_for_nothing")


async def parked(scene: Scene, *scripts: list[Line]) -> tuple[str, Scripted]:
    """A generation that was left with its provider."""
    provider = scene.provide([Pending()], *scripts)
    generation = (await scene.attempted()).id
    assert (await scene.stage.generation(generation)).looks == 1
    return generation, provider


async def pass_time(scene: Scene, generation: str, milliseconds: int) -> None:
    """As if the next look were so much sooner."""
    partition = int(generation[4:6], 16)
    await scene.stage.ledger.redis.zincrby(keys.deadlines(partition), -milliseconds, generation)


async def test_a_lost_callback_is_made_up_for_by_the_next_poll(scene: Scene) -> None:
    generation, provider = await parked(scene, [picture(0)])
    caretaker = caretaker_in(scene.place)
    await caretaker.make_round()
    assert not await scene.is_due(job_id(generation, 2)), "it is not time yet"
    await pass_time(scene, generation, 31_000)
    await caretaker.make_round()
    await scene.dispatched(generation, 2)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert len(provider.submitted) == 1
    assert await scene.stage.spent() == PRICE


@pytest.mark.short_lease
async def test_a_cancel_of_what_is_parked_asks_the_provider_to_stop(scene: Scene) -> None:
    generation, provider = await parked(scene, [None])
    outcome = await scene.stage.ledger.cancel(generation=generation)
    assert isinstance(outcome, CancelRequested)
    assert outcome.dispatch is not None
    await scene.attempt(generation, outcome.dispatch.attempt)
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    await until(lambda: provider.cancelled == ["ref-1"])
    assert await scene.stage.spent() == 0


async def test_an_attempt_that_begins_after_a_cancel_polls_once_without_waiting_for_a_renewal(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._LAST_POLL_SECONDS", 0.1)
    generation, provider = await parked(scene, [None], [None])
    await scene.stage.ledger.cancel(generation=generation)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.CANCELLED
    assert [ref for ref, _ in provider.asked] == ["ref-1", "ref-1"], "once before it was parked, and once more"
    assert await scene.stage.spent() == 0


async def test_what_was_finished_when_a_parked_generation_is_cancelled_is_delivered(scene: Scene) -> None:
    generation, provider = await parked(scene, [picture(0)])
    await scene.stage.ledger.cancel(generation=generation)
    await scene.attempt(generation, 2)
    found = await scene.stage.generation(generation)
    assert found.state is State.CANCELLED
    assert [output.index for output in found.outputs] == [0]
    assert len(provider.submitted) == 1
    assert await scene.stage.spent() == PRICE


async def test_a_callback_while_the_attempt_parks_brings_it_back_at_once(scene: Scene) -> None:
    ledger = scene.stage.ledger

    class Hasty(Scripted):
        async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
            await ledger.call_back(generation=request.generation, job=str(ref))
            async for result in super().results(ref, request):
                yield result

    scene.place.providers.give("scripted", Hasty([[Pending()], [picture(0)]]))
    generation = (await scene.attempted()).id
    await scene.dispatched(generation, 2)
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_a_callback_between_two_polls_triggers_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", FOR_EVER)

    class Patient(Scripted):
        async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
            self.asked.append((ref, request.indices))
            yield Pending()
            await request.pause(FOR_EVER)
            yield picture(0)

    provider = Patient([])
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    heeding = asyncio.create_task(scene.place.watch_for_check_requests())
    running = asyncio.create_task(scene.attempt(generation))
    await until(lambda: bool(provider.asked))
    while not running.done():
        await scene.stage.queue.request_check(generation)
        await asyncio.sleep(0.05)
    heeding.cancel()
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED


async def test_a_callback_after_the_end_changes_nothing_and_an_unknown_job_is_recognized(scene: Scene) -> None:
    generation, _ = await parked(scene)
    ledger = scene.stage.ledger
    await ledger.begin(generation=generation, attempt=2, operation=operation_id())
    ended = await ledger.settle(generation=generation, attempt=2, operation=operation_id(), failure=None)
    assert isinstance(ended, Ended)
    before = await scene.stage.generation(generation)
    own = await ledger.call_back(generation=generation, job="ref-1")
    other = await ledger.call_back(generation=generation, job="ref-0")
    assert (type(own).__name__, type(other).__name__) == ("Unchanged", "Stray")
    assert await scene.stage.generation(generation) == before
