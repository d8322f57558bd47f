"""Graduated rates: what an output costs depends on how many the account has ordered this month."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain import Volume
from gateway.pricing.rates import Rate


def tiers(rate: Rate, outputs: int, before: int) -> Iterator[tuple[int, Rate, int]]:
    """How many of the outputs are priced by which tier of a rate, the first one being number `before` + 1.

    Each is `over` so many outputs of the month, the rate as it is there, and a number of outputs.
    """
    ends: tuple[int | None, ...] = (*(one.over for one in rate.graduated), None)
    over, tier = 0, rate
    for index, end in enumerate(ends):
        last = before + outputs if end is None else min(before + outputs, end)
        if last > max(before, over):
            yield over, tier, last - max(before, over)
        if end is not None:
            over = end
            tier = rate.model_copy(update={"millicredits": rate.graduated[index].millicredits})


def volume_of(rate: Rate, outputs: int, before: int) -> Volume:
    """For how many outputs before it the price is the same: one across tiers is priced for exactly so many."""
    if not rate.graduated:
        return Volume(0, None)
    (over, _, _), *more = tiers(rate, outputs, before)
    if more:
        return Volume(before, before)
    end = next((one.over for one in rate.graduated if one.over > over), None)
    return Volume(over, None if end is None else end - outputs)
