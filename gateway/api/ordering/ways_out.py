"""Not enough credits: how many are missing, how many are only held, and the three ways out (R13)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.api.errors import InsufficientCredits
from gateway.domain import Bucket, format_credits, millicredits_to_credits
from gateway.ledger import outcomes
from gateway.pricing.card import RateCard
from gateway.schemas import errors as error_schemas
from gateway.schemas.base import utc
from gateway.views.cards import price_shape

PriceWith = Callable[[str], int]
"""The price of the same request with a plan (by its id), in millicredits."""


def insufficient_credits(
    outcome: outcomes.InsufficientCredits, card: RateCard, price_with: PriceWith
) -> InsufficientCredits:
    """The refusal, with numbers and ways out."""
    account = outcome.account
    needed = outcome.needed_millicredits
    available = sum(account.available_millicredits.values())
    held = sum(account.held_millicredits.values())
    ways = ways_out(account, card, price_with)
    return InsufficientCredits(
        _message(account, needed, available, held) + _advice(ways),
        error_schemas.InsufficientCreditsDetails(
            needed=millicredits_to_credits(needed),
            available=millicredits_to_credits(available),
            held=millicredits_to_credits(held),
            debt=millicredits_to_credits(account.debt_millicredits),
            ways_out=ways,
        ),
    )


def ways_out(account: outcomes.Account, card: RateCard, price_with: PriceWith) -> error_schemas.WaysOut:
    """How the account can get the credits: wait, buy a bundle, or switch to a larger plan (R13)."""
    return error_schemas.WaysOut(
        wait=_waits(account, card), top_up=_top_up(account, card), upgrade=_upgrades(account, card, price_with)
    )


def refills(account: outcomes.Account, card: RateCard) -> list[tuple[Bucket, int, int]]:
    """When each bucket is next set to its full amount, and to how much (millicredits)."""
    coming = []
    subscription = account.subscription
    free_for_it = card.free.given_to(free_credits=account.free_credits, subscribed=subscription is not None)
    if free_for_it and card.free.daily_millicredits:
        coming.append((Bucket.FREE, account.free_resets_at, card.free.daily_millicredits))
    if subscription is not None and account.monthly_millicredits:
        ends = [at for at in (subscription.paid_through, subscription.cancelled_to) if at is not None]
        if all(subscription.refreshes_at < at for at in ends):
            coming.append((Bucket.SUBSCRIPTION, subscription.refreshes_at, account.monthly_millicredits))
    return coming


def _message(account: outcomes.Account, needed: int, available: int, held: int) -> str:
    price, short = format_credits(needed), format_credits(needed - available)
    sentences = [
        f"Not enough credits: the price is {price}, and {format_credits(available)} are available ({short} short)."
    ]
    if held:
        running = sum(account.in_work.values()) + sum(account.waiting.values())
        others = "1 other generation" if running == 1 else f"{running} other generations"
        sentences.append(
            f"Another {format_credits(held)} are held by {others}; whatever those do not use is returned when they "
            "end or are cancelled."
        )
    if debt := account.debt_millicredits:
        sentences.append(
            f"The account owes {format_credits(debt)} credits for a payment that was reversed; the next purchase "
            "pays them back first."
        )
    return " ".join(sentences)


def _advice(out: error_schemas.WaysOut) -> str:
    ways = []
    if out.wait:
        soonest = min(out.wait, key=lambda way: way.at)
        ways.append(f"wait for the {soonest.bucket} credits at {soonest.at}")
    if out.top_up.allowed and out.top_up.bundles:
        ways.append("buy a bundle")
    if out.upgrade:
        ways.append(f"switch to a larger plan, such as {out.upgrade[0].name}")
    return f" You can {' or '.join(ways)}." if ways else ""


def _waits(account: outcomes.Account, card: RateCard) -> list[error_schemas.Refill]:
    return [
        error_schemas.Refill(bucket=bucket, at=utc(at), credits=millicredits_to_credits(amount))
        for bucket, at, amount in refills(account, card)
    ]


def _top_up(account: outcomes.Account, card: RateCard) -> error_schemas.TopUpOffer:
    allowed = account.subscription is not None
    return error_schemas.TopUpOffer(
        allowed=allowed,
        reason=None if allowed else "subscription_required",
        bundles=[
            error_schemas.BundleOffer(
                id=bundle_id,
                name=bundle.name,
                credits=millicredits_to_credits(bundle.millicredits),
                price=bundle.price,
            )
            for bundle_id, bundle in card.bundles.items()
        ],
    )


def _upgrades(account: outcomes.Account, card: RateCard, price_with: PriceWith) -> list[error_schemas.PlanOffer]:
    """The sufficient plans: larger than the current one, with enough credits at once (upgrades start a new cycle)."""
    available = account.available_millicredits
    kept = sum(available.values())
    if card.subscriptions.upgrade_leftover == "drop":
        kept -= available.get(Bucket.SUBSCRIPTION, 0)
    present = account.monthly_millicredits if account.subscription is not None else 0
    would_do = [
        (plan_id, plan)
        for plan_id, plan in card.plans.items()
        if plan.monthly_millicredits > present and kept + plan.monthly_millicredits >= price_with(plan_id)
    ]
    return [
        error_schemas.PlanOffer(
            id=plan_id,
            name=plan.name,
            credits=millicredits_to_credits(plan.monthly_millicredits),
            price=price_shape(plan.price),
        )
        for plan_id, plan in sorted(would_do, key=lambda one: one[1].monthly_millicredits)
    ]
