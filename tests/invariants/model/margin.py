"""What generations earn and cost (R31): what each grant's credits are worth, and the sums of a day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from gateway.domain import Cost
from gateway.ledger.policy import Policy

if TYPE_CHECKING:
    from tests.invariants.model.generations import Generation

MICRO_PER_CENT = 10_000
COUNTS = ("generations", "cost", "reported", "compared", "beside", "losses", "unknown")
LETTERS = {"free": "f", "subscription": "s", "top_up": "t"}

Worth = Fraction | None
"""Micro-units per millicredit; None: nobody knows."""
Sums = defaultdict[str, Counter[str]]
"""A day's rows: of credits by "credits", of costs by COUNTS."""


def usual_worth(kind: str, bucket: str) -> Worth:
    """Nothing was paid for what is free and for operators' grants; of others nobody knows, unless it is said."""
    free = kind in {"daily", "operator"} or (kind, bucket) == ("refund", "free")
    return Fraction(0) if free else None


def worth_text(worth: Worth) -> str:
    if not worth:
        return "?" if worth is None else "0"
    return f"{worth.numerator}/{worth.denominator}"


def worth_of_plan(policy: Policy, plan: str, months: int) -> Worth:
    """The price of the interval, else of as many single months, for all of its credits."""
    terms = policy.plans[plan]
    cents = terms.price_cents.get(months) or terms.price_cents.get(1, 0) * months
    return Fraction(cents * MICRO_PER_CENT, terms.monthly_millicredits * months) if cents else None


def counts_of(costs: Sequence[Cost], *, lost: bool) -> Counter[str]:
    """What some costs come to."""
    found = Counter[str]()
    for cost in costs:
        counts = cost.assumed if cost.reported is None else cost.reported
        found.update({"cost": counts or 0, "losses": (counts or 0) * lost, "reported": cost.reported or 0})
        if cost.reported is not None and cost.assumed is not None:
            found.update({"compared": cost.reported, "beside": cost.assumed})
    return found


def count_end(sums: Sums, g: Generation) -> None:
    """A generation ended."""
    left, kept = g.committed, []
    for share in g.shares:
        kept.append(min(share.amount, left))
        left -= kept[-1]
    of = f"{g.request.model}|{g.provider}|"
    for share, amount in zip(g.shares, kept, strict=True):
        if amount:
            row = f"{of}{LETTERS[share.grant.bucket]}|{worth_text(share.grant.worth)}"
            sums[row]["credits"] += amount
    delivered = [cost for cost in g.costs.values() if cost]
    by_provider = _by_provider(delivered, g.lost)
    by_provider[g.provider].update({"generations": 1, "unknown": int(len(delivered) < len(g.outputs))})
    weights = _by_bucket(g, kept if g.committed else [share.amount for share in g.shares])
    for provider, counts in by_provider.items():
        _divide(sums, f"{g.request.model}|{provider}|", weights, counts)


def count_correction(sums: Sums, g: Generation, given: Sequence[int]) -> None:
    """So much of each share was given back: it is earned no more, and what it cost is lost."""
    for share, amount in zip(g.shares, given, strict=True):
        if amount:
            row = f"{g.request.model}|{g.provider}|{LETTERS[share.grant.bucket]}|{worth_text(share.grant.worth)}"
            sums[row]["credits"] -= amount
    for provider, counts in _by_provider([cost for cost in g.costs.values() if cost], ()).items():
        lost = counts["cost"] * sum(given) // g.committed
        _divide(sums, f"{g.request.model}|{provider}|", _by_bucket(g, given), Counter(losses=lost))


def count_loss(sums: Sums, g: Generation, lost: Sequence[Cost]) -> None:
    """A job ended late, and nobody gets what it made."""
    weights = _by_bucket(g, [share.amount for share in g.shares])
    for provider, counts in _by_provider((), lost).items():
        _divide(sums, f"{g.request.model}|{provider}|", weights, counts)


def rows_of(sums: Mapping[str, Counter[str]]) -> dict[str, str]:
    """As they are stored; a row of nothing is left out, as everywhere in a picture."""
    rows = {}
    for row, counts in sums.items():
        names = ("credits",) if row.count("|") > 2 else COUNTS
        rows[row] = ",".join(str(counts[name]) for name in names)
    return {row: text for row, text in rows.items() if text != "0"}


def _by_provider(delivered: Sequence[Cost], lost: Sequence[Cost]) -> defaultdict[str, Counter[str]]:
    found = defaultdict[str, Counter[str]](Counter)
    for costs, nobody_pays in ((delivered, False), (lost, True)):
        for cost in costs:
            found[cost.provider] += counts_of([cost], lost=nobody_pays)
    return found


def _by_bucket(g: Generation, amounts: Sequence[int]) -> dict[str, int]:
    """How much each bucket pays, in the order in which they were drawn."""
    weights: dict[str, int] = {}
    for share, amount in zip(g.shares, amounts, strict=True):
        if amount:
            letter = LETTERS[share.grant.bucket]
            weights[letter] = weights.get(letter, 0) + amount
    return weights or {"-": 1}


def _divide(sums: Sums, of: str, weights: Mapping[str, int], counts: Counter[str]) -> None:
    """By what each bucket pays, rounded down; the last one pays what is left. What is counted, counts for the first."""
    whole, left = sum(weights.values()), Counter(counts)
    for place, (letter, weight) in enumerate(weights.items()):
        for name in COUNTS:
            if name in {"generations", "unknown"}:
                part = 0 if place else counts[name]
            else:
                part = left[name] if place == len(weights) - 1 else counts[name] * weight // whole
            left[name] -= part
            sums[of + letter][name] += part
