"""R16, R17: every open generation has one deadline, and whoever finds it overdue brings it on."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import FailureCode, State, partition_of_account
from gateway.ledger import outcomes
from tests.ledger.world import DAY, FREE, HOUR, MINUTE, PARTITIONS, SECOND, TERMS, World, the


async def test_overdue_lists_what_is_due_earliest_first(world: World) -> None:
    first, second = [await world.spend() for _ in range(2)]
    partition = partition_of_account("ann", PARTITIONS)
    assert await world.ledger.overdue(partition=partition) == []
    await world.pass_time(second, 9 * SECOND)
    await world.pass_time(first, 4 * SECOND)
    found = await world.ledger.overdue(partition=partition)
    assert [item.generation for item in found] == [second, first]
    assert found[0].deadline == await world.deadline(second)
    assert len(await world.ledger.overdue(partition=partition, limit=1)) == 1


async def test_nothing_is_rescued_before_its_deadline_or_by_a_deadline_that_moved(world: World) -> None:
    generation = await world.spend()
    async with world.unchanged():
        assert isinstance(await world.rescue(generation), outcomes.NotDue)
    await world.pass_time(generation, MINUTE)
    deadline = await world.due(generation)
    async with world.unchanged():
        moved = await world.ledger.rescue(generation=generation, deadline=deadline - 1, judge_leases=True)
        assert isinstance(moved, outcomes.NotDue)


async def test_r16_an_undispatched_generation_is_dispatched_again(world: World) -> None:
    reserved = the(outcomes.Reserved, await world.reserve())
    await world.pass_time(reserved.generation.id, 3 * SECOND)
    again = the(outcomes.Requeued, await world.rescue(reserved.generation.id))
    assert reserved.dispatch is not None
    assert again.dispatch.attempt == 1
    assert await world.deadline(reserved.generation.id) == again.dispatch.deadline
    assert (await world.generation(reserved.generation.id)).state is State.QUEUED


async def test_r16_queue_timeout_refunds(world: World) -> None:
    generation = await world.spend(73_500)
    await world.pass_time(generation, HOUR)
    ended = the(outcomes.Ended, await world.rescue(generation))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.QUEUE_TIMEOUT)
    assert await world.available() == (100_000, 0, 0)


async def test_r16_queue_timeout_counts_from_the_last_move_to_queued(world: World) -> None:
    generation = await world.running()
    await world.pass_time(generation, 40 * MINUTE)
    await world.hand_back(generation)
    await world.pass_time(generation, 40 * MINUTE)
    assert isinstance(await world.rescue(generation), outcomes.Requeued)


async def test_r16_queue_timeout_never_strikes_while_a_provider_works(world: World) -> None:
    generation = await world.noted(terms=replace(TERMS, queue_timeout_ms=MINUTE))
    await world.hand_back(generation)
    await world.pass_time(generation, 30 * MINUTE)
    assert isinstance(await world.rescue(generation), outcomes.Requeued)
    await world.pass_time(generation, 30 * MINUTE)
    ended = the(outcomes.Ended, await world.rescue(generation))
    assert (ended.generation.error, ended.provider_ref) == (FailureCode.PROVIDER_TIMEOUT, "job-7")


async def test_r16_a_lapsed_lease_is_a_failure_and_the_next_attempt(world: World) -> None:
    generation = await world.noted()
    await world.pass_time(generation, MINUTE)
    requeued = the(outcomes.Requeued, await world.rescue(generation))
    assert (requeued.dispatch.attempt, requeued.dispatch.not_before - requeued.dispatch.queued_at) == (2, 2 * SECOND)
    found = await world.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 1, "job-7")
    assert (await world.ledger.totals()).rescues == {"retried": 1}


async def test_r16_after_attempts_max_lost_workers_it_is_refunded(world: World) -> None:
    generation = await world.spend(73_500)
    for attempt in (1, 2, 3):
        await world.begin(generation, attempt)
        await world.pass_time(generation, MINUTE)
        outcome = await world.rescue(generation)
        if isinstance(outcome, outcomes.Requeued):
            await world.pass_time(generation, MINUTE)
    ended = the(outcomes.Ended, outcome)
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.WORKER_LOST)
    assert await world.available() == (100_000, 0, 0)
    assert (await world.ledger.totals()).rescues == {"retried": 2, "worker_lost": 1}


async def test_r16_leases_are_not_judged_by_a_caretaker_that_was_cut_off(world: World) -> None:
    running, queued = await world.running(), await world.spend()
    await world.pass_time(running, MINUTE)
    await world.pass_time(queued, MINUTE)
    before = await world.fields(running)
    assert isinstance(await world.rescue(running, judge_leases=False), outcomes.NotDue)
    assert await world.fields(running) == before
    assert isinstance(await world.rescue(queued, judge_leases=False), outcomes.Requeued)


async def test_r16_a_worker_that_renewed_in_time_is_left_alone(world: World) -> None:
    generation = await world.running()
    await world.pass_time(generation, MINUTE)
    deadline = await world.due(generation)
    await world.ledger.renew(generation=generation, attempt=1)
    late = await world.ledger.rescue(generation=generation, deadline=deadline, judge_leases=True)
    assert isinstance(late, outcomes.NotDue)


async def test_r17_a_lease_that_lapses_past_give_up_at_is_a_provider_timeout(world: World) -> None:
    generation = await world.noted()
    await world.pass_time(generation, HOUR)
    ended = the(outcomes.Ended, await world.rescue(generation))
    assert (ended.generation.error, ended.provider_ref) == (FailureCode.PROVIDER_TIMEOUT, "job-7")


async def test_r16_an_overdue_waiting_one_is_refunded_if_there_is_no_room(world: World) -> None:
    _, _, waiting = [await world.spend() for _ in range(3)]
    assert await world.deadline(waiting) == (await world.generation(waiting)).created_at + TERMS.waiting_timeout_ms
    await world.pass_time(waiting, DAY)
    ended = the(outcomes.Ended, await world.rescue(waiting))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.WAITING_TIMEOUT)
    assert (await world.look()).waiting == {}


async def test_r16_an_overdue_waiting_one_is_promoted_if_it_fits(world: World) -> None:
    """There is room that nobody offered: a newer card allows more than the one it waits under."""
    _, _, waiting = [await world.spend() for _ in range(3)]
    await world.publish(free=replace(FREE, concurrency={"image": 3}))
    await world.pass_time(waiting, DAY)
    promoted = the(outcomes.Requeued, await world.rescue(waiting))
    assert promoted.dispatch.generation == waiting
    account = await world.look()
    assert (account.in_work, account.waiting) == ({"image": 3}, {})
    assert isinstance(await world.rescue(waiting), outcomes.NotDue)


async def test_r17_a_parked_one_is_dispatched_at_its_next_poll_without_a_failure(world: World) -> None:
    generation = await world.parked()
    await world.pass_time(generation, 30 * SECOND)
    look = the(outcomes.Requeued, await world.rescue(generation, judge_leases=False))
    assert look.dispatch.attempt == 2
    found = await world.generation(generation)
    assert (found.state, found.failures) == (State.RUNNING, 0)
    assert (await world.begin(generation, 2)).provider_ref == "job-7"


async def test_r17_a_parked_one_past_give_up_at_is_ended(world: World) -> None:
    generation = await world.parked()
    await world.pass_time(generation, HOUR)
    ended = the(outcomes.Ended, await world.rescue(generation))
    assert (ended.generation.error, ended.provider_ref) == (FailureCode.PROVIDER_TIMEOUT, "job-7")


async def test_r9_a_rescue_commits_what_was_delivered(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 0, 1)
    await world.pass_time(generation, HOUR)
    ended = the(outcomes.Ended, await world.rescue(generation))
    assert (ended.generation.state, ended.generation.committed_millicredits) == (State.SUCCEEDED, 6_000)


async def test_r14_a_rescue_that_ends_promotes_the_next(world: World) -> None:
    first, _, third = [await world.spend() for _ in range(3)]
    await world.pass_time(first, HOUR)
    assert [item.generation for item in the(outcomes.Ended, await world.rescue(first)).promoted] == [third]
