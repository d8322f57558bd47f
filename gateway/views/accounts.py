"""An account as shown to callers: its balance, plan and keys; for operators, all of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

from gateway.domain import Bucket, LimitPeriod
from gateway.ledger import outcomes
from gateway.ledger.key_records import AccountKey, KeyBounds
from gateway.ledger.limits import Limit, resets_at, today
from gateway.ledger.member_records import Member
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.discounts import decode_factors
from gateway.schemas import accounts
from gateway.schemas import credits as credit_schemas
from gateway.schemas.base import utc
from gateway.schemas.limits import LimitOut, Spending
from gateway.schemas.members import MemberOut, MembersOut, MemberSpending
from gateway.views.generations import credits_of
from gateway.views.pauses import pause_state

_THOUSANDTHS = 1000


def balance_shape(account: outcomes.Account) -> credit_schemas.Balance:
    """The account's credits, by bucket and by grant."""
    available = account.available_millicredits
    subscription = account.subscription
    return credit_schemas.Balance(
        available=credits_of(sum(available.values())),
        held=credits_of(sum(account.held_millicredits.values())),
        buckets=credit_schemas.Buckets(
            free=credit_schemas.FreeBucket(
                available=credits_of(available.get(Bucket.FREE, 0)), resets_at=utc(account.free_resets_at)
            ),
            subscription=credit_schemas.SubscriptionBucket(
                available=credits_of(available.get(Bucket.SUBSCRIPTION, 0)),
                of=credits_of(account.monthly_millicredits if subscription is not None else 0),
                refreshes_at=None if subscription is None else utc(subscription.refreshes_at),
            ),
            top_up=credit_schemas.TopUpBucket(available=credits_of(available.get(Bucket.TOP_UP, 0))),
        ),
        grants=[_grant_shape(grant) for grant in account.grants],
        plan=plan_shape(subscription),
        top_up_allowed=subscription is not None,
        debt=credits_of(account.debt_millicredits),
        **({"clock_offset_seconds": account.clock_offset_ms // 1000} if account.test else {}),
    )


def alerts_shape(account: outcomes.Account) -> credit_schemas.AlertsOut:
    """The account's low-credit alerts, with what they are reckoned from."""
    return credit_schemas.AlertsOut(
        **_alerts(account),
        of=None if account.subscription is None else credits_of(account.monthly_millicredits),
        available=credits_of(sum(account.available_millicredits.values())),
    )


def _alerts(account: outcomes.Account) -> dict[str, list[Decimal]]:
    thousandths = {"thresholds": account.alerts_thousandths, "reached": account.alerted_thousandths}
    return {name: [Decimal(part) / _THOUSANDTHS for part in parts] for name, parts in thousandths.items()}


def plan_shape(subscription: outcomes.Subscription | None) -> credit_schemas.AccountPlan:
    """The account's plan; `free` without a subscription."""
    if subscription is None:
        return credit_schemas.AccountPlan(id=FREE_PLAN, status="none", interval=None, paid_through=None, scheduled=None)
    scheduled = None
    if subscription.scheduled_plan is not None:
        scheduled = credit_schemas.ScheduledChange(
            plan=subscription.scheduled_plan,
            interval=subscription.scheduled_interval,
            at=utc(subscription.scheduled_at),
        )
    status: Literal["active", "cancelled"] = "active" if subscription.cancelled_to is None else "cancelled"
    return credit_schemas.AccountPlan(
        id=subscription.plan,
        status=status,
        interval=subscription.interval,
        paid_through=utc(subscription.paid_through if subscription.cancelled_to is None else subscription.cancelled_to),
        scheduled=scheduled,
    )


def _grant_shape(grant: outcomes.Grant) -> credit_schemas.GrantOut:
    return credit_schemas.GrantOut(
        id=grant.id,
        bucket=grant.bucket,
        kind=grant.kind,
        available=credits_of(grant.available_millicredits),
        held=credits_of(grant.held_millicredits),
        granted=credits_of(grant.granted_millicredits),
        expires_at=utc(grant.expires_at),
        created_at=utc(grant.created_at),
    )


def account_shape(account: outcomes.Account, **recent: Any) -> accounts.AccountOut:
    """An account as operators see it; `recent` adds its last entries and generations."""
    return accounts.AccountOut(
        id=account.id,
        object="account",
        email=account.email,
        metadata=dict(account.metadata),
        erased_at=utc(account.erased_at),
        free_credits=account.free_credits,
        test=account.test,
        created_at=utc(account.created_at),
        clock=accounts.Clock(now=utc(account.now), offset_seconds=account.clock_offset_ms // 1000),
        balance=balance_shape(account),
        subscription_started_at=utc(account.subscription.started_at if account.subscription else None),
        alerts=credit_schemas.Alerts(**_alerts(account)),
        factors=dict(decode_factors(account.priced_for.factors)),
        paused=None if account.pause is None else pause_state(account.pause),
        in_work=dict(account.in_work),
        waiting=dict(account.waiting),
        keys=[key_shape(key) for key in account.keys],
        members=[member_shape(member) for member in account.members],
        **recent,
    )


def key_shape(key: AccountKey) -> accounts.KeyOut:
    """A key's public data, never the key itself."""
    return accounts.KeyOut(
        id=key.id,
        scope=key.scope,
        label=key.label,
        created_at=utc(key.created_at),
        last_used_at=utc(key.last_used_at),
        member=key.member,
        limit=None if key.limit is None else limit_shape(key.limit),
        networks=_listed(key.bounds.networks),
        **_bounds(key.bounds),
    )


def _bounds(bounds: KeyBounds) -> dict[str, Any]:
    return {
        "tools": _listed(bounds.tools),
        "models": _listed(bounds.models),
        "expires_at": utc(bounds.expires_at),
    }


def _listed(values: Iterable[object] | None) -> list[str] | None:
    return None if values is None else [str(value) for value in values]


def own_key_shape(
    account: outcomes.Account, key: AccountKey, timezone: str, requests_per_minute: int | None
) -> accounts.OwnKeyOut:
    """A key as its holder sees it: what it may do, and what it has spent (R27)."""
    member = next((member for member in account.members if member.id == key.member), None)
    return accounts.OwnKeyOut(
        id=key.id,
        label=key.label,
        account=account.id,
        member=key.member,
        role=None if member is None else member.role,
        member_limit=None if member is None else Spending(**spending(account, member, timezone)),
        rate_limit=None if requests_per_minute is None else accounts.KeyRate(requests_per_minute=requests_per_minute),
        **spending(account, key, timezone),
        **_bounds(key.bounds),
    )


def member_shape(member: Member) -> MemberOut:
    """A member's public data."""
    return MemberOut(**_member(member))


def members_shape(account: outcomes.Account, card: RateCard) -> MembersOut:
    """An account's members with what they have spent, and the seats of its plan."""
    timezone, subscription = card.free.timezone, account.subscription
    plan = card.free if subscription is None else card.plans.get(subscription.plan)
    return MembersOut(
        data=[MemberSpending(**_member(one) | spending(account, one, timezone)) for one in account.members],
        seats=None if plan is None else plan.seats,
        seats_used=sum(one.removed_at is None for one in account.members),
    )


def _member(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "object": "member",
        "name": member.name,
        "email": member.email,
        "role": member.role,
        "created_at": utc(member.created_at),
        "removed_at": utc(member.removed_at),
        "limit": None if member.limit is None else limit_shape(member.limit),
    }


def spending(account: outcomes.Account, who: AccountKey | Member, timezone: str) -> dict[str, Any]:
    """The members of `Spending`: what a key or a member has spent, and what is left of the limit."""
    day, limit = today(account.now, timezone, account.day), who.limit
    used = {period: 0 if who.counter is None else who.counter.used_millicredits(period, day) for period in LimitPeriod}
    return {
        "limit": None if limit is None else limit_shape(limit),
        "limit_remaining": None if limit is None else credits_of(max(0, limit.millicredits - used[limit.period])),
        "limit_reset": None if limit is None else utc(resets_at(limit.period, day, timezone)),
        "usage": credits_of(used[LimitPeriod.NEVER]),
        "usage_daily": credits_of(used[LimitPeriod.DAILY]),
        "usage_weekly": credits_of(used[LimitPeriod.WEEKLY]),
        "usage_monthly": credits_of(used[LimitPeriod.MONTHLY]),
    }


def limit_shape(limit: Limit) -> LimitOut:
    """A limit as shown to callers."""
    return LimitOut(credits=credits_of(limit.millicredits), period=limit.period)
