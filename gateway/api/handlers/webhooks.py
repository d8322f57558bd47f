"""Webhooks: an account's own, or with an admin key the operators', which receive the events of all accounts."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import CALLER, OWN_ACCOUNT, found
from gateway.api.errors import InvalidRequest, LedgerDown, NotFound
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.receiver_urls import check_url
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation, seed
from gateway.api.ownership.own_webhooks import named_webhook, own_webhook, owner_of
from gateway.api.ownership.target_account import account_of, target_account
from gateway.api.services import LEDGER, LINKS, OUTPUTS, RATE_CARDS, SETTINGS, WEBHOOK_SECRETS
from gateway.clock import now_ms
from gateway.domain import is_event_id, webhook_id
from gateway.ledger.outcomes import Generation
from gateway.ledger.webhooks import DEFAULT, WEBHOOKS_MAX, TooMany
from gateway.outside.receivers import signed
from gateway.schemas import webhooks as webhook_schemas
from gateway.schemas.base import OfAccount
from gateway.views.events import GENERATION_EVENTS
from gateway.views.webhook_bodies import WebhookBodies
from gateway.views.webhooks import delivery_shape, webhook_shape

_TRIES = 3  # another request may rotate the same secret meanwhile


async def create(request: web.Request) -> web.Response:
    """`POST /v1/webhooks`."""
    body = await read_body(request, webhook_schemas.WebhookIn)
    account, secrets = request[CALLER].account, request.app[WEBHOOK_SECRETS]
    check_url(request.app[SETTINGS].address_guard, body.url, "url")
    webhook = webhook_id(seed(request))
    made = await request.app[LEDGER].listen(
        webhook=webhook,
        account=account,
        url=body.url,
        events=webhook_schemas.events_of(body.events),
        description=body.description,
        mark=secrets.mark(account, webhook, 1),
    )
    if isinstance(made, TooMany):
        raise InvalidRequest(f"Too many webhooks (limit: {WEBHOOKS_MAX}). Delete one first.")
    made = found(made, OWN_ACCOUNT)
    # If it existed already and was rotated since, its first secret is no longer valid.
    shape = webhook_shape(made, secrets.secret(account, webhook, 1) if made.version == 1 else None)
    return answer(shape, status=HTTPStatus.CREATED, headers={"Location": f"/v1/webhooks/{webhook}"})


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/webhooks`."""
    owner = owner_of(request, read_query(request, OfAccount).account)
    if owner is not None and request[CALLER].account is None:
        await account_of(request, target_account(request, owner))
    webhooks = await request.app[LEDGER].webhooks(account=owner)
    return answer(webhook_schemas.WebhooksOut(data=[webhook_shape(webhook) for webhook in webhooks]))


async def get(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}`."""
    return answer(webhook_shape(await own_webhook(request, read_query(request, OfAccount).account)))


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/webhooks/{webhook}`: omitted fields stay unchanged."""
    body = await read_body(request, webhook_schemas.WebhookChangeIn)
    if body.url is not None:
        check_url(request.app[SETTINGS].address_guard, body.url, "url")
    webhook = named_webhook(request, request[CALLER].account)
    if webhook == DEFAULT:
        raise InvalidRequest("The `default` webhook cannot be changed: it delivers what each request asks for.")
    changed = await request.app[LEDGER].change_webhook(
        webhook=webhook,
        account=request[CALLER].account,
        url=body.url,
        events=None if body.events is None else webhook_schemas.events_of(body.events),
        description=body.description,
        status=body.status,
    )
    return answer(webhook_shape(found(changed, f"webhook {webhook}")))


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/webhooks/{webhook}`."""
    webhook = named_webhook(request, request[CALLER].account)
    deletable = webhook != DEFAULT
    if not deletable or not await request.app[LEDGER].unlisten(webhook=webhook, account=request[CALLER].account):
        raise NotFound(f"There is no webhook {webhook}, or it cannot be deleted.")
    return answer(webhook_schemas.Deleted(id=webhook, deleted=True))


async def rotate(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/rotate`."""
    account, secrets, this = request[CALLER].account, request.app[WEBHOOK_SECRETS], operation(request)
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
    query = read_query(request, webhook_schemas.DeliveriesQuery)
    owner = owner_of(request, query.account)
    webhook = named_webhook(request, owner)
    page = found(
        await request.app[LEDGER].deliveries(webhook=webhook, account=owner, limit=query.limit, before=query.before),
        f"delivery {query.before} of webhook {webhook}" if query.before else f"webhook {webhook}",
    )
    return answer(
        webhook_schemas.DeliveriesOut(data=[delivery_shape(delivery) for delivery in page.data], next=page.next)
    )


async def delivery_request(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}/deliveries/{delivery}/request`."""
    webhook, event = await own_webhook(request, read_query(request, OfAccount).account), _event(request)
    ledger, secrets = request.app[LEDGER], request.app[WEBHOOK_SECRETS]
    outcome = await ledger.delivery(webhook=webhook.id, account=webhook.account, event=event)
    delivery = found(outcome, f"delivery {event} of webhook {webhook.id}")
    about = await ledger.generation(generation=delivery.subject) if delivery.type in GENERATION_EVENTS else None
    card = request.app[RATE_CARDS].card
    bodies = WebhookBodies(request.app[LINKS], request.app[SETTINGS].public_address, lambda: card, request.app[OUTPUTS])
    body = await bodies.body_of(delivery, about if isinstance(about, Generation) else None)
    headers = signed(event, body, secrets.in_force(webhook, now_ms())) | secrets.headers_beside(delivery, body)
    return answer(
        webhook_schemas.DeliveryRequestOut(
            object="delivery_request",
            url=delivery.url or webhook.url or "",
            headers={"Content-Type": "application/json", **headers},
            body=body,
        )
    )


async def resend(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/deliveries/{delivery}/resend`."""
    webhook, event = named_webhook(request, request[CALLER].account), _event(request)
    outcome = await request.app[LEDGER].resend(webhook=webhook, account=request[CALLER].account, event=event)
    return answer(delivery_shape(found(outcome, f"delivery {event} of webhook {webhook}")))


def _event(request: web.Request) -> str:
    """The delivery's event of the path; NotFound if it cannot be one's id."""
    event = request.match_info["delivery"]
    if not is_event_id(event):
        raise NotFound(f"There is no delivery {event}.")
    return event
