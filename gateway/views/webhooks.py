"""Webhooks and their deliveries, as shown to their owner."""

from __future__ import annotations

from typing import Any

from gateway.domain import EventType
from gateway.ledger.webhooks import DEFAULT, Delivery, Webhook
from gateway.schemas import webhooks as webhook_schemas
from gateway.schemas.base import utc
from gateway.views.events import GENERATION_EVENTS


def webhook_shape(webhook: Webhook, secret: str | None = None) -> webhook_schemas.WebhookOut:
    """A webhook, with its secret only if that was just created."""
    own: dict[str, Any] = {} if secret is None else {"secret": secret}
    return webhook_schemas.WebhookOut(
        id=webhook.id,
        object="webhook",
        url=webhook.url,
        events=[one for one in EventType if one in (GENERATION_EVENTS if webhook.id == DEFAULT else webhook.events)],
        description=webhook.description,
        status="paused" if webhook.paused else "active",
        paused_at=utc(webhook.paused_at),
        paused_because=webhook.paused_because,
        failing_since=utc(webhook.failing_since),
        delivered_at=utc(webhook.delivered_at),
        dropped=webhook.dropped,
        secret_rotated_at=utc(webhook.rotated_at),
        created_at=utc(webhook.created_at or None),
        **own,
    )


def delivery_shape(delivery: Delivery) -> webhook_schemas.DeliveryOut:
    """A delivery and its tries."""
    return webhook_schemas.DeliveryOut(
        id=delivery.event,
        object="delivery",
        type=delivery.type,
        account=delivery.account,
        generation=delivery.subject if delivery.type in GENERATION_EVENTS else None,
        url=delivery.url,
        status=delivery.status,
        next_try_at=utc(delivery.next_at),
        tries=[
            webhook_schemas.TryOut(
                at=utc(one.at), status_code=one.status_code, error=one.word, duration_ms=one.duration_ms
            )
            for one in delivery.tries
        ],
        tried=delivery.tried,
        delivered_at=utc(delivery.delivered_at),
        created_at=utc(delivery.created_at),
    )
