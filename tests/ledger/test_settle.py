"""R9, R10, section 4: whoever ends a generation commits the share delivered and refunds the rest, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from gateway.domain import AMOUNT_MAX_MILLICREDITS, Bucket, FailureCode, State
from gateway.ledger import outcomes
from gateway.ledger.journal_records import Entry
from gateway.ledger.records import decode_entry
from gateway.transitions import RETRY_PAUSES_MS
from tests.ledger.world import DAY, HOUR, SECOND, TERMS, World, shares, the


def entries_of(generation: outcomes.Generation) -> list[Entry]:
    return [decode_entry(text) for text in generation.entry_texts]


async def test_r9_all_delivered_commits_the_whole_price(world: World) -> None:
    ended = await world.finish(await world.spend(73_500))
    assert (ended.generation.state, ended.generation.error) == (State.SUCCEEDED, None)
    assert (ended.generation.committed_millicredits, ended.generation.refunded_millicredits) == (73_500, 0)
    assert await world.available() == (26_500, 0, 0)
    [entry] = await world.journal("ann", "commit")
    assert (entry.credits_millicredits, entry.held_millicredits) == (0, -73_500)
    assert await world.journal("ann", "refund") == []


async def test_r9_nothing_delivered_commits_nothing(world: World) -> None:
    ended = await world.fail(await world.spend(73_500))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.PROVIDER_REJECTED)
    assert (ended.generation.committed_millicredits, ended.generation.refunded_millicredits) == (0, 73_500)
    assert await world.available() == (100_000, 0, 0)
    assert await world.journal("ann", "commit") == []


@pytest.mark.parametrize(
    ("price", "outputs", "delivered", "committed"),
    [
        (100, 3, 1, 33),
        (100, 3, 2, 66),
        (1, 2, 1, 0),
        (7, 4, 3, 5),
        (AMOUNT_MAX_MILLICREDITS, 7, 6, AMOUNT_MAX_MILLICREDITS * 6 // 7),
        (AMOUNT_MAX_MILLICREDITS - 1, 999, 998, (AMOUNT_MAX_MILLICREDITS - 1) * 998 // 999),
    ],
)
async def test_r9_k_of_n_outputs_commit_the_floor_of_their_share(
    bare: World, price: int, outputs: int, delivered: int, committed: int
) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account(top_up=price)
    ended = await bare.finish(await bare.spend(price, outputs=outputs), delivered)
    assert (ended.generation.state, ended.generation.committed_millicredits) == (State.SUCCEEDED, committed)
    assert await bare.available() == (0, 0, price - committed)


async def test_amounts_near_the_maximum_stay_exact_to_the_millicredit(bare: World) -> None:
    """99 grants of the largest amount less one: doubles are exact, and `tostring` would write 8.9e+14."""
    await bare.publish(daily_millicredits=0)
    await bare.account()
    each = AMOUNT_MAX_MILLICREDITS - 1
    for _ in range(99):
        await bare.grant(amount=each)
    generation = await bare.spend(each, outputs=7)
    await bare.finish(generation, 3)
    assert await bare.available() == (0, 0, 99 * each - each * 3 // 7)
    newest = (await bare.journal())[-1]
    assert newest.available_after_millicredits == 99 * each - each * 3 // 7


async def test_r10_top_ups_come_back_before_free_credits(world: World) -> None:
    """Drawn: 100 free, 50 top-up. Half delivered: the 75 committed are free credits, top-ups come back whole."""
    await world.account(top_up=50_000)
    generation = await world.spend(150_000, outputs=2)
    assert shares(await world.generation(generation)) == [(Bucket.FREE, 100_000), (Bucket.TOP_UP, 50_000)]
    await world.finish(generation, 1)
    assert await world.available() == (25_000, 0, 50_000)


async def test_r10_failing_after_the_reset_gives_todays_allowance_and_a_refund_for_a_day(world: World) -> None:
    """The issue's point 5: a job that fails after midnight costs nothing."""
    generation = await world.spend(80_000)
    await world.begin(generation)
    account = await world.advance(DAY)
    assert await world.available() == (100_000, 0, 0)
    await world.settle(generation, FailureCode.PROVIDER_REJECTED)
    assert await world.available() == (180_000, 0, 0)
    [refund] = [grant for grant in (await world.look()).grants if grant.kind == "refund"]
    assert (refund.bucket, refund.available_millicredits) == (Bucket.FREE, 80_000)
    assert refund.expires_at is not None
    assert account.now + 24 * HOUR <= refund.expires_at < account.now + 25 * HOUR + SECOND
    assert refund.expires_at % HOUR == 0, "expiry is rounded up to the hour"
    await world.advance_to(refund.expires_at)
    assert await world.available() == (100_000, 0, 0)
    assert (await world.journal())[-1].kind in {"expire", "reset"}
    assert sum(entry.credits_millicredits for entry in await world.journal("ann", "expire")) == -80_000


async def test_r10_refund_grants_with_equal_bucket_and_expiry_merge(world: World) -> None:
    generations = [await world.spend(30_000) for _ in range(2)]
    await world.advance(DAY)
    for generation in generations:
        await world.fail(generation)
    [refund] = [grant for grant in (await world.look()).grants if grant.kind == "refund"]
    assert (refund.available_millicredits, refund.granted_millicredits) == (60_000, 60_000)


async def test_r10_a_refund_of_a_refund_grant_goes_back_to_it_and_keeps_its_expiry(world: World) -> None:
    generation = await world.spend(100_000)
    await world.advance(DAY)
    await world.fail(generation)
    [refund] = [grant for grant in (await world.look()).grants if grant.kind == "refund"]
    second = await world.spend(200_000)
    await world.fail(second)
    [again] = [grant for grant in (await world.look()).grants if grant.kind == "refund"]
    assert again == refund


async def test_r10_a_refund_of_a_refund_grant_lapses_past_its_expiry(world: World) -> None:
    """No reserve-and-cancel for ever: an expiring credit never turns into a lasting one."""
    first = await world.spend(100_000)
    await world.advance(DAY)
    await world.fail(first)
    second = await world.spend(200_000)  # today's 100 and the refund's 100
    await world.advance(25 * HOUR)
    assert await world.available() == (100_000, 0, 0)
    ended = await world.fail(second)
    assert ended.generation.refunded_millicredits == 200_000
    kinds = [(entry.kind, entry.credits_millicredits) for entry in entries_of(ended.generation)]
    assert kinds == [("reserve", -200_000), ("refund", 200_000), ("expire", -100_000)]
    assert await world.available() == (200_000, 0, 0)  # today's, and the daily share as a refund grant


async def test_r10_credits_of_an_expired_operators_grant_come_back_for_the_grace(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    now = (await bare.account()).now
    await bare.grant(amount=5_000, expires_at=now + HOUR)
    generation = await bare.spend(5_000)
    await bare.advance(2 * HOUR)
    await bare.fail(generation)
    [refund] = (await bare.look()).grants[-1:]
    assert (refund.kind, refund.bucket, refund.available_millicredits) == ("refund", Bucket.TOP_UP, 5_000)


async def test_r19_an_expiry_takes_only_what_is_not_held(world: World) -> None:
    now = (await world.account()).now
    await world.grant(amount=5_000, expires_at=now + HOUR)
    await world.publish(daily_millicredits=0)
    generation = await world.spend(102_000)
    await world.advance(2 * HOUR)
    assert (await world.available())[2] == 0
    assert [entry.credits_millicredits for entry in await world.journal("ann", "expire")] == [-3_000]
    await world.finish(generation)
    assert await world.held() == 0


async def test_r9_settling_without_a_result_and_without_a_reason_is_an_internal_failure(world: World) -> None:
    generation = await world.running()
    ended = the(outcomes.Ended, await world.settle(generation))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, FailureCode.INTERNAL)


@pytest.mark.parametrize("code", [FailureCode.PROVIDER_FAILED, FailureCode.WORKER_LOST])
async def test_a_retryable_failure_is_tried_again_after_2_8_and_30_seconds(world: World, code: FailureCode) -> None:
    generation = await world.spend(terms=replace(TERMS, attempts_max=5))
    pauses = []
    for attempt in (1, 2, 3, 4):
        await world.begin(generation, attempt)
        dispatch = the(outcomes.Requeued, await world.settle(generation, code, attempt)).dispatch
        assert (dispatch.attempt, dispatch.deadline) == (attempt + 1, dispatch.not_before)
        pauses.append(dispatch.not_before - dispatch.queued_at)
        await world.pass_time(generation, 30 * SECOND)
    assert pauses == [2 * SECOND, 8 * SECOND, 30 * SECOND, 30 * SECOND]
    await world.begin(generation, 5)
    ended = the(outcomes.Ended, await world.settle(generation, code, 5))
    assert (ended.generation.state, ended.generation.error) == (State.FAILED, code)


async def test_the_pauses_are_those_that_a_generation_was_made_with(world: World) -> None:
    generation = await world.spend(terms=replace(TERMS, attempts_max=4, retry_pauses_ms=(SECOND, 5 * SECOND)))
    pauses = []
    for attempt in (1, 2, 3):
        await world.begin(generation, attempt)
        dispatch = the(outcomes.Requeued, await world.settle(generation, FailureCode.WORKER_LOST, attempt)).dispatch
        pauses.append(dispatch.not_before - dispatch.queued_at)
        await world.pass_time(generation, 5 * SECOND)
    assert pauses == [SECOND, 5 * SECOND, 5 * SECOND]


async def test_a_generation_made_before_pauses_were_stored_has_the_usual_ones_and_an_ended_one_none(
    world: World,
) -> None:
    """A ledger that an earlier version wrote has no `retry_pauses`; a finished generation needs no room for them."""
    generation = await world.running()
    key = world.ledger.generation_key(generation)
    assert await world.redis.hget(key, "retry_pauses") == ",".join(map(str, RETRY_PAUSES_MS)).encode()
    await world.redis.hdel(key, "retry_pauses")
    dispatch = the(outcomes.Requeued, await world.settle(generation, FailureCode.WORKER_LOST)).dispatch
    assert dispatch.not_before - dispatch.queued_at == 2 * SECOND
    other = await world.running()
    await world.settle(other, FailureCode.MODERATED)
    assert not await world.redis.hexists(world.ledger.generation_key(other), "retry_pauses")


async def test_r17_a_provider_failure_clears_the_ref_and_a_lost_worker_keeps_it(world: World) -> None:
    for code, ref in ((FailureCode.PROVIDER_FAILED, None), (FailureCode.WORKER_LOST, "job-7")):
        generation = await world.noted(1_000)
        await world.settle(generation, code)
        assert (await world.generation(generation)).provider_ref == ref
        await world.ledger.cancel(generation=generation)


async def test_a_failure_after_everything_was_delivered_is_a_success(world: World) -> None:
    generation = await world.running()
    await world.deliver(generation, 0)
    ended = the(outcomes.Ended, await world.settle(generation, FailureCode.PROVIDER_FAILED))
    assert (ended.generation.state, ended.generation.error) == (State.SUCCEEDED, None)


async def test_a_failure_after_a_part_was_delivered_is_paid_in_part_and_says_why(world: World) -> None:
    generation = await world.running(9_000, outputs=3)
    await world.deliver(generation, 2)
    ended = the(outcomes.Ended, await world.settle(generation, FailureCode.MODERATED))
    assert (ended.generation.state, ended.generation.error) == (State.SUCCEEDED, FailureCode.MODERATED)
    assert ended.generation.committed_millicredits == 3_000


async def test_a_stale_attempt_settles_nothing(world: World) -> None:
    generation = await world.running()
    await world.hand_back(generation)
    for state in (State.QUEUED, State.RUNNING):
        assert (await world.generation(generation)).state is state
        async with world.unchanged():
            assert isinstance(await world.settle(generation, FailureCode.MODERATED, 1), outcomes.Stale)
        if state is State.QUEUED:
            await world.begin(generation, 2)


async def test_r14_settling_promotes_who_waited_first(world: World) -> None:
    generations = [await world.spend(1_000) for _ in range(5)]
    ended = await world.finish(generations[1])
    assert [dispatch.generation for dispatch in ended.promoted] == [generations[2]]
    assert ended.promoted[0].attempt == 1
    assert await world.deadline(generations[2]) == ended.promoted[0].deadline
    ended = await world.finish(generations[0])
    assert [dispatch.generation for dispatch in ended.promoted] == [generations[3]]


async def test_r14_as_many_are_promoted_as_now_fit(world: World) -> None:
    """A card with a higher limit comes while three wait: the next end lets all of them in."""
    generations = [await world.spend(1_000) for _ in range(5)]
    await world.publish(free=world.policy.plans["standard"])
    ended = await world.finish(generations[0])
    assert [dispatch.generation for dispatch in ended.promoted] == generations[2:]


async def test_r14_a_retry_keeps_its_place_in_work(world: World) -> None:
    first, _, waiting = [await world.spend(1_000) for _ in range(3)]
    await world.begin(first)
    await world.settle(first, FailureCode.PROVIDER_FAILED)
    assert (await world.generation(waiting)).state is State.WAITING
    assert (await world.look()).in_work == {"image": 2}


@pytest.mark.cluster
async def test_outputs_are_to_be_deleted_after_their_time(world: World) -> None:
    generation = await world.spend()
    before = await world.now()
    await world.finish(generation)
    partition = int(generation[4:6], 16)
    claim = partial(world.ledger.claim_outputs, partition=partition, limit=10, claim_ms=1000)
    assert await claim() == []
    name = f"{{fb{partition:02x}}}:outputs"
    score = await world.redis.zscore(name, generation)
    assert score is not None
    assert score >= before + world.ledger.outputs_kept_ms
    await world.redis.zincrby(name, -world.ledger.outputs_kept_ms, generation)
    assert await claim() == [generation]
    await world.ledger.outputs_deleted(generation=generation)
    assert await world.redis.zscore(name, generation) is None
    assert (await world.generation(generation)).outputs_deleted


async def test_a_receipt_has_the_generations_own_entries(world: World) -> None:
    ended = await world.finish(await world.spend(9_000, outputs=2), 1)
    kinds = [
        (entry.kind, entry.credits_millicredits, entry.held_millicredits) for entry in entries_of(ended.generation)
    ]
    assert kinds == [("reserve", -9_000, 9_000), ("commit", 0, -4_500), ("refund", 4_500, -4_500)]
    assert entries_of(ended.generation) == (await world.journal())[1:]


async def test_usage_is_counted_on_the_day_of_settling(world: World) -> None:
    generation = await world.spend()
    account = await world.advance(3 * DAY)
    await world.finish(generation)
    days = [name for name in await world.contents() if ":usage:ann:" in name]
    day = datetime.fromtimestamp(account.now / 1000, UTC).date()
    assert [name.rsplit(":", 1)[1] for name in days] == [day.isoformat()]
