"""Translates a request's settings into its provider's arguments, by what the model asks of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.domain import SettingValue
from gateway.pricing.providers import ALWAYS, RESERVED, Offer


def value_text(value: SettingValue) -> str:
    """A value as a key of `provider_settings`: `1K`, `5`, `0.5`, `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def arguments_of(offer: Offer | None, settings: Mapping[str, SettingValue]) -> dict[str, Any]:
    """The arguments to send for these settings, as JSON types: numbers are `int`, or `float` if not whole.

    With offer None (the model no longer has this provider), settings are sent under their own names.

    A setting without a translation is sent under its own name; one translated as "" is not sent. `always` is applied
    first, so a setting can override it.
    """
    arguments: dict[str, Any] = {}
    translations = {} if offer is None else offer.provider_settings
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


def name_of(offer: Offer, reserved: str) -> str | None:
    """The provider's name for one of the reserved names, or None."""
    translation = offer.provider_settings.get(reserved)
    return translation or None if isinstance(translation, str) else None


def _plain(value: Any) -> Any:
    """Convert decimals to JSON numbers. None of them is an amount of credits, so floats are safe here."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
