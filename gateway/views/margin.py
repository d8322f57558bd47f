"""What generations earned and cost, as shown to operators."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gateway.domain import Bucket
from gateway.ledger.margin_records import Earned, Margin
from gateway.pricing.costs import money
from gateway.schemas import margin as margin_schemas
from gateway.views.generations import credits_of

DRIFT_MAX_PERCENT = 5
"""Beyond, the rate card's costs are wrong, or the provider's bill is."""

Group = tuple[str | None, ...]


@dataclass(slots=True)
class MarginSums:
    """The sums of one group, and of its buckets."""

    whole: Margin = field(default_factory=Margin)
    millicredits: Counter[Bucket] = field(default_factory=Counter)
    revenue: defaultdict[Bucket, Fraction] = field(default_factory=lambda: defaultdict(Fraction))

    def add(self, row: Earned) -> None:
        """Count a row."""
        self.whole += row.margin
        if row.bucket is not None:
            self.millicredits[row.bucket] += row.margin.millicredits
            self.revenue[row.bucket] += row.margin.revenue


def grouped_margin(rows: Iterable[Earned], dimensions: Sequence[str]) -> Mapping[Group, MarginSums]:
    """The sums of each group, in order; what cost no credits comes first."""
    groups: defaultdict[Group, MarginSums] = defaultdict(MarginSums)
    for row in rows:
        groups[tuple(getattr(row, dimension) for dimension in dimensions)].add(row)
    return dict(sorted(groups.items(), key=lambda item: [part or "" for part in item[0]]))


def sums_of(rows: Iterable[Earned]) -> MarginSums:
    """The sums of all rows."""
    sums = MarginSums()
    for row in rows:
        sums.add(row)
    return sums


def margin_row(dimensions: Sequence[str], group: Group, sums: MarginSums) -> margin_schemas.MarginRow:
    """One group's row."""
    return margin_schemas.MarginRow(**dict(zip(dimensions, group, strict=True)), **_members(sums))


def margin_totals(sums: MarginSums) -> margin_schemas.MarginTotals:
    """The sums of everything."""
    return margin_schemas.MarginTotals(**_members(sums))


def _members(sums: MarginSums) -> dict[str, Any]:
    whole = sums.whole
    return {
        "generations": whole.generations,
        "credits": credits_of(whole.millicredits),
        "credits_by_bucket": margin_schemas.CreditsByBucket(
            **{bucket.value: credits_of(sums.millicredits[bucket]) for bucket in Bucket}
        ),
        "revenue": money(whole.revenue),
        "revenue_by_bucket": margin_schemas.MoneyByBucket(
            **{bucket.value: money(sums.revenue[bucket]) for bucket in Bucket}
        ),
        "cost": money(whole.cost),
        "margin": money(whole.revenue - whole.cost),
        "assumed": money(whole.cost - whole.reported),
        "reported": money(whole.reported),
        "losses": money(whole.losses),
        "unknown": margin_schemas.UnknownOut(
            credits=credits_of(whole.unknown_millicredits), generations=whole.unknown_generations
        ),
        "drift": _drift(whole.compared, whole.beside),
    }


def _drift(reported: int, assumed: int) -> margin_schemas.DriftOut:
    off = reported - assumed
    return margin_schemas.DriftOut(
        reported=money(reported),
        assumed=money(assumed),
        percent=round(100 * off / assumed, 2) if assumed else None,
        flagged=abs(off) * 100 > assumed * DRIFT_MAX_PERCENT,
    )
