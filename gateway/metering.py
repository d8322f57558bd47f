"""How a price is charged by what a provider reports of the outputs (R29), as frozen types: units, meters, reports.

It imports no other Farebox module. Rates are integer nanocredits per unit, reported amounts integer millionths of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

NANOCREDITS_PER_MILLICREDIT = 1_000_000
MILLIONTHS = 1_000_000
"""Reported amounts are integers: 2.5 s are 2,500,000 millionths (a pixel is a millionth of a megapixel)."""


class Unit(StrEnum):
    """What a provider may report of an output, and a rate may charge for (R29)."""

    SECONDS = "seconds"
    MEGAPIXELS = "megapixels"
    CHARACTERS = "characters"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    GPU_SECONDS = "gpu_seconds"
    PROVIDER_CREDITS = "provider_credits"


@dataclass(frozen=True, slots=True)
class Meter:
    """What a price charges for one reported unit (R29): nanocredits per unit, and amounts in millionths of the unit.

    An output counts for `unreported` if nothing was reported of it, and for `at_most` at the most.
    """

    unit: Unit
    nanocredits: int
    at_most: int
    unreported: int


@dataclass(frozen=True, slots=True)
class Metering:
    """How a price is charged by what is reported: what all outputs cost besides, and a meter for each unit.

    `first_line` is the place, among the price's lines, of the first meter's; the others follow.
    """

    fixed_nanocredits: int
    meters: tuple[Meter, ...]
    first_line: int


Reports = Mapping[Unit, int | None]
"""What was reported of an output, in millionths of each unit; None: something that is not an amount."""
