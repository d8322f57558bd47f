"""R17: how far a parked generation's job is, as its provider says; an attempt in work says it by `renew`."""

from __future__ import annotations

from gateway.domain import State
from gateway.ledger import outcomes
from tests.ledger.world import World


async def report(world: World, generation: str, thousandths: int, job: str = "job-7") -> object:
    return await world.ledger.progress(generation=generation, job=job, thousandths=thousandths)


async def test_a_parked_generation_gets_on(world: World) -> None:
    generation = await world.parked()
    deadline, version = await world.deadline(generation), (await world.generation(generation)).version
    assert await report(world, generation, 420) == outcomes.Noted()
    found = await world.generation(generation)
    assert (found.progress_thousandths, found.version) == (420, version + 1)
    assert await world.deadline(generation) == deadline


async def test_it_never_goes_back_and_the_same_again_is_no_change(world: World) -> None:
    generation = await world.parked()
    await report(world, generation, 420)
    async with world.unchanged():
        assert await report(world, generation, 420) == outcomes.Noted()
        assert await report(world, generation, 419) == outcomes.Noted()


async def test_an_attempt_in_work_says_it_by_itself(world: World) -> None:
    generation = await world.parked()
    await world.begin(generation, 2)
    async with world.unchanged():
        assert await report(world, generation, 420) == outcomes.Noted()


async def test_another_job_an_ended_one_and_none_are_refused(world: World) -> None:
    parked, ended = await world.parked(), await world.parked()
    await world.begin(ended, 2)
    await world.settle(ended, None, 2)
    assert (await world.generation(ended)).state is State.FAILED
    queued = await world.parked()
    await world.begin(queued, 2)
    await world.hand_back(queued, 2)
    async with world.unchanged():
        assert await report(world, parked, 420, "job-6") == outcomes.Stale()
        assert await report(world, ended, 420) == outcomes.Stale()
        assert await report(world, queued, 420) == outcomes.Stale()
        assert await report(world, "gen_00aaaaaaaaaaaaaaaaaaaaaaaa", 420) == outcomes.Stale()
