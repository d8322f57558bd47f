"""Webhooks, and what they were told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.addresses import URL_MAX
from gateway.domain import EVENT_PATTERN, EventType
from gateway.schemas.base import Answer, Body, OfAccount, PageQuery, Time

DESCRIPTION_MAX_CHARACTERS = 200


EVERY_EVENT = "*"


def _known(event: str) -> str:
    if event != EVERY_EVENT and event not in set(EventType):
        raise ValueError(f"must be one of {', '.join(EventType)}, or * for all of them")
    return event


def events_of(names: tuple[str, ...]) -> tuple[EventType, ...]:
    """The events that a request names, each once; `*` stands for all that there are."""
    return tuple(one for one in EventType if one in names or EVERY_EVENT in names)


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
    tuple[
        Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*EventType, EVERY_EVENT]})],
        ...,
    ],
    Field(
        min_length=1,
        max_length=100,
        strict=False,
        description="`*` stands for all events that there are when it is sent.",
        examples=[["generation.succeeded", "generation.failed"]],
    ),
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


class TestEventData(Answer):
    """Whose webhook is tested; null: the operators'."""

    webhook: str
    account: str | None


class TestEventOut(Answer):
    """The body of a test: an event like all others, of a type that no webhook hears otherwise."""

    id: str
    object: Literal["event"]
    type: Literal["webhook.test"]
    created_at: int
    data: TestEventData


class WebhookTestOut(Answer):
    """What came of a test: the receiver's status code, or a word for why there is none, and the same in a sentence."""

    object: Literal["webhook_test"]
    webhook: str
    event: str = Field(description="The test event's id: `webhook-id` in the receiver's log.")
    delivered: bool = Field(description="Whether the receiver took it: any 2xx.")
    status_code: int | None
    duration_ms: int
    error: str | None = Field(description="The words of a delivery's tries.")
    message: str


class DeliveriesQuery(OfAccount, PageQuery):
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
