"""Usage: ended generations and their cost by day, tool, model, member, key and tag; as JSON, or as CSV on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.http.csv_answers import VARY, Rows, safe_cell, stream_csv, wants_csv
from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.ownership.own_usage import Groups, days_asked, grouped, today, usage_of
from gateway.api.ownership.target_account import TargetAccount, account_of, target_account
from gateway.api.services import RATE_CARDS
from gateway.errors import FieldProblem
from gateway.ledger.sums import Counts, UsageBy, Used
from gateway.schemas import usage as usage_schemas
from gateway.views.generations import credits_of

_ROWS_A_WRITE = 500
_NUMBERS = ("generations", "outputs", "credits", "failed", "refunded")


async def get(request: web.Request) -> web.StreamResponse:
    """`GET /v1/usage`: the days from `from` to `to`, inclusive."""
    query = read_query(request, usage_schemas.UsageQuery)
    timezone = request.app[RATE_CARDS].card.free.timezone
    target = target_account(request, query.account)
    target.whose(query.member)  # another's is no member that a member knows of
    days = await _days(request, query, target, ZoneInfo(timezone))
    dimensions = query.dimensions
    used = usage_of(request, target, days, _divided(query), query.tag)
    groups = await grouped((one async for one in used if _wanted(one, query)), dimensions)
    if wants_csv(request):
        rows = csv_rows(groups, dimensions, timezone)
        return await stream_csv(request, _batches(rows), f"usage-{days[0]}-{days[-1]}.csv")
    shape = usage_schemas.UsageOut(
        data=[
            usage_schemas.UsageRow(**dict(zip(dimensions, group, strict=True)), **_numbers(counts))
            for group, counts in groups.items()
        ],
        totals=usage_schemas.UsageTotals(**_numbers(sum(groups.values(), Counts()))),
        timezone=timezone,
        first_day=days[0],
        last_day=days[-1],
    )
    return answer(shape, headers=VARY)


def csv_rows(groups: Groups, dimensions: Sequence[str], timezone: str) -> Iterator[list[str]]:
    """A header and one row per group. Each row has the time zone: a saved file has no HTTP headers."""
    yield [*dimensions, *_NUMBERS, "timezone"]
    for group, counts in groups.items():
        numbers = _numbers(counts)
        counted = (f"{Decimal(numbers[name]):f}" for name in _NUMBERS)
        yield [*(safe_cell(part or "") for part in group), *counted, safe_cell(timezone)]


def _divided(query: usage_schemas.UsageQuery) -> UsageBy | None:
    """What the sums by tool and model are divided by; InvalidRequest if it is more than one thing."""
    if query.tag is None:
        return "key" if query.by_key else None
    if query.by_key:
        text = "cannot combine a tag with keys or members: usage is counted by either"
        raise InvalidRequest(f"`group_by` {text}.", fields=[FieldProblem("group_by", text)])
    return "tag"


async def _batches(rows: Iterator[list[str]]) -> AsyncIterator[Rows]:
    while batch := list(islice(rows, _ROWS_A_WRITE)):
        yield batch


async def _days(
    request: web.Request, query: usage_schemas.UsageQuery, target: TargetAccount, zone: ZoneInfo
) -> list[str]:
    """The requested days; InvalidRequest names the wrong parameter."""
    last = today(await account_of(request, target), zone) if query.last is None else date.fromisoformat(query.last)
    return days_asked(query.first, last, what="usage")


def _wanted(used: Used, query: usage_schemas.UsageQuery) -> bool:
    return (
        query.tool in (None, used.tool)
        and query.model in (None, used.model)
        and query.key in (None, used.key)
        and query.member in (None, used.member)
    )


def _numbers(counts: Counts) -> dict[str, Any]:
    """The counts for a response."""
    return {
        "generations": counts.generations,
        "outputs": counts.outputs,
        "credits": credits_of(counts.credits_millicredits),
        "failed": counts.failed,
        "refunded": credits_of(counts.refunded_millicredits),
    }
