"""What a key may spend in a period (R26)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain import LimitPeriod
from gateway.schemas.base import AmountIn, Answer, Body, Credits, amount_schema


class LimitIn(Body):
    """How many credits may be held or charged for generations created in a period."""

    credits: Annotated[AmountIn, Field(ge=0), amount_schema(minimum=0)]
    period: Annotated[
        LimitPeriod,
        Field(description="In the rate card's time zone, weeks from Monday; `never`: it does not begin anew."),
    ]


class LimitOut(Answer):
    """So many credits per period, in the rate card's time zone; weeks begin on Mondays."""

    credits: Credits
    period: LimitPeriod
