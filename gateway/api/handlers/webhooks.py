"""Webhooks: an account's own, or with an admin key the operators', which hear of all accounts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.api.access.auth import OWN_ACCOUNT, found
from gateway.api.errors import InvalidRequest, LedgerDown, NotFound
from gateway.api.http.context import caller
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.receiver_urls import checked_url
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation, seed
from gateway.api.ownership.whose import account_of, whose
from gateway.api.services import LEDGER, SETTINGS, WEBHOOK_SECRETS
from gateway.domain import EventType, is_event_id, is_webhook_id, webhook_id
from gateway.ledger.webhooks import DEFAULT, WEBHOOKS_MAX, Delivery, TooMany, Webhook
from gateway.schemas import webhooks as s
from gateway.schemas.base import OfAccount, utc, utc_or_none
from gateway.views.events import GENERATION_EVENTS

_TRIES = 3  # somebody else may rotate the same secret meanwhile


async def create(request: web.Request) -> web.Response:
    """`POST /v1/webhooks`."""
    body = await read_body(request, s.WebhookIn)
    account, secrets = caller(request).account, request.app[WEBHOOK_SECRETS]
    checked_url(request.app[SETTINGS].address_guard, body.url, "url")
    webhook = webhook_id(seed(request))
    made = await request.app[LEDGER].listen(
        webhook=webhook,
        account=account,
        url=body.url,
        events=s.events_of(body.events),
        description=body.description,
        mark=secrets.mark(account, webhook, 1),
    )
    if isinstance(made, TooMany):
        raise InvalidRequest(f"Too many webhooks (limit: {WEBHOOKS_MAX}). Delete one first.")
    made = found(made, OWN_ACCOUNT)
    # Where it was there before and has been rotated since, its first secret is nothing to sign with any more.
    shape = webhook_shape(made, secrets.secret(account, webhook, 1) if made.version == 1 else None)
    return answer(shape, status=HTTPStatus.CREATED, headers={"Location": f"/v1/webhooks/{webhook}"})


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/webhooks`."""
    owner = _owner(request, read_query(request, OfAccount).account)
    if owner is not None and caller(request).account is None:
        await account_of(request, whose(request, owner))
    webhooks = await request.app[LEDGER].webhooks(account=owner)
    return answer(s.WebhooksOut(data=[webhook_shape(webhook) for webhook in webhooks]))


async def get(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}`."""
    return answer(webhook_shape(await own_webhook(request, read_query(request, OfAccount).account)))


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/webhooks/{webhook}`: what is left out stays."""
    body = await read_body(request, s.WebhookChangeIn)
    checked_url(request.app[SETTINGS].address_guard, body.url, "url")
    webhook = _named(request, caller(request).account)
    if webhook == DEFAULT:
        raise InvalidRequest("The `default` webhook cannot be changed: it delivers what each request asks for.")
    changed = await request.app[LEDGER].change_webhook(
        webhook=webhook,
        account=caller(request).account,
        url=body.url,
        events=None if body.events is None else s.events_of(body.events),
        description=body.description,
        status=body.status,
    )
    return answer(webhook_shape(found(changed, f"webhook {webhook}")))


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/webhooks/{webhook}`."""
    webhook = _named(request, caller(request).account)
    deletable = webhook != DEFAULT
    if not deletable or not await request.app[LEDGER].unlisten(webhook=webhook, account=caller(request).account):
        raise NotFound(f"There is no webhook {webhook}, or it cannot be deleted.")
    return answer(s.Deleted(id=webhook, deleted=True))


async def rotate(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/rotate`."""
    account, secrets, this = caller(request).account, request.app[WEBHOOK_SECRETS], operation(request)
    webhook = await own_webhook(request)
    for _ in range(_TRIES):
        if webhook.rotation == this:
            return answer(webhook_shape(webhook, secrets.secret(account, webhook.id, webhook.version)))
        version = webhook.version + 1
        rotated = await request.app[LEDGER].rotate(
            webhook=webhook.id,
            account=account,
            operation=this,
            version=version,
            mark=secrets.mark(account, webhook.id, version),
        )
        webhook = found(rotated, f"webhook {webhook.id}")
    if webhook.rotation == this:
        return answer(webhook_shape(webhook, secrets.secret(account, webhook.id, webhook.version)))
    raise LedgerDown("The webhook's secret is being rotated by another request. Try again soon.")


async def deliveries(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}/deliveries`: newest first."""
    query = read_query(request, s.DeliveriesQuery)
    owner = _owner(request, query.account)
    webhook = _named(request, owner)
    page = found(
        await request.app[LEDGER].deliveries(webhook=webhook, account=owner, limit=query.limit, before=query.before),
        f"delivery {query.before} of webhook {webhook}" if query.before else f"webhook {webhook}",
    )
    return answer(s.DeliveriesOut(data=[delivery_shape(delivery) for delivery in page.data], next=page.next))


async def resend(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/deliveries/{delivery}/resend`."""
    webhook, event = _named(request, caller(request).account), request.match_info["delivery"]
    if not is_event_id(event):
        raise NotFound(f"There is no delivery {event}.")
    outcome = await request.app[LEDGER].resend(webhook=webhook, account=caller(request).account, event=event)
    return answer(delivery_shape(found(outcome, f"delivery {event} of webhook {webhook}")))


def webhook_shape(webhook: Webhook, secret: str | None = None) -> s.WebhookOut:
    """A webhook; its secret only where it was just made."""
    own: dict[str, Any] = {} if secret is None else {"secret": secret}
    return s.WebhookOut(
        id=webhook.id,
        object="webhook",
        url=webhook.url,
        events=[one for one in EventType if one in (GENERATION_EVENTS if webhook.id == DEFAULT else webhook.events)],
        description=webhook.description,
        status="paused" if webhook.paused else "active",
        paused_at=utc_or_none(webhook.paused_at),
        paused_because=webhook.paused_because,
        failing_since=utc_or_none(webhook.failing_since),
        delivered_at=utc_or_none(webhook.delivered_at),
        dropped=webhook.dropped,
        secret_rotated_at=utc_or_none(webhook.rotated_at),
        created_at=utc_or_none(webhook.created_at or None),
        **own,
    )


def delivery_shape(delivery: Delivery) -> s.DeliveryOut:
    """What a webhook was told, and how that went."""
    return s.DeliveryOut(
        id=delivery.event,
        object="delivery",
        type=delivery.type,
        account=delivery.account,
        generation=delivery.subject if delivery.type in GENERATION_EVENTS else None,
        url=delivery.url,
        status=delivery.status,
        next_try_at=utc_or_none(delivery.next_at),
        tries=[
            s.TryOut(at=utc(one.at), status_code=one.status_code, error=one.word, duration_ms=one.duration_ms)
            for one in delivery.tries
        ],
        tried=delivery.tried,
        delivered_at=utc_or_none(delivery.delivered_at),
        created_at=utc(delivery.created_at),
    )


async def own_webhook(request: web.Request, account: str | None = None) -> Webhook:
    """The webhook of the path, if it is the caller's, or of the account that an admin names."""
    owner = _owner(request, account)
    webhook = _named(request, owner)
    outcome = await request.app[LEDGER].webhook(webhook=webhook, account=owner)
    return found(outcome, f"webhook {webhook}")


def _owner(request: web.Request, account: str | None) -> str | None:
    """Whose webhooks: the caller's own account, the one that an admin names, or None: the operators'."""
    if account is None and caller(request).account is None:
        return None
    return whose(request, account).account


def _named(request: web.Request, owner: str | None) -> str:
    """The webhook of the path; NotFound for what can be none of the owner's."""
    webhook = request.match_info["webhook"]
    default = webhook == DEFAULT and owner is not None
    if not default and not is_webhook_id(webhook):
        raise NotFound(f"There is no webhook {webhook}.")
    return webhook
