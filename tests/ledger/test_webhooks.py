"""The outbox: who is told of what, in which order, how often and for how long; who listens to nothing costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.domain import EventType, FailureCode, operation_id, partition_of_account
from gateway.ledger import keys
from gateway.ledger import outcomes as o
from gateway.ledger.webhooks import WEBHOOKS_MAX, ClaimedDeliveries, Delivery, Due, TooMany, Try, Webhook
from tests.invariants.patched import CLOCK, replaced
from tests.ledger.world import DAY, HOUR, MINUTE, PARTITIONS, SECOND, World, open_world, the

ENDS = (EventType.GENERATION_SUCCEEDED, EventType.GENERATION_FAILED, EventType.GENERATION_CANCELLED)
CLAIM_MS = 30 * SECOND


def due_of(webhook: str, account: str = "ann") -> Due:
    return Due(partition_of_account(account, PARTITIONS), account, webhook)


async def told(world: World, webhook: str, account: str | None = "ann") -> list[Delivery]:
    """What a webhook was told or is yet to be told, oldest first."""
    page = the(o.Page, await world.ledger.deliveries(webhook=webhook, account=account, limit=100))
    return list(page.data)[::-1]


async def types(world: World, webhook: str, account: str | None = "ann") -> list[str]:
    return [str(one.type) for one in await told(world, webhook, account)]


async def claim(world: World, due: Due, limit: int = 10) -> Sequence[tuple[str, Delivery]]:
    """What is due, with its claim."""
    claimed = await world.ledger.claim_deliveries(due=due, claim=operation_id(), for_ms=CLAIM_MS, limit=limit)
    return [] if claimed is None else [(claimed.claim, delivery) for delivery in claimed.deliveries]


async def tried(world: World, due: Due, one: tuple[str, Delivery], code: int | None = 200, jitter: int = 1000) -> str:
    taken = code is not None and code < 300
    return await world.ledger.tried(
        due=due,
        claim=one[0],
        event=one[1].event,
        outcome="delivered" if taken else "gone" if code == 410 else "failed",
        result=Try(0, code, None if code else "timeout", 12),
        jitter_thousandths=jitter,
    )


async def webhook_of(world: World, webhook: str) -> Webhook:
    return the(Webhook, await world.ledger.webhook(webhook=webhook, account="ann"))


# --- who is told of what --------------------------------------------------------------------------------------------


async def test_each_way_to_begin_and_end_is_told_once(world: World) -> None:
    await world.account(top_up=100_000)
    webhook = await world.listen()
    made = [await world.spend() for _ in range(3)]
    await world.finish(made[0])
    await world.fail(made[1])
    await world.ledger.cancel(generation=made[2])
    retried = await world.running()
    await world.settle(retried, FailureCode.PROVIDER_FAILED)
    await world.pass_time(retried, MINUTE)
    await world.begin(retried, 2)
    # Events of one millisecond are listed in any order.
    assert sorted((one.subject, str(one.type)) for one in await told(world, webhook)) == sorted(
        [
            (made[0], "generation.running"),
            (made[0], "generation.succeeded"),
            (made[1], "generation.running"),
            (made[1], "generation.failed"),
            (made[2], "generation.cancelled"),
            (retried, "generation.running"),
        ]
    )


async def test_an_ending_that_is_sent_again_is_no_second_event(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    generation = await world.running()
    for _ in range(2):
        await world.ledger.settle(generation=generation, attempt=1, operation="once", failure=FailureCode.MODERATED)
    assert await types(world, webhook) == ["generation.failed"]


async def test_a_generation_that_a_rescue_ends_is_told_too(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    generation = await world.spend()
    await world.pass_time(generation, 2 * HOUR)
    the(o.Ended, await world.rescue(generation))
    (event,) = await told(world, webhook)
    assert (event.type, event.subject, event.status) == ("generation.failed", generation, "pending")


async def test_who_listens_to_nothing_costs_no_write_and_leaves_no_trace(world: World) -> None:
    for name in ("ann", "bob"):
        await world.account(name, top_up=10_000)
    await world.listen("bob")
    generation = await world.running()
    await world.deliver(generation, 0)
    partition = partition_of_account("ann", PARTITIONS)
    await world.settle(generation)
    names = [name for name in await world.contents() if name.startswith(keys.tag(partition))]
    assert not [name for name in names if name.split(":")[1] in {"webhooks", "delivery", "deliveries", "pending"}]
    assert "listened" not in await world.fields(generation)


async def test_alerts_payments_and_plans_are_told(world: World) -> None:
    await world.account()
    webhook = await world.listen()
    await world.subscribe()
    generation = await world.spend(7_000_000)
    await world.ledger.cancel(generation=generation)
    await world.spend(8_100_000)
    # Ids are random, and so is an event's place among others of the same millisecond.
    events = [one for one in await told(world, webhook) if not one.type.startswith("generation.")]
    assert sorted(str(one.type) for one in events) == [
        "credits.exhausted",
        "credits.low",
        "credits.low",
        "subscription.changed",
    ]
    (changed,) = (one.data for one in events if one.type == "subscription.changed")
    assert changed == {"plan": "standard", "interval": "monthly", "anchor": changed["anchor"]}
    assert {"threshold": "200", "available": "1100000", "of": "8000000"} in [one.data for one in events]
    (exhausted,) = (one.data for one in events if one.type == "credits.exhausted")
    assert exhausted["available"] == "0"


async def test_a_plan_that_lapses_is_told_when_somebody_touches_the_account(world: World) -> None:
    await world.account(plan="standard")
    webhook = await world.listen("ann", EventType.SUBSCRIPTION_CHANGED)
    await world.ledger.unsubscribe(account="ann", operation=operation_id(), when="period_end")
    await world.advance(40 * DAY)
    lapsed, cancelled = sorted((one.data for one in await told(world, webhook)), key=lambda data: "plan" in data)
    assert (cancelled["plan"], "cancelled_to" in cancelled) == ("standard", True)
    assert lapsed == {"was": "standard"}


async def test_an_event_that_nobody_asked_for_is_not_kept(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", EventType.TOP_UP_PAID)
    await world.finish(await world.spend())
    assert await told(world, webhook) == []


async def test_operators_hear_of_all_accounts_in_one_list(world: World) -> None:
    names = [f"account-{index}" for index in range(6)]
    webhook = await world.listen(None, *ENDS)
    for name in names:
        await world.account(name)
        await world.finish(await world.spend(account=name))
    events = await told(world, webhook, None)
    assert [one.account for one in events] == names
    first = the(o.Page, await world.ledger.deliveries(webhook=webhook, account=None, limit=4))
    rest = the(o.Page, await world.ledger.deliveries(webhook=webhook, account=None, limit=4, before=first.next))
    assert [one.account for one in (*first.data, *rest.data)] == names[::-1]
    assert rest.next is None
    assert await world.ledger.unlisten(webhook=webhook, account=None)
    await world.finish(await world.spend(account=names[0]))
    left = {name.split(":")[1] for name in await world.contents()}
    assert not left & {"webhook", "webhooks", "delivery", "deliveries", "pending"}


async def test_a_requests_own_url_is_told_beside_the_webhooks(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend(webhook_url="https://example.com/1"))
    assert await types(world, webhook) == ["generation.succeeded"]
    own = await told(world, "default")
    assert {str(one.type) for one in own} == {"generation.running", "generation.succeeded"}
    assert len(own) == 2
    assert {one.url for one in own} == {"https://example.com/1"}


async def test_an_owner_may_have_only_so_many(world: World) -> None:
    await world.account()
    made = [await world.listen() for _ in range(WEBHOOKS_MAX)]
    new: dict[str, Any] = {"url": "", "events": ENDS, "description": "", "mark": ""}
    assert await world.ledger.listen(webhook="whk_" + "a" * 24, account="ann", **new) == TooMany()
    assert [one.id for one in await world.ledger.webhooks(account="ann")] == made
    await world.ledger.unlisten(webhook=made[3], account="ann")
    await world.listen()
    assert await world.ledger.listen(webhook=made[0], account="nobody", **new) == o.NotFound()


# --- claims ---------------------------------------------------------------------------------------------------------


async def test_of_two_tellers_one_has_each_delivery(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    for _ in range(3):
        await world.finish(await world.spend())
    due = due_of(webhook)
    assert await world.ledger.due_webhooks(partition=due.partition, limit=10) == [due]
    first, second = await claim(world, due, 2), await claim(world, due, 2)
    assert (len(first), len(second)) == (2, 1)
    assert await claim(world, due) == []
    assert await world.ledger.due_webhooks(partition=due.partition, limit=10) == []
    for one in (*first, *second):
        assert await tried(world, due, one) == "delivered"
    assert await tried(world, due, first[0], 500) == "stale"
    assert {one.status for one in await told(world, webhook)} == {"delivered"}


async def test_the_end_waits_for_the_beginning(world: World) -> None:
    await world.account()
    webhook = await world.listen()
    await world.finish(await world.spend())
    due = due_of(webhook)
    (running,) = await claim(world, due)
    assert running[1].type == "generation.running"
    assert await tried(world, due, running, 500) == "again"
    assert await claim(world, due) == []
    await world.ledger.resend(webhook=webhook, account="ann", event=running[1].event)
    (running,) = await claim(world, due)
    await tried(world, due, running)
    ((_, ended),) = await claim(world, due)
    assert ended.type == "generation.succeeded"


async def test_a_webhook_that_is_deleted_takes_everything_with_it(world: World) -> None:
    await world.account()
    before = await world.contents()
    webhook = await world.listen("ann", EventType.CREDITS_LOW)
    assert await world.ledger.unlisten(webhook=webhook, account="ann")
    assert not await world.ledger.unlisten(webhook=webhook, account="ann")
    assert await world.contents() == before


# --- with a clock of its own ----------------------------------------------------------------------------------------


@dataclass
class Clocked:
    """A ledger whose time stands still until it is moved."""

    world: World

    async def advance(self, milliseconds: int) -> None:
        await self.world.redis.incrby(CLOCK, milliseconds)

    async def now(self) -> int:
        return int(await self.world.redis.get(CLOCK))


@pytest.fixture
async def clocked(redis_url: str) -> AsyncIterator[Clocked]:
    """A ledger on one server; keys live by the server's own time, so only scores and fields move."""
    with replaced():
        from gateway.redis_link.connections import connect_ledger  # noqa: PLC0415 - only to set the clock before the ledger starts

        client = connect_ledger(redis_url)
        await client.set(CLOCK, 1_800_000_000_000)
        await client.aclose()
        async with open_world(redis_url) as world:
            yield Clocked(world)


async def test_a_receiver_that_is_down_is_tried_for_a_day_with_growing_pauses_and_then_paused(clocked: Clocked) -> None:
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    due, began_at, pauses = due_of(webhook), await clocked.now(), []
    while True:
        (one,) = await claim(world, due)
        word = await tried(world, due, one, None)
        if word == "paused":
            break
        assert word == "again"
        (delivery,) = await told(world, webhook)
        assert delivery.next_at is not None
        pause = delivery.next_at - await clocked.now()
        pauses.append(pause)
        await clocked.advance(pause - 1)
        assert await claim(world, due) == [], "not a moment too soon"
        await clocked.advance(1)
    assert pauses == [
        *(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR),
        *[4 * HOUR] * 5,
    ]
    assert 23 * HOUR < await clocked.now() - began_at <= DAY
    paused = await webhook_of(world, webhook)
    assert (paused.paused_because, paused.paused_at, paused.failing_since) == ("failing", await clocked.now(), began_at)
    (delivery,) = await told(world, webhook)
    assert (delivery.status, delivery.next_at, delivery.tried) == ("pending", None, 13)
    assert {one.word for one in delivery.tries} == {"timeout"}
    await clocked.advance(DAY)
    assert await world.ledger.due_webhooks(partition=due.partition, limit=10) == []
    await world.finish(await world.spend())
    assert await claim(world, due) == [], "what comes meanwhile waits too"
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="active")
    resumed = await claim(world, due)
    assert [one[1].event for one in resumed] == [one.event for one in await told(world, webhook)]
    assert await tried(world, due, resumed[0], 500) == "again"
    (first, _) = await told(world, webhook)
    assert first.next_at == await clocked.now() + 5 * SECOND, "a whole day of tries again"


async def test_one_event_that_a_receiver_never_takes_does_not_stop_the_others(clocked: Clocked) -> None:
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    poison = (await world.finish(await world.spend())).generation.id
    due, words = due_of(webhook), list[str]()
    while "failed" not in words:
        await world.ledger.cancel(generation=await world.spend())
        for one in await claim(world, due):
            words.append(await tried(world, due, one, 500 if one[1].subject == poison else 200))
        await clocked.advance(4 * HOUR)
    assert "paused" not in words
    assert not (await webhook_of(world, webhook)).paused
    statuses = {one.subject: one.status for one in await told(world, webhook)}
    assert statuses.pop(poison) == "failed"
    assert set(statuses.values()) == {"delivered"}


async def test_an_address_of_a_request_is_given_up_alone(clocked: Clocked) -> None:
    world = clocked.world
    await world.account()
    await world.ledger.cancel(generation=await world.spend(webhook_url="https://example.com/gone"))
    due = due_of("default")
    (one,) = await claim(world, due)
    assert await tried(world, due, one, 410) == "failed"
    await world.ledger.cancel(generation=await world.spend(webhook_url="https://example.com/there"))
    (one,) = await claim(world, due)
    assert await tried(world, due, one) == "delivered"


async def test_a_teller_that_was_killed_leaves_its_delivery_due_and_its_try_in_the_table(clocked: Clocked) -> None:
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    due = due_of(webhook)
    (lost,) = await claim(world, due)
    await clocked.advance(CLAIM_MS - 1)
    assert await claim(world, due) == []
    await clocked.advance(1)
    (again,) = await claim(world, due)
    assert await tried(world, due, lost) == "stale"
    assert await tried(world, due, again) == "delivered"
    (delivery,) = await told(world, webhook)
    assert [(one.status_code, one.word) for one in delivery.tries] == [(None, "interrupted"), (200, None)]


async def test_pauses_are_spread_by_a_tenth(clocked: Clocked) -> None:
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    for _ in range(2):
        await world.finish(await world.spend())
    due = due_of(webhook)
    for one, jitter in zip(await claim(world, due), (900, 1100), strict=True):
        await tried(world, due, one, 500, jitter)
    assert [one.next_at for one in await told(world, webhook)] == [await clocked.now() + ms for ms in (4500, 5500)]


async def test_what_is_kept_is_bounded_and_what_is_done_goes_first(clocked: Clocked) -> None:
    """500 in the shipped script: here twenty, and forty of those that are pending."""
    world = clocked.world
    world.holds = False  # the check counts with 500
    smaller = (("local HISTORY_MAX = 500", "local HISTORY_MAX = 20"), ("PENDING_MAX = 5000", "PENDING_MAX = 40"))
    with replaced(*smaller):
        await world.account()
        webhook = await world.listen("ann", EventType.GENERATION_CANCELLED)
        due = due_of(webhook)

        async def happen(times: int) -> None:
            for _ in range(times):
                await world.ledger.cancel(generation=await world.spend(0))
                await clocked.advance(1)

        await happen(60)
        assert len(await told(world, webhook)) == 40
        assert (await webhook_of(world, webhook)).dropped == 20
        for one in await claim(world, due, 100):
            await tried(world, due, one)
        assert len(await told(world, webhook)) == 20
        await happen(3)
        assert [one.status for one in await told(world, webhook)] == ["delivered"] * 17 + ["pending"] * 3
        assert (await webhook_of(world, webhook)).dropped == 20


async def test_a_month_later_nothing_is_listed(clocked: Clocked) -> None:
    world = clocked.world
    world.holds = False
    await world.account()
    webhook = await world.listen("ann", EventType.GENERATION_CANCELLED)
    await world.ledger.cancel(generation=await world.spend())
    await clocked.advance(31 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    place = keys.deliveries(partition_of_account("ann", PARTITIONS), "ann", webhook)
    assert await world.redis.zcard(place) == 1


async def test_what_is_too_old_of_a_paused_webhook_goes_altogether(clocked: Clocked) -> None:
    """It went from the list and stayed in `pending`, which grew for as long as the webhook was paused."""
    world = clocked.world
    world.holds = False  # the check knows of no events that were kept for long enough
    await world.account()
    webhook = await world.listen()
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="paused")
    generation = await world.running()
    await clocked.advance(3 * DAY)
    await world.settle(generation, FailureCode.MODERATED)
    await clocked.advance(28 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    partition = partition_of_account("ann", PARTITIONS)
    assert await types(world, webhook) == ["generation.failed", "generation.cancelled"], "the beginning is too old"
    assert await world.redis.zcard(keys.pending(partition, "ann", webhook)) == 2, "the end waits no more for it"
    await clocked.advance(3 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    assert await world.redis.zcard(keys.pending(partition, "ann", webhook)) == 2


async def test_what_is_kept_no_longer_holds_nothing_up(world: World) -> None:
    """Of what was due only the first was looked at, so each that was gone took a whole round."""
    await world.account(top_up=100_000)
    webhook = await world.listen("ann", *ENDS)
    for _ in range(20):
        await world.ledger.cancel(generation=await world.spend(0))
    world.holds = False  # most of the events are gone
    partition = partition_of_account("ann", PARTITIONS)
    events = await told(world, webhook)
    for one in events[:-1]:
        await world.redis.delete(keys.delivery(partition, "ann", webhook, one.event))
    ((_, left),) = await claim(world, due_of(webhook), limit=1)
    assert left.event == events[-1].event


async def test_a_resend_is_not_kept_by_a_claim_that_has_run_out(clocked: Clocked) -> None:
    """A webhook was paused while a caretaker had its event in hand and was killed: by hand it could not be told."""
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.ledger.cancel(generation=await world.spend())
    due = due_of(webhook)
    ((_, event),) = await claim(world, due)
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="paused")
    until = await clocked.now() + CLAIM_MS
    sent = the(Delivery, await world.ledger.resend(webhook=webhook, account="ann", event=event.event))
    assert sent.next_at == until, "it is on its way"
    await clocked.advance(CLAIM_MS)
    sent = the(Delivery, await world.ledger.resend(webhook=webhook, account="ann", event=event.event))
    assert sent.next_at == until
    (again,) = await claim(world, due)
    assert await tried(world, due, again) == "delivered"


async def test_a_receiver_is_given_up_after_a_day_also_where_each_try_comes_late(clocked: Clocked) -> None:
    """With thousands of events to tell one after the other, a webhook that hung was paused after many days."""
    world = clocked.world
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.ledger.cancel(generation=await world.spend())
    due, words, began_at = due_of(webhook), list[str](), await clocked.now()
    while "paused" not in words:
        (one,) = await claim(world, due)
        words.append(await tried(world, due, one, 500))
        await clocked.advance(5 * HOUR)
    assert words == ["again"] * 5 + ["paused"]
    assert await clocked.now() - began_at == 30 * HOUR


async def fail_for_a_day(clocked: Clocked, due: Due, deliver: Due | None = None) -> str:
    """Have the one event of a copy fail until it is given up; `deliver`: another, which gets something through."""
    while True:
        (one,) = await claim(clocked.world, due)
        word = await tried(clocked.world, due, one, 500)
        if word != "again":
            return word
        await clocked.advance(4 * HOUR)
        if deliver is not None:
            for other in await claim(clocked.world, deliver):
                await tried(clocked.world, deliver, other)


async def test_an_operators_webhook_is_paused_as_a_whole_or_not_at_all(clocked: Clocked) -> None:
    """Each partition's copy judged by itself: one bad event paused a part, and a 410 was heard by a part."""
    world = clocked.world
    webhook = await world.listen(None, *ENDS)
    ann, carl = (Due(partition_of_account(name, PARTITIONS), None, webhook) for name in ("ann", "carl"))
    assert ann.partition != carl.partition
    for name in ("ann", "carl"):
        await world.account(name)
        await world.ledger.cancel(generation=await world.spend(account=name))

    async def state() -> tuple[bool, str | None]:
        found = the(Webhook, await world.ledger.webhook(webhook=webhook, account=None))
        return found.paused, found.paused_because

    assert await fail_for_a_day(clocked, ann, deliver=carl) == "failed"
    assert await state() == (False, None)
    await world.ledger.cancel(generation=await world.spend(account="ann"))
    assert await fail_for_a_day(clocked, ann) == "paused"
    assert await state() == (True, "failing")
    await world.ledger.cancel(generation=await world.spend(account="carl"))
    assert await claim(world, carl) == [], "it is the same receiver"
    await world.ledger.change_webhook(webhook=webhook, account=None, status="active")
    (one,) = await claim(world, carl)
    assert await tried(world, carl, one, 410) == "paused"
    assert await state() == (True, "gone")
    assert await claim(world, ann) == []


async def test_a_rotation_that_broke_off_halfway_is_made_to_its_end(world: World) -> None:
    """Asked for again it made one more secret, and the one that the receiver has signed no more at once."""
    webhook = await world.listen(None, *ENDS)
    half = keys.webhook(PARTITIONS - 1, "*", webhook)
    await world.ledger.run("rotate", half, operation="an operation", version=2, mark="mark of 2")
    found = the(Webhook, await world.ledger.webhook(webhook=webhook, account=None))
    assert (found.version, found.rotation) == (1, None)
    rotated = await world.ledger.rotate(
        webhook=webhook, account=None, operation="an operation", version=found.version + 1, mark="mark of 2"
    )
    assert the(Webhook, rotated).version == 2
    assert {await world.redis.hget(keys.webhook(one, "*", webhook), "version") for one in range(PARTITIONS)} == {b"2"}


async def test_an_operators_webhook_that_there_is_no_room_for_leaves_nothing(world: World) -> None:
    """Of two that were made at once each got a part of the partitions, told them everything, and was in no list."""
    full = {"url": "", "events": ENDS, "description": "", "mark": ""}
    for _ in range(WEBHOOKS_MAX - 1):
        await world.listen(None, *ENDS)
    listed = (await world.redis.hget(keys.policy(1), "webhooks")).decode()
    await world.redis.hset(keys.policy(1), "webhooks", f"{listed};whk_{'b' * 24}=credits.low")
    new = "whk_" + "a" * 24
    listen: Any = world.ledger.listen
    assert await listen(webhook=new, account=None, **full) == TooMany()
    assert [name for name in await world.contents() if new in name] == []
    for partition in range(PARTITIONS):
        assert new.encode() not in await world.redis.hget(keys.policy(partition), "webhooks")


async def test_claims_name_the_webhook_as_it_is(world: World) -> None:
    await world.account()
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    await world.ledger.change_webhook(webhook=webhook, account="ann", url="https://example.com/new", description="mine")
    claimed = the(
        ClaimedDeliveries, await world.ledger.claim_deliveries(due=due_of(webhook), claim="c", for_ms=CLAIM_MS, limit=1)
    )
    assert (claimed.webhook.url, claimed.webhook.description) == ("https://example.com/new", "mine")
