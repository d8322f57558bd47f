"""Balance and journal: reading either first rolls the account forward (R19)."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from gateway.api.auth import found
from gateway.api.parse import read_query
from gateway.api.respond import answer
from gateway.api.services import LEDGER
from gateway.api.whose import Whose, own, whose
from gateway.domain import Bucket
from gateway.ledger import outcomes as o
from gateway.pricing.card import FREE_PLAN
from gateway.schemas import credits as s
from gateway.schemas.base import OfAccount, utc, utc_or_none
from gateway.shapes import credits_of, entry_shape


async def balance(request: web.Request) -> web.Response:
    """`GET /v1/balance`."""
    return answer(balance_shape(await account_of(request, whose(request, read_query(request, OfAccount).account))))


async def journal(request: web.Request) -> web.Response:
    """`GET /v1/journal`: newest first."""
    query = read_query(request, s.JournalQuery)
    of = whose(request, query.account)
    page = found(
        await request.app[LEDGER].journal(
            account=of.account, keys_version=of.keys_version, limit=query.limit, before=query.before
        ),
        of.missing,
    )
    return answer(s.JournalOut(data=[entry_shape(entry) for entry in page.data], next=page.next))


async def own_account(request: web.Request) -> o.Account:
    """The caller's account, rolled forward to now."""
    return await account_of(request, own(request))


async def account_of(request: web.Request, of: Whose) -> o.Account:
    """The account that a read is for, rolled forward to now."""
    return found(await request.app[LEDGER].account(account=of.account, keys_version=of.keys_version), of.missing)


def balance_shape(account: o.Account) -> s.Balance:
    """What the account has, by bucket and by grant."""
    available = account.available_millicredits
    subscription = account.subscription
    return s.Balance(
        available=credits_of(sum(available.values())),
        held=credits_of(sum(account.held_millicredits.values())),
        buckets=s.Buckets(
            free=s.FreeBucket(
                available=credits_of(available.get(Bucket.FREE, 0)), resets_at=utc(account.free_resets_at)
            ),
            subscription=s.SubscriptionBucket(
                available=credits_of(available.get(Bucket.SUBSCRIPTION, 0)),
                of=credits_of(account.monthly_millicredits if subscription is not None else 0),
                refreshes_at=None if subscription is None else utc(subscription.refreshes_at),
            ),
            top_up=s.TopUpBucket(available=credits_of(available.get(Bucket.TOP_UP, 0))),
        ),
        grants=[_grant_shape(grant) for grant in account.grants],
        plan=plan_shape(subscription),
        top_up_allowed=subscription is not None,
        debt=credits_of(account.debt_millicredits),
    )


def plan_shape(subscription: o.Subscription | None) -> s.AccountPlan:
    """The account's plan; `free` without a subscription."""
    if subscription is None:
        return s.AccountPlan(id=FREE_PLAN, status="none", interval=None, paid_through=None, scheduled=None)
    scheduled = None
    if subscription.scheduled_plan is not None:
        scheduled = s.ScheduledChange(
            plan=subscription.scheduled_plan,
            interval=subscription.scheduled_interval,
            at=utc_or_none(subscription.scheduled_at),
        )
    status: Literal["active", "cancelled"] = "active" if subscription.cancelled_to is None else "cancelled"
    return s.AccountPlan(
        id=subscription.plan,
        status=status,
        interval=subscription.interval,
        paid_through=utc_or_none(
            subscription.paid_through if subscription.cancelled_to is None else subscription.cancelled_to
        ),
        scheduled=scheduled,
    )


def _grant_shape(grant: o.Grant) -> s.GrantOut:
    return s.GrantOut(
        id=grant.id,
        bucket=grant.bucket,
        kind=grant.kind,
        available=credits_of(grant.available_millicredits),
        held=credits_of(grant.held_millicredits),
        granted=credits_of(grant.granted_millicredits),
        expires_at=utc_or_none(grant.expires_at),
        created_at=utc(grant.created_at),
    )
