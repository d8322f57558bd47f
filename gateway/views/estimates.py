"""Estimates as shown to callers."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

from gateway.pricing.card import RateCard
from gateway.pricing.estimates import Estimate, Item, gate_of
from gateway.schemas import estimates as estimate_schemas
from gateway.views.generations import credits_of

_MILLICREDITS = Decimal(1000)


_THREE_DECIMALS = Decimal("0.001")


def estimate_shape(card: RateCard, made: Estimate, buffer: Decimal, plan: str) -> estimate_schemas.EstimateOut:
    """An estimate; `allowed` refers to `plan`."""
    return estimate_schemas.EstimateOut(
        items=[_item_shape(card, item, plan) for item in made.items],
        credits=credits_of(made.millicredits),
        buffer=buffer,
        with_buffer=credits_of(made.with_buffer_millicredits),
        plans=[
            estimate_schemas.PlanAdviceOut(
                plan=one.plan,
                credits=credits_of(card.plans[one.plan].monthly_millicredits),
                with_buffer=credits_of(one.with_buffer_millicredits),
                allowed=one.allowed,
                covers=one.covers,
            )
            for one in made.plans
        ],
        cheapest_plan=made.cheapest_plan,
        rate_card=card.version,
        **_ceiling(at_most=any(item.at_most for item in made.items)),
    )


def _item_shape(card: RateCard, item: Item, plan: str) -> estimate_schemas.EstimateItemOut:
    gate = gate_of(card, plan, item)
    return estimate_schemas.EstimateItemOut(
        tool=item.tool,
        model=item.model,
        settings=dict(item.settings),
        outputs=item.outputs,
        per_day=item.per_day.quantize(_THREE_DECIMALS),
        days=item.days,
        unit_credits=(item.unit_millicredits / _MILLICREDITS).quantize(_THREE_DECIMALS),
        credits=credits_of(item.millicredits),
        allowed=gate is None,
        reason=None if gate is None else gate.code,
        **_only_of_some(item),
        **_ceiling(at_most=item.at_most),
    )


def _only_of_some(item: Item) -> dict[str, Any]:
    """What has no place in most items."""
    some: dict[str, Any] = {}
    if item.discounts:
        some["list_unit_credits"] = credits_of(int(item.list_millicredits.to_integral_value(ROUND_CEILING)))
    if item.ordered is not None:
        some["ordered_this_month"] = item.ordered
    return some


def _ceiling(*, at_most: bool) -> dict[str, bool]:
    return {"at_most": True} if at_most else {}
