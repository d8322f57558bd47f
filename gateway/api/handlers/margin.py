"""Margin: what generations earned and cost by day, model, provider and bucket; as JSON, or as CSV on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.http.csv_answers import VARY, Rows, safe_cell, stream_csv, wants_csv
from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.ownership.own_usage import days_asked
from gateway.api.services import LEDGER, RATE_CARDS
from gateway.clock import now_ms
from gateway.ledger.margin_records import Earned
from gateway.schemas import margin as margin_schemas
from gateway.views.margin import Group, MarginSums, grouped_margin, margin_row, margin_totals, sums_of
from gateway.views.payments import CURRENCY

_ROWS_A_WRITE = 500
_MONEY = ("cost", "margin", "assumed", "reported", "losses")


async def get(request: web.Request) -> web.StreamResponse:
    """`GET /v1/ops/margin`: the days from `from` to `to`, inclusive."""
    query = read_query(request, margin_schemas.MarginQuery)
    timezone = request.app[RATE_CARDS].card.free.timezone
    days = _days(query, ZoneInfo(timezone))
    rows = [row for row in await request.app[LEDGER].margin(days=days) if _wanted(row, query)]
    dimensions = query.dimensions
    groups = grouped_margin(rows, dimensions)
    if wants_csv(request):
        lines = csv_rows(groups, dimensions, timezone)
        return await stream_csv(request, _batches(lines), f"margin-{days[0]}-{days[-1]}.csv")
    shape = margin_schemas.MarginOut(
        data=[margin_row(dimensions, group, sums) for group, sums in groups.items()],
        totals=margin_totals(sums_of(rows)),
        currency=CURRENCY,
        timezone=timezone,
        first_day=days[0],
        last_day=days[-1],
    )
    return answer(shape, headers=VARY)


def csv_rows(groups: Mapping[Group, MarginSums], dimensions: Sequence[str], timezone: str) -> Iterator[list[str]]:
    """A header and one row per group. Each row has currency and time zone: a saved file has no HTTP headers."""
    header: list[str] = []
    for group, sums in groups.items():
        cells = _cells(margin_row(dimensions, group, sums).model_dump(), dimensions)
        if not header:
            header = [*cells]
            yield [*header, "currency", "timezone"]
        yield [*cells.values(), CURRENCY, safe_cell(timezone)]
    if not header:
        empty = _cells(margin_totals(MarginSums()).model_dump(), ())
        yield [*dimensions, *empty, "currency", "timezone"]


def _cells(row: Mapping[str, Any], dimensions: Sequence[str]) -> dict[str, str]:
    """A row by its columns."""
    by_bucket = {
        f"{bucket}_{what}": _number(amount)
        for what in ("credits", "revenue")
        for bucket, amount in row[f"{what}_by_bucket"].items()
    }
    return {
        **{name: safe_cell(str(row[name] or "")) for name in dimensions},
        "generations": str(row["generations"]),
        "credits": _number(row["credits"]),
        "revenue": row["revenue"],
        **by_bucket,
        **{name: row[name] for name in _MONEY},
        "unknown_credits": _number(row["unknown"]["credits"]),
        "unknown_generations": str(row["unknown"]["generations"]),
        "drift_reported": row["drift"]["reported"],
        "drift_assumed": row["drift"]["assumed"],
        "drift_percent": "" if row["drift"]["percent"] is None else str(row["drift"]["percent"]),
        "drift_flagged": str(row["drift"]["flagged"]).lower(),
    }


def _number(amount: object) -> str:
    return f"{Decimal(str(amount)):f}"


async def _batches(rows: Iterator[list[str]]) -> AsyncIterator[Rows]:
    while batch := list(islice(rows, _ROWS_A_WRITE)):
        yield batch


def _days(query: margin_schemas.MarginQuery, zone: ZoneInfo) -> list[str]:
    """The requested days; InvalidRequest names the wrong parameter."""
    today = datetime.fromtimestamp(now_ms() // 1000, UTC).astimezone(zone).date()
    last = today if query.last is None else date.fromisoformat(query.last)
    return days_asked(query.first, last, what="margin")


def _wanted(row: Earned, query: margin_schemas.MarginQuery) -> bool:
    return query.model in (None, row.model) and query.provider in (None, row.provider)
