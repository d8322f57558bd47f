"""Bundles, and beginning to buy one or a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import Interval
from gateway.return_urls import URL_MAX
from gateway.schemas.base import Answer, Body, Credits, Query, Time

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


class _Buying(Body):
    """Where the customer goes from the payment page. The checkout's id is added to either URL as `checkout=chk_…`."""

    success_url: (
        Annotated[
            str,
            Field(
                max_length=URL_MAX,
                description="Where a customer who has paid goes: a page of an allowed origin "
                "(`FAREBOX_RETURN_ORIGINS`). Without it, the gateway's own page says what became of it. Ask "
                "`GET /v1/checkouts/{id}` there: the payment may take a moment to be confirmed.",
                examples=["https://shop.example.com/paid"],
            ),
        ]
        | None
    ) = None
    cancel_url: (
        Annotated[
            str,
            Field(
                max_length=URL_MAX,
                description="Where one who has not paid goes.",
                examples=["https://shop.example.com/plans"],
            ),
        ]
        | None
    ) = None


class TopUpIn(_Buying):
    """A bundle to buy."""

    bundle: Annotated[Named, Field(examples=["small"])]


class SubscriptionBuyIn(_Buying):
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


class PaymentEventOut(Answer):
    """An event of the payment provider's that could not be applied yet."""

    id: str = Field(description="The provider's own id of it.")
    type: str
    account: str | None = Field(description="Whose purchase it is about; null if that could not be read.")
    reason: str = Field(
        description="`unknown_plan`, `unknown_checkout`, `not_understood`, `currency`, `permission`, "
        "`too_many_returns`, `ledger_refused`, `payments_off`."
    )
    detail: str
    received_at: Time
    tried_at: Time
    tries: int


class PaymentEventsOut(Answer):
    """The events that wait to be applied, in the order they came."""

    data: list[PaymentEventOut]


class PaymentEventRetried(Answer):
    """Whether it is applied now; if not, as it waits on."""

    id: str
    applied: bool
    event: PaymentEventOut | None


class PaymentEventDropped(Answer):
    """It waits no longer, and nothing came of it."""

    id: str
    dropped: Literal[True]
