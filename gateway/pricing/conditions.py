"""Conditions: when a rate, an add-on or a prohibition applies, and what to request instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.domain import SettingValue
from gateway.pricing.card import ForbiddenCombination, Model
from gateway.pricing.measures import INPUT_COUNTS
from gateway.pricing.rates import When
from gateway.pricing.values import one_of, show, show_facts


def matches(when: When, facts: Mapping[str, SettingValue]) -> bool:
    """Whether every named value is one of those listed. Cards that would compare a flag with a number are rejected."""
    return all(facts[name] in values for name, values in when.items())


def forbidding(model: Model, facts: Mapping[str, SettingValue]) -> ForbiddenCombination | None:
    """The rule that forbids this combination, or None."""
    return next((rule for rule in model.forbidden if matches(rule.when, facts)), None)


def refusal(model: Model, rule: ForbiddenCombination, facts: Mapping[str, SettingValue]) -> str:
    """Why a combination is forbidden, and each single change that would make it acceptable."""
    said = show_facts((name, facts[name]) for name in rule.when)
    why = f": {rule.reason.rstrip('.')}" if rule.reason else ""
    instead = one_of(_ways_out(model, rule, facts))
    return f"{model.name} does not accept {said} together{why}." + (f" Send {instead}." if instead else "")


def _ways_out(model: Model, rule: ForbiddenCombination, facts: Mapping[str, SettingValue]) -> Iterator[str]:
    """`duration = 8`, `resolution = "720p"`: the accepted values of each named setting, with all others unchanged."""
    for name in reversed(tuple(rule.when)):
        would_do = [
            value
            for value in _values(model, name)
            if value not in rule.when[name] and forbidding(model, {**facts, name: value}) is None
        ]
        if would_do:
            yield f"{name} = {one_of(map(show, would_do))}"


def _values(model: Model, name: str) -> Iterator[SettingValue]:
    if name in INPUT_COUNTS:
        yield from range(model.inputs_of(name) + 1)
    else:
        yield from model.settings[name].each()
