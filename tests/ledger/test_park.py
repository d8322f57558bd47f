"""R17: a long wait is parked: state running, ref kept, no lease, a next look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain import FailureCode, State, operation_id
from gateway.errors import LedgerBroken
from gateway.ledger import outcomes
from tests.ledger.world import HOUR, SECOND, TERMS, World, the


async def test_a_parked_generation_runs_on_without_a_lease(world: World) -> None:
    generation = await world.parked()
    found = await world.generation(generation)
    assert (found.state, found.provider_ref, found.attempt) == (State.RUNNING, "job-7", 1)
    assert "lease_until" not in await world.fields(generation)
    assert (await world.look()).in_work == {"image": 1}
    assert await world.held() == 10_000


async def test_the_poll_interval_is_30_seconds_doubling_to_5_minutes(world: World) -> None:
    generation = await world.noted(terms=replace(TERMS, provider_timeout_ms=24 * HOUR))
    pauses = []
    for attempt in range(1, 7):
        before = await world.now()
        await world.ledger.park(generation=generation, attempt=attempt, operation=operation_id())
        deadline = await world.due(generation)
        pauses.append((deadline - before) // SECOND)
        await world.begin(generation, attempt + 1)
    assert pauses == [30, 60, 120, 240, 300, 300]
    assert (await world.generation(generation)).failures == 0


async def test_a_known_end_makes_the_poll_sooner_but_never_later(world: World) -> None:
    generation = await world.noted(terms=replace(TERMS, provider_timeout_ms=24 * HOUR))
    pauses = []
    for attempt, poll_ms in enumerate((7 * SECOND, 90 * SECOND), start=1):
        before = await world.now()
        await world.ledger.park(generation=generation, attempt=attempt, operation=operation_id(), poll_ms=poll_ms)
        deadline = await world.due(generation)
        pauses.append((deadline - before) // SECOND)
        await world.begin(generation, attempt + 1)
    assert pauses == [7, 60]


async def test_how_far_it_is_when_it_is_left_is_kept_and_never_goes_back(world: World) -> None:
    """A parked job stood still although each look at it had heard how far it was."""
    generation = await world.noted()
    for attempt, said, kept in ((1, 420, 420), (2, 300, 420), (3, None, 420)):
        await world.ledger.park(
            generation=generation, attempt=attempt, operation=operation_id(), progress_thousandths=said
        )
        assert (await world.generation(generation)).progress_thousandths == kept
        await world.begin(generation, attempt + 1)


async def test_submit_and_last_poll_times_are_kept_as_long_as_the_job(world: World) -> None:
    generation = await world.running()
    before = await world.now()
    await world.note(generation)
    await world.ledger.park(generation=generation, attempt=1, operation=operation_id())
    found = await world.generation(generation)
    assert found.ref_at is not None
    assert found.looked_at is not None
    assert before <= found.ref_at <= found.looked_at <= await world.now()
    await world.begin(generation, 2)
    await world.settle(generation, FailureCode.PROVIDER_FAILED, 2)
    found = await world.generation(generation)
    assert (found.ref_at, found.looked_at) == (None, None)


async def test_it_is_polled_once_more_before_give_up_at_and_then_at_it(world: World) -> None:
    """A provider that was done between the last long look and `give_up_at` was thrown away with its work."""
    generation = await world.noted(terms=replace(TERMS, provider_timeout_ms=25 * SECOND))
    give_up_at = (await world.generation(generation)).give_up_at
    assert give_up_at is not None
    await world.ledger.park(generation=generation, attempt=1, operation=operation_id())
    assert await world.deadline(generation) == give_up_at - 10 * SECOND
    await world.pass_time(generation, 16 * SECOND)
    await world.begin(generation, 2)
    await world.ledger.park(generation=generation, attempt=2, operation=operation_id())
    assert await world.deadline(generation) == (await world.generation(generation)).give_up_at


async def test_a_new_job_starts_with_a_short_poll_interval_again(world: World) -> None:
    generation = await world.parked()
    await world.begin(generation, 2)
    await world.settle(generation, FailureCode.PROVIDER_FAILED, 2)
    await world.pass_time(generation, 2 * SECOND)
    await world.begin(generation, 3)
    await world.ledger.note(generation=generation, attempt=3, ref="job-8")
    before = await world.now()
    await world.ledger.park(generation=generation, attempt=3, operation=operation_id())
    deadline = await world.due(generation)
    assert (deadline - before) // SECOND == 30


async def test_parking_after_a_cancel_request_ends_it(world: World) -> None:
    generation = await world.noted()
    await world.ledger.cancel(generation=generation)
    ended = the(outcomes.Ended, await world.ledger.park(generation=generation, attempt=1, operation="one"))
    assert (ended.generation.state, ended.provider_ref) == (State.CANCELLED, "job-7")
    async with world.unchanged():
        assert await world.ledger.park(generation=generation, attempt=1, operation="one") == ended


async def test_the_worker_that_parked_no_longer_has_the_lease(world: World) -> None:
    generation = await world.parked()
    async with world.unchanged():
        assert isinstance(await world.settle(generation), outcomes.Stale)
        assert isinstance(await world.ledger.renew(generation=generation, attempt=1), outcomes.Stale)
        assert isinstance(await world.ledger.park(generation=generation, attempt=1, operation="x"), outcomes.Stale)


async def test_what_has_no_ref_cannot_be_parked(world: World) -> None:
    generation = await world.running()
    async with world.unchanged():
        with pytest.raises(LedgerBroken, match="no ref"):
            await world.ledger.park(generation=generation, attempt=1, operation="one")
