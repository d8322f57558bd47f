"""Webhook events: one envelope for all of them, and the `data` of each type."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, RootModel

from gateway.domain import EventType
from gateway.schemas.base import Answer, Credits
from gateway.schemas.credits import AccountPlan
from gateway.schemas.generations import GenerationOut


class CreditsAlert(Answer):
    """An account's credits have fallen to one of its alert thresholds."""

    account: str
    available: Credits
    of: Credits = Field(description="The monthly credits.")
    threshold: Credits = Field(description="The threshold reached: a fraction such as 0.2, or 0 once all are spent.")


class TopUpPaid(Answer):
    """A bundle was paid for, and its credits were added."""

    account: str
    checkout: str
    bundle: str
    name: str
    credits: Credits
    price: Credits
    currency: str
    available: Credits = Field(description="All credits the account can spend now.")


class SubscriptionChanged(Answer):
    """The account's subscription changed: another plan, a renewal, a cancellation, or a scheduled change."""

    account: str
    plan: AccountPlan
    previous_plan: str = Field(description="The previous plan (`free` for none); often the same as `plan`.")


class GoneGeneration(Answer):
    """A generation that has been deleted."""

    id: str
    object: Literal["generation"]
    account: str


class Event(Answer):
    """What all events have. Events with the same `id` are the same event: process it once."""

    id: str
    object: Literal["event"]
    type: EventType
    created_at: int = Field(description="Unix time in seconds, as in OpenAI's events; times in `data` are RFC 3339.")
    data: Answer


class GenerationEvent(Event):
    """A generation has started or ended."""

    type: Literal[
        EventType.GENERATION_RUNNING,
        EventType.GENERATION_SUCCEEDED,
        EventType.GENERATION_FAILED,
        EventType.GENERATION_CANCELLED,
    ]
    data: GenerationOut | GoneGeneration


class CreditsEvent(Event):
    """The account's credits run low, or are all spent."""

    type: Literal[EventType.CREDITS_LOW, EventType.CREDITS_EXHAUSTED]
    data: CreditsAlert


class TopUpEvent(Event):
    """A bundle was paid for."""

    type: Literal[EventType.TOP_UP_PAID]
    data: TopUpPaid


class SubscriptionEvent(Event):
    """The account's subscription changed."""

    type: Literal[EventType.SUBSCRIPTION_CHANGED]
    data: SubscriptionChanged


class EventOut(
    RootModel[
        Annotated[
            GenerationEvent | CreditsEvent | TopUpEvent | SubscriptionEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """The body of a webhook call: `type` tells which event it is."""


EVENT_SHAPES: dict[EventType, type[Event]] = {
    event: shape
    for shape in (GenerationEvent, CreditsEvent, TopUpEvent, SubscriptionEvent)
    for event in get_args(shape.model_fields["type"].annotation)
}
"""The shape of each event."""
