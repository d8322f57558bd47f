"""What a key or a member may spend in a period (R26), and what it may be used for, until when and from where (R27)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain import LimitPeriod
from gateway.schemas.base import AmountIn, Answer, Body, Credits, Text, Time, TimeIn, amount_schema

Names = Annotated[list[Annotated[Text, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=100)]
Networks = Annotated[
    list[Annotated[Text, Field(min_length=2, max_length=43, examples=["203.0.113.0/24"])]],
    Field(min_length=1, max_length=100),
]


class BoundsIn(Body):
    """What a key may be used for, until when, and from where."""

    tools: Annotated[Names, Field(description="The only tools it may be used for. Default: all.")] | None = None
    models: Annotated[Names, Field(description="The only models it may be used for. Default: all.")] | None = None
    expires_at: Annotated[TimeIn, Field(description="When it stops working. Default: never.")] | None = None
    networks: Annotated[Networks, Field(description="The only networks it may be used from. Default: all.")] | None = (
        None
    )


class BoundsOut(Answer):
    """The same, as it is."""

    tools: list[str] | None = Field(description="The only tools it may be used for; null: all.")
    models: list[str] | None = Field(description="The only models it may be used for; null: all.")
    expires_at: Time | None = Field(description="When it stops working; null: never.")


class LimitIn(Body):
    """How many credits may be held or charged for generations created in a period."""

    credits: Annotated[AmountIn, Field(ge=0), amount_schema(minimum=0)]
    period: Annotated[
        LimitPeriod,
        Field(description="In the rate card's time zone, weeks from Monday; `never`: it does not reset."),
    ]


class LimitOut(Answer):
    """So many credits per period, in the rate card's time zone; weeks begin on Mondays."""

    credits: Credits
    period: LimitPeriod


class Spending(Answer):
    """What has been spent, and what is left of the limit."""

    limit: LimitOut | None = Field(description="Null: no limit.")
    limit_remaining: Credits | None = Field(description="What is left of the limit; null: no limit.")
    limit_reset: Time | None = Field(description="When the limit resets; null: no limit, or never.")
    usage: Credits = Field(description="Held or charged for the generations that this key or member has created.")
    usage_daily: Credits = Field(description="Of these, for those created today, in the rate card's time zone.")
    usage_weekly: Credits = Field(description="For those created this week, from Monday.")
    usage_monthly: Credits = Field(description="For those created this month.")
