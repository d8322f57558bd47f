"""What a price was made for, and what the account has instead (`lua/lib/pricing.lua`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.pricing.card import FREE_PLAN
from gateway.pricing.discounts import PricedFor

PRICED_FOR = ("plan", "factors", "offset")
"""The account's fields that its prices depend on."""


class PriceBasis(NamedTuple):
    """What a price was made for, which `reserve` compares with the account.

    `plan`: whose discounts it has; "": it is the same for every plan. `factors`: the account's, as stored. `since` and
    `until`: the account's time (ms) for which it is the price; None: no such bound.
    """

    plan: str = ""
    factors: str = ""
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class PricedOtherwise:
    """The price was made for another plan, other factors or another time than the account has: these are its own.

    `at`: the account's time (ms), by which the price list is chosen.
    """

    priced_for: PricedFor
    at: int


def priced_otherwise(plan: str, factors: str, now: str, offset: str) -> PricedOtherwise:
    """The refusal, from the texts of the reply."""
    return PricedOtherwise(PricedFor(plan, factors, int(offset)), int(now))


def encode_basis(basis: PriceBasis | None) -> str:
    """`plan;factors;since;until`; nothing for an agreed price."""
    return "" if basis is None else ";".join("" if part is None else str(part) for part in basis)


def decode_priced_for(values: Sequence[bytes | None]) -> PricedFor:
    """What an account's prices depend on, from `PRICED_FOR` as last written: a lapse may not be."""
    plan, factors, offset = (None if value is None else value.decode() for value in values)
    return PricedFor(plan or FREE_PLAN, factors or "", int(offset or 0))
