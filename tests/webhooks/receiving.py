"""Receivers of webhooks, in every mood, and a webhook sender that tests run round by round."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain import EventType
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputLinks, OutputStore
from gateway.outside.addresses import AddressGuard, parse_networks
from gateway.outside.receivers import Receivers
from gateway.outside.webhook_secrets import WebhookSecrets
from gateway.pricing.card import RateCard
from gateway.pricing.load import load_card
from gateway.views.webhook_bodies import WebhookBodies
from tests.api.visitor import CARD, Visitor
from workers.webhooks.sender import WebhookSender

LOCAL = "127.0.0.0/8"
ADDRESS = "http://127.0.0.1:8080"
"""Where the sender says that the gateway is."""

SIGNING_KEY = "the signing key of the tests, long enough to be one"
ALL_EVENTS = list(EventType)

Mood = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Told:
    """One call as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: str


@dataclass
class Receiver:
    """A server of somebody else's. `moods` answer the next calls in turn; then it answers 200."""

    url: str = ""
    told: list[Told] = field(default_factory=list)
    moods: list[Mood] = field(default_factory=list)
    always: Mood | None = None
    in_work: int = 0
    most_in_work: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.told.append(Told(request.path, dict(request.headers), await request.text()))
        self.in_work += 1
        self.most_in_work = max(self.most_in_work, self.in_work)
        try:
            mood = self.moods.pop(0) if self.moods else self.always
            return web.Response() if mood is None else await mood(request)
        finally:
            self.in_work -= 1


def answering(status: int, **headers: str) -> Mood:
    """Answer with a status and some text that nobody should keep."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="the receiver's own words", headers=headers)

    return answer


def slowly(until: asyncio.Event) -> Mood:
    """Answer once the event is set."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response()

    return answer


def without_end(until: asyncio.Event) -> Mood:
    """Say yes, and begin a body that does not come before the event is set."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5"})
        await response.prepare(request)
        await until.wait()
        return response

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Die in the middle: the call has arrived, its answer does not."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver at 127.0.0.1."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@functools.cache
def _card() -> RateCard:
    return load_card(CARD)


@asynccontextmanager
async def open_sender(
    ledger: Ledger,
    *,
    signing_key: str = SIGNING_KEY,
    networks: str = LOCAL,
    call_seconds: float = 10,
    outputs: OutputStore | None = None,
) -> AsyncIterator[WebhookSender]:
    """A webhook sender that polls when a test says so; without `outputs`, its store has no files."""
    receivers = Receivers(AddressGuard(parse_networks(networks)), "Farebox-Webhooks/test", call_seconds)
    sender = WebhookSender(
        ledger=ledger,
        receivers=receivers,
        secrets=WebhookSecrets(signing_key),
        bodies=WebhookBodies(
            OutputLinks(signing_key, ADDRESS), ADDRESS, _card, outputs or OutputStore.open("memory://")
        ),
        lease_seconds=2,
    )
    try:
        yield sender
    finally:
        await sender.close()
        await receivers.close()


async def send_round(sender: WebhookSender) -> None:
    """One round of sending, until its calls are done."""
    await sender.make_round()
    await sender.settled()


async def register(visitor: Visitor, key: str, url: str, *events: str) -> dict[str, Any]:
    """A webhook of a key's account, or the operators'; its secret is in it."""
    body = {"url": url, "events": list(events or ALL_EVENTS)}
    reply = await visitor.call("POST", "/v1/webhooks", key, body)
    assert reply.status == 201, reply.raw
    made: dict[str, Any] = reply.body
    return made


async def deliveries_of(visitor: Visitor, key: str, webhook: str) -> list[dict[str, Any]]:
    """What a webhook was told, oldest first."""
    reply = await visitor.call("GET", f"/v1/webhooks/{webhook}/deliveries", key)
    assert reply.status == 200, reply.raw
    data: list[dict[str, Any]] = reply.body["data"]
    return data[::-1]


def check_signature(jwks: dict[str, Any], told: Told, *, body: str | None = None) -> None:
    """Check a call in fal's form as fal's documentation does it; InvalidSignature."""
    headers = {name.lower(): value for name, value in told.headers.items()}
    signed = [headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    assert abs(time.time() - int(signed[2])) < 300
    message = "\n".join([*signed, hashlib.sha256((body or told.body).encode()).hexdigest()]).encode()
    (key,) = jwks["keys"]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), message)
