"""R30: a generation goes from provider to provider only when none of them can have a job of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain import FailureCode, NewOnes, PauseKind, State, operation_id
from gateway.errors import LedgerBroken
from gateway.ledger import outcomes
from gateway.ledger.pause_records import Paused
from gateway.ledger.tried import Tried, may_change_provider
from tests.ledger.world import MINUTE, SECOND, TERMS, World, the

BOTH = ("sandbox", "other")
TIME = replace(TERMS, provider_timeout_ms=10 * MINUTE, attempts_max=1)


def refused(provider: str = "sandbox", until: int = 0) -> Tried:
    return Tried(provider, "refused", 1, until, until)


async def left(world: World, generation: str, attempt: int = 1, **more: int) -> outcomes.Requeued:
    """The attempt ends because its provider refused the job."""
    outcome = await world.ledger.hand_back(
        generation=generation, attempt=attempt, operation=operation_id(), free=True, tried=[refused()], **more
    )
    return the(outcomes.Requeued, outcome)


async def assigned(world: World, generation: str, provider: str = "other") -> outcomes.Generation:
    found = await world.generation(generation)
    outcome = await world.ledger.assign(generation=found, provider=provider, provider_model="theirs")
    the(outcomes.Noted, outcome)
    return await world.generation(generation)


async def test_what_no_attempt_has_begun_may_go_to_another_provider(world: World) -> None:
    generation = await world.spend(providers=BOTH)
    before = await world.generation(generation)
    found = await assigned(world, generation)
    asked = replace(before.request, provider="other", provider_model="theirs")
    assert found == replace(before, request=asked)
    assert (await world.begin(generation)).request == asked
    dispatch = the(outcomes.Requeued, await world.hand_back(generation)).dispatch
    assert dispatch.provider == "other"


async def test_sent_twice_it_answers_the_same(world: World) -> None:
    generation = await world.spend()
    before = await world.generation(generation)
    first = await world.ledger.assign(generation=before, provider="other", provider_model=None)
    async with world.unchanged():
        assert await world.ledger.assign(generation=before, provider="other", provider_model=None) == first
        assert await world.ledger.assign(generation=before, provider="third", provider_model=None) == outcomes.Stale()


async def test_a_job_that_may_be_there_stays_with_its_provider(world: World) -> None:
    """Killed after its submit, handed back, noted: in each case the provider may have the job."""

    async def killed(generation: str) -> object:
        await world.pass_time(generation, MINUTE)
        return await world.rescue(generation)

    for make, end in ((world.running, world.hand_back), (world.noted, world.hand_back), (world.running, killed)):
        generation = await make()
        the(outcomes.Requeued, await end(generation))
        found = await world.generation(generation)
        assert not may_change_provider(found)
        async with world.unchanged():
            with pytest.raises(LedgerBroken, match="may have a job"):
                await world.ledger.assign(generation=found, provider="other", provider_model=None)
        await world.ledger.cancel(generation=generation)


async def test_a_refusal_is_no_failure_and_its_time_goes_on(world: World) -> None:
    generation = await world.running(terms=TIME, providers=BOTH)
    given_up = (await world.generation(generation)).give_up_at
    dispatch = (await left(world, generation)).dispatch
    assert (dispatch.attempt, dispatch.not_before) == (2, 0)
    found = await world.generation(generation)
    assert (found.state, found.failures, found.released, found.tried) == (State.QUEUED, 0, 1, (refused(),))
    await assigned(world, generation)
    assert (await world.begin(generation, 2)).give_up_at == given_up
    assert not may_change_provider(await world.generation(generation))  # it may have been asked now


async def test_what_all_of_its_providers_refuse_ends_in_time(world: World) -> None:
    generation = await world.running(terms=TIME)
    await left(world, generation)
    await world.pass_time(generation, 11 * MINUTE)
    ended = the(outcomes.Ended, await world.rescue(generation)).generation
    assert (ended.error, ended.refunded_millicredits) == (FailureCode.PROVIDER_TIMEOUT, 10_000)
    other = await world.running(terms=TIME)
    await left(world, other)
    await world.pass_time(other, 11 * MINUTE)
    begun = await world.ledger.begin(generation=other, attempt=2, operation=operation_id())
    assert the(outcomes.Ended, begun).generation.error is FailureCode.PROVIDER_TIMEOUT


async def test_a_provider_that_asks_for_a_long_pause_does_not_prolong_the_hold(world: World) -> None:
    generation = await world.running(terms=TIME)
    given_up = (await world.generation(generation)).give_up_at
    dispatch = (await left(world, generation, not_before=await world.now() + 15 * MINUTE)).dispatch
    assert dispatch.not_before == dispatch.deadline == given_up
    await world.pass_time(generation, 10 * MINUTE + SECOND)
    ended = the(outcomes.Ended, await world.rescue(generation)).generation
    assert (ended.error, await world.held()) == (FailureCode.PROVIDER_TIMEOUT, 0)


async def test_a_limit_that_a_version_before_has_dropped_does_not_stop_a_rescue(world: World) -> None:
    """It knows `give_up_at`, which a failure ends, but not `keeps_limit`."""
    generation = await world.running(terms=TIME)
    await left(world, generation)
    await world.redis.hdel(world.ledger.generation_key(generation), "give_up_at")
    await world.pass_time(generation, MINUTE)
    the(outcomes.Requeued, await world.rescue(generation))
    assert (await world.begin(generation, 2)).give_up_at is not None


async def test_with_no_provider_at_work_it_waits_until_its_time_is_up(world: World) -> None:
    generation = await world.spend(terms=TIME)
    waiting = await world.ledger.wait_for_slot(generation=generation, attempt=1, limited=True)
    the(outcomes.WaitingForSlot, waiting)
    given_up = (await world.generation(generation)).give_up_at
    assert given_up is not None
    assert await world.due(generation) <= await world.now() + MINUTE
    await world.pass_time(generation, 5 * MINUTE)
    the(outcomes.Requeued, await world.rescue(generation))
    the(outcomes.WaitingForSlot, await world.ledger.wait_for_slot(generation=generation, attempt=1, limited=True))
    await world.pass_time(generation, 5 * MINUTE + SECOND)
    ended = the(outcomes.Ended, await world.rescue(generation)).generation
    assert (ended.error, await world.held()) == (FailureCode.PROVIDER_TIMEOUT, 0)


async def test_a_failed_job_leaves_its_provider_if_it_said_so(world: World) -> None:
    generation = await world.noted(terms=TIME, providers=BOTH)
    tried = replace(refused(), result="provider_failed")
    outcome = await world.ledger.settle(
        generation=generation, attempt=1, operation=operation_id(), failure=FailureCode.PROVIDER_FAILED,
        tried=[tried], untried=1,
    )  # fmt: skip
    dispatch = the(outcomes.Requeued, outcome).dispatch  # although attempts_max is 1: the other was not tried yet
    assert dispatch.not_before == 0
    found = await world.generation(generation)
    assert (found.failures, found.submission, may_change_provider(found)) == (1, 1, True)
    await assigned(world, generation)
    given_up = (await world.begin(generation, 2)).give_up_at
    assert given_up is not None
    assert given_up > await world.now() + 9 * MINUTE  # a new job with a new limit
    assert the(outcomes.Ended, await world.settle(generation, FailureCode.PROVIDER_FAILED, 2)).generation.tried


async def test_a_failure_that_the_provider_did_not_report_does_not(world: World) -> None:
    generation = await world.running(terms=replace(TIME, attempts_max=3))
    the(outcomes.Requeued, await world.settle(generation, FailureCode.PROVIDER_FAILED))
    assert not may_change_provider(await world.generation(generation))


async def test_a_pause_holds_it_only_if_all_of_its_providers_are_paused(world: World) -> None:
    async def pause(name: str, new: NewOnes = NewOnes.REFUSE) -> None:
        await world.ledger.pause(kind=PauseKind.PROVIDER, name=name, reason="down", new=new)

    await pause("sandbox")
    generation = await world.spend(providers=BOTH)
    held = await world.ledger.begin(generation=generation, attempt=1, operation=operation_id())
    assert the(Paused, held).pause.name == "sandbox"  # a worker that knows no other provider
    assert await world.ledger.paused_providers(generation=generation, providers=BOTH) == {"sandbox"}
    await world.pass_time(generation, MINUTE)
    the(outcomes.Requeued, await world.rescue(generation))  # so that another one takes it to the other
    await pause("other", NewOnes.WAIT)
    await world.pass_time(generation, MINUTE)
    assert await world.rescue(generation) == outcomes.NotDue()
    the(outcomes.Reserved, await world.reserve(providers=BOTH))  # one of them lets it wait
    await pause("other")
    assert the(Paused, await world.reserve(providers=BOTH)).pause.name == "sandbox"
    await world.ledger.end_pause(kind=PauseKind.PROVIDER, name="other")
    await assigned(world, generation)
    await world.begin(generation)


async def test_a_provider_that_was_left_calls_back_in_vain(world: World) -> None:
    generation = await world.noted(providers=BOTH)
    await world.ledger.settle(
        generation=generation, attempt=1, operation=operation_id(), failure=FailureCode.PROVIDER_FAILED,
        tried=[refused()], untried=1,
    )  # fmt: skip
    await assigned(world, generation)
    await world.begin(generation, 2)
    async with world.unchanged():
        stray = await world.ledger.call_back(generation=generation, job="job", provider="sandbox")
    assert stray == outcomes.Stray("image")
    called = await world.ledger.call_back(generation=generation, job="job", provider="other")
    assert isinstance(called, outcomes.CalledBack)
