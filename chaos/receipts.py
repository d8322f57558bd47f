"""The receipt of each generation, against what it was charged and where its credits were drawn (R5, R9, R10)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Any

from chaos.checks import Checks
from chaos.load import Load

Shown = dict[str, Any]
_AT_ONCE = 8


async def check_receipts(load: Load, checks: Checks, everything: Iterable[Shown]) -> None:
    """Read every ended generation's receipt and add it up."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def check(shown: Shown) -> None:
        async with room:
            path = f"/v1/generations/{shown['id']}/receipt"
            receipt = (await load.call("GET", path, load.keys[shown["account"]])).body
        problem = wrong(receipt, shown)
        checks.that(not problem, "receipts that add up to the charge", f"the receipt of {shown['id']}: {problem}")

    async with asyncio.TaskGroup() as all_checks:
        for shown in everything:
            all_checks.create_task(check(shown))


def wrong(receipt: Shown, shown: Shown) -> str:
    """What does not add up in a receipt of an ended generation, or nothing."""
    price = _milli(receipt["credits"])
    lines = sum((Decimal(line["total"]) for line in receipt["lines"]), Decimal(0))
    if int((lines * 1000).to_integral_value(ROUND_CEILING)) != price:
        return f"its lines come to {lines}, its price is {receipt['credits']}"
    if receipt["rate_card"] != shown["price"]["rate_card"] or price != _milli(shown["price"]["credits"]):
        return "its price or its rate card is another than the generation's"
    committed = _milli(shown["credits"]["committed"])
    if [_milli(receipt[where]) for where in ("held", "committed", "refunded")] != [0, committed, price - committed]:
        return "it says something else than the generation of what was charged"
    expected = _moves(receipt["allocation"], price, committed)
    found = {
        kind: changes
        for kind in ("reserve", "commit", "refund")
        if (changes := _changes(entry for entry in receipt["entries"] if entry["kind"] == kind))
    }
    if found != expected:
        return f"its entries are {found}, and by its allocation should be {expected}"
    return ""


def _moves(allocation: list[Shown], price: int, committed: int) -> dict[str, dict[str, tuple[int, int]]]:
    """Kind → bucket → change of available and of held: first drawn, first committed; the rest goes back."""
    taken, kept, back = Counter[str](), Counter[str](), Counter[str]()
    left = committed
    for share in allocation:
        amount = _milli(share["credits"])
        part = min(amount, left)
        left -= part
        taken[share["bucket"]] += amount
        kept[share["bucket"]] += part
        back[share["bucket"]] += amount - part
    moves = {
        "reserve": {bucket: (-amount, amount) for bucket, amount in taken.items() if amount},
        "commit": {bucket: (0, -amount) for bucket, amount in kept.items() if amount},
        "refund": {bucket: (amount, -amount) for bucket, amount in back.items() if amount},
    }
    return {kind: changes for kind, changes in moves.items() if changes and price}


def _changes(entries: Iterable[Shown]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        for bucket, change in entry["buckets"].items():
            credits, held = found.get(bucket, (0, 0))
            found[bucket] = (credits + _milli(change["credits"]), held + _milli(change["held"]))
    return found


def _milli(amount: Any) -> int:
    return int(Decimal(amount) * 1000)
