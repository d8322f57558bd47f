"""An account's usage by day, tool, model, member, key and tag, for every call that sums it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import Forbidden, InvalidRequest
from gateway.api.ownership.target_account import TargetAccount
from gateway.api.services import LEDGER
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.sums import USAGE_DAYS_AT_ONCE, Counts, UsageBy, Used
from gateway.schemas.usage import TAG

DEFAULT_DAYS = 30
DAYS_MAX = 400  # the retention of usage: thirteen months and some days
GROUPS_MAX = 50_000

Groups = Mapping[tuple[str | None, ...], Counts]


async def usage_of(
    request: web.Request, target: TargetAccount, days: Sequence[str], by: UsageBy | None = None, tag: str | None = None
) -> AsyncIterator[Used]:
    """An account's usage on these days, on request divided by key and member, or by a tag.

    A member's, if that is all that the caller may see; Forbidden by a tag, whose sums are of everybody.
    """
    if target.only_of is not None:
        if by == "tag":
            raise Forbidden("Only an admin or the owner of this account may see usage by tag. Your role is member.")
        by = "key"
    at_once = USAGE_DAYS_AT_ONCE if by else len(days)
    for first in range(0, len(days), at_once):
        part = days[first : first + at_once]
        outcome = await request.app[LEDGER].usage(
            account=target.account, keys_version=target.keys_version, days=part, by=by, tag=tag
        )
        for used in found(outcome, target.missing):
            if target.only_of in {None, used.member}:
                yield used


def today(account: outcomes.Account, zone: ZoneInfo) -> date:
    """The account's day: its clock may be ahead (R22)."""
    return datetime.fromtimestamp(account.now // 1000, UTC).astimezone(zone).date()


def days_until(last: date, count: int) -> list[str]:
    """This many days up to the last one, inclusive, oldest first."""
    return [(last - timedelta(days=back)).isoformat() for back in reversed(range(count))]


def days_asked(first: str | None, last: date, *, what: str) -> list[str]:
    """The days from `first` to the last one, inclusive; InvalidRequest names the parameter `from`. `what` is kept."""
    if first is None:
        return days_until(last, DEFAULT_DAYS)
    count = (last - date.fromisoformat(first)).days + 1
    if 1 <= count <= DAYS_MAX:
        return days_until(last, count)
    text = f"must not be after the last day, {last}"
    if count > DAYS_MAX:
        text = f"must be at most {DAYS_MAX} days before the last day, {last}: {what} is kept for 13 months"
    raise InvalidRequest(f"Invalid date range: `from` {text}.", fields=[FieldProblem("from", text)])


async def grouped(used: AsyncIterable[Used], dimensions: Sequence[str]) -> Groups:
    """The sums of each group, in order; what has no key, member or tag comes first. InvalidRequest: too many."""
    attributes = ["tag" if dimension.startswith(TAG) else dimension for dimension in dimensions]
    groups: dict[tuple[str | None, ...], Counts] = {}
    async for one in used:
        group = tuple(getattr(one, attribute) for attribute in attributes)
        groups[group] = groups.get(group, Counts()) + one.counts
        if len(groups) > GROUPS_MAX:
            text = f"gives more than {GROUPS_MAX:,} rows: choose a shorter period or fewer dimensions"
            raise InvalidRequest(f"`group_by` {text}.", fields=[FieldProblem("group_by", text)])
    return dict(sorted(groups.items(), key=lambda item: [part or "" for part in item[0]]))
