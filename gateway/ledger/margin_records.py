"""What generations earned and cost (R31), as stored: costs in a generation, and the sums of a day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gateway.domain import Bucket, Cost
from gateway.ledger.records import BUCKETS

if TYPE_CHECKING:
    from gateway.ledger.outcomes import Generation

_COST = re.compile(r"([^,]*),(\d*),(\d*)", re.ASCII)
UNKNOWN = "?"
"""A worth that nobody knows; it counts as 0."""
_OTHER = "other"  # credits of a day that had too many different worths: their revenue is stored beside them


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Sums over ended generations. Money in micro-units; `revenue` is exact, and rounded when it is shown.

    `cost` is what counts, `reported` the part of it that providers reported; of this, `compared` has an assumed cost
    beside it, `beside`. `losses`: the part of `cost` for which nobody pays. `unknown_millicredits`: credits whose worth
    is not known; `unknown_generations`: those of which a cost is not known.
    """

    generations: int = 0
    millicredits: int = 0
    revenue: Fraction = Fraction(0)
    cost: int = 0
    reported: int = 0
    compared: int = 0
    beside: int = 0
    losses: int = 0
    unknown_millicredits: int = 0
    unknown_generations: int = 0

    def __add__(self, other: Margin) -> Margin:
        """Add two."""
        return Margin(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


class Earned(NamedTuple):
    """The sums of a day's (`2026-11-22`) generations of a model at a provider that a bucket paid for.

    `bucket` None: they cost no credits. `model` and `provider` are `other` for what came when a day's rows were full.
    """

    day: str
    model: str
    provider: str
    bucket: Bucket | None
    margin: Margin


def encode_costs(*costs: Cost | None) -> str:
    """`<provider>,<assumed>,<reported>;…`; an unknown amount is empty. A cost of which nothing is known is left out."""
    known = (one for one in costs if one is not None and (one.assumed is not None or one.reported is not None))
    return ";".join(f"{one.provider},{_amount(one.assumed)},{_amount(one.reported)}" for one in known)


def _amount(micro: int | None) -> str:
    return "" if micro is None else str(micro)


def decode_costs(text: str) -> tuple[Cost, ...]:
    """The reverse; what is no cost is left out, as in `lib/margin.lua`."""
    read = (match.groups() for one in text.split(";") if (match := _COST.fullmatch(one)) is not None)
    return tuple(
        Cost(provider, int(assumed) if assumed else None, int(reported) if reported else None)
        for provider, assumed, reported in read
    )


def decode_margin(day: str, stored: Mapping[bytes, bytes]) -> Iterator[Earned]:
    """Decode a day's rows: of costs, `model|provider|bucket`, and of credits, which have their worth as well."""
    for name, text in stored.items():
        model, provider, letter, *worth = name.decode().split("|")
        numbers = [int(number) for number in text.split(b",")]
        margin = _earned(worth[0], numbers) if worth else _costs(numbers)
        yield Earned(day, model, provider, BUCKETS.get(letter), margin)


def _costs(numbers: Sequence[int]) -> Margin:
    generations, cost, reported, compared, beside, losses, unknown = numbers
    return Margin(
        generations=generations,
        cost=cost,
        reported=reported,
        compared=compared,
        beside=beside,
        losses=losses,
        unknown_generations=unknown,
    )


def _earned(worth: str, numbers: Sequence[int]) -> Margin:
    millicredits = numbers[0]
    if worth == UNKNOWN:
        return Margin(millicredits=millicredits, unknown_millicredits=millicredits)
    if worth == _OTHER:
        return Margin(millicredits=millicredits, revenue=Fraction(numbers[1]))
    return Margin(millicredits=millicredits, revenue=millicredits * ratio_of(worth))


def ratio_of(worth: str) -> Fraction:
    """A worth, in micro-units per millicredit; 0 if it is unknown."""
    return Fraction(0) if worth == UNKNOWN else Fraction(worth)


def revenue_of(generation: Generation) -> Fraction:
    """What an ended generation earned, in micro-units: the shares of its allocation are committed in their order."""
    left, revenue = generation.committed_millicredits, Fraction(0)
    for share in generation.allocation:
        kept = min(share.millicredits, left)
        left -= kept
        revenue += kept * ratio_of(share.worth)
    return revenue


def usual_worth(grant: str, letter: str) -> str:
    """The worth of a grant's credits if none is stored, as `lib/worth.lua` has it."""
    free = grant.startswith(("d", "o")) or (grant.startswith("r") and letter == "f")
    return "0" if free else UNKNOWN
