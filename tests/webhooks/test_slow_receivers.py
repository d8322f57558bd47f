"""Receivers that are slow: each is given up in time, and none delays another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from tests.api.visitor import Visitor
from tests.until import until
from tests.webhooks.receiving import (
    Receiver,
    answering,
    deliveries_of,
    open_sender,
    receiving,
    register,
    send_round,
    slowly,
    without_end,
)
from tests.webhooks.test_sending import bodies, types
from workers.webhooks.call_limit import CallLimit
from workers.webhooks.sender import WebhookSender


async def test_a_slow_receiver_times_out_and_delays_no_other(gateway: Visitor, receiver: Receiver) -> None:
    slow, quick = await gateway.account("slow"), await gateway.account("quick")
    never = asyncio.Event()
    async with receiving() as sluggard, open_sender(gateway.ledger, call_seconds=0.3) as sender:
        sluggard.always = slowly(never)
        webhook = await register(gateway, slow, sluggard.url, "generation.succeeded")
        await register(gateway, quick, receiver.url, "generation.succeeded")
        for _ in range(4):
            await gateway.finished(slow)
        await gateway.finished(quick)
        await sender.make_round()
        await until(lambda: receiver.told)
        await sender.settled()
    tried = [one for delivery in await deliveries_of(gateway, slow, webhook["id"]) for one in delivery["tries"]]
    assert {one["error"] for one in tried} == {"timeout"}
    assert sluggard.most_in_work == 1, "while it fails it is called once at a time"


async def test_the_end_is_delivered_after_the_start_however_long_that_takes(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.webhooks.sender._JITTER", (1_000_000, 1_000_000))  # no retry comes by itself
    webhook = await register(gateway, key, receiver.url)
    receiver.moods = [answering(503)]
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await send_round(sender)
    await gateway.deliver(generation)
    await gateway.settle(generation)
    await send_round(sender)
    assert types(receiver) == ["generation.running"]
    running, _ = await deliveries_of(gateway, key, webhook["id"])
    await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{running['id']}/resend", key, {})
    await send_round(sender)
    assert types(receiver) == ["generation.running", "generation.running", "generation.succeeded"]
    assert bodies(receiver)[1]["data"]["status"] == "running", "as it was when it began"


async def test_a_receiver_whose_body_never_comes_has_said_yes(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    """Its 200 came in time, and of its body nothing is kept; but it was written down as a timeout, and told again."""
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.always = without_end(asyncio.Event())
    await gateway.finished(key)
    await send_round(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], [one["status_code"] for one in delivery["tries"]]) == ("delivered", [200])


async def test_of_the_addresses_that_requests_name_a_slow_one_delays_no_other(
    gateway: Visitor, receiver: Receiver
) -> None:
    """They were told one after the other once a call had failed, so each dead address held up all others for 10 s."""
    key, never = await gateway.account(), asyncio.Event()
    async with receiving() as sluggard, open_sender(gateway.ledger, call_seconds=60) as sender:
        sender.claim_ms = 90_000
        sluggard.always = slowly(never)
        for _ in range(2):
            await gateway.finished(key, webhook_url=f"{sluggard.url}/slow")
        for _ in range(2):
            await gateway.finished(key, webhook_url=f"{receiver.url}/quick")
        while len(receiver.told) < 4:
            await sender.make_round()
            await asyncio.sleep(0.02)
        assert sluggard.in_work == 2, "they have not even answered"
        never.set()
        await send_round(sender)


async def test_slow_receivers_leave_calls_for_quick_ones(gateway: Visitor, receiver: Receiver) -> None:
    """However many hang: they held all the calls of a process, for as long as they had anything to be told."""
    go_on, slow = asyncio.Event(), list[str]()
    async with receiving() as sluggard, open_sender(gateway.ledger) as sender:
        sender.limit = CallLimit(8)
        sluggard.always = answering(500)
        for number in range(12):
            slow.append(await gateway.account(f"slow-{number}"))
            await register(gateway, slow[-1], sluggard.url, "generation.succeeded")
            await gateway.finished(slow[-1])
        while len({told.headers["webhook-id"] for told in sluggard.told}) < len(slow):
            await send_round(sender)  # that they fail is known now
        sluggard.always, sluggard.most_in_work = slowly(go_on), 0
        for key in slow:
            await gateway.finished(key)
        await sender.make_round()
        await until(lambda: sluggard.in_work >= 6)
        key = await gateway.account("quick")
        await register(gateway, key, receiver.url, "generation.succeeded")
        await gateway.finished(key)
        await sender.make_round()
        await until(lambda: receiver.told)
        assert sluggard.most_in_work == 6
        go_on.set()
        await sender.settled()


async def test_more_webhooks_than_calls_are_delivered_a_few_at_a_time(gateway: Visitor, receiver: Receiver) -> None:
    """All that was found due in one round was called at once, however few calls were allowed."""
    go_on = asyncio.Event()
    receiver.always = slowly(go_on)
    for number in range(12):
        key = await gateway.account(f"account-{number}")
        await register(gateway, key, receiver.url, "generation.succeeded")
        for _ in range(2):
            await gateway.finished(key)
    async with open_sender(gateway.ledger) as sender:
        sender.limit = CallLimit(5)
        await sender.make_round()
        await until(lambda: receiver.in_work >= 5)
        await sender.make_round()
        go_on.set()
        while len(receiver.told) < 24:
            await send_round(sender)
    assert receiver.most_in_work == 5


async def test_a_partition_with_wrong_replies_stops_neither_the_sender_nor_the_others(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    """One error of a script, such as of a Redis that is busy, ended the sender until the caretaker was started anew."""
    ann, others = await gateway.account("ann"), [await gateway.account(f"other-{number}") for number in range(3)]
    for key in (ann, *others):
        await register(gateway, key, receiver.url, "generation.succeeded")
        await gateway.finished(key)
    redis: Any = gateway.ledger.redis
    broken = keys.webhooks(partition_of_account("ann", gateway.ledger.partitions))
    await redis.rename(broken, f"{broken}:aside")
    await redis.set(broken, "no sorted set")
    await send_round(sender)
    assert len(receiver.told) == len(others)
    await redis.rename(f"{broken}:aside", broken)
    await send_round(sender)
    assert len(receiver.told) == len(others) + 1


async def test_a_delayed_sender_does_not_deliver_the_start_after_the_end(gateway: Visitor, receiver: Receiver) -> None:
    """Its claim had run out meanwhile, and somebody else had told both."""
    key, held, let_go = await gateway.account(), asyncio.Event(), asyncio.Event()
    await register(gateway, key, receiver.url)
    await gateway.finished(key)
    read = gateway.ledger.generation

    async def late(*, generation: str) -> Any:
        held.set()
        await let_go.wait()
        return await read(generation=generation)

    async with open_sender(gateway.ledger, call_seconds=0.1) as slow, open_sender(gateway.ledger) as other:
        slow.claim_ms = 200
        slow.ledger = cast("Ledger", HeldUp(gateway.ledger, late))
        await slow.make_round()
        await held.wait()
        while types(receiver) != ["generation.running", "generation.succeeded"]:
            await send_round(other)
            await asyncio.sleep(0.02)
        let_go.set()
        await slow.settled()
    assert types(receiver) == ["generation.running", "generation.succeeded"]


class HeldUp:
    """A ledger of which reading a generation is another's."""

    def __init__(self, ledger: Ledger, generation: Callable[..., Awaitable[Any]]) -> None:
        self._ledger = ledger
        self.generation = generation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


async def test_an_operators_webhook_that_is_slow_takes_a_part_of_the_calls_only(
    gateway: Visitor, receiver: Receiver
) -> None:
    names = [f"account-{number}" for number in range(30)]
    keys = [await gateway.account(name) for name in names]
    go_on = asyncio.Event()
    receiver.always = slowly(go_on)
    await register(gateway, gateway.admin, receiver.url, "generation.succeeded")
    for key in keys:
        await gateway.finished(key)
    async with open_sender(gateway.ledger) as sender:
        await sender.make_round()
        await until(lambda: receiver.in_work >= 8)
        await sender.make_round()
        go_on.set()
        while len(receiver.told) < len(names):
            await send_round(sender)
    assert receiver.most_in_work <= 32
    assert len({told.headers["webhook-id"] for told in receiver.told}) == len(names)
