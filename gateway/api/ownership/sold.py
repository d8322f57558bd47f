"""What is on the rate card: the plan to buy and its price, tools and models by name; or the refusal."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.services import RATE_CARDS
from gateway.domain import Interval
from gateway.errors import FieldProblem
from gateway.pricing.card import Plan
from gateway.pricing.values import did_you_mean, show


def plan_sold(request: web.Request, plan_id: str, interval: Interval) -> tuple[Plan, Decimal]:
    """A plan on the card and its price at this interval; InvalidRequest if it is not sold."""
    sold = request.app[RATE_CARDS].card.plans
    plan = sold.get(plan_id)
    if plan is None:
        raise not_sold("plan", f"must be one of {', '.join(sold) or 'the plans of the rate card, which has none'}")
    price = plan.price.of(interval)
    if price is None:
        intervals = ", ".join(interval for interval in Interval if plan.price.of(interval) is not None)
        raise not_sold("interval", f"must be one of {intervals}: {plan.name} has no {interval} price")
    return plan, price


def not_sold(field: str, text: str) -> InvalidRequest:
    """The refusal of a purchase, for one field of its body."""
    return InvalidRequest(f"`{field}` {text}. Nothing was bought.", fields=[FieldProblem(field, text)])


def known_names(field: str, names: list[str] | None, known: Collection[str]) -> list[str] | None:
    """The names, all of which are on the rate card; InvalidRequest."""
    for index, name in enumerate(names or ()):
        if name not in known:
            text = f"{show(name)} is not on the rate card{did_you_mean(name, known) or '.'}"
            raise InvalidRequest(text, fields=[FieldProblem(f"{field}.{index}", text)])
    return names
