"""Prices and quotes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from gateway.domain import Bucket
from gateway.metering import Unit
from gateway.schemas.base import Answer, Credits, Time
from gateway.schemas.errors import WaysOut

AtMost = Annotated[
    bool,
    Field(description="Present and true if this is the most that may be charged: what is reported decides."),
]
"""R29: the ceiling is what is quoted, held and checked."""


class Line(Answer):
    """One line of a price: `credits` × `count` = `total`."""

    label: str
    credits: Credits
    count: Credits
    total: Credits
    unit: Unit | SkipJsonSchema[None] = Field(
        default=None,
        description="Only present if the line charges for what is reported, of all outputs `count` at most.",
    )


class Price(Answer):
    """The firm price: the sum of `lines`, rounded up to a thousandth of a credit."""

    credits: Credits
    at_most: AtMost = False
    lines: list[Line]
    rate_card: str


class Share(Answer):
    """A share of the price, and the bucket it is paid from."""

    bucket: Bucket
    credits: Credits


PlanRefusal = TypeAliasType("PlanRefusal", Literal["subscription_required", "plan_limit"])
"""Why a plan does not allow a request: the error code that it would get."""


class QuoteOut(Answer):
    """A firm price, good until `expires_at`. Send `quote` with the generation to lock it."""

    credits: Credits
    at_most: AtMost = False
    lines: list[Line]
    rate_card: str
    allowed: bool = Field(description="Whether the account's plan allows this model and these settings.")
    reason: PlanRefusal | None = Field(
        description="The error code the request would get: `subscription_required` or `plan_limit`."
    )
    message: str | None = Field(description="The reason as a sentence.")
    affordable: bool
    shortfall: Credits
    allocation: list[Share] = Field(description="The buckets that would pay, as far as the credits go.")
    quote: str
    expires_at: Time
    ways_out: WaysOut | SkipJsonSchema[None] = Field(
        default=None, description="Only present if the credits do not suffice; the same as in the 402 error."
    )
