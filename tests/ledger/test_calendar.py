"""R1, R2: the Lua calendar against Python's own, over years, zones and thousands of anchors."""

from __future__ import annotations

import random
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.ledger.policy_of_card import zone_changes
from gateway.ledger.scripts import SCRIPTS
from gateway.redis_link.connections import connect_ledger
from tests.ledger.world import DAY, HOUR, MINUTE, utc

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe")
NOW = utc("2026-11-22 12:00")
MILLISECONDS = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def ask(redis_url: str, asking: str, *arguments: object) -> list[int]:
    """Run a few lines of Lua with `calendar` and `zones` at hand; their replies as integers."""
    libraries = SCRIPTS.compose('--- @include "lib/amounts" "lib/calendar" "lib/zones"\n' + asking).removesuffix(asking)
    redis: Any = connect_ledger(redis_url)
    try:
        answer = await redis.eval(f"#!lua\n{libraries}\n{asking}", 1, "{fb00}:account:x", *map(str, arguments))
    finally:
        await redis.aclose()
    return [int(item) for item in answer]


def moment(at: datetime) -> int:
    return (at - EPOCH) // MILLISECONDS


def reset_on(day: date, reset: time, zone: ZoneInfo) -> int:
    """When the day's reset is: what Python says of that wall-clock time."""
    return moment(datetime.combine(day, reset, zone).astimezone(UTC))


def resets_around(moments: Sequence[int], reset: time, zone: ZoneInfo) -> list[int]:
    """Every reset from three days before the first moment to three days after the last."""
    first, last = ((EPOCH + at * MILLISECONDS).astimezone(zone).date() for at in (min(moments), max(moments)))
    return sorted({reset_on(first + timedelta(days=day), reset, zone) for day in range(-3, (last - first).days + 4)})


def last_and_next(resets: Sequence[int], at: int) -> tuple[int, int]:
    """The last reset at or before `at`, and the next one."""
    upcoming = bisect_right(resets, at)
    return resets[upcoming - 1], resets[upcoming]


RESETS = """
local reply = {}
for index = 3, #ARGV do
  local last, upcoming = zones.resets(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[index]))
  reply[#reply + 1], reply[#reply + 2] = amounts.text(last), amounts.text(upcoming)
end
return reply
"""


@pytest.mark.parametrize("reset", [time(0, 0), time(2, 30), time(23, 45)], ids=str)
@pytest.mark.parametrize("name", ZONES)
async def test_r1_resets_are_where_the_zone_has_them_for_years(redis_url: str, name: str, reset: time) -> None:
    """Every six hours of three years, and every quarter of an hour around each change of the zone."""
    zone = ZoneInfo(name)
    changes = list(zone_changes(name, NOW))
    moments = [NOW + hours * HOUR for hours in range(-24 * 364, 24 * 365 * 2, 6)]
    for at, _ in changes[1:8]:
        moments += [at + minutes * MINUTE + shift for minutes in range(-1500, 1500, 15) for shift in (-1, 0)]
    text = ";".join(f"{at},{offset}" for at, offset in changes)
    reset_ms = (reset.hour * 60 + reset.minute) * MINUTE
    answers: list[int] = []
    for start in range(0, len(moments), 2000):
        answers += await ask(redis_url, RESETS, text, reset_ms, *moments[start : start + 2000])
    found, resets = list(zip(answers[::2], answers[1::2], strict=True)), resets_around(moments, reset, zone)
    for at, answer in zip(moments, found, strict=True):
        assert answer == last_and_next(resets, at), (name, reset, EPOCH + at * MILLISECONDS)


async def test_r1_a_day_that_a_zone_skips_has_no_reset_of_its_own(redis_url: str) -> None:
    """Pacific/Apia had no 30 December 2011."""
    around = utc("2011-12-30 10:00")
    text = ";".join(f"{at},{offset}" for at, offset in zone_changes("Pacific/Apia", around))
    zone = ZoneInfo("Pacific/Apia")
    moments = [around + minutes * MINUTE for minutes in range(-3000, 3000, 15)]
    answers, resets = await ask(redis_url, RESETS, text, 0, *moments), resets_around(moments, time(0, 0), zone)
    for at, last, upcoming in zip(moments, answers[::2], answers[1::2], strict=True):
        assert (last, upcoming) == last_and_next(resets, at)


DAYS = """
local reply = {}
for index = 2, #ARGV do reply[index - 1] = string.gsub(zones.day(ARGV[1], tonumber(ARGV[index])), "-", "") end
return reply
"""


@pytest.mark.parametrize("name", ZONES)
async def test_usage_days_are_days_of_the_zone(redis_url: str, name: str) -> None:
    zone = ZoneInfo(name)
    text = ";".join(f"{at},{offset}" for at, offset in zone_changes(name, NOW))
    moments = [NOW + hours * HOUR for hours in range(0, 24 * 365, 5)]
    answers = await ask(redis_url, DAYS, text, *moments)
    expected = [int((EPOCH + at * MILLISECONDS).astimezone(zone).strftime("%Y%m%d")) for at in moments]
    assert answers == expected


MONTHS = """
local reply = {}
for index = 1, #ARGV, 3 do
  local anchor, months, now = tonumber(ARGV[index]), tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  reply[#reply + 1] = amounts.text(calendar.add_months(anchor, months))
  reply[#reply + 1] = amounts.text(calendar.cycle(anchor, now))
end
return reply
"""


def anniversary(anchor: int, months: int) -> int:
    """The same day of the month and time of day, or the month's last day (R2)."""
    start = EPOCH + anchor * MILLISECONDS
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return moment(start.replace(year=year, month=month + 1, day=day))


def cycle(anchor: int, now: int) -> int:
    """How many anniversaries have passed, counted one by one from before."""
    index = (now - anchor) // (31 * DAY) - 1
    while anniversary(anchor, index + 1) <= now:
        index += 1
    return index


async def test_r2_months_are_those_of_pythons_calendar(redis_url: str) -> None:
    """Thousands of random anchors, among them every last day of a month, and moments at and beside anniversaries."""
    chance = random.Random(31)
    asked: list[tuple[int, int, int]] = []
    for _ in range(4000):
        anchor = chance.randrange(utc("1970-01-01 00:00"), utc("2150-01-01 00:00"))
        if chance.random() < 0.5:
            start = EPOCH + anchor * MILLISECONDS
            last = monthrange(start.year, start.month)[1]
            anchor = moment(start.replace(day=max(last - chance.randrange(4), 1)))
        months = chance.randrange(600)
        beside = anniversary(anchor, chance.randrange(600)) + chance.choice((-1, 0, 1, chance.randrange(40 * DAY)))
        asked.append((anchor, months, max(beside, anchor)))
    answers: list[int] = []
    for start_at in range(0, len(asked), 1000):
        flat = [value for triple in asked[start_at : start_at + 1000] for value in triple]
        answers += await ask(redis_url, MONTHS, *flat)
    for (anchor, months, now), added, counted in zip(asked, answers[::2], answers[1::2], strict=True):
        assert added == anniversary(anchor, months), (anchor, months)
        assert counted == cycle(anchor, now), (anchor, now)


SHARES = """
local reply = {}
for index = 1, #ARGV, 3 do
  local total, part, whole = tonumber(ARGV[index]), tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  reply[#reply + 1] = amounts.text(amounts.share(total, part, whole))
end
return reply
"""


async def test_r9_shares_are_exact_up_to_the_largest_amount(redis_url: str) -> None:
    chance = random.Random(9)
    asked = []
    for _ in range(3000):
        whole = chance.randrange(1, 1000)
        asked.append((chance.choice((chance.randrange(10**13 * 9 // 10), 9 * 10**12 - chance.randrange(50))),
                      chance.randrange(whole + 1), whole))  # fmt: skip
    answers = []
    for start in range(0, len(asked), 1000):
        answers += await ask(redis_url, SHARES, *[value for triple in asked[start : start + 1000] for value in triple])
    assert answers == [total * part // whole for total, part, whole in asked]
