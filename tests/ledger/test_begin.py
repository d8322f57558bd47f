"""R16, R17 and section 4: an attempt gets the lease exactly once, and only when its turn has come."""

from __future__ import annotations

import asyncio

from gateway.domain import FailureCode, State, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import HOUR, MINUTE, SECOND, TERMS, World, the


async def test_begin_gives_the_lease_to_the_attempt(world: World) -> None:
    generation = await world.spend()
    begun = await world.begin(generation)
    assert (begun.state, begun.attempt, begun.failures) == (State.RUNNING, 1, 0)
    assert begun.started_at is not None
    assert begun.give_up_at == begun.started_at + TERMS.provider_timeout_ms
    assert await world.deadline(generation) == begun.started_at + world.ledger.lease_ms


async def test_twice_in_arq_is_harmless(world: World) -> None:
    """Two workers begin the same attempt: one makes it."""
    generation = await world.spend()
    begun = await asyncio.gather(
        *(world.ledger.begin(generation=generation, attempt=1, operation=operation_id()) for _ in range(5))
    )
    assert sorted(type(outcome).__name__ for outcome in begun) == ["Begun", *["Stale"] * 4]


async def test_a_waiting_or_ended_generation_cannot_begin(world: World) -> None:
    first, _, waiting = [await world.spend() for _ in range(3)]
    await world.ledger.cancel(generation=first)  # promotes the one that waited
    await world.spend()
    late = await world.spend()
    for generation in (first, late, "gen_00aaaaaaaaaaaaaaaaaaaaaaaa"):
        outcome = await world.ledger.begin(generation=generation, attempt=1, operation=operation_id())
        assert isinstance(outcome, outcomes.Stale)
    assert isinstance(await world.ledger.begin(generation=waiting, attempt=1, operation="x"), outcomes.Begun)


async def test_a_retry_cannot_begin_before_its_pause_is_over(world: World) -> None:
    generation = await world.running()
    requeued = the(outcomes.Requeued, await world.settle(generation, FailureCode.PROVIDER_FAILED))
    early = await world.ledger.begin(generation=generation, attempt=2, operation=operation_id())
    assert early == outcomes.TooEarly(requeued.dispatch.not_before)
    await world.pass_time(generation, 2 * SECOND)
    assert (await world.begin(generation, 2)).attempt == 2


async def test_r17_a_resumed_attempt_keeps_the_time_at_which_the_first_gives_up(world: World) -> None:
    generation = await world.noted()
    await world.pass_time(generation, 5 * MINUTE)
    give_up_at = (await world.generation(generation)).give_up_at
    await world.hand_back(generation)
    resumed = await world.begin(generation, 2)
    assert (resumed.provider_ref, resumed.give_up_at) == ("job-7", give_up_at)


async def test_r17_an_attempt_without_a_ref_gets_the_whole_provider_timeout(world: World) -> None:
    generation = await world.running()
    await world.pass_time(generation, 5 * MINUTE)
    await world.hand_back(generation)
    before = await world.now()
    again = await world.begin(generation, 2)
    assert again.give_up_at is not None
    assert again.give_up_at >= before + TERMS.provider_timeout_ms


async def test_r17_begin_past_give_up_at_ends_the_generation_and_names_the_job_to_stop(world: World) -> None:
    generation = await world.noted()
    await world.hand_back(generation)
    await world.pass_time(generation, HOUR)
    operation = operation_id()
    ended = the(outcomes.Ended, await world.ledger.begin(generation=generation, attempt=2, operation=operation))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT)
    assert ended.provider_ref == "job-7"
    assert await world.held() == 0
    again = await world.ledger.begin(generation=generation, attempt=2, operation=operation)
    assert again == ended
