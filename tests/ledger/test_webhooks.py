"""The outbox: who is told of what, in which order, how often and for how long; who listens to nothing costs nothing."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from gateway.domain import EventType, FailureCode, OwnWebhook, WebhookForm, operation_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.webhooks import WEBHOOKS_MAX, ClaimedDeliveries, TooMany, Webhook
from tests.ledger.webhook_deliveries import (
    CLAIM_MS,
    ENDS,
    claim,
    deliveries_of,
    due_of,
    tried,
    types,
)
from tests.ledger.world import DAY, HOUR, MINUTE, PARTITIONS, World, the

BOTH = ["running", "succeeded"]

# --- who is told of what --------------------------------------------------------------------------------------------


async def test_each_way_to_begin_and_end_emits_one_event(world: World) -> None:
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
    assert sorted((one.subject, str(one.type)) for one in await deliveries_of(world, webhook)) == sorted(
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
    webhook = await world.listen("ann", *ENDS)
    generation = await world.running()
    for _ in range(2):
        await world.ledger.settle(generation=generation, attempt=1, operation="once", failure=FailureCode.MODERATED)
    assert await types(world, webhook) == ["generation.failed"]


async def test_a_generation_ended_by_a_rescue_emits_an_event(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    generation = await world.spend()
    await world.pass_time(generation, 2 * HOUR)
    the(outcomes.Ended, await world.rescue(generation))
    (event,) = await deliveries_of(world, webhook)
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


async def test_alerts_payments_and_plans_emit_events(world: World) -> None:
    webhook = await world.listen()
    await world.subscribe()
    generation = await world.spend(7_000_000)
    await world.ledger.cancel(generation=generation)
    await world.spend(8_100_000)
    # Ids are random, and so is an event's place among others of the same millisecond.
    events = [one for one in await deliveries_of(world, webhook) if not one.type.startswith("generation.")]
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


async def test_a_lapsed_plan_emits_an_event_when_the_account_is_next_touched(world: World) -> None:
    await world.account(plan="standard")
    webhook = await world.listen("ann", EventType.SUBSCRIPTION_CHANGED)
    await world.ledger.unsubscribe(account="ann", operation=operation_id(), when="period_end")
    await world.advance(40 * DAY)
    lapsed, cancelled = sorted(
        (one.data for one in await deliveries_of(world, webhook)), key=lambda data: "plan" in data
    )
    assert (cancelled["plan"], "cancelled_to" in cancelled) == ("standard", True)
    assert lapsed == {"was": "standard"}


async def test_an_event_without_subscribers_is_not_stored(world: World) -> None:
    webhook = await world.listen("ann", EventType.TOP_UP_PAID)
    await world.finish(await world.spend())
    assert await deliveries_of(world, webhook) == []


@pytest.mark.cluster
async def test_operators_hear_of_all_accounts_in_one_list(world: World) -> None:
    names = [f"account-{index}" for index in range(6)]
    webhook = await world.listen(None, *ENDS)
    for name in names:
        await world.account(name)
        await world.finish(await world.spend(account=name))
        await world.later(1)
    events = await deliveries_of(world, webhook, None)
    assert [one.account for one in events] == names
    first = the(outcomes.Page, await world.ledger.deliveries(webhook=webhook, account=None, limit=4))
    rest = the(outcomes.Page, await world.ledger.deliveries(webhook=webhook, account=None, limit=4, before=first.next))
    assert [one.account for one in (*first.data, *rest.data)] == names[::-1]
    assert rest.next is None
    assert await world.ledger.unlisten(webhook=webhook, account=None)
    await world.finish(await world.spend(account=names[0]))
    left = {name.split(":")[1] for name in await world.contents()}
    assert not left & {"webhook", "webhooks", "delivery", "deliveries", "pending"}


async def test_a_requests_own_url_gets_events_besides_the_webhooks(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend(webhook=OwnWebhook("https://example.com/1")))
    assert await types(world, webhook) == ["generation.succeeded"]
    own = await deliveries_of(world, "default")
    assert {str(one.type) for one in own} == {"generation.running", "generation.succeeded"}
    assert len(own) == 2
    assert {one.url for one in own} == {"https://example.com/1"}


async def test_a_requests_own_url_is_stored_as_before_there_were_forms_and_read_so(world: World) -> None:
    """What an earlier version stored has neither field, and is told in our form, from its start to its end."""
    generation = await world.spend(webhook=OwnWebhook("https://example.com/1"))
    stored = await world.redis.hgetall(world.ledger.generation_key(generation))
    assert {name for name in stored if name.startswith(b"webhook")} == {b"webhook"}
    await world.finish(generation)
    own = await deliveries_of(world, "default")
    assert [(one.url, one.form) for one in own] == [("https://example.com/1", None)] * 2
    place = keys.delivery(due_of("default").partition, "ann", "default", own[0].event)
    delivery = await world.redis.hgetall(place)
    assert delivery.keys() - {b"behind"} == {b"type", b"account", b"subject", b"created_at", b"status", b"url"}


@pytest.mark.parametrize(("only", "expected"), [("start", ["running"]), ("end", ["succeeded"]), (None, BOTH)])
async def test_a_generations_own_webhook_has_its_form_and_only_the_events_that_it_asked_for(
    world: World, only: Literal["start", "end"] | None, expected: list[str]
) -> None:
    """The account's other webhooks are told of everything, in our form."""
    webhook = await world.listen("ann")
    await world.finish(await world.spend(webhook=OwnWebhook("https://example.com/1", WebhookForm.FAL, only)))
    own, others = await deliveries_of(world, "default"), await deliveries_of(world, webhook)
    assert sorted((str(one.type), one.form) for one in own) == [
        (f"generation.{one}", WebhookForm.FAL) for one in expected
    ]
    assert sorted((str(one.type), one.form) for one in others) == [(f"generation.{one}", None) for one in BOTH]
    assert len(await claim(world, due_of("default"))) == 1, "an end waits for its start, if that is told at all"


async def test_an_owner_may_have_only_so_many(world: World) -> None:
    made = [await world.listen() for _ in range(WEBHOOKS_MAX)]
    new: dict[str, Any] = {"url": "", "events": ENDS, "description": "", "mark": ""}
    assert await world.ledger.listen(webhook="whk_" + "a" * 24, account="ann", **new) == TooMany()
    assert [one.id for one in await world.ledger.webhooks(account="ann")] == made
    await world.ledger.unlisten(webhook=made[3], account="ann")
    await world.listen()
    assert await world.ledger.listen(webhook=made[0], account="nobody", **new) == outcomes.NotFound()


# --- claims ---------------------------------------------------------------------------------------------------------


async def test_of_two_senders_one_claims_each_delivery(world: World) -> None:
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
    assert {one.status for one in await deliveries_of(world, webhook)} == {"delivered"}


@pytest.mark.cluster
async def test_the_end_waits_for_the_beginning(world: World) -> None:
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
    async with world.unchanged():
        webhook = await world.listen("ann", EventType.CREDITS_LOW)
        assert await world.ledger.unlisten(webhook=webhook, account="ann")
        assert not await world.ledger.unlisten(webhook=webhook, account="ann")


async def test_what_is_kept_no_longer_holds_nothing_up(world: World) -> None:
    """Of what was due only the first was looked at, so each that was gone took a whole round."""
    await world.account(top_up=100_000)
    webhook = await world.listen("ann", *ENDS)
    for _ in range(20):
        await world.ledger.cancel(generation=await world.spend(0))
    world.holds = False  # most of the events are gone
    partition = partition_of_account("ann", PARTITIONS)
    events = await deliveries_of(world, webhook)
    for one in events[:-1]:
        await world.redis.delete(keys.delivery(partition, "ann", webhook, one.event))
    ((_, left),) = await claim(world, due_of(webhook), limit=1)
    assert left.event == events[-1].event


@pytest.mark.cluster
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


@pytest.mark.cluster
async def test_claims_name_the_webhook_as_it_is(world: World) -> None:
    webhook = await world.listen("ann", *ENDS)
    await world.finish(await world.spend())
    await world.ledger.change_webhook(webhook=webhook, account="ann", url="https://example.com/new", description="mine")
    claimed = the(
        ClaimedDeliveries, await world.ledger.claim_deliveries(due=due_of(webhook), claim="c", for_ms=CLAIM_MS, limit=1)
    )
    assert (claimed.webhook.url, claimed.webhook.description) == ("https://example.com/new", "mine")
