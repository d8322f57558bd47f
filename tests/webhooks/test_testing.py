"""A webhook is tested by one call whose answer is shown; and what is refused at its making says the way out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Signer

from gateway.api.handlers.webhook_tests import PER_MINUTE
from gateway.domain import EventType
from tests.api.visitor import Visitor, open_gateway
from tests.cases import cases
from tests.free_ports import free_port
from tests.webhooks.receiving import SIGNING_KEY, Receiver, answering


@pytest.fixture
async def strict(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway that calls public addresses only; its ledger and its signing key are those of `gateway`."""
    async with open_gateway(redis_url, tmp_path, signing_key=SIGNING_KEY) as visitor:
        yield visitor


async def made(gateway: Visitor, key: str, url: str) -> Any:
    reply = await gateway.call("POST", "/v1/webhooks", key, {"url": url, "events": ["*"]})
    assert reply.status == 201, reply.raw
    return reply.body


async def sent_test(gateway: Visitor, key: str, webhook: str) -> Any:
    reply = await gateway.call("POST", f"/v1/webhooks/{webhook}/test", key)
    assert reply.status == 200, reply.raw
    return reply.body


async def test_a_test_is_signed_comes_at_once_and_says_what_the_receiver_said(
    gateway: Visitor, key: str, receiver: Receiver
) -> None:
    webhook = await made(gateway, key, f"{receiver.url}/hook")
    said = await sent_test(gateway, key, webhook["id"])
    (told,) = receiver.told
    assert Signer(webhook["secret"]).verify(told.body, dict(told.headers)) == json.loads(told.body)
    event = json.loads(told.body)
    assert (event["id"], event["type"]) == (said["event"], "webhook.test")
    assert event["data"] == {"webhook": webhook["id"], "account": "acme"}
    assert said == said | {"object": "webhook_test", "delivered": True, "status_code": 200, "error": None}
    assert said["duration_ms"] >= 0
    deliveries = await gateway.call("GET", f"/v1/webhooks/{webhook['id']}/deliveries", key)
    assert deliveries.body["data"] == []


async def test_what_goes_wrong_is_said_in_a_word_and_a_sentence(gateway: Visitor, key: str, receiver: Receiver) -> None:
    webhook = await made(gateway, key, f"{receiver.url}/hook")
    receiver.moods = [answering(500), answering(302, Location="/elsewhere"), answering(410)]
    seen = [await sent_test(gateway, key, webhook["id"]) for _ in range(3)]
    assert [(one["delivered"], one["status_code"], one["error"]) for one in seen] == [
        (False, 500, None), (False, 302, "redirected"), (False, 410, None),
    ]  # fmt: skip
    assert "500" in seen[0]["message"]
    assert "not followed" in seen[1]["message"]
    read = await gateway.call("GET", f"/v1/webhooks/{webhook['id']}", key)
    assert read.body["status"] == "active", "a test pauses nothing"
    gone = await made(gateway, key, f"http://127.0.0.1:{free_port()}/hook")
    said = await sent_test(gateway, key, gone["id"])
    assert (said["status_code"], said["error"]) == (None, "connection_failed")
    assert "host and port" in said["message"]


async def test_the_guard_judges_a_test_as_it_judges_a_delivery(
    gateway: Visitor, key: str, strict: Visitor, receiver: Receiver
) -> None:
    """It was admitted when it was made; a gateway whose setting is another calls nobody there."""
    webhook = await made(gateway, key, f"{receiver.url}/hook")
    said = await sent_test(strict, key, webhook["id"])
    assert (said["delivered"], said["error"]) == (False, "url_refused")
    assert "FAREBOX_WEBHOOK_NETWORKS" in said["message"]
    assert receiver.told == []


async def test_tests_are_few_a_minute_and_an_accounts_own(gateway: Visitor, receiver: Receiver) -> None:
    key, other = await gateway.account(), await gateway.account("other")
    webhook = (await made(gateway, key, f"{receiver.url}/hook"))["id"]
    while (limited := await gateway.call("POST", f"/v1/webhooks/{webhook}/test", key)).status == 200:
        assert len(receiver.told) < 10 * PER_MINUTE
    assert (limited.status, limited.code) == (429, "rate_limited")
    assert int(limited.headers["Retry-After"]) >= 1
    assert len(receiver.told) >= PER_MINUTE, "one comes back every six seconds, which a busy machine may need for ten"
    assert (await gateway.call("POST", f"/v1/webhooks/{webhook}/test", other)).status == 404
    default = await gateway.call("POST", "/v1/webhooks/default/test", other)
    assert (default.status, default.code) == (422, "invalid_request")


async def test_a_star_is_all_events_and_an_unknown_one_says_which_there_are(gateway: Visitor, key: str) -> None:
    """`["*"]` was refused with the words of the library that reads bodies."""
    webhook = await made(gateway, key, "https://example.com/a")
    assert webhook["events"] == list(EventType)
    path = f"/v1/webhooks/{webhook['id']}"
    changed = await gateway.call("PATCH", path, key, {"events": ["credits.low", "credits.low"]})
    assert changed.body["events"] == ["credits.low"]
    assert (await gateway.call("PATCH", path, key, {"events": ["*"]})).body["events"] == list(EventType)
    refused = await gateway.call("PATCH", path, key, {"events": ["generation.*"]})
    assert (refused.status, refused.fields[0]) == (422, "events.0")
    assert "must be one of generation.running, " in refused.message
    assert "or * for all" in refused.message


@cases(
    ("url", "words"),
    [
        ("http://127.0.0.1:9000/hook", "FAREBOX_WEBHOOK_NETWORKS=127.0.0.1/32 would allow it"),
        ("https://10.0.0.7/hook", "FAREBOX_WEBHOOK_NETWORKS=10.0.0.7/32 would allow it"),
        ("https://[::1]/hook", "FAREBOX_WEBHOOK_NETWORKS=::1/128 would allow it"),
        ("http://localhost:9000/hook", "Plain http: is only allowed in networks of FAREBOX_WEBHOOK_NETWORKS"),
    ],
)
async def test_a_private_address_says_which_setting_allows_it(strict: Visitor, url: str, words: str) -> None:
    key = await strict.account()
    body = {"url": url, "events": ["credits.low"]}
    refused = await strict.call("POST", "/v1/webhooks", key, body)
    assert (refused.status, refused.fields) == (422, ["url"])
    assert words in refused.message
    order = await strict.create(key, webhook_url=url)
    assert (order.status, order.fields) == (422, ["webhook_url"])
    assert words in order.message


async def test_an_input_names_its_own_setting_and_metadata_addresses_no_way_in(strict: Visitor) -> None:
    key = await strict.account()
    refused = await strict.create(key, inputs=[{"kind": "image", "url": "https://10.0.0.7/cat.png"}])
    assert "FAREBOX_INPUT_NETWORKS=10.0.0.7/32" in refused.message
    metadata = await strict.create(key, inputs=[{"kind": "image", "url": "https://169.254.169.254/latest"}])
    assert "must resolve to a public address" in metadata.message
    assert "FAREBOX" not in metadata.message
