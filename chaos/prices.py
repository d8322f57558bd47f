"""Rate cards as they were saved, and what a request costs by each: plain arithmetic on the file."""

from __future__ import annotations

import hashlib
import tomllib
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
        total = unit * request["outputs_requested"]
        total += sum((Decimal(add_on["credits"]) for add_on in model.get("add_ons", ())), Decimal(0))
        return int((total * 1000).to_integral_value(ROUND_CEILING))
