"""Bundles, and beginning to buy one or a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import Interval
from gateway.schemas.base import Answer, Body, Credits, Query

TOKEN_MAX_CHARACTERS = 512

Named = Annotated[str, Field(min_length=1, max_length=64)]


class BundleOut(Answer):
    """A top-up that is sold; its credits never expire (R4)."""

    id: str
    name: str
    credits: Credits
    price: Credits
    currency: str
    price_per_100: Credits = Field(description="The price of 100 of its credits, to compare bundles by.")


class BundlesOut(Answer):
    """The bundles, in the rate card's order."""

    data: list[BundleOut]
    rate_card: str


class TopUpIn(Body):
    """A bundle to buy."""

    bundle: Annotated[Named, Field(examples=["small"])]


class SubscriptionBuyIn(Body):
    """A plan to buy, and how often it is paid for."""

    plan: Annotated[Named, Field(examples=["standard"])]
    interval: Interval


class OwnChangeIn(Body):
    """The plan to have from the end of what is paid on."""

    plan: Annotated[Named, Field(examples=["standard"])]
    interval: Annotated[Interval | None, Field(description="As it is, if left out.")] = None


class CheckoutQuery(Query):
    """What the link to a purchase's page carries."""

    token: Annotated[str, Field(max_length=TOKEN_MAX_CHARACTERS)] = ""


class CheckoutForm(Body):
    """The form of a test purchase, as its page sends it."""

    token: Annotated[str, Field(max_length=TOKEN_MAX_CHARACTERS)]
    answer: Literal["pay", "decline"]


class CheckoutOut(Answer):
    """A purchase that has begun: send the customer to `checkout_url`."""

    id: str
    checkout_url: str
