"""Translates refusals by `reserve` to errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from gateway.api.access.auth import OWN_ACCOUNT_GONE, KeysStale
from gateway.api.errors import (
    ApiError,
    IdempotencyKeyReused,
    KeyRestricted,
    LedgerDown,
    LimitReached,
    NotFound,
    Paused,
    PlanLimitExceeded,
    SettingsRefused,
    SubscriptionRequired,
    UnknownModel,
    WaitingRoomFull,
)
from gateway.api.http.headers import IDEMPOTENCY_HEADER
from gateway.api.ordering.ways_out import PriceWith, insufficient_credits
from gateway.clock import now_ms
from gateway.domain import GenerationRequest, LimitPeriod, PauseKind, format_credits, millicredits_to_credits
from gateway.errors import FieldProblem, InvalidSettings, RequestRefused
from gateway.ledger import limits, outcomes, pause_records
from gateway.ledger.key_records import KeyBounds
from gateway.ledger.price_basis import PricedOtherwise
from gateway.pricing.card import RateCard
from gateway.pricing.values import one_of, show
from gateway.schemas.base import utc
from gateway.schemas.errors import (
    KeyRestrictedDetails,
    LimitReachedDetails,
    PausedDetails,
    PlanLimitDetails,
    SubscriptionRequiredDetails,
    WaitingRoomFullDetails,
)
from gateway.views.accounts import limit_shape

WAITING_ROOM_RETRY_SECONDS = 10

Refusal = (
    outcomes.KeysChanged
    | outcomes.NotFound
    | outcomes.KeyReused
    | outcomes.SubscriptionRequired
    | outcomes.PlanLimit
    | PricedOtherwise
    | outcomes.VolumeMoved
    | outcomes.InsufficientCredits
    | limits.LimitReached
    | pause_records.Paused
    | outcomes.WaitingRoomFull
)


def reused() -> IdempotencyKeyReused:
    """The error for an idempotency key already used with another request."""
    return IdempotencyKeyReused(
        f"This {IDEMPOTENCY_HEADER} was used for a different request in the last 24 hours. Use a new key for a new "
        "request; to retry a request, send exactly the same method, path and body."
    )


def check_bounds(bounds: KeyBounds, tool: str, model: str) -> None:
    """KeyRestricted if a key is bound to other tools or models (R27)."""
    if bounds.tools is not None and tool not in bounds.tools:
        raise _restricted("tools", f"the tool {show(tool)}", bounds.tools)
    if bounds.models is not None and model not in bounds.models:
        raise _restricted("models", f"the model {show(model)}", bounds.models)


def _restricted(restriction: Literal["tools", "models"], what: str, allowed: Sequence[str]) -> KeyRestricted:
    return KeyRestricted(
        f"This API key may not be used for {what}: its {restriction} are limited to "
        f"{', '.join(show(one) for one in allowed)}. Choose one of these, or ask whoever manages this account's API "
        "keys to allow it. Nothing was reserved.",
        KeyRestrictedDetails(restriction=restriction, allowed=list(allowed)),
    )


def refusal_of_request(refused: RequestRefused) -> ApiError:
    """The error for a request that pricing refused: an unknown model, or settings it does not accept."""
    error = SettingsRefused if isinstance(refused, InvalidSettings) else UnknownModel
    return error(str(refused), fields=refused.problems)


def refusal_of_reserve(  # noqa: PLR0911 - a table in the form of a match
    outcome: Refusal, request: GenerationRequest, card: RateCard, price_with: PriceWith
) -> Exception:
    """The error for what `reserve` refused; `price_with` is for the plans that would do."""
    match outcome:
        case outcomes.KeysChanged():
            return KeysStale()
        case outcomes.NotFound():
            return NotFound(OWN_ACCOUNT_GONE)
        case outcomes.KeyReused():
            return reused()
        case pause_records.Paused(pause):
            return _paused(pause, request, card)
        case outcomes.SubscriptionRequired():
            name = card.models[request.model].name
            return SubscriptionRequired(
                f"{name} requires an active subscription. Subscribe to a plan (GET /v1/plans), or choose a model that "
                "is not marked `pro` (GET /v1/rate-card). Nothing was reserved.",
                SubscriptionRequiredDetails(model=request.model),
            )
        case outcomes.PlanLimit():
            return _plan_limit(outcome, request, card)
        case PricedOtherwise() | outcomes.VolumeMoved():
            return LedgerDown(
                "The account's plan or prices are being changed. Nothing was reserved; try again in a moment."
            )
        case outcomes.InsufficientCredits():
            return insufficient_credits(outcome, card, price_with)
        case limits.LimitReached():
            return _limit_reached(outcome, request)
        case outcomes.WaitingRoomFull():
            generations = "generation" if outcome.max_waiting == 1 else "generations"
            return WaitingRoomFull(
                f"{_plan_name(outcome.plan, card)} allows {outcome.max_waiting} waiting {request.tool} {generations}; "
                "the limit is reached. Retry when one has started, or cancel one. Nothing was reserved.",
                WaitingRoomFullDetails(plan=outcome.plan, max_waiting=outcome.max_waiting),
                headers={"Retry-After": str(WAITING_ROOM_RETRY_SECONDS)},
            )


def _paused(pause: pause_records.Pause, request: GenerationRequest, card: RateCard) -> Paused:
    kind, name = pause.kind, pause.name
    if kind is PauseKind.PROVIDER:  # who makes a model's outputs is no concern of customers
        kind, name = PauseKind.MODEL, request.model
    what = {
        PauseKind.ACCOUNT: "This account is",
        PauseKind.TOOL: f"All {request.tool} generations are",
        PauseKind.MODEL: f"{card.models[request.model].name} is",
    }[kind]
    why = f": {pause.reason.rstrip('.')}" if pause.reason else ""
    seconds = None if pause.until is None else max(1, -(-(pause.until - now_ms()) // 1000))
    when = "later" if pause.until is None else f"after {utc(pause.until)}"
    return Paused(
        f"{what} paused by the operator of this gateway{why}. Nothing was reserved; retry {when}.",
        PausedDetails(kind=kind, name=name, reason=pause.reason, since=utc(pause.since), until=utc(pause.until)),
        retry_after_seconds=seconds,
    )


_LIMITS = {
    "key": ("This API key's", "ask whoever manages this account's API keys to raise it."),
    "member": ("Your", "ask whoever manages this account's members to raise it."),
    "token": ("This token's", "get a new token."),
}
"""Whose limit was reached, and what to do."""


def _limit_reached(outcome: limits.LimitReached, request: GenerationRequest) -> LimitReached:
    limit, used = outcome.limit, outcome.used_millicredits
    remaining = max(0, limit.millicredits - used)
    period = "" if limit.period is LimitPeriod.NEVER else f"{limit.period} "
    wait = "" if outcome.resets_at is None else f"The limit resets at {utc(outcome.resets_at)}. Until then, "
    whose, advice = _LIMITS[outcome.whose]
    return LimitReached(
        f"{whose} {period}limit of {format_credits(limit.millicredits)} credits is reached: the price is "
        f"{format_credits(request.price_millicredits)}, and {format_credits(remaining)} are left. "
        f"{wait or 'The limit does not reset: '}{advice} Nothing was reserved.",
        LimitReachedDetails(
            whose=outcome.whose,
            limit=limit_shape(limit),
            used=millicredits_to_credits(used),
            remaining=millicredits_to_credits(remaining),
            resets_at=utc(outcome.resets_at),
        ),
    )


def _plan_limit(outcome: outcomes.PlanLimit, request: GenerationRequest, card: RateCard) -> PlanLimitExceeded:
    allowed = [json.loads(value) for value in outcome.allowed]
    asked = request.settings.get(outcome.setting)
    values = one_of(show(value) for value in allowed)
    asks = "" if asked is None else f", not {show(asked)}"
    problem = FieldProblem(f"settings.{outcome.setting}", f"must be {values}")
    return PlanLimitExceeded(
        f"{_plan_name(outcome.plan, card)} allows {values} for {outcome.setting}{asks}. Change the setting, or choose "
        "a plan that allows it (GET /v1/plans). Nothing was reserved.",
        PlanLimitDetails(plan=outcome.plan, setting=outcome.setting, allowed=allowed),
        fields=[problem],
    )


def _plan_name(plan: str, card: RateCard) -> str:
    if plan == "free":
        return "The free plan"
    known = card.plans.get(plan)
    return f"The {known.name if known else plan} plan"
