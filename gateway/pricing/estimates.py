"""The non-binding plan arithmetic (R20)."""

from __future__ import annotations

from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.quote import quote


def estimated_generations(card: RateCard, plan: str) -> dict[str, dict[str, str | int]]:
    """How many generations a plan's credits pay for: tool → `{"model", "generations"}`, by the tool's baseline model.

    One output at the default settings, a month's credits; for `"free"` a day's. A tool whose baseline model costs
    nothing is left out: there is no number to give.
    """
    millicredits = card.free.daily_millicredits if plan == FREE_PLAN else card.plans[plan].monthly_millicredits
    estimates: dict[str, dict[str, str | int]] = {}
    for tool_id, tool in card.tools.items():
        price = quote(card, tool=tool_id, model=tool.baseline_model, settings={}).price_millicredits
        if price > 0:
            estimates[tool_id] = {"model": tool.baseline_model, "generations": millicredits // price}
    return estimates
