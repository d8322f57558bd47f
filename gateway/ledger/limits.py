"""What a key or a member may spend in a period, and what was spent of it (R26). `lua/lib/limits.lua` has the checks.

Periods are those of the rate card's time zone, in account time; weeks begin on Mondays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.domain import LimitPeriod

_EPOCH = date(1970, 1, 1)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many millicredits in each period; what counts is what is held or committed of generations reserved in it."""

    millicredits: int
    period: LimitPeriod


@dataclass(frozen=True, slots=True)
class Counter:
    """What was held or committed of the generations reserved in the periods that `day` is in."""

    day: date
    by_period: Mapping[LimitPeriod, int]

    def used_millicredits(self, period: LimitPeriod, today: date) -> int:
        """What has been used of a period that `today` is in: nothing, if the counter is of an earlier one."""
        return self.by_period[period] if period_start(period, self.day) == period_start(period, today) else 0


@dataclass(frozen=True, slots=True)
class LimitReached:
    """`reserve`: the price is more than what is left of a limit (R26), and whose that is.

    `resets_at` is in account time; None: never.
    """

    whose: Literal["key", "member", "token"]
    limit: Limit
    used_millicredits: int
    resets_at: int | None


def encode_limit(limit: Limit) -> str:
    """`73500,daily`."""
    return f"{limit.millicredits},{limit.period}"


def decode_limit(text: str) -> Limit:
    """The reverse."""
    millicredits, period = text.split(",")
    return Limit(int(millicredits), LimitPeriod(period))


def decode_counter(text: str) -> Counter:
    """day,daily,weekly,monthly,never: the day as a number, from 1970."""
    day, *sums = map(int, text.split(","))
    return Counter(_EPOCH + timedelta(days=day), dict(zip(LimitPeriod, sums, strict=True)))


def limit_reached(
    whose: Literal["key", "member", "token"], millicredits: str, period: str, used: str, resets_at: str
) -> LimitReached:
    """What `reserve` replies."""
    limit = Limit(int(millicredits), LimitPeriod(period))
    return LimitReached(whose, limit, int(used), int(resets_at) if resets_at else None)


def today(now: int, timezone: str, known: tuple[int, int] | None) -> date:
    """The day at `now`, account time. `known` is the day the account counts on, and its end: it never goes back."""
    day, ends = known or (0, 0)
    counted = _EPOCH + timedelta(days=day)
    if now < ends:
        return counted
    return max(counted, (_START + now * _MILLISECOND).astimezone(ZoneInfo(timezone)).date())


def period_start(period: LimitPeriod, day: date) -> date:
    """The first day of the period that a day is in."""
    match period:
        case LimitPeriod.DAILY:
            return day
        case LimitPeriod.WEEKLY:
            return day - timedelta(days=day.weekday())
        case LimitPeriod.MONTHLY:
            return day.replace(day=1)
        case LimitPeriod.NEVER:
            return _EPOCH


def resets_at(period: LimitPeriod, day: date, timezone: str) -> int | None:
    """When the period of a day ends: the midnight that begins the next; None: never."""
    match period:
        case LimitPeriod.DAILY:
            after = day + timedelta(days=1)
        case LimitPeriod.WEEKLY:
            after = period_start(period, day) + timedelta(days=7)
        case LimitPeriod.MONTHLY:
            after = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        case LimitPeriod.NEVER:
            return None
    midnight = datetime.combine(after, time(), ZoneInfo(timezone))
    return (midnight.astimezone(UTC) - _START) // _MILLISECOND
