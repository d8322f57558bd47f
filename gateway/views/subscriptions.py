"""An account's subscription as shown to callers: its current state, and what happens next automatically."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from typing import Literal

from gateway.domain import Interval
from gateway.ledger import outcomes
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.schemas import purchases as purchase_schemas
from gateway.schemas.base import to_milliseconds, utc
from gateway.schemas.credits import ScheduledChange
from gateway.views.generations import credits_of

CURRENCY = "USD"
_MONTHS = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}
_YEAR = 12


def subscription_shape(
    account: outcomes.Account, card: RateCard, *, changeable: bool
) -> purchase_schemas.SubscriptionOut:
    """The subscription; `free` without one. `changeable`: the account may cancel and resume it itself."""
    own = account.subscription
    if own is None:
        return purchase_schemas.SubscriptionOut(
            object="subscription",
            account=account.id,
            plan=FREE_PLAN,
            name="Free",
            status="none",
            interval=None,
            price=None,
            currency=CURRENCY,
            monthly_credits=credits_of(0),
            started_at=None,
            refreshes_at=None,
            paid_through=None,
            renews_at=None,
            cancel_at_period_end=False,
            ends_at=None,
            scheduled=None,
            payment_provider=None,
            changeable=False,
        )
    plan = card.plans.get(own.plan)
    ends_at = _ends_at(own)
    return purchase_schemas.SubscriptionOut(
        object="subscription",
        account=account.id,
        plan=own.plan,
        name=own.plan if plan is None else plan.name,
        status=_status(own, account.now),
        interval=own.interval,
        price=None if plan is None else plan.price.of(own.interval),
        currency=CURRENCY,
        monthly_credits=credits_of(account.monthly_millicredits),
        started_at=utc(own.started_at),
        refreshes_at=None if ends_at is not None and ends_at <= own.refreshes_at else utc(own.refreshes_at),
        paid_through=utc(own.paid_through),
        renews_at=None if ends_at is not None else utc(own.paid_through or _period_end(own)),
        cancel_at_period_end=own.cancelled_to is not None,
        ends_at=utc(ends_at),
        scheduled=_scheduled(own),
        payment_provider=None if own.billing is None else "stripe",
        changeable=changeable,
    )


def _status(own: outcomes.Subscription, now: int) -> Literal["active", "past_due", "cancelled"]:
    if own.cancelled_to is not None:
        return "cancelled"
    return "past_due" if own.paid_through is not None and own.paid_through <= now else "active"


def _ends_at(own: outcomes.Subscription) -> int | None:
    """When it will end; None if a payment provider renews it, or if it has no end."""
    if own.cancelled_to is not None:
        return min(own.cancelled_to, own.paid_through or own.cancelled_to)
    return None if own.billing is not None else own.paid_through


def _period_end(own: outcomes.Subscription) -> int:
    """The end of the current interval, counted from its start, as `cycles.period_end` computes it (R2)."""
    start, cycle = _date(own.started_at), _date(own.cycle_started_at)
    begun = (cycle.year - start.year) * _YEAR + cycle.month - start.month
    months = _MONTHS[own.interval]
    index = start.year * _YEAR + start.month - 1 + (begun // months + 1) * months
    year, month = index // _YEAR, index % _YEAR + 1
    return to_milliseconds(start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1])))


def _date(at: int) -> datetime:
    return datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000)


def _scheduled(own: outcomes.Subscription) -> ScheduledChange | None:
    if own.scheduled_plan is None:
        return None
    return ScheduledChange(plan=own.scheduled_plan, interval=own.scheduled_interval, at=utc(own.scheduled_at))
