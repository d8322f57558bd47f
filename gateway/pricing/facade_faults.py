"""Checks the facade tables of a rate card: duplicate aliases, sizes that map to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.domain import SettingValue
from gateway.pricing.card import Model, RateCard
from gateway.pricing.facades import FacadeTables, Translation
from gateway.pricing.lines import Location
from gateway.pricing.messages import Fault
from gateway.pricing.values import did_you_mean, show


def facade_faults(card: RateCard) -> Iterator[Fault]:
    """All faults of aliases and facade tables, in the file's order."""
    for tool_id, tool in card.tools.items():
        of_tool = [model for model in card.models.values() if model.tool == tool_id]
        yield from _table_faults(("tools", tool_id), tool.facade, of_tool, f"any {tool_id} model")
    named: dict[str, str] = {}
    for model_id, model in card.models.items():
        for index, alias in enumerate(model.aliases):
            here: Location = ("models", model_id, "aliases", index)
            if alias in card.models and alias != model_id:
                yield Fault(here, f"is {show(alias)}, which is the id of another model")
            elif alias in named:
                yield Fault(here, f"is {show(alias)}, which is already an alias of {named[alias]}")
            named.setdefault(alias, model_id)
        yield from _table_faults(("models", model_id), model.facade, [model], "this model")


def _table_faults(at: Location, tables: FacadeTables, models: Sequence[Model], whose: str) -> Iterator[Fault]:
    """A tool's table applies to those of its models that have the settings it names; one such model is enough."""
    for facade, table in tables.items():
        for parameter, translation in table.items():
            here: Location = (*at, "facade", facade, parameter)
            yield from _translation_faults(here, translation, models, whose)


def _translation_faults(at: Location, translation: Translation, models: Sequence[Model], whose: str) -> Iterator[Fault]:
    known = {name for model in models for name in model.settings}
    if isinstance(translation, str):
        if translation and translation not in known:
            hint = did_you_mean(translation, known)
            yield Fault(at, f"is {show(translation)}, which is not a setting of {whose}{hint}")
        return
    if not translation:
        yield Fault(at, 'maps no value: list them, or write "" to accept the parameter without effect')
    for value, settings in translation.items():
        here = (*at, value)
        if not settings:
            yield Fault(here, 'maps to nothing: say which settings it stands for, such as { aspect_ratio = "1:1" }')
            continue
        unknown = [name for name in settings if name not in known]
        for name in unknown:
            yield Fault(here, f"names {show(name)}, which is not a setting of {whose}{did_you_mean(name, known)}")
        if not unknown and not any(_takes(model, settings) for model in models):
            text = ", ".join(f"{name} = {show(each)}" for name, each in settings.items())
            yield Fault(here, f"is {{ {text} }}, which cannot be ordered of {whose}")


def _takes(model: Model, settings: Mapping[str, SettingValue]) -> bool:
    return all(name in model.settings and model.settings[name].takes(value) for name, value in settings.items())
