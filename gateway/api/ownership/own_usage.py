"""An account's usage by day, tool and model, for every call that sums it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.ownership.target_account import TargetAccount
from gateway.api.services import LEDGER
from gateway.ledger import outcomes
from gateway.ledger.sums import Counts, Used

DEFAULT_DAYS = 30


Groups = Mapping[tuple[str, ...], Counts]


async def usage_of(request: web.Request, target: TargetAccount, days: Sequence[str]) -> tuple[Used, ...]:
    """An account's usage on these days."""
    return found(
        await request.app[LEDGER].usage(account=target.account, keys_version=target.keys_version, days=days),
        target.missing,
    )


def today(account: outcomes.Account, zone: ZoneInfo) -> date:
    """The account's day: its clock may be ahead (R22)."""
    return datetime.fromtimestamp(account.now // 1000, UTC).astimezone(zone).date()


def days_until(last: date, count: int) -> list[str]:
    """This many days up to the last one, inclusive, oldest first."""
    return [(last - timedelta(days=back)).isoformat() for back in reversed(range(count))]


def grouped(used: Iterable[Used], dimensions: Sequence[str]) -> Groups:
    """The sums of each group, by day, tool and model."""
    groups: dict[tuple[str, ...], Counts] = {}
    for one in used:
        group = tuple(str(getattr(one, dimension)) for dimension in dimensions)
        groups[group] = groups.get(group, Counts()) + one.counts
    return dict(sorted(groups.items()))
