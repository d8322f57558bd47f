"""Webhooks, and what they were told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.addresses import URL_MAX
from gateway.domain import EVENT_PATTERN, EventType
from gateway.schemas.base import Answer, Body, PageQuery, Time

DESCRIPTION_MAX_CHARACTERS = 200


def _each_once(events: tuple[EventType, ...]) -> tuple[EventType, ...]:
    return tuple(one for one in EventType if one in events)


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=URL_MAX,
        description="An `https:` URL of a public address.",
        examples=["https://example.com/farebox"],
    ),
]
Events = Annotated[
    tuple[EventType, ...],
    Field(min_length=1, max_length=100, strict=False, examples=[["generation.succeeded", "generation.failed"]]),
    AfterValidator(_each_once),
]
Description = Annotated[str, Field(max_length=DESCRIPTION_MAX_CHARACTERS, description="Your own words for it.")]


class WebhookIn(Body):
    """A URL to be told of events."""

    url: Url
    events: Events
    description: Description = ""


class WebhookChangeIn(Body):
    """What to change. `active` has a paused webhook go on with all that it was not told."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    status: Literal["active", "paused"] | None = None


class WebhookOut(Answer):
    """A webhook. It is paused when nothing got through for a day, after a 410, or when somebody asked for it."""

    id: str
    object: Literal["webhook"]
    url: str | None = Field(description="Null: the `default` one, which tells the `webhook_url` of each request.")
    events: list[EventType]
    description: str
    secret: str | None = Field(default=None, description="Only in the answer that made it.")
    status: Literal["active", "paused"]
    paused_at: Time | None
    paused_because: Literal["failing", "gone", "asked"] | None
    failing_since: Time | None = Field(description="The first try that failed since one got through.")
    delivered_at: Time | None = Field(description="When one got through last.")
    dropped: int = Field(description="Events that were never told, because too many were waiting.")
    secret_rotated_at: Time | None
    created_at: Time | None = Field(description="Null: nothing was told by the `default` one yet.")


class WebhooksOut(Answer):
    """All webhooks, in the order they were made in. The `default` one is not among them."""

    data: list[WebhookOut]


class Deleted(Answer):
    """It is gone."""

    id: str
    deleted: Literal[True]


class DeliveriesQuery(PageQuery):
    """Which deliveries to list."""

    before: Annotated[str, Field(pattern=EVENT_PATTERN, description="The `next` of the page before.")] | None = None


class TryOut(Answer):
    """One try: the status code that the receiver answered, or a word for why there is none."""

    at: Time
    status_code: int | None
    error: str | None
    duration_ms: int


class DeliveryOut(Answer):
    """One event for one webhook. `id` is the event's, and the `webhook-id` that the receiver gets."""

    id: str
    object: Literal["delivery"]
    type: EventType
    account: str
    generation: str | None = Field(description="What it is about; null: the account.")
    url: str | None = Field(description="The request's own `webhook_url`, if it is for that.")
    status: Literal["pending", "delivered", "failed"]
    next_try_at: Time | None = Field(description="Null: not by itself, or when the event before it got through.")
    tries: list[TryOut] = Field(description="The last twenty, oldest first.")
    tried: int = Field(description="How often it was tried in all.")
    delivered_at: Time | None
    created_at: Time


class DeliveriesOut(Answer):
    """A page of deliveries. `next` goes into `before`; null: this was the last page."""

    data: list[DeliveryOut]
    next: str | None
