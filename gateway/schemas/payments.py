"""Bundles, and starting the purchase of one or of a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import Interval
from gateway.outside.return_urls import URL_MAX
from gateway.schemas.base import Answer, Body, Credits, Query, Text, Time

TOKEN_MAX_CHARACTERS = 512

Named = Annotated[Text, Field(min_length=1, max_length=64)]


class BundleOut(Answer):
    """A top-up bundle on sale. Its credits never expire."""

    id: str
    name: str
    credits: Credits
    price: Credits
    currency: str
    price_per_100: Credits = Field(description="The price per 100 credits, for comparing bundles.")


class BundlesOut(Answer):
    """The bundles, in rate card order."""

    data: list[BundleOut]
    rate_card: str


class _Buying(Body):
    """Where the customer goes after the payment page. Either URL gets the checkout's id as `checkout=chk_…`."""

    success_url: (
        Annotated[
            Text,
            Field(
                max_length=URL_MAX,
                description=(
                    "Where to send the customer after payment: a page on an allowed origin "
                    "(`FAREBOX_RETURN_ORIGINS`). Default: a page of the gateway that shows the result. On your page, "
                    "check `GET /v1/checkouts/{id}`: confirmation of the payment can take a moment."
                ),
                examples=["https://shop.example.com/paid"],
            ),
        ]
        | None
    ) = None
    cancel_url: (
        Annotated[
            Text,
            Field(
                max_length=URL_MAX,
                description="Where to send a customer who has not paid.",
                examples=["https://shop.example.com/plans"],
            ),
        ]
        | None
    ) = None


class TopUpIn(_Buying):
    """The bundle to buy."""

    bundle: Annotated[Named, Field(examples=["small"])]


class SubscriptionBuyIn(_Buying):
    """The plan to buy, and its billing interval."""

    plan: Annotated[Named, Field(examples=["standard"])]
    interval: Interval


class OwnChangeIn(Body):
    """The plan to switch to at the end of the paid period."""

    plan: Annotated[Named, Field(examples=["standard"])]
    interval: Annotated[Interval | None, Field(description="Default: unchanged.")] = None


class CheckoutQuery(Query):
    """The parameters of a link to a checkout page."""

    token: Annotated[Text, Field(max_length=TOKEN_MAX_CHARACTERS)] = ""


class CheckoutForm(Body):
    """The form of the test payment page."""

    token: Annotated[Text, Field(max_length=TOKEN_MAX_CHARACTERS)]
    answer: Literal["pay", "decline"]


class CheckoutOut(Answer):
    """A new checkout: send the customer to `checkout_url`."""

    id: str
    checkout_url: str


class PaymentEventOut(Answer):
    """An event from the payment provider that could not be applied yet."""

    id: str = Field(description="The provider's id of the event.")
    type: str
    account: str | None = Field(
        description="The account whose purchase the event concerns; null if that could not be determined."
    )
    reason: str = Field(
        description="`unknown_plan`, `unknown_checkout`, `not_understood`, `currency`, `permission`, "
        "`too_many_returns`, `ledger_refused`, `payments_off`."
    )
    detail: str
    received_at: Time
    tried_at: Time
    tries: int


class PaymentEventsOut(Answer):
    """The payment events waiting to be applied, oldest first."""

    data: list[PaymentEventOut]


class PaymentEventRetried(Answer):
    """Whether the event is applied now; if not, the event as it remains."""

    id: str
    applied: bool
    event: PaymentEventOut | None


class PaymentEventDropped(Answer):
    """The event was dropped without being applied."""

    id: str
    dropped: Literal[True]
