"""What a receiver gets, and what the table of deliveries says of it, whatever the receiver does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from openai import OpenAI
from standardwebhooks import Webhook as Verifier
from structlog.testing import capture_logs

from gateway.domain import FailureCode, partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from tests.api.visitor import Visitor
from tests.until import until
from tests.webhooks.receiving import (
    Mood,
    Receiver,
    answering,
    deliveries_of,
    hang_up,
    receiving,
    register,
    slowly,
    tell,
    telling,
    without_end,
)
from workers.webhooks.call_limit import CallLimit
from workers.webhooks.sender import WebhookSender


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(told.body) for told in receiver.told]


def types(receiver: Receiver) -> list[str]:
    return [body["type"] for body in bodies(receiver)]


async def test_a_generation_is_told_from_its_beginning_to_its_end_as_the_api_shows_it(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url)
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await tell(sender)
    await gateway.deliver(generation)
    await gateway.settle(generation)
    await tell(sender)
    running, succeeded = bodies(receiver)
    assert (running["type"], running["object"]) == ("generation.running", "event")
    assert (running["data"]["id"], running["data"]["status"]) == (generation, "running")
    assert running["data"]["credits"]["held"] == 5
    assert succeeded["type"] == "generation.succeeded"
    shown = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    url = succeeded["data"]["outputs"][0].pop("url")
    shown["outputs"][0].pop("url")
    assert succeeded["data"] == shown
    assert "signature=" in url
    first, second = await deliveries_of(gateway, key, webhook["id"])
    assert [first["id"], second["id"]] == [running["id"], succeeded["id"]]
    for delivery in (first, second):
        assert (delivery["status"], delivery["generation"], delivery["tried"]) == ("delivered", generation, 1)
        assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(200, None)]
        assert delivery["next_try_at"] is None
        assert delivery["delivered_at"] >= delivery["created_at"]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_generation_that_ends_otherwise_is_told_so(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver, how: str
) -> None:
    key = await gateway.account()
    await register(gateway, key, receiver.url)
    generation = await gateway.made(key)
    if how == "failed":
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.MODERATED)
    else:
        await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)
    await tell(sender)
    last = bodies(receiver)[-1]
    assert (last["type"], last["data"]["status"]) == (f"generation.{how}", how)
    assert last["data"]["credits"]["refunded"] == 5


async def test_only_what_was_asked_for_is_told(gateway: Visitor, sender: WebhookSender, receiver: Receiver) -> None:
    key = await gateway.account()
    await register(gateway, key, receiver.url, "generation.failed")
    await gateway.finished(key)
    await tell(sender)
    assert receiver.told == []


async def test_the_official_verifiers_accept_what_is_sent_and_nothing_that_was_changed(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    secret = (await register(gateway, key, receiver.url, "generation.succeeded"))["secret"]
    generation = await gateway.finished(key)
    await tell(sender)
    (told,) = receiver.told
    assert Verifier(secret).verify(told.body, dict(told.headers))["data"]["id"] == generation
    event = OpenAI(api_key="unused", webhook_secret=secret).webhooks.unwrap(told.body, told.headers).to_dict()
    assert event == json.loads(told.body)
    with pytest.raises(Exception, match="signature"):
        Verifier(secret).verify(told.body.replace("succeeded", "failed"), dict(told.headers))
    with pytest.raises(Exception, match="signature"):
        OpenAI(api_key="unused", webhook_secret="whsec_AAAA").webhooks.unwrap(told.body, told.headers)


async def test_during_a_rotation_both_secrets_verify(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    rotated = await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/rotate", key, {})
    assert rotated.status == 200
    assert rotated.body["secret"] != webhook["secret"]
    await gateway.finished(key)
    await tell(sender)
    (told,) = receiver.told
    assert len(told.headers["webhook-signature"].split(" ")) == 2
    for secret in (webhook["secret"], rotated.body["secret"]):
        Verifier(secret).verify(told.body, dict(told.headers))
        OpenAI(api_key="unused", webhook_secret=secret).webhooks.unwrap(told.body, told.headers)


@pytest.mark.parametrize(
    ("mood", "became"),
    [
        (answering(500), (500, None)),
        (answering(404), (404, None)),
        (answering(302, Location="http://127.0.0.1:1/elsewhere"), (302, "redirected")),
        (hang_up, (None, "connection_lost")),
    ],
)
async def test_what_a_receiver_does_wrong_is_in_the_table_and_it_is_told_again(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver, mood: Mood, became: tuple[int | None, str | None]
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.moods = [mood]
    await gateway.finished(key)
    await tell(sender)
    assert len(receiver.told) == 1
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], delivery["tried"]) == ("pending", 1)
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [became]
    assert delivery["next_try_at"] > delivery["tries"][0]["at"]
    assert "own words" not in json.dumps(delivery)
    shown = (await gateway.call("GET", f"/v1/webhooks/{webhook['id']}", key)).body
    assert (shown["status"], shown["failing_since"] is not None) == ("active", True)
    await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend", key, {})
    await tell(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], delivery["tried"]) == ("delivered", 2)
    assert [told.headers["webhook-id"] for told in receiver.told] == [delivery["id"]] * 2


async def test_a_url_is_called_however_its_scheme_is_written(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    """In capitals it was taken, and each call of it was an error: never told, never in the table, never paused."""
    key = await gateway.account()
    await register(gateway, key, receiver.url.replace("http", "HTTP"), "generation.succeeded")
    await gateway.finished(key)
    await tell(sender)
    assert types(receiver) == ["generation.succeeded"]


async def test_no_proxy_is_asked_that_would_connect_for_us_without_looking(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await gateway.account()
    await register(gateway, key, receiver.url, "generation.succeeded")
    await gateway.finished(key)
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await tell(sender)
        assert proxy.told == []
    assert types(receiver) == ["generation.succeeded"]


async def test_a_call_that_fails_as_nobody_thought_of_is_a_try_like_any_other(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was claimed again every half minute, for ever."""

    def fall_over(*_arguments: object, **_more: object) -> None:
        raise RuntimeError(receiver.url)

    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    await gateway.finished(key)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("aiohttp.ClientSession.request", fall_over)
        await tell(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "connection_lost")]
    assert "RuntimeError" in str(logs)
    assert receiver.url not in str(logs), "an address may have a token in it"


async def test_a_receiver_that_is_down_is_told_when_it_is_up_again(gateway: Visitor, sender: WebhookSender) -> None:
    key = await gateway.account()
    async with receiving() as receiver:
        url = receiver.url
    webhook = await register(gateway, key, url, "generation.succeeded")
    await gateway.finished(key)
    await tell(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "connection_failed")]
    async with receiving(int(url.rpartition(":")[2])) as receiver:
        await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend", key, {})
        await tell(sender)
        assert types(receiver) == ["generation.succeeded"]


async def test_a_receiver_at_a_private_address_is_not_called(gateway: Visitor, receiver: Receiver) -> None:
    """It was registered when its name, or the setting, was another."""
    key = await gateway.account()
    port = receiver.url.rpartition(":")[2]
    webhooks = [
        await register(gateway, key, f"{scheme}://localhost:{port}/", "generation.succeeded")
        for scheme in ("http", "https")
    ]
    await gateway.finished(key)
    async with telling(gateway.ledger, networks="192.0.2.0/24") as careful:
        await tell(careful)
    for webhook in webhooks:
        (delivery,) = await deliveries_of(gateway, key, webhook["id"])
        assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "address_refused")]
    assert receiver.told == []


async def test_a_slow_receiver_is_given_up_in_time_and_delays_nobody_else(gateway: Visitor, receiver: Receiver) -> None:
    slow, quick = await gateway.account("slow"), await gateway.account("quick")
    never = asyncio.Event()
    async with receiving() as sluggard, telling(gateway.ledger, call_seconds=0.3) as sender:
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


async def test_a_webhook_that_is_gone_is_paused_at_once_and_resumed_with_all_that_it_missed(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.moods = [answering(410)]
    first = await gateway.finished(key)
    await tell(sender)
    path = f"/v1/webhooks/{webhook['id']}"
    shown = (await gateway.call("GET", path, key)).body
    assert (shown["status"], shown["paused_because"]) == ("paused", "gone")
    second = await gateway.finished(key)
    await tell(sender)
    assert len(receiver.told) == 1
    waiting = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status"], one["next_try_at"]) for one in waiting] == [("pending", None)] * 2
    resumed = await gateway.call("PATCH", path, key, {"status": "active"})
    assert (resumed.body["status"], resumed.body["paused_at"]) == ("active", None)
    await tell(sender)
    assert [body["data"]["id"] for body in bodies(receiver)] == [first, first, second]


async def test_a_paused_webhook_is_told_by_hand(gateway: Visitor, sender: WebhookSender, receiver: Receiver) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    path = f"/v1/webhooks/{webhook['id']}"
    assert (await gateway.call("PATCH", path, key, {"status": "paused"})).body["paused_because"] == "asked"
    await gateway.finished(key)
    await gateway.finished(key)
    await tell(sender)
    assert receiver.told == []
    first, _ = await deliveries_of(gateway, key, webhook["id"])
    await gateway.call("POST", f"{path}/deliveries/{first['id']}/resend", key, {})
    await tell(sender)
    assert [told.headers["webhook-id"] for told in receiver.told] == [first["id"]]
    statuses = [one["status"] for one in await deliveries_of(gateway, key, webhook["id"])]
    assert statuses == ["delivered", "pending"]


async def test_the_end_is_told_after_the_beginning_however_long_that_takes(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url)
    receiver.moods = [answering(503)]
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await tell(sender)
    await gateway.deliver(generation)
    await gateway.settle(generation)
    await tell(sender)
    assert types(receiver) == ["generation.running"]
    running, _ = await deliveries_of(gateway, key, webhook["id"])
    await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{running['id']}/resend", key, {})
    await tell(sender)
    assert types(receiver) == ["generation.running", "generation.running", "generation.succeeded"]
    assert bodies(receiver)[1]["data"]["status"] == "running", "as it was when it began"


async def test_a_request_may_name_its_own_url_signed_with_the_accounts_default_secret(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    fresh = (await gateway.call("GET", "/v1/webhooks/default", key)).body
    assert (fresh["url"], fresh["created_at"]) == (None, None)
    secret = (await gateway.call("POST", "/v1/webhooks/default/rotate", key, {})).body["secret"]
    await gateway.finished(key, webhook_url=f"{receiver.url}/mine?token=1")
    await gateway.finished(key)
    await tell(sender)
    assert types(receiver) == ["generation.running", "generation.succeeded"]
    for told in receiver.told:
        assert told.path == "/mine"
        Verifier(secret).verify(told.body, dict(told.headers))
    told_of = await deliveries_of(gateway, key, "default")
    assert [one["url"] for one in told_of] == [f"{receiver.url}/mine?token=1"] * 2


async def test_operators_hear_of_all_accounts_and_accounts_of_none_but_themselves(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    ann, bob = await gateway.account("ann"), await gateway.account("bob")
    secret = (await register(gateway, gateway.admin, f"{receiver.url}/all", "generation.succeeded"))["secret"]
    await register(gateway, ann, f"{receiver.url}/ann", "generation.succeeded")
    made = {await gateway.finished(ann), await gateway.finished(bob)}
    await tell(sender)
    everything = [told for told in receiver.told if told.path == "/all"]
    assert {json.loads(told.body)["data"]["id"] for told in everything} == made
    for told in everything:
        Verifier(secret).verify(told.body, dict(told.headers))
    own = [told for told in receiver.told if told.path == "/ann"]
    assert [json.loads(told.body)["data"]["account"] for told in own] == ["ann"]


async def test_a_receiver_whose_body_never_comes_has_said_yes(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    """Its 200 came in time, and of its body nothing is kept; but it was written down as a timeout, and told again."""
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.always = without_end(asyncio.Event())
    await gateway.finished(key)
    await tell(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], [one["status_code"] for one in delivery["tries"]]) == ("delivered", [200])


async def test_of_the_addresses_that_requests_name_a_slow_one_delays_no_other(
    gateway: Visitor, receiver: Receiver
) -> None:
    """They were told one after the other once a call had failed, so each dead address held up all others for 10 s."""
    key, never = await gateway.account(), asyncio.Event()
    async with receiving() as sluggard, telling(gateway.ledger, call_seconds=60) as sender:
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
        await tell(sender)


async def test_slow_receivers_leave_calls_for_quick_ones(gateway: Visitor, receiver: Receiver) -> None:
    """However many hang: they held all the calls of a process, for as long as they had anything to be told."""
    go_on, slow = asyncio.Event(), list[str]()
    async with receiving() as sluggard, telling(gateway.ledger) as sender:
        sender.limit = CallLimit(8)
        sluggard.always = answering(500)
        for number in range(12):
            slow.append(await gateway.account(f"slow-{number}"))
            await register(gateway, slow[-1], sluggard.url, "generation.succeeded")
            await gateway.finished(slow[-1])
        while len({told.headers["webhook-id"] for told in sluggard.told}) < len(slow):
            await tell(sender)  # that they fail is known now
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


async def test_more_webhooks_than_calls_are_told_a_few_at_a_time(gateway: Visitor, receiver: Receiver) -> None:
    """All that was found due in one round was called at once, however few calls were allowed."""
    go_on = asyncio.Event()
    receiver.always = slowly(go_on)
    for number in range(12):
        key = await gateway.account(f"account-{number}")
        await register(gateway, key, receiver.url, "generation.succeeded")
        for _ in range(2):
            await gateway.finished(key)
    async with telling(gateway.ledger) as sender:
        sender.limit = CallLimit(5)
        await sender.make_round()
        await until(lambda: receiver.in_work >= 5)
        await sender.make_round()
        go_on.set()
        while len(receiver.told) < 24:
            await tell(sender)
    assert receiver.most_in_work == 5


async def test_a_partition_that_answers_wrongly_stops_neither_the_teller_nor_the_others(
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
    await tell(sender)
    assert len(receiver.told) == len(others)
    await redis.rename(f"{broken}:aside", broken)
    await tell(sender)
    assert len(receiver.told) == len(others) + 1


async def test_a_teller_that_was_held_up_does_not_tell_the_beginning_after_the_end(
    gateway: Visitor, receiver: Receiver
) -> None:
    """Its claim had run out meanwhile, and somebody else had told both."""
    key, held, let_go = await gateway.account(), asyncio.Event(), asyncio.Event()
    await register(gateway, key, receiver.url)
    await gateway.finished(key)
    read = gateway.ledger.generation

    async def late(*, generation: str) -> Any:
        held.set()
        await let_go.wait()
        return await read(generation=generation)

    async with telling(gateway.ledger, call_seconds=0.1) as slow, telling(gateway.ledger) as other:
        slow.claim_ms = 200
        slow.ledger = cast("Ledger", HeldUp(gateway.ledger, late))
        await slow.make_round()
        await held.wait()
        while types(receiver) != ["generation.running", "generation.succeeded"]:
            await tell(other)
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


async def test_what_cannot_be_read_is_in_the_table_and_stops_no_other_event(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    torn, whole = await gateway.finished(key), await gateway.finished(key)
    redis: Any = gateway.ledger.redis
    await redis.hset(gateway.ledger.generation_key(torn), "request", '{"prompt": "a secret')
    await tell(sender)
    first, second = await deliveries_of(gateway, key, webhook["id"])
    assert (first["status"], [one["error"] for one in first["tries"]]) == ("pending", ["unreadable"])
    assert (second["status"], second["generation"]) == ("delivered", whole)


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
    async with telling(gateway.ledger) as sender:
        await sender.make_round()
        await until(lambda: receiver.in_work >= 8)
        await sender.make_round()
        go_on.set()
        while len(receiver.told) < len(names):
            await tell(sender)
    assert receiver.most_in_work <= 32
    assert len({told.headers["webhook-id"] for told in receiver.told}) == len(names)


async def test_a_teller_with_another_signing_key_signs_nothing(gateway: Visitor, receiver: Receiver) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    await gateway.finished(key)
    async with telling(gateway.ledger, signing_key="another key") as stranger:
        await tell(stranger)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [one["error"] for one in delivery["tries"]] == ["secret_missing"]
    assert receiver.told == []
