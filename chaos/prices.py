"""Rate cards as they were saved, and what a request costs by each: plain arithmetic on the file."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

Shown = dict[str, Any]


@dataclass(slots=True)
class SavedCard:
    """One state of the file. `replaced_at`: since when both gateways have sold by a later one (seconds)."""

    text: str
    saved_at: float
    replaced_at: float | None = None

    @property
    def version(self) -> str:
        """What receipts call it: the SHA-256 of its file."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    def price(self, request: Shown) -> int:
        """Millicredits of a generation as the API shows it; the smallest amount is rounded up to."""
        model = tomllib.loads(self.text, parse_float=Decimal)["models"][request["model"]]
        (rate,) = model["rates"]
        unit = Decimal(rate.get("credits", 0))
        for setting, per in rate.get("credits_per", {}).items():
            unit += Decimal(per["credits"]) * max(0, Decimal(request["settings"][setting]) - per["over"])
        if reported := rate.get("reported"):
            unit += Decimal(reported["credits"]) * reported["at_most"]
        total = unit * request["outputs_requested"]
        total += sum((Decimal(add_on["credits"]) for add_on in model.get("add_ons", ())), Decimal(0))
        return _millicredits(total)

    def charge(self, request: Shown, figures: Sequence[object]) -> int:
        """Millicredits of the delivered outputs of which these figures were reported, one each; None: nothing was.

        Each costs its share of the price at most.
        """
        share: int = self.price(request) * len(figures) // request["outputs_requested"]
        (rate,) = tomllib.loads(self.text, parse_float=Decimal)["models"][request["model"]]["rates"]
        reported = rate.get("reported")
        if reported is None:
            return share
        units = sum((_units(figure, reported) for figure in figures), Decimal(0))
        return min(share, _millicredits(rate["credits"] * len(figures) + units * reported["credits"]))


def _units(figure: object, reported: Shown) -> Decimal:
    """What is charged for: whatever is no amount, or more than the ceiling, as the ceiling."""
    most, unreported = Decimal(reported["at_most"]), Decimal(reported["if_unreported"])
    if figure is None:
        return unreported
    if isinstance(figure, bool) or not isinstance(figure, int | float) or not 0 <= figure <= most:
        return most
    return Decimal(str(figure))


def _millicredits(credits_: Decimal) -> int:
    return int((credits_ * 1000).to_integral_value(ROUND_CEILING))
