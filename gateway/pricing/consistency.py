"""Checks references between tables of the rate card: every name exists, and every condition can match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from gateway.domain import SettingValue
from gateway.pricing.card import (
    FREE_PLAN,
    Allow,
    Concurrency,
    Discounts,
    Model,
    RateCard,
    Tables,
)
from gateway.pricing.discounts import EVERYTHING
from gateway.pricing.facade_faults import facade_faults
from gateway.pricing.lines import Location
from gateway.pricing.measures import (
    COUNTED_KINDS,
    INPUT_AUDIO_SECONDS,
    INPUT_COUNTS,
    INPUT_MEGAPIXELS,
    INPUT_VIDEO_SECONDS,
    MEASURED_COUNTS,
    MEASURES,
    PROMPT_CHARACTERS,
    factors,
)
from gateway.pricing.messages import Fault
from gateway.pricing.output_faults import model_output_faults, tool_output_faults
from gateway.pricing.provider_faults import model_provider_faults, provider_faults
from gateway.pricing.rates import AddOn, CreditsPer, Rate, When, toml_name
from gateway.pricing.values import ValueKind, did_you_mean, kind_of, one_of, show


def faults_between(card: RateCard) -> Iterator[Fault]:
    """All faults between tables, in the file's order."""
    yield from _limit_faults(card, ("free",), card.free.concurrency, card.free.allow)
    yield from _discount_faults(card, ("free", "discounts"), card.free.discounts)
    for plan_id, plan in card.plans.items():
        if plan_id == FREE_PLAN:
            text = "is reserved for accounts without a subscription ([free]): choose another id"
            yield Fault(("plans", plan_id), text)
        yield from _limit_faults(card, ("plans", plan_id), plan.concurrency, plan.allow)
        yield from _discount_faults(card, ("plans", plan_id, "discounts"), plan.discounts)
    for name, provider in card.providers.items():
        yield from provider_faults(("providers", name), name, provider)
    for tool_id in card.tools:
        yield from _tool_faults(card, tool_id)
        yield from tool_output_faults(("tools", tool_id), card.tools[tool_id])
    for model_id, model in card.models.items():
        at: Location = ("models", model_id)
        if model.tool not in card.tools:
            text = f"is {_unknown(model.tool, card.tools)}; every tool needs a table such as [tools.image]"
            yield Fault((*at, "tool"), text)
        yield from model_provider_faults(card, at, model)
        yield from model_output_faults(card, at, model)
        yield from _model_faults(at, model)
        yield from _dated_faults(at, model, card.free.timezone)
    yield from facade_faults(card)


def _unknown(name: str, known: Iterable[str]) -> str:
    listed = sorted(known)
    hint = did_you_mean(name, listed)
    if not hint and listed:
        hint = f" (there is {one_of(map(show, listed))})"
    return f"{show(name)}, which is not in this card{hint}"


def _tool_faults(card: Tables, tool_id: str) -> Iterator[Fault]:
    baseline = card.tools[tool_id].baseline_model
    model = card.models.get(baseline)
    at: Location = ("tools", tool_id, "baseline_model")
    own = [model_id for model_id, other in card.models.items() if other.tool == tool_id]
    if model is None:
        yield Fault(at, f"is {_unknown(baseline, own)}: name one of this tool's models")
    elif model.tool != tool_id:
        yield Fault(at, f"is {show(baseline)}, a model of the tool {show(model.tool)}: name one of this tool's models")


def _limit_faults(card: Tables, at: Location, concurrency: Concurrency, allow: Allow) -> Iterator[Fault]:
    for tool_id in concurrency:
        if tool_id not in card.tools:
            yield Fault((*at, "concurrency"), f"names the tool {_unknown(tool_id, card.tools)}")
    for tool_id, limits in allow.items():
        if tool_id not in card.tools:
            yield Fault((*at, "allow"), f"names the tool {_unknown(tool_id, card.tools)}")
            continue
        models = [model for model in card.models.values() if model.tool == tool_id]
        settings = {name for model in models for name in model.settings}
        for name, values in limits.items():
            here = (*at, "allow", tool_id, name)
            if name not in settings:
                yield Fault(here, f"is not a setting of any {tool_id} model{did_you_mean(name, settings)}")
                continue
            for value in values:
                if not any(name in model.settings and model.settings[name].takes(value) for model in models):
                    yield Fault(here, f"allows {show(value)}, which no {tool_id} model accepts")


def _discount_faults(card: Tables, at: Location, discounts: Discounts) -> Iterator[Fault]:
    for name in discounts:
        if problem := not_discountable(card, name):
            yield Fault((*at, name), problem)


def not_discountable(card: Tables, name: str) -> str | None:
    """Why a factor cannot be for this name: it is not a tool, a model or `"*"`, or it is both of the first."""
    if name in card.tools and name in card.models:
        return 'is the name of a tool and of a model: rename one of them, or use "*" for everything'
    if name == EVERYTHING or name in card.tools or name in card.models:
        return None
    hint = did_you_mean(name, [*card.tools, *card.models]) or '; use "*" for everything'
    return f"names no tool and no model of this card{hint}"


def _model_faults(at: Location, model: Model) -> Iterator[Fault]:
    for name in model.settings:
        if name in (*INPUT_COUNTS, *MEASURES):
            text = "is counted or measured by the gateway, and cannot be a setting: choose another name"
            yield Fault((*at, "settings", name), text)
    yield from _rate_faults((*at, "rates"), model, model.rates)
    yield from _add_on_faults((*at, "add_ons"), model, model.add_ons)
    for index, dated in enumerate(model.prices):
        yield from _rate_faults((*at, "prices", index, "rates"), model, dated.rates)
        yield from _add_on_faults((*at, "prices", index, "add_ons"), model, dated.add_ons)
    for name, offer in model.offers.items():
        here = at if model.short_provider is not None else (*at, "at", name)
        yield from _rate_faults((*here, "cost"), model, offer.cost)
        yield from _add_on_faults((*here, "cost_add_ons"), model, offer.cost_add_ons)
        if offer.cost_add_ons and not offer.cost:
            yield Fault(
                (*here, "cost_add_ons"), "needs a `cost` that they are added to (write `cost = 0` if there is none)"
            )
    yield from _forbidden_faults(at, model)


def _dated_faults(at: Location, model: Model, timezone: str) -> Iterator[Fault]:
    """Each list begins at one instant, after the one before it."""
    before = None
    for index, one in enumerate(model.prices):
        here: Location = (*at, "prices", index, "valid_from")
        try:
            begins_at = one.begins_at(timezone)
        except (ValueError, OverflowError) as error:
            yield Fault(here, str(error))
            continue
        if before is not None and begins_at <= before:
            yield Fault(here, "is not after that of the list above it: put the lists in order, with one for each time")
        before = begins_at


def _rate_faults(at: Location, model: Model, rates: Sequence[Rate]) -> Iterator[Fault]:
    """Faults in the rates of a model, or in what it costs."""
    for index, rate in enumerate(rates):
        here: Location = (*at, index)
        yield from _when_faults(here, model, rate.when)
        per_unit_is = toml_name(type(rate), "credits_per")
        yield from _per_faults((*here, per_unit_is), model, rate.credits_per)
        for name, per_unit in rate.credits_per.items():
            if per_unit.millicredits < 0:
                yield Fault(
                    (*here, per_unit_is, name, toml_name(type(per_unit), "millicredits")), "must not be negative"
                )
        yield from _round_up_faults(here, model, rate.round_up)


def _add_on_faults(at: Location, model: Model, add_ons: Sequence[AddOn]) -> Iterator[Fault]:
    for index, add_on in enumerate(add_ons):
        here: Location = (*at, index)
        yield from _when_faults(here, model, add_on.when)
        per_unit_is = toml_name(type(add_on), "credits_per")
        yield from _per_faults((*here, per_unit_is), model, add_on.credits_per or {})
        for name, per_unit in (add_on.credits_per or {}).items():
            if per_unit.millicredits < 0 and not set(MEASURES).isdisjoint(factors(name)):
                text = "must not be negative: measured inputs may only raise the price"
                yield Fault((*here, per_unit_is, name, toml_name(type(per_unit), "millicredits")), text)


def _forbidden_faults(at: Location, model: Model) -> Iterator[Fault]:
    for index, rule in enumerate(model.forbidden):
        yield from _when_faults((*at, "forbidden", index), model, rule.when)
    defaults = {name: setting.default for name, setting in model.settings.items()}
    if any(all(defaults.get(name) in values for name, values in rule.when.items()) for rule in model.forbidden):
        text = "forbids the default settings: a request that sets nothing must be allowed; change a `default`"
        yield Fault((*at, "forbidden"), text)


def _no_such_name(model: Model, name: str) -> str | None:
    """Why a rate cannot name this: it is not a setting, or counts inputs that the model does not accept."""
    if name in INPUT_COUNTS:
        if model.inputs_of(name):
            return None
        inputs = f"inputs = {{ {COUNTED_KINDS[name]} = 4 }}"
        return f"counts inputs that this model does not accept: write `{inputs}` on the model"
    if name == PROMPT_CHARACTERS and model.prompt == "none":
        return 'counts the prompt of a model with prompt = "none"'
    if name in MEASURES:
        return _not_measured(model, name)
    if name in model.settings:
        return None
    known = [*model.settings, *(count for count in INPUT_COUNTS if model.inputs_of(count)), *MEASURES]
    hint = did_you_mean(name, known) or f" (a price may only depend on {one_of(known)} of the request)"
    if name == "month_to_date":
        hint = ": for prices by what was made this month, write `graduated = [{ over = 1000, credits = 4 }]`"
    return f"is not a setting of this model{hint}"


def _not_measured(model: Model, name: str) -> str | None:
    """A measure without a maximum, which is what an input that cannot be measured is charged as."""
    examples = {
        INPUT_MEGAPIXELS: "megapixels = 16",
        INPUT_VIDEO_SECONDS: "video_seconds = 30",
        INPUT_AUDIO_SECONDS: "audio_seconds = 60",
    }
    if name not in examples:
        return None
    kind, most = COUNTED_KINDS[MEASURED_COUNTS[name]], examples[name]
    takes = model.inputs.of(kind)
    if takes and model.most_of(name) is not None:
        return None
    return (
        f"needs the maximum the model accepts, which is charged if an input cannot be measured: write "
        f"`inputs = {{ {kind} = {takes or 1}, {most} }}` on the model"
    )


def _when_faults(at: Location, model: Model, when: When) -> Iterator[Fault]:
    for name, values in when.items():
        here = (*at, "when", name)
        if name in MEASURES:
            yield Fault(here, "is measured and cannot select a rate: use `credits_per`, with `over` as its start")
            continue
        if problem := _no_such_name(model, name):
            yield Fault(here, problem)
            continue
        for value in values:
            if problem := _never(model, name, value):
                yield Fault(here, problem)


def _never(model: Model, name: str, value: SettingValue) -> str | None:
    """Why a condition can never match this value."""
    if name in INPUT_COUNTS:
        most = model.inputs_of(name)
        if kind_of(value) is ValueKind.NUMBER and value in range(most + 1):
            return None
        return f"is {show(value)}, which never occurs: it is a whole number from 0 to {most}"
    setting = model.settings[name]
    if setting.takes(value):
        return None
    if kind_of(value) is not setting.kind:
        return f"is {show(value)}, which never matches: the setting is {setting.kind}, and accepts {setting.describe()}"
    return f"is {show(value)}, which it does not accept: it accepts {setting.describe()}"


def _per_faults(at: Location, model: Model, credits_per: CreditsPer) -> Iterator[Fault]:
    for name in credits_per:
        for factor in factors(name):
            problem = _no_such_name(model, factor) or _not_a_number(model, factor)
            if problem:
                whose = "" if factor == name else f"names {show(factor)}, which "
                yield Fault((*at, name), f"{whose}{problem}")


def _round_up_faults(at: Location, model: Model, round_up: Mapping[str, Decimal]) -> Iterator[Fault]:
    for name in round_up:
        problem = _no_such_name(model, name) or _not_a_number(model, name)
        if problem:
            yield Fault((*at, "round_up", name), problem)


def _not_a_number(model: Model, name: str) -> str | None:
    if name in (*INPUT_COUNTS, *MEASURES) or model.settings[name].kind is ValueKind.NUMBER:
        return None
    return f"cannot be counted: the setting accepts {model.settings[name].describe()}, not numbers"
