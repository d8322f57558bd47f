"""Errors: what all of them have, what some codes add, and the ways out of a 402 (R13)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.domain import Bucket, PauseKind
from gateway.schemas.base import Answer, Credits, Setting, Time
from gateway.schemas.cards import PriceOut
from gateway.schemas.limits import LimitOut


class ErrorField(Answer):
    """One invalid field."""

    path: str
    message: str


class ErrorBody(Answer):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    request_id: str
    fields: list[ErrorField] = Field(default=[], description="The invalid fields, if any; at most 20.")
    fields_omitted: int = Field(default=0, description="The number of further invalid fields, if there are more.")


class Refill(Answer):
    """A bucket that is going to be refilled."""

    bucket: Bucket
    at: Time
    credits: Credits = Field(description="The bucket's credits after the refill.")


class BundleOffer(Answer):
    """A bundle on sale."""

    id: str
    name: str
    credits: Credits
    price: Credits


class TopUpOffer(Answer):
    """Whether the account may buy credits now, and the bundles on sale."""

    allowed: bool
    reason: Literal["subscription_required"] | None = Field(description="Why not; null if allowed.")
    bundles: list[BundleOffer]


class PlanOffer(Answer):
    """A larger plan whose credits would cover the request at once."""

    id: str
    name: str
    credits: Credits = Field(description="Its monthly credits.")
    price: PriceOut


class WaysOut(Answer):
    """Ways to get the missing credits: wait, buy a bundle, or switch to a larger plan."""

    wait: list[Refill]
    top_up: TopUpOffer
    upgrade: list[PlanOffer]


class InsufficientCreditsDetails(Answer):
    """The price, and the credits the account has."""

    needed: Credits = Field(description="The price.")
    available: Credits
    held: Credits = Field(description="Set aside for other generations; whatever they do not use is returned.")
    debt: Credits = Field(description="Owed for a reversed payment: the next purchase pays it back first.")
    ways_out: WaysOut


class LimitReachedDetails(Answer):
    """The limit that was reached, and what is left of it; nothing about the account's credits."""

    whose: Literal["key", "member", "token"] = Field(
        description="What the limit is set on: the key, its member, or the client token."
    )
    limit: LimitOut
    used: Credits = Field(description="Held or charged for generations created in this period.")
    remaining: Credits
    resets_at: Time | None = Field(description="When the next period begins; null: never.")


class PausedDetails(Answer):
    """What the operator has paused, since when, and why."""

    kind: PauseKind
    name: str = Field(description="Its id.")
    reason: str = Field(description="In the operator's words.")
    since: Time
    until: Time | None = Field(description="When it ends by itself; null: when an operator resumes it.")


class KeyRestrictedDetails(Answer):
    """Which bound of the key refused the call, and the tools or models that it allows."""

    restriction: Literal["tools", "models", "networks"]
    allowed: list[str] = Field(default=[], description="Empty for networks.")


class SubscriptionRequiredDetails(Answer):
    """The model that requires a subscription."""

    model: str


class PlanLimitDetails(Answer):
    """The setting limited by the plan, and the values it allows."""

    plan: str
    setting: str
    allowed: list[Setting]


class LeavingMember(Answer):
    """A member for whom a plan has no seat."""

    id: str
    name: str


class InvalidRequestDetails(Answer):
    """Of a plan with fewer seats than the account has members: who would have to go. Otherwise nothing."""

    seats: int = Field(default=0, description="The seats of the plan.")
    seats_used: int = Field(default=0, description="The members that the account has.")
    leaving: list[LeavingMember] = Field(
        default=[], description="Those without a seat: by role, and among equals who came last. Others may go instead."
    )


class PriceAboveCeilingDetails(Answer):
    """The price, and the request's `max_credits`."""

    price: Credits
    max_credits: Credits


class WaitingRoomFullDetails(Answer):
    """The plan's limit of waiting generations."""

    plan: str
    max_waiting: int


class RateLimitedDetails(Answer):
    """The limit that was exceeded; empty for invalid keys."""

    requests_per_minute: int = Field(default=0, description="Per key.")
    streams_max: int = Field(default=0, description="Open event streams per account, operator key or client token.")
    uploads_max: int = Field(default=0, description="Concurrent uploads per account.")
    gib_per_day: float = Field(default=0, description="Uploads per account in 24 hours, in GiB.")
    seconds_a_minute: float = Field(default=0, description="Upload inspection time per account, in seconds per minute.")
    connections_max: int = Field(default=0, description="Connections or requests in flight per client address.")
