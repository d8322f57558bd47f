"""R5, R6, R8, R11, R13, R14, R15: check everything, then hold the price, or change nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import Bucket, Input, OwnWebhook, State, generation_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.price_basis import PriceBasis, PricedOtherwise
from gateway.pricing.discounts import PricedFor
from tests.ledger.world import DAY, FREE, HOUR, MINUTE, PARTITIONS, POLICY, World, shares, the


async def test_reserve_holds_the_price_and_makes_a_queued_generation(world: World) -> None:
    reserved = the(outcomes.Reserved, await world.reserve(price=73_500))
    assert reserved.generation.state is State.QUEUED
    assert reserved.generation.held_millicredits == 73_500
    assert await world.available() == (26_500, 0, 0)
    assert await world.held() == 73_500
    [reset, entry] = await world.journal()
    assert (reset.kind, entry.kind, entry.generation) == ("reset", "reserve", reserved.generation.id)
    assert (entry.credits_millicredits, entry.held_millicredits) == (-73_500, 73_500)


async def test_r5_grants_burn_free_then_subscription_then_top_up(world: World) -> None:
    await world.account(top_up=50_000, plan="standard")
    generation = await world.spend(8_120_000)
    assert shares(await world.generation(generation)) == [
        (Bucket.FREE, 100_000),
        (Bucket.SUBSCRIPTION, 8_000_000),
        (Bucket.TOP_UP, 20_000),
    ]


async def test_r5_within_a_bucket_the_earliest_expiry_burns_first_then_the_oldest(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    now = (await bare.account()).now
    lasting_old = await bare.grant(amount=1_000)
    late = await bare.grant(amount=1_000, expires_at=now + 9 * DAY)
    soon = await bare.grant(amount=1_000, expires_at=now + 2 * DAY)
    lasting_new = await bare.grant(amount=1_000)
    generation = await bare.generation(await bare.spend(4_000))
    assert [share.grant for share in generation.allocation] == [soon, late, lasting_old, lasting_new]


async def test_r8_a_refused_reserve_leaves_no_trace(world: World) -> None:
    """Each refusal that `reserve` knows, after a day has passed that nobody has written yet."""
    await world.publish(free=replace(FREE, max_waiting=0, allow={"image": {"resolution": ("1K",)}}))
    await world.account(top_up=50_000)
    await world.spend(price=1_000, settings={"resolution": "1K"}, idempotency=("key", "body"))
    await world.spend(price=1_000)
    await world.advance(3 * DAY)
    async with world.unchanged():
        refused = {
            outcomes.NotFound: await world.reserve("nobody"),
            outcomes.KeysChanged: await world.reserve(keys_version=7),
            outcomes.KeyReused: await world.reserve(idempotency=("key", "another body")),
            outcomes.Replayed: await world.reserve(idempotency=("key", "body")),
            outcomes.SubscriptionRequired: await world.reserve(pro=True),
            outcomes.PlanLimit: await world.reserve(settings={"resolution": "4K"}),
            outcomes.InsufficientCredits: await world.reserve(price=150_001),
            outcomes.WaitingRoomFull: await world.reserve(price=1_000),
        }
        for kind, outcome in refused.items():
            assert isinstance(outcome, kind), outcome


async def test_refusals_come_in_their_order_of_precedence(world: World) -> None:
    """A request with everything wrong is told of one thing after the other, as each is mended."""
    await world.publish(free=replace(FREE, max_waiting=0, allow={"image": {"resolution": ("1K",)}}))
    await world.account(top_up=1_000)
    await world.spend(price=1_000, idempotency=("key", "body"))
    await world.spend(price=1_000)
    wrong: dict[str, Any] = {
        "keys_version": 7,
        "idempotency": ("key", "another body"),
        "pro": True,
        "settings": {"resolution": "4K"},
        "price": 1_000_000,
    }
    seen: list[type] = []
    for mended in ("keys_version", "idempotency", "pro", "settings", "price"):
        seen.append(type(await world.reserve(**wrong)))
        del wrong[mended]
    seen.append(type(await world.reserve(**wrong)))
    assert seen == [
        outcomes.KeysChanged,
        outcomes.KeyReused,
        outcomes.SubscriptionRequired,
        outcomes.PlanLimit,
        outcomes.InsufficientCredits,
        outcomes.WaitingRoomFull,
    ]


async def test_r13_a_refusal_for_credits_says_what_is_available_and_held(world: World) -> None:
    await world.account(top_up=20_000)
    await world.spend(30_000)
    refusal = the(outcomes.InsufficientCredits, await world.reserve(price=90_001))
    assert refusal.needed_millicredits == 90_001
    assert sum(refusal.account.available_millicredits.values()) == 90_000
    assert refusal.account.held_millicredits[Bucket.FREE] == 30_000
    assert refusal.account.free_resets_at > refusal.account.now
    assert isinstance(await world.reserve(price=90_000), outcomes.Reserved)


async def test_r6_pro_models_need_a_subscription_whatever_the_balance(world: World) -> None:
    await world.account(top_up=9_000_000)
    assert isinstance(await world.reserve(pro=True), outcomes.SubscriptionRequired)
    await world.subscribe()
    assert isinstance(await world.reserve(pro=True), outcomes.Reserved)


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"resolution": "720p"}, True),
        ({"resolution": "1080p"}, False),
        ({}, True),
        ({"resolution": "480p", "audio": True}, True),
    ],
)
async def test_r6_a_plan_limits_settings(world: World, settings: dict[str, str], *, allowed: bool) -> None:
    await world.account(plan="standard")
    outcome = await world.reserve(tool="video", settings=settings)
    assert isinstance(outcome, outcomes.Reserved if allowed else outcomes.PlanLimit)
    if isinstance(outcome, outcomes.PlanLimit):
        assert outcome == outcomes.PlanLimit("standard", "resolution", ('"480p"', '"720p"'))


@pytest.mark.parametrize("given", [5, Decimal("5.0"), Decimal(5)])
async def test_r6_a_limit_on_a_number_is_met_however_the_number_is_written(world: World, given: int | Decimal) -> None:
    limited = replace(FREE, allow={"image": {"seconds": (Decimal("2.5"), 5)}})
    await world.publish(free=limited)
    assert isinstance(await world.reserve(settings={"seconds": given}), outcomes.Reserved)
    assert isinstance(await world.reserve(settings={"seconds": Decimal("2.50")}), outcomes.Reserved)
    assert isinstance(await world.reserve(settings={"seconds": True}), outcomes.PlanLimit)


async def test_r14_beyond_the_concurrency_a_generation_waits(world: World) -> None:
    await world.account(top_up=90_000)
    states = [(await world.generation(await world.spend())).state for _ in range(4)]
    assert states == [State.QUEUED, State.QUEUED, State.WAITING, State.WAITING]
    account = await world.look()
    assert (account.in_work, account.waiting) == ({"image": 2}, {"image": 2})


async def test_r14_each_tool_has_its_own_concurrency_and_one_without_entry_has_one(world: World) -> None:
    for tool, limit in (("image", 2), ("video", 1), ("music", 1)):
        states = [(await world.generation(await world.spend(1_000, tool=tool))).state for _ in range(limit + 1)]
        assert states == [State.QUEUED] * limit + [State.WAITING]


async def test_r14_the_waiting_room_is_bounded_per_tool(world: World) -> None:
    await world.publish(free=replace(FREE, max_waiting=1))
    for _ in range(3):
        await world.spend(1_000)
    assert await world.reserve(price=1_000) == outcomes.WaitingRoomFull("free", 1)
    assert isinstance(await world.reserve(price=1_000, tool="video"), outcomes.Reserved)


async def test_r15_a_plans_head_start_puts_its_generations_ahead(world: World) -> None:
    await world.account("free")
    await world.account("paying", plan="standard")
    first = the(outcomes.Reserved, await world.reserve("free"))
    second = the(outcomes.Reserved, await world.reserve("paying"))
    assert first.dispatch is not None
    assert second.dispatch is not None
    assert first.dispatch.score == first.generation.created_at
    assert second.dispatch.score == second.generation.created_at - 10 * MINUTE


async def test_r16_a_new_generation_has_a_dispatch_deadline(world: World) -> None:
    reserved = the(outcomes.Reserved, await world.reserve())
    assert reserved.dispatch is not None
    assert reserved.dispatch.deadline == reserved.generation.created_at + world.ledger.dispatch_ms
    assert await world.deadline(reserved.generation.id) == reserved.dispatch.deadline


@pytest.mark.cluster
async def test_r11_the_same_key_and_body_replay_even_when_the_credits_are_gone(world: World) -> None:
    memory = ("key-digest", "body-digest")
    first = await world.spend(100_000, idempotency=memory)
    replayed = the(outcomes.Replayed, await world.reserve(price=100_000, idempotency=memory))
    assert replayed.generation.id == first
    looked_up = await world.ledger.replay(account="ann", keys_version=None, idempotency=memory)
    assert the(outcomes.Replayed, looked_up).generation.id == first
    assert await world.held() == 100_000


async def test_r11_the_same_key_with_another_body_is_refused(world: World) -> None:
    await world.spend(idempotency=("key", "one"))
    assert isinstance(await world.reserve(idempotency=("key", "two")), outcomes.KeyReused)
    reused = await world.ledger.replay(account="ann", keys_version=None, idempotency=("key", "two"))
    assert isinstance(reused, outcomes.KeyReused)
    assert await world.ledger.replay(account="ann", keys_version=None, idempotency=("new", "two")) is None


async def test_r11_a_key_is_remembered_for_a_day_and_belongs_to_one_account(world: World) -> None:
    await world.account("bob")
    await world.spend(idempotency=("key", "body"))
    name = keys.idempotency(partition_of_account("ann", PARTITIONS), "ann", "key")
    assert 24 * HOUR - MINUTE < await world.redis.pttl(name) <= 24 * HOUR
    assert isinstance(await world.reserve("bob", idempotency=("key", "another")), outcomes.Reserved)


async def test_r11_a_refusal_is_not_remembered(world: World) -> None:
    memory = ("key", "body")
    assert isinstance(await world.reserve(price=200_000, idempotency=memory), outcomes.InsufficientCredits)
    await world.grant(amount=100_000)
    assert isinstance(await world.reserve(price=200_000, idempotency=memory), outcomes.Reserved)


async def test_r11_two_gateways_with_one_derived_id_make_one_generation(world: World) -> None:
    """Two requests in flight with one idempotency key: each has its own operation, both derive the same id."""
    generation = generation_id(partition_of_account("ann", PARTITIONS), "ann\nkey\nbody")
    first = await world.reserve(generation=generation)
    second = await world.reserve(generation=generation)
    assert isinstance(first, outcomes.Reserved)
    assert the(outcomes.Replayed, second).generation == first.generation
    assert await world.held() == 10_000


async def test_r7_the_request_comes_back_exactly_as_it_was_priced(world: World) -> None:
    settings = {"resolution": "2K", "duration": Decimal("7.50"), "audio": True, "steps": 30}
    inputs = (Input("image", "https://example.com/a,b|c.png"), Input("video", "inputs/1"))
    generation = await world.spend(settings=settings, inputs=inputs, prompt='Zeile 1\nZeile 2 | "ü" 🐈')
    await world.publish(version="sha256:later", daily_millicredits=1)
    found = await world.generation(generation)
    assert (found.request.settings, found.request.inputs) == (settings, inputs)
    assert found.request.prompt == 'Zeile 1\nZeile 2 | "ü" 🐈'
    assert found.request.rate_card == POLICY.version
    assert found.price_millicredits == 10_000


async def test_what_reserve_answers_is_what_a_read_answers(world: World) -> None:
    """It is made of what was sent and of what the script decided, without another look at Redis."""
    inputs = (Input("image", "inputs/1"),)
    for price in (10_000, 0, 10_000, 10_000):
        reserved = the(
            outcomes.Reserved,
            await world.reserve(price=price, inputs=inputs, webhook=OwnWebhook("https://example.com/")),
        )
        assert reserved.generation == await world.generation(reserved.generation.id)
    assert reserved.generation.state is State.WAITING


async def test_a_price_of_nothing_holds_nothing_and_still_counts_in_work(world: World) -> None:
    generation = await world.spend(0)
    assert (await world.look()).in_work == {"image": 1}
    ended = await world.finish(generation)
    assert (ended.generation.state, ended.generation.committed_millicredits) == (State.SUCCEEDED, 0)
    assert await world.journal("ann", "reserve", "commit", "refund") == []


async def test_an_account_without_a_generation_in_the_ledger_is_not_found(world: World) -> None:
    assert isinstance(await world.reserve("nobody"), outcomes.NotFound)
    missing = await world.ledger.replay(account="nobody", keys_version=None, idempotency=("key", "body"))
    assert isinstance(missing, outcomes.NotFound)


@pytest.mark.cluster
async def test_r7_a_price_is_held_only_for_what_it_was_made_for(world: World) -> None:
    """The plan (also one that has lapsed but was not rolled yet), the account's factors, and the time."""
    account = await world.account()
    await world.subscribe(paid_through=account.now + DAY)
    await world.set_factors({"image": Decimal("0.9"), "*": Decimal("0.95")})
    factors, now = "*:0.95,image:0.9", account.now
    for basis in (
        PriceBasis("standard", factors),
        PriceBasis("", factors, now - HOUR, now + HOUR),
        None,  # a locked price
    ):
        the(outcomes.Reserved, await world.reserve(price=1_000, priced=basis))
    wrong = (
        PriceBasis("free", factors),
        PriceBasis("standard", ""),
        PriceBasis("standard", "image:0.9"),
        PriceBasis("standard", factors, since=now + HOUR),
        PriceBasis("standard", factors, until=now),
    )
    async with world.unchanged():
        for basis in wrong:
            found = the(PricedOtherwise, await world.reserve(price=1_000, priced=basis))
            assert found.priced_for == PricedFor("standard", factors)
            assert now <= found.at <= (await world.look()).now
    await world.advance(2 * DAY)
    found = the(PricedOtherwise, await world.reserve(price=1_000, priced=PriceBasis("standard", factors)))
    assert found.priced_for == PricedFor("free", factors, 2 * DAY)
    assert found.at >= now + 2 * DAY, "the account's time, not the real one"


async def test_factors_are_set_once_however_often_the_call_is_sent(world: World) -> None:
    await world.account()
    await world.set_factors({"video": Decimal("0.5")}, operation="one")
    assert (await world.set_factors({}, operation="two")).priced_for.factors == ""
    assert (await world.set_factors({"video": Decimal("0.5")}, operation="one")).priced_for.factors == ""
    assert (await world.look()).priced_for == PricedFor()
    assert isinstance(
        await world.ledger.set_factors(account="nobody", operation="three", factors={}), outcomes.NotFound
    )
