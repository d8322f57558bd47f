"""What a payment provider's invoices paid for, beside what was given for it, from the raw keys."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MONTH = Fraction(2_629_800_000)  # 30.4375 days
SHORTEST_MONTH = 28 * 86_400_000


@dataclass(frozen=True, slots=True)
class Cycle:
    """What was given for one monthly cycle. `left`: how much was not used when it ended; None: it has not."""

    grant: str
    given: int
    set_off: int
    left: int | None


def check_billing(account: str, record: dict[str, str], fields: dict[str, str]) -> None:
    """AssertionError if more was given than was ever paid for, or a grant is not what the record says was given."""
    covers, cycles = Fraction(int(record.get("owed", 0))), dict[str, Cycle]()
    for name, text in record.items():
        _, word, *_ = [*name.split("|", 2), ""]
        if word == "line":
            covers += _covers(json.loads(text))
        elif word == "cycle":
            grant, given, set_off, left = text.split(",")
            assert grant not in cycles, f"{account}: two cycles have the grant {grant}"
            cycles[grant] = Cycle(grant, int(given), int(set_off), int(left) if left else None)
    total = sum(cycle.given - (cycle.left or 0) for cycle in cycles.values())
    assert total <= covers, f"{account}: {total} was given, and {covers} was paid for"
    _check_grants(account, cycles, fields)


def _covers(line: dict[str, Any]) -> Fraction:
    """The most that a line may give, by its money and by its time; what goes back gives nothing."""
    terms = line.get("terms")
    if terms is None or line["amount"] <= 0:
        return Fraction(0)
    months = Fraction(line["to"] - line["from"])
    if not line.get("proration"):
        return Fraction(terms["monthly"] * max(1, round(months / MONTH)))
    by_time: Fraction = terms["monthly"] * months / SHORTEST_MONTH
    if line.get("foreign") or not terms.get("price"):
        return by_time
    return min(by_time, Fraction(terms["monthly"] * line["amount"] * terms["months"], terms["price"]))


def _check_grants(account: str, cycles: dict[str, Cycle], fields: dict[str, str]) -> None:
    """Live ones are `paid_for`; of each, no more is there than was given."""
    turned: defaultdict[str, list[str]] = defaultdict(list)
    for text in filter(None, fields.get("turned", "").split(";")):
        grant, *rest = text.split(",")
        turned[grant] = rest
    live = {grant for grant, cycle in cycles.items() if cycle.left is None and len(turned[grant]) != 1}
    live |= {grant for grant, rest in turned.items() if len(rest) == 4}
    paid_for = set(filter(None, fields.get("paid_for", "").split(",")))
    assert paid_for == live & paid_for, f"{account}: {paid_for - live} was given for no cycle"
    for grant in paid_for:
        _, available, held, granted, _, _ = fields[f"grant:{grant}"].split(",")
        given = cycles[grant].given if grant in cycles else int(granted)
        assert int(available) + int(held) <= given, f"{account}: more is left of {grant} than was given"
