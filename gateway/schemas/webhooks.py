"""Webhooks and their deliveries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from gateway.domain import EVENT_PATTERN, EventType
from gateway.outside.addresses import URL_MAX
from gateway.schemas.base import Answer, Body, OfAccount, PageQuery, Text, Time

DESCRIPTION_MAX_CHARACTERS = 200


EVERY_EVENT = "*"


def _known(event: str) -> str:
    if event != EVERY_EVENT and event not in set(EventType):
        raise ValueError(f"must be one of {', '.join(EventType)}, or * for all")
    return event


def events_of(names: tuple[str, ...]) -> tuple[EventType, ...]:
    """The event types in a request, each once; `*` stands for all of them."""
    return tuple(one for one in EventType if one in names or EVERY_EVENT in names)


Url = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=URL_MAX,
        description="A public `https:` URL.",
        examples=["https://example.com/farebox"],
    ),
]
SubscribedEvent = TypeAliasType(
    "SubscribedEvent",
    Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*EventType, EVERY_EVENT]})],
)
WebhookStatus = TypeAliasType("WebhookStatus", Literal["active", "paused"])
WebhookPauseReason = TypeAliasType("WebhookPauseReason", Literal["failing", "gone", "asked"])
Events = Annotated[
    tuple[SubscribedEvent, ...],
    Field(
        min_length=1,
        max_length=100,
        strict=False,
        description="`*` stands for all event types that exist when the request is sent.",
        examples=[["generation.succeeded", "generation.failed"]],
    ),
]
Description = Annotated[
    Text, Field(max_length=DESCRIPTION_MAX_CHARACTERS, description="A description for your own use.")
]


class WebhookIn(Body):
    """A webhook to create: a URL and the events it receives."""

    url: Url
    events: Events
    description: Description = ""


class WebhookChangeIn(Body):
    """What to change. `active` resumes a paused webhook and sends it the events held back while it was paused."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    status: WebhookStatus | None = None


class WebhookOut(Answer):
    """A webhook. It is paused when no delivery succeeded for a day, after a 410 response, or on request."""

    id: str
    object: Literal["webhook"]
    url: str | None = Field(
        description="Null for the `default` webhook, which delivers to the `webhook_url` of each request."
    )
    events: list[EventType]
    description: str
    secret: str | None = Field(default=None, description="Only included in the response that created it.")
    status: WebhookStatus
    paused_at: Time | None
    paused_because: WebhookPauseReason | None
    failing_since: Time | None = Field(description="The first failed attempt since the last successful one.")
    delivered_at: Time | None = Field(description="The last successful delivery.")
    dropped: int = Field(description="Events dropped because too many were waiting.")
    secret_rotated_at: Time | None
    created_at: Time | None = Field(description="Null if the `default` webhook has not delivered anything yet.")


class WebhooksOut(Answer):
    """All webhooks, oldest first, without the `default` one."""

    data: list[WebhookOut]


class Deleted(Answer):
    """The webhook has been deleted."""

    id: str
    deleted: Literal[True]


class TestEventData(Answer):
    """The account whose webhook is tested; null for an operators' webhook."""

    webhook: str
    account: str | None


class TestEventOut(Answer):
    """The body of a test event. Its shape is that of every event; its type is used for nothing else."""

    id: str
    object: Literal["event"]
    type: Literal["webhook.test"]
    created_at: int
    data: TestEventData


class WebhookTestOut(Answer):
    """The result of a test: the receiver's status code, or a word for why there is none, and the same as a sentence."""

    object: Literal["webhook_test"]
    webhook: str
    event: str = Field(description="The test event's id, sent as the `webhook-id` header.")
    delivered: bool = Field(description="Whether the receiver accepted it (any 2xx status).")
    status_code: int | None
    duration_ms: int
    error: str | None = Field(description="The same words as in a delivery's attempts.")
    message: str


class DeliveriesQuery(OfAccount, PageQuery):
    """Filters and paging for the list of deliveries."""

    before: (
        Annotated[str, Field(pattern=EVENT_PATTERN, description="The `next` value of the previous page.")] | None
    ) = None


class TryOut(Answer):
    """One attempt: the receiver's status code, or a word for why there is none."""

    at: Time
    status_code: int | None
    error: str | None
    duration_ms: int


class DeliveryOut(Answer):
    """One event for one webhook. `id` is the event's id, sent as the `webhook-id` header."""

    id: str
    object: Literal["delivery"]
    type: EventType
    account: str
    generation: str | None = Field(description="The generation the event is about; null if it is about the account.")
    url: str | None = Field(description="The request's `webhook_url`, if the event is delivered there.")
    status: Literal["pending", "delivered", "failed"]
    next_try_at: Time | None = Field(
        description="Null if no further attempt is scheduled, or if it waits for an earlier event to be delivered."
    )
    tries: list[TryOut] = Field(description="The last twenty attempts, oldest first.")
    tried: int = Field(description="The total number of attempts.")
    delivered_at: Time | None
    created_at: Time


class DeliveryRequestOut(Answer):
    """A delivery's request as it would be sent now: each attempt has its own time and signatures.

    A generation's event describes it as it is now, so links in it are fresh.
    """

    object: Literal["delivery_request"]
    url: str
    headers: dict[str, str]
    body: str = Field(description="The text that is signed.")


class DeliveriesOut(Answer):
    """A page of deliveries. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[DeliveryOut]
    next: str | None
