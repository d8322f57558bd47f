"""Builds a webhook's body from a delivery: the event, with its subject as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from gateway.domain import EventType, Interval, State, millicredits_to_credits
from gateway.ledger import outcomes
from gateway.ledger.webhooks import Delivery
from gateway.outputs import OutputLinks
from gateway.pricing.card import FREE_PLAN
from gateway.schemas.base import Answer, utc
from gateway.schemas.credits import AccountPlan, ScheduledChange
from gateway.schemas.events import EVENT_SHAPES, CreditsAlert, Event, GoneGeneration, SubscriptionChanged, TopUpPaid
from gateway.views.generations import generation_shape

GENERATION_EVENTS = frozenset(one for one in EventType if one.startswith("generation."))


def event_shape(delivery: Delivery, generation: outcomes.Generation | None, links: OutputLinks) -> Event:
    """The event; `generation` is its subject, None for other events or if it has been deleted."""
    return EVENT_SHAPES[delivery.type](
        id=delivery.event,
        object="event",
        type=delivery.type,
        created_at=delivery.created_at // 1000,
        data=_data(delivery, generation, links),
    )


def as_it_began(generation: outcomes.Generation) -> outcomes.Generation:
    """The generation as of its first attempt's start, however late the event is delivered: retries send the same."""
    return replace(
        generation,
        state=State.RUNNING,
        held_millicredits=generation.price_millicredits,
        committed_millicredits=0,
        refunded_millicredits=0,
        outputs=(),
        outputs_deleted=False,
        progress_thousandths=0,
        attempt=1,
        cancel_requested=False,
        error=None,
        finished_at=None,
    )


def _data(delivery: Delivery, generation: outcomes.Generation | None, links: OutputLinks) -> Answer:
    match delivery.type:
        case EventType.CREDITS_LOW | EventType.CREDITS_EXHAUSTED:
            return CreditsAlert(
                account=delivery.account,
                available=_credits(delivery.data["available"]),
                of=_credits(delivery.data["of"]),
                threshold=Decimal(delivery.data["threshold"]) / 1000,
            )
        case EventType.TOP_UP_PAID:
            return TopUpPaid(
                account=delivery.account,
                checkout=delivery.data["checkout"],
                bundle=delivery.data["bundle"],
                name=delivery.data["name"],
                credits=_credits(delivery.data["credits"]),
                price=Decimal(delivery.data["price"]),
                currency=delivery.data["currency"],
                available=_credits(delivery.data["available"]),
            )
        case EventType.SUBSCRIPTION_CHANGED:
            return SubscriptionChanged(
                account=delivery.account,
                plan=_plan(delivery.data),
                previous_plan=delivery.data.get("was", FREE_PLAN),
            )
        case _ if generation is None:
            return GoneGeneration(id=delivery.subject, object="generation", account=delivery.account)
        case EventType.GENERATION_RUNNING:
            return generation_shape(as_it_began(generation), links)
        case _:
            return generation_shape(generation, links)


def _credits(millicredits: str) -> Decimal:
    return millicredits_to_credits(int(millicredits))


def _plan(texts: Mapping[str, str]) -> AccountPlan:
    """The plan at the time of the event, in the balance's form."""
    if "plan" not in texts:
        return AccountPlan(id=FREE_PLAN, status="none", interval=None, paid_through=None, scheduled=None)
    scheduled = None
    if "scheduled" in texts:
        plan, interval, at = texts["scheduled"].split(",")
        scheduled = ScheduledChange(plan=plan, interval=Interval(interval), at=utc(int(at)))
    status: Literal["active", "cancelled"] = "cancelled" if "cancelled_to" in texts else "active"
    through = texts.get("cancelled_to", texts.get("paid_through"))
    return AccountPlan(
        id=texts["plan"],
        status=status,
        interval=Interval(texts["interval"]),
        paid_through=utc(int(through) if through else None),
        scheduled=scheduled,
    )
