"""Derives from the rate card what the ledger's scripts need: the policy, and a tool's terms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.domain import Interval
from gateway.ledger.policy import PlanTerms, Policy, Terms
from gateway.pricing.card import Free, Plan, RateCard

_MONTHS = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}
_DAY_SECONDS = 86_400
_DAY_MS = 86_400_000
_PAST_SECONDS = 366 * _DAY_SECONDS  # a leap year back: usage days and late refunds go back to yesterday at most
_FUTURE_SECONDS = 3653 * _DAY_SECONDS  # ten years ahead: enough for test clocks, and longer than any gateway runs


def policy_of(card: RateCard, *, now_ms: int | None = None) -> Policy:
    """The policy of a card. `now_ms` (default: this machine's) only decides which years of the time zone to include."""
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return Policy(
        version=card.version,
        file_time_ms=card.file_time_ms,
        timezone=card.free.timezone,
        zone_changes=tuple(zone_changes(card.free.timezone, now_ms)),
        reset_ms=card.free.reset_ms,
        daily_millicredits=card.free.daily_millicredits,
        free_for_everyone=card.free.for_everyone,
        free_for_verified=card.free.for_verified,
        refund_grace_ms=card.refunds.grace_ms,
        keep_upgrade_leftover=card.subscriptions.upgrade_leftover == "keep",
        spent_is_owed=card.payments.spent == "debt",
        keep_archived_ms=_days_ms(card.archive.keep_days),
        free=_free_terms(card.free),
        plans={plan_id: _plan_terms(plan) for plan_id, plan in card.plans.items()},
    )


def terms_of(card: RateCard, tool: str) -> Terms:
    """A tool's limits, to be copied into a generation at `reserve`."""
    found = card.tools[tool]
    return Terms(
        queue_timeout_ms=found.queue_timeout_ms,
        provider_timeout_ms=found.provider_timeout_ms,
        waiting_timeout_ms=found.waiting_timeout_ms,
        attempts_max=found.attempts_max,
    )


def zone_changes(timezone: str, now_ms: int) -> Iterator[tuple[int, int]]:
    """(instant ms, offset ms from then on), the first a year before `now_ms`, the last within ten years after.

    Compares offsets day by day, since no zone changes twice within one, and finds the second of each change by
    bisection.
    """
    zone = ZoneInfo(timezone)
    start = now_ms // 1000 - _PAST_SECONDS
    offset_ms = _offset_ms(zone, start)
    yield start * 1000, offset_ms
    for day in range(start, start + _PAST_SECONDS + _FUTURE_SECONDS, _DAY_SECONDS):
        next_ms = _offset_ms(zone, day + _DAY_SECONDS)
        if next_ms != offset_ms:
            yield _change_between(zone, day, day + _DAY_SECONDS) * 1000, next_ms
            offset_ms = next_ms


def _change_between(zone: ZoneInfo, before: int, after: int) -> int:
    """The first second with the same offset as `after`, by bisection."""
    wanted = _offset_ms(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_ms(zone, middle) == wanted:
            after = middle
        else:
            before = middle
    return after


def _offset_ms(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset() or timedelta(0)
    return offset // timedelta(milliseconds=1)


def _free_terms(free: Free) -> PlanTerms:
    return PlanTerms(
        concurrency=free.concurrency,
        max_waiting=free.max_waiting,
        seats=free.seats,
        outputs_kept_ms=_days_ms(free.output_days),
        allow=free.allow,
    )


def _plan_terms(plan: Plan) -> PlanTerms:
    return PlanTerms(
        monthly_millicredits=plan.monthly_millicredits,
        price_cents=_prices(plan),
        concurrency=plan.concurrency,
        max_waiting=plan.max_waiting,
        seats=plan.seats,
        outputs_kept_ms=_days_ms(plan.output_days),
        head_start_ms=plan.head_start_ms,
        allow=plan.allow,
    )


def _days_ms(days: int | None) -> int | None:
    return None if days is None else days * _DAY_MS


def _prices(plan: Plan) -> dict[int, int]:
    """Months → price in cents; a card's prices have at most two decimals."""
    prices = ((months, plan.price.of(interval)) for interval, months in _MONTHS.items())
    return {months: int(price * 100) for months, price in prices if price is not None}
