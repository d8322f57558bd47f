"""What a plan allows (R6). Quotes report it; creating a generation enforces it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.domain import SettingValue
from gateway.pricing.card import FREE_PLAN, Model, RateCard
from gateway.pricing.values import listed, one_of, show


@dataclass(frozen=True, slots=True)
class Gate:
    """Why a plan does not allow a request: the error code, and a message for people."""

    code: Literal["subscription_required", "plan_limit"]
    message: str


def gating(card: RateCard, *, plan: str, model: Model, settings: Mapping[str, SettingValue]) -> Gate | None:
    """Why `plan` ("free" without a subscription) does not allow this; None if it does.

    `settings` are a quote's: complete and canonical. A plan no longer in this card keeps its last terms, which only the
    ledger has: here it counts as a subscription without limits, and `reserve` enforces the limits.
    """
    if model.pro and plan == FREE_PLAN:
        return Gate("subscription_required", f"{model.name} needs an active subscription.")
    terms = card.free if plan == FREE_PLAN else card.plans.get(plan)
    if terms is None:
        return None
    for name, allowed in terms.allow.get(model.tool, {}).items():
        if name in settings and not listed(settings[name], allowed):
            whose = "Without a subscription" if plan == FREE_PLAN else f"On the plan {card.plans[plan].name}"
            may_be = one_of(show(value) for value in allowed)
            return Gate("plan_limit", f"{whose}, {name} must be {may_be}, not {show(settings[name])}.")
    return None
