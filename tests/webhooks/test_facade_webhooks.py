"""Webhooks asked for through Replicate's and fal's calls: in their form, and accepted by their verifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from replicate.client import Client
from replicate.prediction import Prediction
from replicate.webhook import Webhooks, WebhookSigningSecret, WebhookValidationError

from gateway.api.services import OUTPUTS
from gateway.domain import FailureCode
from gateway.errors import StoreUnavailable
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.views import webhook_bodies
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.webhooks.receiving import (
    ADDRESS,
    SIGNING_KEY,
    Receiver,
    Told,
    answering,
    check_signature,
    deliveries_of,
    open_sender,
    receiving,
    send_round,
)
from workers.webhooks.sender import WebhookSender

REPLICATE, FAL = "/replicate/v1/predictions", "/fal/farebox/sketch"
SECRET = "/replicate/v1/webhooks/default/secret"
FILTER = "webhook_events_filter"


async def predict(gateway: Visitor, key: str, members: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    body = {"version": "farebox/sketch", "input": {"prompt": "a red bicycle"}} | members
    return await gateway.call("POST", REPLICATE, key, body, headers)


async def submit(gateway: Visitor, key: str, *urls: str, headers: dict[str, str] | None = None) -> Reply:
    query = "&".join(f"fal_webhook={url}" for url in urls)
    return await gateway.call("POST", f"{FAL}?{query}", key, {"prompt": "a red bicycle"}, headers)


async def end(gateway: Visitor, key: str, generation: str, how: str) -> None:
    """Bring a generation to one of its ends."""
    match how:
        case "succeeded":
            await gateway.finish(generation)
        case "failed":
            await gateway.begin(generation)
            await gateway.settle(generation, FailureCode.MODERATED)
        case _:
            await gateway.call("POST", f"/v1/generations/{generation}/cancel", key)


async def secret_of(gateway: Visitor, key: str) -> WebhookSigningSecret:
    return WebhookSigningSecret(**(await gateway.call("GET", SECRET, key)).body)


async def request_of(gateway: Visitor, key: str, delivery: dict[str, Any]) -> Told:
    """A delivery's call, as its owner is shown it."""
    shown = (await gateway.call("GET", f"/v1/webhooks/default/deliveries/{delivery['id']}/request", key)).body
    return Told(shown["url"], shown["headers"], shown["body"])


async def test_a_predictions_webhook_is_what_replicates_package_reads_and_validates(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    secret = await secret_of(gateway, key)
    for how, statuses in (
        ("succeeded", ["processing", "succeeded"]),
        ("failed", ["processing", "failed"]),
        ("cancelled", ["canceled"]),
    ):
        receiver.told.clear()
        made = await predict(gateway, key, {"webhook": f"{receiver.url}/mine?order=1"})
        assert made.status == 201, made.raw
        generation = made.body["id"]
        await end(gateway, key, generation, how)
        await send_round(sender)
        *begun, ended = [json.loads(one.body) for one in receiver.told]
        assert [Prediction(**one).status for one in (*begun, ended)] == statuses
        shown = (await gateway.call("GET", f"{REPLICATE}/{generation}", key)).body
        assert len(ended["output"] or []) == (how == "succeeded")
        assert ended["urls"]["get"] == f"{ADDRESS}{REPLICATE}/{generation}"
        passing = {"output", "urls"}  # links of the sender's own address, signed for an hour
        assert {name: ended[name] for name in ended if name not in passing} == {
            name: shown[name] for name in shown if name not in passing
        }
        for start in begun:
            assert (start["output"], start["completed_at"], start["error"]) == (None, None, None)
        for one in receiver.told:
            headers = dict(one.headers)
            Webhooks.validate(headers=headers, body=one.body, secret=secret, tolerance=300)
            with pytest.raises(WebhookValidationError):
                Webhooks.validate(headers=headers, body=one.body.replace(generation, "gen_other"), secret=secret)


async def write(gateway: Visitor, generation: str, *texts: str) -> None:
    """End a generation with texts."""
    await gateway.begin(generation)
    for index, text in enumerate(texts):
        await gateway.deliver(generation, index, data=text.encode(), content_type="text/plain")
    await gateway.settle(generation)


async def test_a_text_is_in_the_call_as_in_the_vendors_own(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    """It had the URL of a file, where clients of language models read the text itself."""
    predicted = (await predict(gateway, key, {"webhook_completed": receiver.url})).body["id"]
    await write(gateway, predicted, "Grüße")
    asked = (await submit(gateway, key, receiver.url)).body["request_id"]
    await write(gateway, asked, "Grüße")
    await send_round(sender)
    bodies = {one["id" if "id" in one else "request_id"]: one for one in map(_body, receiver.told)}
    assert bodies[predicted]["output"] == ["Grüße"]
    assert bodies[asked]["payload"]["output"] == "Grüße"
    (delivery,) = [one for one in await deliveries_of(gateway, key, "default") if one["generation"] == predicted]
    assert _body(await request_of(gateway, key, delivery))["output"] == ["Grüße"]


async def test_a_text_that_is_too_large_for_a_call_is_a_file(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_bodies, "TEXT_BYTES_MAX", 8)
    made = await predict(gateway, key, {"webhook_completed": receiver.url, "input": {"prompt": "x", "num_outputs": 2}})
    await write(gateway, made.body["id"], "eight by", "tes and more")
    asked = (await submit(gateway, key, receiver.url)).body["request_id"]
    await write(gateway, asked, "nine bytes")
    await send_round(sender)
    bodies = {one["id" if "id" in one else "request_id"]: one for one in map(_body, receiver.told)}
    first, second = bodies[made.body["id"]]["output"]
    assert (first, second.startswith(f"{ADDRESS}/v1/generations/")) == ("eight by", True)
    (file,) = bodies[asked]["payload"]["images"]
    assert file["url"].startswith(f"{ADDRESS}/v1/generations/")


async def test_while_a_text_cannot_be_read_the_call_waits(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await predict(gateway, key, {"webhook_completed": receiver.url})
    await write(gateway, made.body["id"], "later")

    async def away(key: str) -> bytes:
        raise StoreUnavailable(key)

    with monkeypatch.context() as patched:
        patched.setattr(gateway.app[OUTPUTS], "get", away)
        await send_round(sender)
        assert receiver.told == []
    (delivery,) = await deliveries_of(gateway, key, "default")
    assert (delivery["status"], delivery["tries"][0]["error"]) == ("pending", "unreadable")


def _body(told: Told) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(told.body)
    return body


async def test_the_filter_says_which_events_are_sent(
    gateway: Visitor, sender: WebhookSender, receiver: Receiver
) -> None:
    key, expected = await gateway.account(), {}
    for asked, told in (
        ({"webhook": receiver.url, FILTER: ["start"]}, ["processing"]),
        ({"webhook": receiver.url, FILTER: ["completed"]}, ["succeeded"]),
        ({"webhook": receiver.url, FILTER: ["completed", "output", "logs"]}, ["succeeded"]),
        ({"webhook": receiver.url, FILTER: ["output"]}, ["succeeded"]),
        ({"webhook": receiver.url, FILTER: ["start", "completed"]}, ["processing", "succeeded"]),
        ({"webhook_completed": receiver.url}, ["succeeded"]),
    ):
        made = await predict(gateway, key, asked)
        await gateway.finish(made.body["id"])
        expected[made.body["id"]] = told
    await send_round(sender)
    seen: dict[str, list[str]] = {generation: [] for generation in expected}
    for one in receiver.told:
        prediction = json.loads(one.body)
        seen[prediction["id"]].append(prediction["status"])
    assert seen == expected
    assert len(await deliveries_of(gateway, key, "default")) == sum(map(len, expected.values()))


async def test_the_secret_is_the_accounts_own_and_changes_only_when_it_is_rotated(gateway: Visitor) -> None:
    ann, bob = await gateway.account("ann"), await gateway.account("bob")
    first = await secret_of(gateway, ann)
    assert (await secret_of(gateway, ann)) == first != await secret_of(gateway, bob)
    rotated = (await gateway.call("POST", "/v1/webhooks/default/rotate", ann, {})).body["secret"]
    assert (await secret_of(gateway, ann)).key == rotated != first.key
    assert "_" not in rotated.removeprefix("whsec_"), "the package splits it there"
    deeper = await gateway.call("GET", SECRET.replace("/v1/", "/v1/v1/", 1), ann)
    assert deeper.body == {"key": rotated}
    assert (await gateway.call("GET", SECRET, gateway.admin)).status == 403


async def test_a_secret_of_another_signing_key_is_not_shown(gateway: Visitor, key: str) -> None:
    """It would verify nothing: what it belongs to is not signed until it is rotated."""
    redis: Any = gateway.ledger.redis
    await gateway.call("POST", "/v1/webhooks/default/rotate", key, {})
    (stored,) = [name async for name in redis.scan_iter("*webhook:acme:default")]
    await redis.hset(stored, "mark", WebhookSecrets("another signing key").mark("acme", "default", 1))
    refused = await gateway.call("GET", SECRET, key)
    assert (refused.status, refused.body["type"]) == (422, "invalid_request")
    assert "rotate" in refused.body["detail"].lower()


async def test_a_fal_requests_webhook_is_verified_by_the_published_key(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    jwks = await gateway.call("GET", "/fal/.well-known/jwks.json")
    assert (jwks.status, jwks.headers["Cache-Control"]) == (200, "public, max-age=3600")
    for how, answered in (("succeeded", 200), ("failed", 422), ("cancelled", 499)):
        receiver.told.clear()
        made = await submit(gateway, key, f"{receiver.url}/mine%3Forder=1")
        assert made.status == 200, made.raw
        generation = made.body["request_id"]
        await end(gateway, key, generation, how)
        await send_round(sender)
        (told,) = receiver.told
        result = await gateway.call("GET", f"{FAL}/requests/{generation}", key)
        assert result.status == answered
        payload = result.body
        expected = {"request_id": generation, "gateway_request_id": generation, "status": "OK", "payload": payload}
        if how != "succeeded":
            expected |= {"status": "ERROR", "error": payload["error"]["message"]}
        body = json.loads(told.body)
        for image in (*body["payload"].get("images", ()), *payload.get("images", ())):
            image.pop("url")  # signed for an hour
        assert body == expected
        check_signature(jwks.body, told)
        with pytest.raises(InvalidSignature):
            check_signature(jwks.body, told, body=told.body.replace(generation, "gen_other"))
        assert told.headers["X-Fal-Webhook-User-Id"] == "acme"


async def test_the_published_key_follows_the_signing_key() -> None:
    keys = [WebhookSecrets(signing_key).fal.jwks()["keys"][0] for signing_key in (SIGNING_KEY, SIGNING_KEY, "another")]
    assert keys[0] == keys[1] != keys[2]
    assert "d" not in keys[0], "that would be the private part"


async def test_an_unreachable_receiver_gets_the_event_later_under_the_same_id(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.moods = [answering(503), answering(503)]
    made = await predict(gateway, key, {"webhook": receiver.url, FILTER: ["completed"]})
    asked = await submit(gateway, key, receiver.url)
    for generation in (made.body["id"], asked.body["request_id"]):
        await gateway.finish(generation)
    await send_round(sender)
    for delivery in await deliveries_of(gateway, key, "default"):
        assert (delivery["status"], delivery["tried"]) == ("pending", 1)
        await gateway.call("POST", f"/v1/webhooks/default/deliveries/{delivery['id']}/resend", key, {})
    await send_round(sender)
    assert [one["status"] for one in await deliveries_of(gateway, key, "default")] == ["delivered"] * 2
    shown = [await request_of(gateway, key, delivery) for delivery in await deliveries_of(gateway, key, "default")]
    assert {one.path for one in shown} == {receiver.url}
    assert {json.loads(one.body).get("request_id") or json.loads(one.body)["id"] for one in shown} == {
        made.body["id"], asked.body["request_id"],
    }  # fmt: skip
    calls: dict[str, list[Told]] = {}
    for told in receiver.told:
        calls.setdefault(told.headers["webhook-id"], []).append(told)
    assert [len(tries) for tries in calls.values()] == [2, 2]
    jwks = (await gateway.call("GET", "/fal/.well-known/jwks.json")).body
    secret = await secret_of(gateway, key)
    for told in (*receiver.told, *shown):
        Webhooks.validate(headers=dict(told.headers), body=told.body, secret=secret)
        if "X-Fal-Webhook-Signature" in told.headers:
            check_signature(jwks, told)


async def test_a_clients_retry_gets_one_webhook(gateway: Visitor, sender: WebhookSender, receiver: Receiver) -> None:
    key = await gateway.account()
    once = {"Idempotency-Key": "order-7"}
    first = [await predict(gateway, key, {"webhook": receiver.url}, once) for _ in range(2)]
    asked = [await submit(gateway, key, receiver.url, headers=once | {"Idempotency-Key": "order-8"}) for _ in range(2)]
    assert [reply.status for reply in (*first, *asked)] == [201, 201, 200, 200]
    made = {first[0].body["id"], first[1].body["id"], asked[0].body["request_id"], asked[1].body["request_id"]}
    assert len(made) == 2
    for generation in made:
        await gateway.finish(generation)
    for _ in range(2):
        await send_round(sender)
    assert len(receiver.told) == 2 + 1, "a start and an end, and an end"
    assert len({told.headers["webhook-id"] for told in receiver.told}) == 3
    other = await submit(gateway, key, f"{receiver.url}/other", headers=once | {"Idempotency-Key": "order-8"})
    assert other.error["code"] == "idempotency_key_reused", "with another webhook it is another call"


async def test_a_prediction_with_an_unsupported_webhook_is_refused_by_name(redis_url: str, tmp_path: Path) -> None:
    public = {"webhook": "https://a.example"}
    async with open_gateway(redis_url, tmp_path) as strict:
        key = await strict.account()
        for members, named in (
            ({"webhook": "https://127.0.0.1/"}, "webhook"),
            ({"webhook": "http://169.254.169.254/"}, "webhook"),
            ({"webhook": "ftp://example.com"}, "webhook"),
            ({"webhook": 7}, "webhook"),
            ({"webhook_completed": "https://10.0.0.1/"}, "webhook_completed"),
            (public | {"webhook_completed": "https://a.example"}, "webhook_completed"),
            ({"webhook_completed": "https://a.example", FILTER: ["completed"]}, "webhook_completed"),
            ({FILTER: ["done"]}, FILTER),
            (public | {FILTER: ["done"]}, FILTER),
            (public | {FILTER: "completed"}, FILTER),
            (public | {FILTER: ["completed", ["start"]]}, FILTER),
            (public | {FILTER: []}, FILTER),
        ):
            refused = await predict(strict, key, members)
            assert (refused.status, refused.body["type"], refused.fields) == (422, "invalid_request", [named]), members
            assert refused.body["detail"].startswith(f"`{named}`")
        assert (await strict.call("GET", "/v1/generations", key)).body["data"] == []


async def test_a_fal_request_with_an_unsupported_webhook_is_refused_by_name(gateway: Visitor, key: str) -> None:
    for urls in (["https://10.0.0.1/"], ["ftp://a.example"], [""], ["https://a.example", "https://b.example"]):
        refused = await submit(gateway, key, *urls)
        assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["fal_webhook"]), urls
    for path in ("/fal/run/farebox/sketch", f"{FAL}/stream"):
        refused = await gateway.call("POST", f"{path}?fal_webhook=https://a.example", key, {"prompt": "x"})
        assert (refused.status, refused.fields) == (422, ["fal_webhook"]), path
    listed = await gateway.call("GET", f"{REPLICATE}?cursor=gen_1&cursor=gen_2", key)
    assert (listed.status, listed.fields) == (422, ["cursor"]), "nor is the first of two taken anywhere else"
    assert (await gateway.call("GET", "/v1/generations", key)).body["data"] == []


async def test_the_address_is_checked_again_when_it_is_called(gateway: Visitor, key: str, receiver: Receiver) -> None:
    made = await predict(gateway, key, {"webhook": receiver.url.replace("127.0.0.1", "localhost")})
    await gateway.finish(made.body["id"])
    async with open_sender(gateway.ledger, networks="192.0.2.0/24") as careful:
        await send_round(careful)
    tries = [one["error"] for delivery in await deliveries_of(gateway, key, "default") for one in delivery["tries"]]
    assert (tries, receiver.told) == (["address_refused"], [])


async def test_a_deleted_generations_webhook_has_no_result(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    """A delivery may be resent by hand when its generation is no longer kept."""
    made = await predict(gateway, key, {"webhook": receiver.url, FILTER: ["completed"]})
    asked = await submit(gateway, key, receiver.url)
    for generation in (made.body["id"], asked.body["request_id"]):
        await gateway.finish(generation)
        await gateway.ledger.redis.delete(gateway.ledger.generation_key(generation))
    await send_round(sender)
    prediction, result = sorted((json.loads(one.body) for one in receiver.told), key=lambda one: "payload" in one)
    assert prediction == {"id": made.body["id"], "status": "succeeded", "output": None, "data_removed": True}
    assert (result["status"], result["payload"]) == ("OK", None)
    assert "deleted" in result["payload_error"]


async def test_replicates_async_client_asks_for_it_and_reads_the_secret(
    gateway: Visitor, key: str, sender: WebhookSender
) -> None:
    async with receiving() as receiver, httpx.AsyncHTTPTransport() as transport:
        client = Client(api_token=key, base_url=f"{gateway.address}/replicate", transport=transport)
        made = await client.predictions.async_create(
            "farebox/sketch", {"prompt": "x"}, webhook=receiver.url, webhook_events_filter=["completed"]
        )
        secret = await client.webhooks.default.async_secret()
        await gateway.finish(made.id)
        await send_round(sender)
        (told,) = receiver.told
    Webhooks.validate(headers=dict(told.headers), body=told.body, secret=secret, tolerance=300)
