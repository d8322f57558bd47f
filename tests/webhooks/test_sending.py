"""What a receiver gets, and what the table of deliveries says of it, whatever the receiver does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI
from standardwebhooks import Webhook as Verifier
from structlog.testing import capture_logs

from gateway.domain import FailureCode
from tests.api.visitor import Visitor
from tests.webhooks.receiving import (
    Mood,
    Receiver,
    answering,
    deliveries_of,
    hang_up,
    open_sender,
    receiving,
    register,
    send_round,
)
from workers.webhooks.sender import WebhookSender


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(told.body) for told in receiver.told]


def types(receiver: Receiver) -> list[str]:
    return [body["type"] for body in bodies(receiver)]


async def test_a_generations_start_and_end_are_delivered_as_the_api_shows_it(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    webhook = await register(gateway, key, receiver.url)
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await send_round(sender)
    await gateway.deliver(generation)
    await gateway.settle(generation)
    await send_round(sender)
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
async def test_a_failed_or_cancelled_generation_is_delivered_as_such(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver, how: str
) -> None:
    await register(gateway, key, receiver.url)
    generation = await gateway.made(key)
    if how == "failed":
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.MODERATED)
    else:
        await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)
    await send_round(sender)
    last = bodies(receiver)[-1]
    assert (last["type"], last["data"]["status"]) == (f"generation.{how}", how)
    assert last["data"]["credits"]["refunded"] == 5


async def test_only_subscribed_events_are_delivered(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    await register(gateway, key, receiver.url, "generation.failed")
    await gateway.finished(key)
    await send_round(sender)
    assert receiver.told == []


async def test_the_official_verifiers_accept_what_is_sent_and_nothing_that_was_changed(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    secret = (await register(gateway, key, receiver.url, "generation.succeeded"))["secret"]
    generation = await gateway.finished(key)
    await send_round(sender)
    (told,) = receiver.told
    assert Verifier(secret).verify(told.body, dict(told.headers))["data"]["id"] == generation
    event = OpenAI(api_key="unused", webhook_secret=secret).webhooks.unwrap(told.body, told.headers).to_dict()
    assert event == json.loads(told.body)
    with pytest.raises(Exception, match="signature"):
        Verifier(secret).verify(told.body.replace("succeeded", "failed"), dict(told.headers))
    with pytest.raises(Exception, match="signature"):
        OpenAI(api_key="unused", webhook_secret="whsec_AAAA").webhooks.unwrap(told.body, told.headers)


async def test_during_a_rotation_both_secrets_verify(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    rotated = await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/rotate", key, {})
    assert rotated.status == 200
    assert rotated.body["secret"] != webhook["secret"]
    await gateway.finished(key)
    await send_round(sender)
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
async def test_a_receivers_failure_is_listed_and_the_event_retried(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver, mood: Mood, became: tuple[int | None, str | None]
) -> None:
    key = await gateway.account()
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.moods = [mood]
    await gateway.finished(key)
    await send_round(sender)
    assert len(receiver.told) == 1
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], delivery["tried"]) == ("pending", 1)
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [became]
    assert delivery["next_try_at"] > delivery["tries"][0]["at"]
    assert "own words" not in json.dumps(delivery)
    shown = (await gateway.call("GET", f"/v1/webhooks/{webhook['id']}", key)).body
    assert (shown["status"], shown["failing_since"] is not None) == ("active", True)
    await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend", key, {})
    await send_round(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert (delivery["status"], delivery["tried"]) == ("delivered", 2)
    assert [told.headers["webhook-id"] for told in receiver.told] == [delivery["id"]] * 2


async def test_a_url_is_called_however_its_scheme_is_written(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    """In capitals it was taken, and each call of it was an error: never told, never in the table, never paused."""
    await register(gateway, key, receiver.url.replace("http", "HTTP"), "generation.succeeded")
    await gateway.finished(key)
    await send_round(sender)
    assert types(receiver) == ["generation.succeeded"]


async def test_no_proxy_is_used_that_would_bypass_the_address_check(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(gateway, key, receiver.url, "generation.succeeded")
    await gateway.finished(key)
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await send_round(sender)
        assert proxy.told == []
    assert types(receiver) == ["generation.succeeded"]


async def test_an_unexpected_failure_of_a_call_counts_as_a_try(
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
        await send_round(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "connection_lost")]
    assert "RuntimeError" in str(logs)
    assert receiver.url not in str(logs), "an address may have a token in it"


async def test_a_receiver_that_was_down_gets_its_events_when_it_is_up(gateway: Visitor, sender: WebhookSender) -> None:
    key = await gateway.account()
    async with receiving() as receiver:
        url = receiver.url
    webhook = await register(gateway, key, url, "generation.succeeded")
    await gateway.finished(key)
    await send_round(sender)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "connection_failed")]
    async with receiving(int(url.rpartition(":")[2])) as receiver:
        await gateway.call("POST", f"/v1/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend", key, {})
        await send_round(sender)
        assert types(receiver) == ["generation.succeeded"]


async def test_a_receiver_at_a_private_address_is_not_called(gateway: Visitor, key: str, receiver: Receiver) -> None:
    """It was registered when its name, or the setting, was another."""
    port = receiver.url.rpartition(":")[2]
    webhooks = [
        await register(gateway, key, f"{scheme}://localhost:{port}/", "generation.succeeded")
        for scheme in ("http", "https")
    ]
    await gateway.finished(key)
    async with open_sender(gateway.ledger, networks="192.0.2.0/24") as careful:
        await send_round(careful)
    for webhook in webhooks:
        (delivery,) = await deliveries_of(gateway, key, webhook["id"])
        assert [(one["status_code"], one["error"]) for one in delivery["tries"]] == [(None, "address_refused")]
    assert receiver.told == []


async def test_a_webhook_that_is_gone_is_paused_at_once_and_resumed_with_all_that_it_missed(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    receiver.moods = [answering(410)]
    first = await gateway.finished(key)
    await send_round(sender)
    path = f"/v1/webhooks/{webhook['id']}"
    shown = (await gateway.call("GET", path, key)).body
    assert (shown["status"], shown["paused_because"]) == ("paused", "gone")
    second = await gateway.finished(key)
    await send_round(sender)
    assert len(receiver.told) == 1
    waiting = await deliveries_of(gateway, key, webhook["id"])
    assert [(one["status"], one["next_try_at"]) for one in waiting] == [("pending", None)] * 2
    resumed = await gateway.call("PATCH", path, key, {"status": "active"})
    assert (resumed.body["status"], resumed.body["paused_at"]) == ("active", None)
    await send_round(sender)
    assert [body["data"]["id"] for body in bodies(receiver)] == [first, first, second]


async def test_a_paused_webhook_can_be_sent_events_manually(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    path = f"/v1/webhooks/{webhook['id']}"
    assert (await gateway.call("PATCH", path, key, {"status": "paused"})).body["paused_because"] == "asked"
    await gateway.finished(key)
    await gateway.finished(key)
    await send_round(sender)
    assert receiver.told == []
    first, _ = await deliveries_of(gateway, key, webhook["id"])
    await gateway.call("POST", f"{path}/deliveries/{first['id']}/resend", key, {})
    await send_round(sender)
    assert [told.headers["webhook-id"] for told in receiver.told] == [first["id"]]
    statuses = [one["status"] for one in await deliveries_of(gateway, key, webhook["id"])]
    assert statuses == ["delivered", "pending"]


async def test_a_request_may_name_its_own_url_signed_with_the_accounts_default_secret(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    fresh = (await gateway.call("GET", "/v1/webhooks/default", key)).body
    assert (fresh["url"], fresh["created_at"]) == (None, None)
    secret = (await gateway.call("POST", "/v1/webhooks/default/rotate", key, {})).body["secret"]
    await gateway.finished(key, webhook_url=f"{receiver.url}/mine?token=1")
    await gateway.finished(key)
    await send_round(sender)
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
    await send_round(sender)
    everything = [told for told in receiver.told if told.path == "/all"]
    assert {json.loads(told.body)["data"]["id"] for told in everything} == made
    for told in everything:
        Verifier(secret).verify(told.body, dict(told.headers))
    own = [told for told in receiver.told if told.path == "/ann"]
    assert [json.loads(told.body)["data"]["account"] for told in own] == ["ann"]


async def test_what_cannot_be_read_is_in_the_table_and_stops_no_other_event(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    torn, whole = await gateway.finished(key), await gateway.finished(key)
    redis: Any = gateway.ledger.redis
    await redis.hset(gateway.ledger.generation_key(torn), "request", '{"prompt": "a secret')
    await send_round(sender)
    first, second = await deliveries_of(gateway, key, webhook["id"])
    assert (first["status"], [one["error"] for one in first["tries"]]) == ("pending", ["unreadable"])
    assert (second["status"], second["generation"]) == ("delivered", whole)


async def test_a_sender_with_another_signing_key_signs_nothing(gateway: Visitor, key: str, receiver: Receiver) -> None:
    webhook = await register(gateway, key, receiver.url, "generation.succeeded")
    await gateway.finished(key)
    async with open_sender(gateway.ledger, signing_key="another key") as stranger:
        await send_round(stranger)
    (delivery,) = await deliveries_of(gateway, key, webhook["id"])
    assert [one["error"] for one in delivery["tries"]] == ["secret_missing"]
    assert receiver.told == []
