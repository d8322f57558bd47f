"""A request's settings in its provider's words: pure, from the model's `provider_settings`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.domain import SettingValue
from gateway.pricing.card import Model
from gateway.pricing.providers import ALWAYS, RESERVED


def value_text(value: SettingValue) -> str:
    """How a value stands as a key in `provider_settings`: `1K`, `5`, `0.5`, `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def arguments_of(model: Model | None, settings: Mapping[str, SettingValue]) -> dict[str, Any]:
    """What the provider is sent for these settings, as JSON can say it: numbers are `int`, or `float` if not whole.

    Of a model that the rate card has no more (None) the settings are sent as they are named.

    A setting without a translation goes under its own name, one that is translated as "" not at all. What `always` says
    comes first, so a setting may change it.
    """
    arguments: dict[str, Any] = {}
    translations = {} if model is None else model.provider_settings
    always = translations.get(ALWAYS, {})
    if not isinstance(always, str):
        arguments |= always
    for name, value in settings.items():
        translation = translations.get(name) if name not in RESERVED else None
        if translation is None:
            arguments[name] = value
        elif isinstance(translation, str):
            if translation:
                arguments[translation] = value
        else:
            arguments |= translation.get(value_text(value), {})
    return {name: _plain(value) for name, value in arguments.items()}


def name_of(model: Model, reserved: str) -> str | None:
    """What the provider calls one of the reserved names, or None."""
    translation = model.provider_settings.get(reserved)
    return translation or None if isinstance(translation, str) else None


def _plain(value: Any) -> Any:
    """JSON's own numbers: a provider takes nothing else, and no amount is among them."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
