"""Webhook tests: one signed call whose result is returned to the caller; it is not listed as a delivery.

A test makes the gateway call a URL of the caller's choice. So it goes through the same address guard as every webhook
call, the number per owner and minute is limited over all gateways, and so are concurrent tests of one gateway.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from aiohttp import web

from gateway.api.access.auth import CALLER
from gateway.api.errors import InvalidRequest, RateLimited
from gateway.api.http.respond import answer
from gateway.api.ownership.own_webhooks import own_webhook
from gateway.api.services import LEDGER, RECEIVERS, WEBHOOK_SECRETS
from gateway.clock import now_ms
from gateway.domain import ALL_ACCOUNTS
from gateway.ledger.allowances import Limited
from gateway.ledger.webhooks import Webhook
from gateway.outside.receivers import CALL_SECONDS, CallResult, Word
from gateway.schemas import webhooks as webhook_schemas
from gateway.schemas.errors import RateLimitedDetails

PER_MINUTE = 10
AT_ONCE = 50  # per gateway: each has a connection for at most ten seconds

_RUNNING = web.AppKey("WEBHOOK_TESTS_RUNNING", set)

_WORDS: Mapping[Word, str] = {
    "address_refused": (
        "The host resolves to an address that is not public. The operator of this gateway can allow the network with "
        "FAREBOX_WEBHOOK_NETWORKS."
    ),
    "connection_failed": "The connection failed. Check the host and port, and that the receiver is running.",
    "connection_lost": "The receiver accepted the connection but closed it without an HTTP response.",
    "name_not_found": "The host name could not be resolved.",
    "redirected": "Redirects are not followed. Set the webhook's URL to where the receiver redirects.",
    "secret_missing": "The webhook's secret belongs to another signing key; rotate it (POST /v1/webhooks/{id}/rotate).",
    "timeout": f"The receiver did not respond within {CALL_SECONDS:g} seconds.",
    "tls_failed": (
        "The TLS handshake failed: the certificate is not valid for this host, or the receiver does not speak TLS on "
        "this port."
    ),
    "unreadable": "The event could not be built.",
    "url_refused": (
        "This gateway may no longer call the webhook's URL: it must be https: and public, or in a network listed in "
        "FAREBOX_WEBHOOK_NETWORKS."
    ),
}


def mount(app: web.Application) -> None:
    """Start counting this gateway's concurrent tests."""
    app[_RUNNING] = set()


async def test(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/test`."""
    webhook = await own_webhook(request)
    if webhook.url is None:
        raise InvalidRequest(
            "The `default` webhook has no URL of its own: it delivers to the `webhook_url` of each request. "
            "Create a generation with one to test it."
        )
    await _admit(request)
    event = f"evt_{secrets.token_hex(13)}"
    running = request.app[_RUNNING]
    running.add(event)
    try:
        answered = await _call(request, webhook, webhook.url, event)
    finally:
        running.discard(event)
    delivered = answered.outcome == "delivered"
    return answer(
        webhook_schemas.WebhookTestOut(
            object="webhook_test",
            webhook=webhook.id,
            event=event,
            delivered=delivered,
            status_code=answered.status_code,
            duration_ms=answered.duration_ms,
            error=answered.word,
            message=_message(answered, delivered=delivered),
        )
    )


async def _call(request: web.Request, webhook: Webhook, url: str, event: str) -> CallResult:
    now = now_ms()
    signing = request.app[WEBHOOK_SECRETS].in_force(webhook, now)
    if not signing:
        return CallResult(None, "secret_missing", 0)
    body = webhook_schemas.TestEventOut(
        id=event,
        object="event",
        type="webhook.test",
        created_at=now // 1000,
        data=webhook_schemas.TestEventData(webhook=webhook.id, account=webhook.account),
    )
    return await request.app[RECEIVERS].call(url, event, body.json_text(), signing)


async def _admit(request: web.Request) -> None:
    """RateLimited if the owner has sent too many this minute, or this gateway is running too many."""
    owner = request[CALLER].account or ALL_ACCOUNTS
    outcome = await request.app[LEDGER].admit(key_id=f"webhook_test_{owner}", per_minute=PER_MINUTE)
    if isinstance(outcome, Limited):
        seconds = -(-outcome.retry_after_ms // 1000)
        raise RateLimited(
            f"Rate limit exceeded: {PER_MINUTE} webhook tests per minute. Nothing was sent; try again in {seconds} s.",
            RateLimitedDetails(requests_per_minute=PER_MINUTE),
            headers={"Retry-After": str(seconds)},
        )
    if len(request.app[_RUNNING]) >= AT_ONCE:
        raise RateLimited(
            "Too many webhook tests are running on this gateway. Nothing was sent; try again in a few seconds.",
            headers={"Retry-After": str(round(CALL_SECONDS))},
        )


def _message(answered: CallResult, *, delivered: bool) -> str:
    if answered.word is not None:
        return _WORDS[answered.word]
    if delivered:
        return f"The receiver accepted the event with status {answered.status_code}."
    return f"The receiver responded with status {answered.status_code}; only a 2xx status accepts the event."
