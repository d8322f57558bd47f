"""What an account pays of a price on the card: the factor of its plan, times the factor of its own.

The plan's are in the card, `[plans.creator.discounts]`; the account's own are set by operators. In each, the entry of
the model counts, else that of its tool, else `"*"`. A factor is from 0 to 1, so no account pays more than the card's
prices, and what the check proves of these holds for every account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from gateway.pricing.card import FREE_PLAN, RateCard

EVERYTHING = "*"
"""The entry for whatever has none of its own."""
OWN_LABEL = "Your account"
FREE_LABEL = "Free"
_ONE = Decimal(1)


class PricedFor(NamedTuple):
    """What of an account its prices depend on. `reserve` compares it with the account (`lua/reserve.lua`).

    `factors` is the account's field: `video:0.9,*:0.95`, or nothing. `clock_offset_ms`: of its test clock.
    """

    plan: str = FREE_PLAN
    factors: str = ""
    clock_offset_ms: int = 0


NO_PLAN = PricedFor()
"""Without a subscription, factors or a test clock."""


class Discount(NamedTuple):
    """One factor on the whole price, and whose it is, for the line that explains it."""

    name: str
    factor: Decimal


def discounts_of(card: RateCard, account: PricedFor, *, tool: str, model: str) -> tuple[Discount, ...]:
    """What an account's prices of a model are multiplied by; a plan that is not on the card has no discounts."""
    plan = card.free if account.plan == FREE_PLAN else card.plans.get(account.plan)
    found = []
    if plan is not None and plan.discounts:
        name = FREE_LABEL if account.plan == FREE_PLAN else card.plans[account.plan].name
        found.append(Discount(name, _factor(plan.discounts, tool, model)))
    if account.factors:
        found.append(Discount(OWN_LABEL, _factor(decode_factors(account.factors), tool, model)))
    return tuple(one for one in found if one.factor != _ONE)


def least_factor(card: RateCard, *, tool: str, model: str) -> Decimal:
    """The lowest factor that a plan on sale pays of a model's prices."""
    return min((_factor(plan.discounts, tool, model) for plan in card.plans.values()), default=_ONE)


def encode_factors(factors: Mapping[str, Decimal]) -> str:
    """An account's factors as its field has them, by name; nothing for none."""
    return ",".join(f"{name}:{factor.normalize():f}" for name, factor in sorted(factors.items()))


@lru_cache(1024)
def decode_factors(text: str) -> Mapping[str, Decimal]:
    """The reverse."""
    return dict(_factors(text))


def _factors(text: str) -> Iterator[tuple[str, Decimal]]:
    for part in text.split(",") if text else ():
        name, _, factor = part.partition(":")
        yield name, Decimal(factor)


def _factor(factors: Mapping[str, Decimal], tool: str, model: str) -> Decimal:
    for name in (model, tool, EVERYTHING):
        if name in factors:
            return factors[name]
    return _ONE
