"""R17: a provider's callback is a hint to look now, whoever has the generation; it decides nothing."""

from __future__ import annotations

from gateway.domain import FailureCode, State, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import MINUTE, SECOND, World, the

UNKNOWN = "gen_00aaaaaaaaaaaaaaaaaaaaaaaa"


async def noted(world: World) -> str:
    """A running generation whose job is noted."""
    generation = await world.running()
    the(outcomes.Noted, await world.ledger.note(generation=generation, attempt=1, ref="job-7"))
    return generation


async def park(world: World, generation: str, attempt: int = 1, operation: str | None = None) -> outcomes.Parked:
    parked = await world.ledger.park(generation=generation, attempt=attempt, operation=operation or operation_id())
    return the(outcomes.Parked, parked)


async def call(world: World, generation: str, job: str = "job-7") -> object:
    return await world.ledger.call_back(generation=generation, job=job)


async def test_a_parked_generation_is_dispatched_at_once(world: World) -> None:
    generation = await world.parked()
    before = await world.now()
    dispatch = the(outcomes.CalledBack, await call(world, generation)).dispatch
    assert dispatch is not None
    assert (dispatch.attempt, dispatch.deadline) == (2, await world.deadline(generation))
    assert 2 * SECOND <= dispatch.deadline - before < 3 * SECOND
    begun = await world.begin(generation, 2)
    assert (begun.provider_ref, begun.failures) == ("job-7", 0)


async def test_called_twice_is_harmless(world: World) -> None:
    generation = await world.parked()
    first, second = await call(world, generation), await call(world, generation)
    assert the(outcomes.CalledBack, first).dispatch is not None
    assert the(outcomes.CalledBack, second).dispatch is not None
    await world.begin(generation, 2)
    assert await world.ledger.begin(generation=generation, attempt=2, operation=operation_id()) == outcomes.Stale()


async def test_a_callback_while_the_attempt_runs_is_not_slept_through(world: World) -> None:
    generation = await noted(world)
    assert await call(world, generation) == outcomes.CalledBack(generation, None)
    before = await world.now()
    parked = await park(world, generation)
    assert parked.dispatch is not None
    assert parked.dispatch.attempt == 2
    assert 2 * SECOND <= parked.next_poll - before < 3 * SECOND


async def test_also_one_that_comes_before_the_ref_is_noted(world: World) -> None:
    generation = await world.running()
    assert await call(world, generation) == outcomes.CalledBack(generation, None)
    await world.note(generation)
    assert (await park(world, generation)).dispatch is not None


async def test_a_callback_about_what_became_another_job_does_not_count(world: World) -> None:
    generation = await world.running()
    await call(world, generation, "job-6")
    await world.note(generation)
    assert (await park(world, generation)).dispatch is None


async def test_begin_clears_the_callback_because_it_polls_anyway(world: World) -> None:
    generation = await noted(world)
    await call(world, generation)
    await park(world, generation)
    await world.begin(generation, 2)
    assert (await park(world, generation, 2)).dispatch is None


async def test_the_same_callback_of_a_running_one_again_changes_nothing(world: World) -> None:
    generation = await noted(world)
    await call(world, generation)
    async with world.unchanged():
        assert await call(world, generation) == outcomes.CalledBack(generation, None)


async def test_a_job_that_is_not_the_noted_one_is_stray(world: World) -> None:
    for generation in (await noted(world), await world.parked()):
        async with world.unchanged():
            assert await call(world, generation, "job-6") == outcomes.Stray("image")


async def test_after_the_end_its_own_job_is_no_news_and_any_other_is_stray(world: World) -> None:
    generation = await noted(world)
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    async with world.unchanged():
        assert the(outcomes.Unchanged, await call(world, generation)).generation.state is State.FAILED
        assert await call(world, generation, "job-8") == outcomes.Stray("image")


async def test_the_end_forgets_a_callback(world: World) -> None:
    generation = await noted(world)
    await call(world, generation)
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    assert "called_back" not in await world.fields(generation)


async def test_a_queued_generation_polls_when_it_begins(world: World) -> None:
    generation = await noted(world)
    await world.hand_back(generation)
    async with world.unchanged():
        assert isinstance(await call(world, generation), outcomes.Unchanged)


async def test_nothing_is_known_of_a_generation_that_is_not_there(world: World) -> None:
    async with world.unchanged():
        assert await call(world, UNKNOWN) == outcomes.NotFound()


async def test_past_give_up_at_the_poll_refunds(world: World) -> None:
    generation = await world.parked()
    await world.pass_time(generation, 46 * MINUTE)
    the(outcomes.CalledBack, await call(world, generation))
    ended = the(
        outcomes.Ended, await world.ledger.begin(generation=generation, attempt=2, operation=operation_id())
    ).generation
    assert (ended.state, ended.error, ended.committed_millicredits) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT, 0)
