"""R16, R17: a worker that is alive keeps its lease until `give_up_at`."""

from __future__ import annotations

from gateway.domain import FailureCode, State
from gateway.ledger import outcomes
from tests.ledger.world import HOUR, MINUTE, World, the


async def test_renew_keeps_the_lease_and_records_progress(world: World) -> None:
    generation = await world.running()
    await world.pass_time(generation, 20_000)
    before, version = await world.now(), (await world.generation(generation)).version
    renewed = await world.ledger.renew(generation=generation, attempt=1, progress_thousandths=250)
    assert renewed == outcomes.Renewed(cancel_requested=False)
    deadline = await world.due(generation)
    assert deadline >= before + world.ledger.lease_ms
    found = await world.generation(generation)
    assert (found.progress_thousandths, found.version) == (250, version + 1)


async def test_renew_sent_twice_is_one_change(world: World) -> None:
    generation = await world.running()
    for _ in range(2):
        await world.ledger.renew(generation=generation, attempt=1, progress_thousandths=250)
    await world.ledger.renew(generation=generation, attempt=1)
    assert (await world.generation(generation)).version == 3  # reserve, begin, progress


async def test_r18_renew_says_that_a_cancel_was_asked_for(world: World) -> None:
    generation = await world.running()
    await world.ledger.cancel(generation=generation)
    assert await world.ledger.renew(generation=generation, attempt=1) == outcomes.Renewed(cancel_requested=True)


async def test_r17_renew_past_give_up_at_ends_the_generation_refunded(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 0)
    await world.pass_time(generation, 44 * MINUTE)
    assert isinstance(await world.ledger.renew(generation=generation, attempt=1), outcomes.Renewed)
    await world.pass_time(generation, HOUR)
    ended = the(outcomes.Ended, await world.ledger.renew(generation=generation, attempt=1))
    assert (ended.generation.state, ended.generation.error) == (State.SUCCEEDED, FailureCode.PROVIDER_TIMEOUT)
    assert (ended.generation.committed_millicredits, ended.generation.refunded_millicredits) == (3_000, 6_000)


async def test_one_that_lacks_nothing_has_no_error_when_its_provider_is_given_up(world: World) -> None:
    """Every output was there, but the worker was late to settle. `settle` left no error in such a generation; `renew`,
    `begin` and `rescue` past `give_up_at` left `provider_timeout`. The model found it (issue 4)."""
    for end in (lambda g: world.ledger.renew(generation=g, attempt=1), world.rescue):
        generation = await world.running(9_000)
        await world.deliver(generation, 0)
        await world.pass_time(generation, HOUR)
        ended = the(outcomes.Ended, await end(generation))
        assert (ended.generation.state, ended.generation.error) == (State.SUCCEEDED, None)


async def test_r17_a_result_after_the_end_is_discarded(world: World) -> None:
    generation = await world.running()
    await world.pass_time(generation, HOUR)
    await world.ledger.renew(generation=generation, attempt=1)
    async with world.unchanged():
        assert isinstance(await world.settle(generation), outcomes.Stale)


async def test_r11_the_ending_that_a_renewal_made_is_answered_again(world: World) -> None:
    """If its answer was lost the worker asked again and was told that it was stale: so nobody had the provider stop,
    and nobody dispatched who was promoted. Another attempt, or one that somebody else ended, is stale as ever."""
    generation = await world.noted()
    await world.pass_time(generation, HOUR)
    first = the(outcomes.Ended, await world.ledger.renew(generation=generation, attempt=1))
    async with world.unchanged():
        again = the(outcomes.Ended, await world.ledger.renew(generation=generation, attempt=1))
        assert (again.generation, again.provider_ref) == (first.generation, "job-7")
        assert isinstance(await world.ledger.renew(generation=generation, attempt=2), outcomes.Stale)
    other = await world.running()
    await world.settle(other)
    assert isinstance(await world.ledger.renew(generation=other, attempt=1), outcomes.Stale)
