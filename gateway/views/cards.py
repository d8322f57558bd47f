"""The rate card and the plans as shown to callers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import prod
from typing import Any

from gateway.domain import Interval, NewOnes, PauseKind, SettingValue, millicredits_to_credits
from gateway.ledger.pause_records import Pause, pause_of_all
from gateway.pricing.card import FREE_PLAN, Free, Model, Plan, RateCard
from gateway.pricing.discounts import PricedFor, discounts_of
from gateway.pricing.estimates import estimated_generations
from gateway.pricing.rates import AddOn, CreditsPer, Rate, Reported
from gateway.pricing.sales import PlanPrice
from gateway.pricing.setting import Setting
from gateway.schemas import cards as card_schemas
from gateway.schemas.base import utc
from gateway.schemas.pauses import PauseState
from gateway.views.pauses import pause_state

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


def rate_card_shape(card: RateCard, pauses: Mapping[tuple[PauseKind, str], Pause]) -> card_schemas.RateCardOut:
    """The rate card: everything that prices depend on, and what is paused of it."""
    return card_schemas.RateCardOut(
        version=card.version,
        free=_free_shape(card.free),
        refund_grace_seconds=card.refunds.grace_ms // 1000,
        tools=[
            card_schemas.ToolOut(
                id=tool_id,
                name=tool.name,
                output=tool.output,
                baseline_model=tool.baseline_model,
                **_paused(pauses.get((PauseKind.TOOL, tool_id))),
            )
            for tool_id, tool in card.tools.items()
        ],
        models=[_model_shape(card, model_id, model, pauses) for model_id, model in card.models.items()],
    )


def plans_shape(card: RateCard, *, output_days: int) -> card_schemas.PlansOut:
    """The plans on sale, and what accounts without one get. `output_days`: how long outputs are kept by default."""
    free = card.free
    return card_schemas.PlansOut(
        data=[_plan_shape(card, plan_id, plan, output_days) for plan_id, plan in card.plans.items()],
        free=card_schemas.FreePlanOut(
            daily_credits=millicredits_to_credits(free.daily_millicredits),
            concurrency=dict(free.concurrency),
            max_waiting=free.max_waiting,
            seats=free.seats,
            output_days=free.output_days or output_days,
            allow=_allow_shape(free.allow),
            **_discounts(free),
            estimated_generations=_estimates_shape(card, FREE_PLAN),
        ),
        upgrade_leftover=card.subscriptions.upgrade_leftover,
        rate_card=card.version,
    )


def price_shape(price: PlanPrice) -> card_schemas.PriceOut:
    """A plan's price at each interval it is sold at."""
    sold = {str(interval): price.of(interval) for interval in Interval}
    return card_schemas.PriceOut(**{interval: amount for interval, amount in sold.items() if amount is not None})


def _plan_shape(card: RateCard, plan_id: str, plan: Plan, output_days: int) -> card_schemas.PlanOut:
    return card_schemas.PlanOut(
        id=plan_id,
        name=plan.name,
        monthly_credits=millicredits_to_credits(plan.monthly_millicredits),
        price=price_shape(plan.price),
        concurrency=dict(plan.concurrency),
        max_waiting=plan.max_waiting,
        seats=plan.seats,
        output_days=plan.output_days or output_days,
        head_start_seconds=Decimal(plan.head_start_ms) / 1000,
        allow=_allow_shape(plan.allow),
        **_discounts(plan),
        estimated_generations=_estimates_shape(card, plan_id),
    )


def _estimates_shape(card: RateCard, plan: str) -> dict[str, card_schemas.EstimatedGenerations]:
    return {
        tool: card_schemas.EstimatedGenerations(**estimate)
        for tool, estimate in estimated_generations(card, plan).items()
    }


def _free_shape(free: Free) -> card_schemas.FreeOut:
    hours, rest = divmod(free.reset_ms, _HOUR_MS)
    return card_schemas.FreeOut(
        daily_credits=millicredits_to_credits(free.daily_millicredits),
        audience=free.audience,
        reset_time=f"{hours:02d}:{rest // _MINUTE_MS:02d}",
        timezone=free.timezone,
    )


def _paused(*pauses: Pause | None) -> dict[str, PauseState]:
    """The first of them; one that refuses what is new before one that lets it wait."""
    found = sorted((one for one in pauses if one is not None), key=lambda one: one.new is NewOnes.WAIT)
    return {"paused": pause_state(found[0])} if found else {}


def _model_shape(
    card: RateCard, model_id: str, model: Model, pauses: Mapping[tuple[PauseKind, str], Pause]
) -> card_schemas.ModelOut:
    places = ((PauseKind.TOOL, model.tool), (PauseKind.MODEL, model_id))
    by_provider = pause_of_all([pauses.get((PauseKind.PROVIDER, name)) for name in model.offers])
    return card_schemas.ModelOut(
        id=model_id,
        name=model.name,
        tool=model.tool,
        output=card.kind_of(model),
        description=model.description,
        pro=model.pro,
        aliases=list(model.aliases),
        outputs_max=model.outputs_max,
        prompt=model.prompt,
        inputs=card_schemas.InputsOut(
            image=model.inputs.image,
            video=model.inputs.video,
            audio=model.inputs.audio,
            megapixels=model.inputs.megapixels,
            video_seconds=model.inputs.video_seconds,
            audio_seconds=model.inputs.audio_seconds,
        ),
        settings={name: _setting_shape(setting) for name, setting in model.settings.items()},
        forbidden=[
            card_schemas.ForbiddenOut(when=_when_shape(rule.when), reason=rule.reason) for rule in model.forbidden
        ],
        rates=[_rate_shape(rate) for rate in model.rates],
        add_ons=[_add_on_shape(add_on) for add_on in model.add_ons],
        **_later_prices(card, model),
        **_paused(*map(pauses.get, places), by_provider),
    )


def _later_prices(card: RateCard, model: Model) -> dict[str, list[card_schemas.DatedPricesOut]]:
    """The price lists that begin after those in force."""
    lists = [
        card_schemas.DatedPricesOut(
            valid_from=utc(one.begins_at(card.free.timezone)),
            rates=[_rate_shape(rate) for rate in one.rates],
            add_ons=[_add_on_shape(add_on) for add_on in one.add_ons],
        )
        for one in model.prices
    ]
    return {"prices_from": lists} if lists else {}


def _discounts(plan: Plan | Free) -> dict[str, dict[str, Decimal]]:
    return {"discounts": dict(plan.discounts)} if plan.discounts else {}


def discounts_shape(card: RateCard, account: PricedFor) -> card_schemas.DiscountsOut:
    """What an account pays of the card's prices, by model."""
    found = {
        model_id: discounts_of(card, account, tool=model.tool, model=model_id)
        for model_id, model in card.models.items()
    }
    return card_schemas.DiscountsOut(
        plan=account.plan,
        data=[
            card_schemas.ModelDiscountsOut(
                model=model_id,
                tool=card.models[model_id].tool,
                factor=prod((one.factor for one in discounts), start=Decimal(1)),
                discounts=[card_schemas.DiscountOut(name=one.name, factor=one.factor) for one in discounts],
            )
            for model_id, discounts in found.items()
            if discounts
        ],
        rate_card=card.version,
    )


def _setting_shape(setting: Setting) -> card_schemas.SettingOut:
    if setting.values is not None:
        return card_schemas.SettingOut(values=list(setting.values), default=setting.default, unit=setting.unit or None)
    return card_schemas.SettingOut(
        min=setting.minimum,
        max=setting.maximum,
        step=setting.step,
        default=setting.default,
        unit=setting.unit or None,
    )


def _rate_shape(rate: Rate) -> card_schemas.RateOut:
    optional: dict[str, Any] = {}
    if rate.reported:
        optional["reported"] = [_reported_shape(one) for one in rate.reported]
    if rate.graduated:
        optional["graduated"] = [
            card_schemas.GraduationOut(over=one.over, credits=millicredits_to_credits(one.millicredits))
            for one in rate.graduated
        ]
    return card_schemas.RateOut(
        when=_when_shape(rate.when),
        credits=millicredits_to_credits(rate.millicredits),
        credits_per=_per_shape(rate.credits_per),
        round_up=dict(rate.round_up),
        round_credits_to=_credits_or_none(rate.round_credits_to_millicredits),
        minimum_credits=millicredits_to_credits(rate.minimum_millicredits),
        maximum_credits=_credits_or_none(rate.maximum_millicredits),
        **optional,
    )


def _reported_shape(reported: Reported) -> card_schemas.ReportedOut:
    return card_schemas.ReportedOut(
        unit=reported.unit,
        credits=millicredits_to_credits(reported.millicredits),
        at_most=reported.at_most,
        if_unreported=reported.unreported,
    )


def _add_on_shape(add_on: AddOn) -> card_schemas.AddOnOut:
    return card_schemas.AddOnOut(
        name=add_on.name,
        when=_when_shape(add_on.when),
        credits=_credits_or_none(add_on.millicredits),
        factor=add_on.factor,
        credits_per=None if add_on.credits_per is None else _per_shape(add_on.credits_per),
        per=add_on.per,
    )


def _credits_or_none(millicredits: Decimal | None) -> Decimal | None:
    return None if millicredits is None else millicredits_to_credits(millicredits)


def _per_shape(credits_per: CreditsPer) -> dict[str, card_schemas.PerUnitOut]:
    return {
        name: card_schemas.PerUnitOut(credits=millicredits_to_credits(per_unit.millicredits), over=per_unit.over)
        for name, per_unit in credits_per.items()
    }


def _when_shape(when: Mapping[str, tuple[SettingValue, ...]]) -> dict[str, list[SettingValue]]:
    return {name: list(values) for name, values in when.items()}


def _allow_shape(
    allow: Mapping[str, Mapping[str, tuple[SettingValue, ...]]],
) -> dict[str, dict[str, list[SettingValue]]]:
    return {tool: _when_shape(settings) for tool, settings in allow.items()}
