"""What one table of the rate card says of another: does every name lead somewhere, can every condition ever match?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from gateway.domain import SettingValue
from gateway.pricing.card import (
    FREE_PLAN,
    INPUT_IMAGES,
    INPUT_VIDEOS,
    Allow,
    Concurrency,
    CreditsPer,
    Model,
    RateCard,
    Tables,
    When,
)
from gateway.pricing.messages import Fault, Location
from gateway.pricing.provider_faults import model_provider_faults, provider_faults
from gateway.pricing.values import Kind, did_you_mean, kind_of, one_of, show

_INPUT_COUNTS = (INPUT_IMAGES, INPUT_VIDEOS)


def faults_between(card: RateCard) -> Iterator[Fault]:
    """Everything wrong between the tables, in the file's order."""
    yield from _limit_faults(card, ("free",), card.free.concurrency, card.free.allow)
    for plan_id, plan in card.plans.items():
        if plan_id == FREE_PLAN:
            text = "is the plan of those without a subscription, and is written as [free]: choose another id"
            yield Fault(("plans", plan_id), text)
        yield from _limit_faults(card, ("plans", plan_id), plan.concurrency, plan.allow)
    for name, provider in card.providers.items():
        yield from provider_faults(("providers", name), name, provider)
    for tool_id in card.tools:
        yield from _tool_faults(card, tool_id)
    for model_id, model in card.models.items():
        at: Location = ("models", model_id)
        if model.tool not in card.tools:
            text = f"is {_unknown(model.tool, card.tools)}; every tool needs a table such as [tools.image]"
            yield Fault((*at, "tool"), text)
        yield from model_provider_faults(card, at, model)
        yield from _model_faults(at, model)


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
                yield Fault(here, f"is no setting of any {tool_id} model{did_you_mean(name, settings)}")
                continue
            for value in values:
                if not any(name in model.settings and model.settings[name].takes(value) for model in models):
                    yield Fault(here, f"allows {show(value)}, which no {tool_id} model takes")


def _model_faults(at: Location, model: Model) -> Iterator[Fault]:
    for name in model.settings:
        if name in _INPUT_COUNTS:
            text = "is the name of the number of inputs, which needs no setting: write `inputs = { image = … }`"
            yield Fault((*at, "settings", name), text)
    for index, rate in enumerate(model.rates):
        here: Location = (*at, "rates", index)
        yield from _when_faults(here, model, rate.when)
        yield from _per_faults(here, model, rate.credits_per)
        for name, per_unit in rate.credits_per.items():
            if per_unit.millicredits < 0:
                yield Fault((*here, "credits_per", name, "credits"), "must not be negative")
        yield from _round_up_faults(here, model, rate.round_up)
    for index, add_on in enumerate(model.add_ons):
        yield from _when_faults((*at, "add_ons", index), model, add_on.when)
        yield from _per_faults((*at, "add_ons", index), model, add_on.credits_per or {})


def _no_such_name(model: Model, name: str) -> str | None:
    """Why a rate cannot name this: no setting, or inputs that the model does not take."""
    if name in _INPUT_COUNTS:
        kind = "image" if name == INPUT_IMAGES else "video"
        if model.inputs_of(name):
            return None
        return f"counts inputs that this model does not take: write `inputs = {{ {kind} = 4 }}` on the model"
    if name in model.settings:
        return None
    known = [*model.settings, *(count for count in _INPUT_COUNTS if model.inputs_of(count))]
    hint = did_you_mean(name, known) or (f" (it has {' and '.join(known)})" if known else ", which has none")
    return f"is no setting of this model{hint}"


def _when_faults(at: Location, model: Model, when: When) -> Iterator[Fault]:
    for name, values in when.items():
        here = (*at, "when", name)
        if problem := _no_such_name(model, name):
            yield Fault(here, problem)
            continue
        for value in values:
            if problem := _never(model, name, value):
                yield Fault(here, problem)


def _never(model: Model, name: str, value: SettingValue) -> str | None:
    """Why a condition can never match this value."""
    if name in _INPUT_COUNTS:
        most = model.inputs_of(name)
        if kind_of(value) is Kind.NUMBER and value in range(most + 1):
            return None
        return f"is {show(value)}, which never happens: it is a whole number from 0 to {most}"
    setting = model.settings[name]
    if setting.takes(value):
        return None
    if kind_of(value) is not setting.kind:
        return f"is {show(value)}, which never matches: the setting is {setting.kind}, and takes {setting.describe()}"
    return f"is {show(value)}, which the setting never is: it takes {setting.describe()}"


def _per_faults(at: Location, model: Model, credits_per: CreditsPer) -> Iterator[Fault]:
    for name in credits_per:
        problem = _no_such_name(model, name) or _not_a_number(model, name)
        if problem:
            yield Fault((*at, "credits_per", name), problem)


def _round_up_faults(at: Location, model: Model, round_up: Mapping[str, Decimal]) -> Iterator[Fault]:
    for name in round_up:
        problem = _no_such_name(model, name) or _not_a_number(model, name)
        if problem:
            yield Fault((*at, "round_up", name), problem)


def _not_a_number(model: Model, name: str) -> str | None:
    if name in _INPUT_COUNTS or model.settings[name].kind is Kind.NUMBER:
        return None
    return f"cannot be counted: the setting takes {model.settings[name].describe()}, not numbers"
