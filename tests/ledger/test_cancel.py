"""R18: waiting or queued is refunded at once; running is asked to stop; after the end nothing changes."""

from __future__ import annotations

import pytest

from gateway.domain import FailureCode, Scope, State
from gateway.ledger import outcomes
from gateway.ledger.key_records import AccountKey
from tests.ledger.world import DAY, SECOND, World, the


async def test_r18_queued_is_refunded_at_once(world: World) -> None:
    generation = await world.spend(73_500)
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=generation, account="ann"))
    assert (ended.generation.state, ended.generation.error) == (State.CANCELLED, None)
    assert ended.generation.refunded_millicredits == 73_500
    assert await world.available() == (100_000, 0, 0)
    assert await world.deadline(generation) is None


async def test_r18_waiting_is_refunded_at_once_and_leaves_the_line(world: World) -> None:
    first, _, third, fourth = [await world.spend() for _ in range(4)]
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=third))
    assert (ended.generation.state, ended.promoted) == (State.CANCELLED, ())
    assert [dispatch.generation for dispatch in (await world.finish(first)).promoted] == [fourth]


async def test_r14_cancelling_a_queued_one_promotes_the_next(world: World) -> None:
    first, _, third = [await world.spend() for _ in range(3)]
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=first))
    assert [dispatch.generation for dispatch in ended.promoted] == [third]


async def test_r18_running_is_asked_to_stop_and_keeps_what_was_delivered(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 0)
    asked = the(outcomes.CancelRequested, await world.ledger.cancel(generation=generation))
    assert asked.dispatch is None
    assert (asked.generation.state, asked.generation.cancel_requested) == (State.RUNNING, True)
    await world.deliver(generation, 1)
    ended = the(outcomes.Ended, await world.settle(generation))
    assert ended.generation.state is State.CANCELLED
    assert (ended.generation.committed_millicredits, ended.generation.refunded_millicredits) == (6_000, 3_000)


async def test_r18_everything_delivered_is_still_cancelled_and_paid(world: World) -> None:
    generation = await world.running(9_000)
    await world.deliver(generation, 0)
    await world.ledger.cancel(generation=generation)
    ended = the(outcomes.Ended, await world.settle(generation))
    assert (ended.generation.state, ended.generation.committed_millicredits) == (State.CANCELLED, 9_000)


async def test_r18_however_an_attempt_ends_after_a_cancel_request_it_ends_the_generation(world: World) -> None:
    async def lapse(generation: str) -> object:
        await world.pass_time(generation, DAY)
        return await world.rescue(generation)

    async def fail(generation: str) -> object:
        return await world.settle(generation, FailureCode.PROVIDER_FAILED)

    async def reject(generation: str) -> object:
        return await world.settle(generation, FailureCode.PROVIDER_REJECTED)

    for end in (fail, reject, lapse, world.hand_back):
        generation = await world.running()
        await world.ledger.cancel(generation=generation)
        ended = the(outcomes.Ended, await end(generation)).generation
        assert (ended.state, ended.error) == (State.CANCELLED, None), end


async def test_r17_a_parked_generation_is_brought_to_a_worker_at_once(world: World) -> None:
    generation = await world.parked()
    asked = the(outcomes.CancelRequested, await world.ledger.cancel(generation=generation))
    assert asked.dispatch is not None
    assert asked.dispatch.attempt == 2
    assert await world.deadline(generation) == asked.dispatch.deadline
    begun = await world.begin(generation, 2)
    assert (begun.cancel_requested, begun.provider_ref) == (True, "job-7")
    ended = the(outcomes.Ended, await world.settle(generation, attempt=2))
    assert (ended.generation.state, ended.provider_ref) == (State.CANCELLED, "job-7")


async def test_r17_cancelling_a_queued_one_with_a_ref_names_the_job_to_stop(world: World) -> None:
    generation = await world.noted()
    await world.hand_back(generation)
    assert the(outcomes.Ended, await world.ledger.cancel(generation=generation)).provider_ref == "job-7"


@pytest.mark.parametrize("how", ["finish", "fail", "cancel"])
async def test_r18_after_the_end_nothing_changes(world: World, how: str) -> None:
    generation = await world.spend()
    if how == "cancel":
        await world.ledger.cancel(generation=generation)
    else:
        await getattr(world, how)(generation)
    async with world.unchanged():
        unchanged = the(
            outcomes.Unchanged, await world.ledger.cancel(generation=generation, account="ann", keys_version=0)
        )
        assert unchanged.generation == await world.generation(generation)


async def test_cancelling_twice_while_it_runs_is_one_change(world: World) -> None:
    generation = await world.running()
    await world.ledger.cancel(generation=generation)
    async with world.unchanged():
        assert isinstance(await world.ledger.cancel(generation=generation), outcomes.CancelRequested)


async def test_anothers_generation_is_not_found(world: World) -> None:
    await world.account("bob")
    generation = await world.spend()
    async with world.unchanged():
        for cancelled in (
            await world.ledger.cancel(generation=generation, account="bob"),
            await world.ledger.cancel(generation="gen_00aaaaaaaaaaaaaaaaaaaaaaaa"),
            await world.ledger.cancel(generation="what?"),
        ):
            assert isinstance(cancelled, outcomes.NotFound)


async def test_anothers_generation_is_not_found_also_by_an_account_that_revoked_a_key(world: World) -> None:
    """The keys version was looked up in the generation's partition, where the caller's account may not be.

    So an account that had ever revoked a key was told `KeysChanged` for ever, which the gateway answers with 503.
    """
    generation = await world.spend()
    for stranger in ("bob", "carol", "dave", "erin", "frank"):  # some of them live in other partitions
        await world.account(stranger)
        key = await world.ledger.add_key(
            key=f"fbx_{stranger}",
            scope=Scope.ACCOUNT,
            account=stranger,
            label=None,
        )
        await world.ledger.revoke_key(key_id=the(AccountKey, key).id, account=stranger)
        cancelled = await world.ledger.cancel(generation=generation, account=stranger, keys_version=1)
        found = await world.ledger.generation(generation=generation, account=stranger, keys_version=1)
        assert isinstance(cancelled, outcomes.NotFound)
        assert isinstance(found, outcomes.NotFound)


async def test_a_revoked_key_cancels_nothing(world: World) -> None:
    generation = await world.spend()
    async with world.unchanged():
        outcome = await world.ledger.cancel(generation=generation, account="ann", keys_version=3)
        assert isinstance(outcome, outcomes.KeysChanged)


async def test_cancelling_during_a_retrys_pause_refunds_at_once(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 0)
    await world.settle(generation, FailureCode.PROVIDER_FAILED)
    await world.pass_time(generation, SECOND)
    ended = the(outcomes.Ended, await world.ledger.cancel(generation=generation))
    assert (ended.generation.state, ended.generation.committed_millicredits) == (State.CANCELLED, 3_000)
