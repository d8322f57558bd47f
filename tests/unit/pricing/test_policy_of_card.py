"""What the ledger's scripts get of the rate card: integers, and the zone as instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.policy import PlanTerms, Terms
from gateway.ledger.policy_of_card import policy_of, terms_of, zone_changes
from gateway.pricing.card import RateCard
from gateway.pricing.load import read_card

NOW_MS = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * 1000
HOUR_MS = 3_600_000
YEAR_MS = 366 * 24 * HOUR_MS


def at(*moment: int) -> int:
    year, month, day, hour = moment
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def test_utc_never_changes() -> None:
    assert list(zone_changes("UTC", NOW_MS)) == [(NOW_MS - YEAR_MS, 0)]


def test_berlin_changes_at_one_in_the_morning_utc() -> None:
    changes = list(zone_changes("Europe/Berlin", NOW_MS))
    assert changes[:4] == [
        (NOW_MS - YEAR_MS, HOUR_MS),
        (at(2026, 3, 29, 1), 2 * HOUR_MS),
        (at(2026, 10, 25, 1), HOUR_MS),
        (at(2027, 3, 28, 1), 2 * HOUR_MS),
    ]
    assert changes[-1][0] == at(2036, 10, 26, 1), "ten years ahead"


def test_an_offset_of_quarter_hours_is_kept() -> None:
    assert next(zone_changes("Asia/Kathmandu", NOW_MS))[1] == 5 * HOUR_MS + 45 * 60_000


@given(
    zone=st.sampled_from(
        ["America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Tokyo", "Europe/Dublin"]
    ),
    seconds=st.integers(-366 * 86_400, 3653 * 86_400),
)
def test_the_changes_give_the_offset_of_every_instant(zone: str, seconds: int) -> None:
    instant = NOW_MS // 1000 + seconds
    offset_ms = [offset for since, offset in zone_changes(zone, NOW_MS) if since <= instant * 1000][-1]
    assert timedelta(milliseconds=offset_ms) == datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()


def test_a_policy_has_the_terms_of_every_plan(default_card: RateCard) -> None:
    policy = policy_of(default_card, now_ms=NOW_MS)
    assert (policy.version, policy.file_time_ms) == (default_card.version, default_card.file_time_ms)
    assert (policy.daily_millicredits, policy.free_for_everyone, policy.reset_ms) == (100_000, True, 0)
    assert (policy.refund_grace_ms, policy.keep_upgrade_leftover) == (24 * HOUR_MS, True)
    assert policy.free == PlanTerms(concurrency={"image": 2, "video": 1, "audio": 1, "text": 2}, max_waiting=20)
    assert policy.plans.keys() == {"basic", "standard", "ultimate", "creator"}
    assert policy.plans["standard"] == PlanTerms(
        monthly_millicredits=8_000_000,
        price_cents={1: 3_000, 3: 7_650, 12: 25_200},
        concurrency={"image": 8, "video": 3, "audio": 3, "text": 8},
        max_waiting=200,
        head_start_ms=600_000,
    )


def test_a_policy_follows_what_the_card_says_otherwise() -> None:
    card = read_card(b"""
[free]
daily_credits = 7.5
for = "without_subscription"
reset_time = "05:30"
timezone = "Asia/Kolkata"
allow = { video = { audio = false } }
output_days = 7
[refunds]
grace = "36h"
[subscriptions]
upgrade_leftover = "drop"
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
[models.clip.settings]
audio = { values = [false, true] }
[[models.clip.rates]]
credits = 1
""")
    policy = policy_of(card, now_ms=NOW_MS)
    assert (policy.daily_millicredits, policy.free_for_everyone) == (7_500, False)
    assert (policy.reset_ms, policy.timezone) == (5 * HOUR_MS + 30 * 60_000, "Asia/Kolkata")
    assert policy.zone_changes == ((NOW_MS - YEAR_MS, 5 * HOUR_MS + 30 * 60_000),)
    assert (policy.refund_grace_ms, policy.keep_upgrade_leftover) == (36 * HOUR_MS, False)
    assert policy.free.allow == {"video": {"audio": (False,)}}
    assert policy.free.outputs_kept_ms == 7 * 24 * HOUR_MS


@pytest.mark.parametrize(("tool", "provider_timeout_ms"), [("image", 600_000), ("video", 45 * 60_000)])
def test_a_tools_terms_are_in_milliseconds(default_card: RateCard, tool: str, provider_timeout_ms: int) -> None:
    assert terms_of(default_card, tool) == Terms(
        queue_timeout_ms=HOUR_MS,
        provider_timeout_ms=provider_timeout_ms,
        waiting_timeout_ms=24 * HOUR_MS,
        attempts_max=3,
    )
