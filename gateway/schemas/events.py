"""What webhooks are told: one envelope for all events, and what each type's `data` is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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


class EventOut(Answer):
    """The body of a webhook call. Events with the same `id` are the same event: process it once."""

    id: str
    object: Literal["event"]
    type: EventType
    created_at: int = Field(description="Unix time in seconds, as in OpenAI's events; times in `data` are RFC 3339.")
    data: GenerationOut | CreditsAlert | TopUpPaid | SubscriptionChanged | GoneGeneration
