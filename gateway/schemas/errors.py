"""Errors: what all of them have, what some codes add, and the ways out of a 402 (R13)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.domain import Bucket
from gateway.schemas.base import Answer, Credits, Setting, Time
from gateway.schemas.cards import PriceOut


class ErrorField(Answer):
    """What is wrong with one field."""

    path: str
    message: str


class ErrorBody(Answer):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    request_id: str
    fields: list[ErrorField] = Field(default=[], description="Present if some field is to blame: the first 20.")
    fields_omitted: int = Field(default=0, description="Present if more fields are to blame: how many more.")


class Refill(Answer):
    """A bucket that is filled again by waiting."""

    bucket: Bucket
    at: Time
    credits: Credits = Field(description="What the bucket then holds.")


class BundleOffer(Answer):
    """A bundle to buy."""

    id: str
    name: str
    credits: Credits
    price: Credits


class TopUpOffer(Answer):
    """Whether the account may buy credits now, and which bundles there are."""

    allowed: bool
    reason: Literal["subscription_required"] | None = Field(description="Why not; null if it may.")
    bundles: list[BundleOffer]


class PlanOffer(Answer):
    """A larger plan with which the credits would do at once."""

    id: str
    name: str
    credits: Credits = Field(description="What it gives a month.")
    price: PriceOut


class WaysOut(Answer):
    """How to get the missing credits: wait, buy a bundle, or change to a larger plan."""

    wait: list[Refill]
    top_up: TopUpOffer
    upgrade: list[PlanOffer]


class InsufficientCreditsDetails(Answer):
    """What it costs and what there is."""

    needed: Credits = Field(description="The price.")
    available: Credits
    held: Credits = Field(description="Set aside for other generations; what they do not use comes back.")
    debt: Credits = Field(description="Owed for a payment that went back: the next purchase pays it first.")
    ways_out: WaysOut


class SubscriptionRequiredDetails(Answer):
    """The model that is for subscribers."""

    model: str


class PlanLimitDetails(Answer):
    """The setting that the plan limits, and what it allows."""

    plan: str
    setting: str
    allowed: list[Setting]


class PriceAboveCeilingDetails(Answer):
    """The price, and the request's own limit."""

    price: Credits
    max_credits: Credits


class WaitingRoomFullDetails(Answer):
    """How many generations the plan lets wait."""

    plan: str
    max_waiting: int


class RateLimitedDetails(Answer):
    """The limit that was exceeded; none for wrong keys."""

    requests_per_minute: int = Field(default=0, description="Of a key.")
    streams_max: int = Field(default=0, description="Open event streams of an account, or of an operator's key.")
    uploads_max: int = Field(default=0, description="Uploads of an account that come in at once.")
    gib_per_day: float = Field(default=0, description="Uploads of an account in 24 hours, in GiB.")
    seconds_a_minute: float = Field(default=0, description="Time to inspect an account's uploads.")
    connections_max: int = Field(default=0, description="Connections or requests in work of a client address.")
