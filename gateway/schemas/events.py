"""What webhooks are told: one envelope for all events, and what each type's `data` is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.domain import EventType
from gateway.schemas.base import Answer, Credits
from gateway.schemas.credits import AccountPlan
from gateway.schemas.generations import GenerationOut


class CreditsAlert(Answer):
    """An account's credits have fallen to one of its thresholds, as parts of the monthly credits (R19)."""

    account: str
    available: Credits
    of: Credits = Field(description="The monthly credits.")
    threshold: Credits = Field(description="The part of them that was reached: 0.2, or 0 once they are used up.")


class TopUpPaid(Answer):
    """A bundle was paid for; its credits are there."""

    account: str
    checkout: str
    bundle: str
    name: str
    credits: Credits
    price: Credits
    currency: str
    available: Credits = Field(description="All that the account can spend now.")


class SubscriptionChanged(Answer):
    """The account's plan is another, or goes on, ends or changes at another time."""

    account: str
    plan: AccountPlan
    previous_plan: str = Field(description="The plan before; `free`: none. Often the same.")


class GoneGeneration(Answer):
    """A generation that is kept no longer."""

    id: str
    object: Literal["generation"]
    account: str


class EventOut(Answer):
    """The body that a webhook gets. The same `id` again is the same event: act on it once."""

    id: str
    object: Literal["event"]
    type: EventType
    created_at: int = Field(description="Seconds since the epoch, as in OpenAI's events; times in `data` are RFC 3339.")
    data: GenerationOut | CreditsAlert | TopUpPaid | SubscriptionChanged | GoneGeneration
