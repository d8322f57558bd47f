"""What a model costs at a provider: the shapes of a rate and its add-ons, in money of the card's currency (R31).

Fields are called as those of a rate, because the same functions calculate both; where a price has thousandths of a
credit, a cost has thousandths of the currency. `gateway.pricing.costs` has the calculation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.pricing.fields import ExactMoney, PositiveMoney, SignedMoney, Text, as_list
from gateway.pricing.rates import AddOn, PerUnit, Rate, Reported


class CostPerUnit(PerUnit):
    """An amount of money per unit above `over`."""

    millicredits: SignedMoney = Field(alias="amount")


class ReportedCost(Reported):
    """An amount of money per unit that the provider reports of an output."""

    millicredits: ExactMoney = Field(alias="amount")


AmountPer = Mapping[str, CostPerUnit]


class CostRate(Rate):
    """What an output costs at a provider if `when` matches."""

    millicredits: ExactMoney = Field(Decimal(0), alias="amount")
    credits_per: AmountPer = Field(default_factory=dict, alias="amount_per")
    round_credits_to_millicredits: PositiveMoney | None = Field(None, alias="round_amount_to")
    minimum_millicredits: ExactMoney = Field(Decimal(0), alias="minimum_amount")
    maximum_millicredits: ExactMoney | None = Field(None, alias="maximum_amount")
    reported: Annotated[tuple[ReportedCost, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _is_not_graduated(self) -> Self:
        if self.graduated:
            msg = "cannot be `graduated`: what a provider charges by volume is not known when a job is made"
            raise ValueError(msg)
        return self


class CostAddOn(AddOn):
    """What is added to a cost if `when` matches."""

    name: Text = "add-on"
    millicredits: SignedMoney | None = Field(None, alias="amount")
    credits_per: AmountPer | None = Field(None, alias="amount_per")


def _as_costs(value: object) -> object:
    """Accept `cost = 0.04`, the amount of every output, and one table where there may be several."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = {"amount": value}
    if isinstance(value, str | bool):
        msg = "must be an amount of money such as 0.04, without quotes, or one or more tables with `amount`"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports a ValueError and passes a TypeError through
    return as_list(value)


Costs = Annotated[tuple[CostRate, ...], BeforeValidator(_as_costs)]
CostAddOns = Annotated[tuple[CostAddOn, ...], BeforeValidator(as_list)]
