"""A delivery that fails: when it is tried again, when its webhook is paused, and what is kept of it."""

from __future__ import annotations

from gateway.domain import EventType, FailureCode, OwnWebhook, partition_of_account
from gateway.ledger import keys
from gateway.ledger.webhooks import Delivery, Due, Webhook
from tests.invariants.patched import replaced
from tests.ledger.webhook_deliveries import (
    CLAIM_MS,
    ENDS,
    claim,
    deliveries_of,
    due_of,
    fail_for_a_day,
    tried,
    types,
    webhook_of,
)
from tests.ledger.world import DAY, HOUR, MINUTE, PARTITIONS, SECOND, World, the


async def test_a_receiver_that_is_down_is_tried_for_a_day_with_growing_pauses_and_then_paused(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    due, began_at, pauses = due_of(webhook), await world.now(), []
    while True:
        (one,) = await claim(world, due)
        word = await tried(world, due, one, None)
        if word == "paused":
            break
        assert word == "again"
        (delivery,) = await deliveries_of(world, webhook)
        assert delivery.next_at is not None
        pause = delivery.next_at - await world.now()
        pauses.append(pause)
        await world.later(pause - 1)
        assert await claim(world, due) == [], "not a moment too soon"
        await world.later(1)
    assert pauses == [
        *(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR),
        *[4 * HOUR] * 5,
    ]
    assert 23 * HOUR < await world.now() - began_at <= DAY
    paused = await webhook_of(world, webhook)
    assert (paused.paused_because, paused.paused_at, paused.failing_since) == ("failing", await world.now(), began_at)
    (delivery,) = await deliveries_of(world, webhook)
    assert (delivery.status, delivery.next_at, delivery.tried) == ("pending", None, 13)
    assert {one.word for one in delivery.tries} == {"timeout"}
    await world.later(DAY)
    assert await world.ledger.due_webhooks(partition=due.partition, limit=10) == []
    await world.finish(await world.spend())
    assert await claim(world, due) == [], "what comes meanwhile waits too"
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="active")
    resumed = await claim(world, due)
    assert [one[1].event for one in resumed] == [one.event for one in await deliveries_of(world, webhook)]
    assert await tried(world, due, resumed[0], 500) == "again"
    (first, _) = await deliveries_of(world, webhook)
    assert first.next_at == await world.now() + 5 * SECOND, "a whole day of tries again"


async def test_one_event_that_a_receiver_never_takes_does_not_stop_the_others(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    poison = (await world.finish(await world.spend())).generation.id
    due, words = due_of(webhook), list[str]()
    while "failed" not in words:
        await world.ledger.cancel(generation=await world.spend())
        for one in await claim(world, due):
            words.append(await tried(world, due, one, 500 if one[1].subject == poison else 200))
        await world.later(4 * HOUR)
    assert "paused" not in words
    assert not (await webhook_of(world, webhook)).paused
    statuses = {one.subject: one.status for one in await deliveries_of(world, webhook)}
    assert statuses.pop(poison) == "failed"
    assert set(statuses.values()) == {"delivered"}


async def test_an_address_of_a_request_is_given_up_alone(world: World) -> None:
    await world.ledger.cancel(generation=await world.spend(webhook=OwnWebhook("https://example.com/gone")))
    due = due_of("default")
    (one,) = await claim(world, due)
    assert await tried(world, due, one, 410) == "failed"
    await world.ledger.cancel(generation=await world.spend(webhook=OwnWebhook("https://example.com/there")))
    (one,) = await claim(world, due)
    assert await tried(world, due, one) == "delivered"


async def test_a_killed_sender_leaves_its_delivery_due_and_its_try_listed(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    due = due_of(webhook)
    (lost,) = await claim(world, due)
    await world.later(CLAIM_MS - 1)
    assert await claim(world, due) == []
    await world.later(1)
    (again,) = await claim(world, due)
    assert await tried(world, due, lost) == "stale"
    assert await tried(world, due, again) == "delivered"
    (delivery,) = await deliveries_of(world, webhook)
    assert [(one.status_code, one.word) for one in delivery.tries] == [(None, "interrupted"), (200, None)]


async def test_pauses_are_spread_by_a_tenth(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    for _ in range(2):
        await world.finish(await world.spend())
    due = due_of(webhook)
    for one, jitter in zip(await claim(world, due), (900, 1100), strict=True):
        await tried(world, due, one, 500, jitter)
    assert [one.next_at for one in await deliveries_of(world, webhook)] == [
        await world.now() + ms for ms in (4500, 5500)
    ]


async def test_what_is_kept_is_bounded_and_what_is_done_goes_first(world: World) -> None:
    """500 in the shipped script: here twenty, and forty of those that are pending."""
    world.holds = False  # the check counts with 500
    smaller = (("local HISTORY_MAX = 500", "local HISTORY_MAX = 20"), ("PENDING_MAX = 5000", "PENDING_MAX = 40"))
    with replaced(*smaller):
        webhook = await world.listen("ann", EventType.GENERATION_CANCELLED)
        due = due_of(webhook)

        async def happen(times: int) -> None:
            for _ in range(times):
                await world.ledger.cancel(generation=await world.spend(0))
                await world.later(1)

        await happen(60)
        assert len(await deliveries_of(world, webhook)) == 40
        assert (await webhook_of(world, webhook)).dropped == 20
        for one in await claim(world, due, 100):
            await tried(world, due, one)
        assert len(await deliveries_of(world, webhook)) == 20
        await happen(3)
        assert [one.status for one in await deliveries_of(world, webhook)] == ["delivered"] * 17 + ["pending"] * 3
        assert (await webhook_of(world, webhook)).dropped == 20


async def test_a_month_later_nothing_is_listed(world: World) -> None:
    world.holds = False
    webhook = await world.listen("ann", EventType.GENERATION_CANCELLED)
    await world.ledger.cancel(generation=await world.spend())
    await world.later(31 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    place = keys.deliveries(partition_of_account("ann", PARTITIONS), "ann", webhook)
    assert await world.redis.zcard(place) == 1


async def test_what_is_too_old_of_a_paused_webhook_goes_altogether(world: World) -> None:
    """It went from the list and stayed in `pending`, which grew for as long as the webhook was paused."""
    world.holds = False  # the check knows of no events that were kept for long enough
    webhook = await world.listen()
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="paused")
    generation = await world.running()
    await world.later(3 * DAY)
    await world.settle(generation, FailureCode.MODERATED)
    await world.later(28 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    partition = partition_of_account("ann", PARTITIONS)
    assert await types(world, webhook) == ["generation.failed", "generation.cancelled"], "the beginning is too old"
    assert await world.redis.zcard(keys.pending(partition, "ann", webhook)) == 2, "the end waits no more for it"
    await world.later(3 * DAY)
    await world.ledger.cancel(generation=await world.spend())
    assert await world.redis.zcard(keys.pending(partition, "ann", webhook)) == 2


async def test_a_resend_is_not_kept_by_a_claim_that_has_run_out(world: World) -> None:
    """A webhook was paused while a caretaker had its event in hand and was killed: by hand it could not be told."""
    webhook = await world.listen("ann", *ENDS)
    await world.ledger.cancel(generation=await world.spend())
    due = due_of(webhook)
    ((_, event),) = await claim(world, due)
    await world.ledger.change_webhook(webhook=webhook, account="ann", status="paused")
    until = await world.now() + CLAIM_MS
    sent = the(Delivery, await world.ledger.resend(webhook=webhook, account="ann", event=event.event))
    assert sent.next_at == until, "it is on its way"
    await world.later(CLAIM_MS)
    sent = the(Delivery, await world.ledger.resend(webhook=webhook, account="ann", event=event.event))
    assert sent.next_at == until
    (again,) = await claim(world, due)
    assert await tried(world, due, again) == "delivered"


async def test_a_receiver_is_given_up_after_a_day_also_where_each_try_comes_late(world: World) -> None:
    """With thousands of events to tell one after the other, a webhook that hung was paused after many days."""
    webhook = await world.listen("ann", *ENDS)
    await world.ledger.cancel(generation=await world.spend())
    due, words, began_at = due_of(webhook), list[str](), await world.now()
    while "paused" not in words:
        (one,) = await claim(world, due)
        words.append(await tried(world, due, one, 500))
        await world.later(5 * HOUR)
    assert words == ["again"] * 5 + ["paused"]
    assert await world.now() - began_at == 30 * HOUR


async def test_an_operators_webhook_is_paused_as_a_whole_or_not_at_all(world: World) -> None:
    """Each partition's copy judged by itself: one bad event paused a part, and a 410 was heard by a part."""
    webhook = await world.listen(None, *ENDS)
    ann, carl = (Due(partition_of_account(name, PARTITIONS), None, webhook) for name in ("ann", "carl"))
    assert ann.partition != carl.partition
    for name in ("ann", "carl"):
        await world.account(name)
        await world.ledger.cancel(generation=await world.spend(account=name))

    async def state() -> tuple[bool, str | None]:
        found = the(Webhook, await world.ledger.webhook(webhook=webhook, account=None))
        return found.paused, found.paused_because

    assert await fail_for_a_day(world, ann, deliver=carl) == "failed"
    assert await state() == (False, None)
    await world.ledger.cancel(generation=await world.spend(account="ann"))
    assert await fail_for_a_day(world, ann) == "paused"
    assert await state() == (True, "failing")
    await world.ledger.cancel(generation=await world.spend(account="carl"))
    assert await claim(world, carl) == [], "it is the same receiver"
    await world.ledger.change_webhook(webhook=webhook, account=None, status="active")
    (one,) = await claim(world, carl)
    assert await tried(world, carl, one, 410) == "paused"
    assert await state() == (True, "gone")
    assert await claim(world, ann) == []
