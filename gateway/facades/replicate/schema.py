"""A model's `openapi_schema`, generated from its settings, for `replicate.run` and other programs."""

from __future__ import annotations

from typing import Any

from gateway.domain import SettingValue
from gateway.facades.replicate.inputs import counted_by
from gateway.kinds import MediaKind
from gateway.pricing.card import Model
from gateway.pricing.setting import Setting
from gateway.pricing.values import ValueKind
from gateway.schemas.base import as_number
from gateway.views.predictions import is_list

_TYPES = {ValueKind.TEXT: "string", ValueKind.FLAG: "boolean", ValueKind.NUMBER: "number"}
_URI = {"type": "string", "format": "uri"}


def openapi_schema(model: Model, kind: MediaKind | None) -> dict[str, Any]:
    """The input and output of a model, which makes this kind of thing, in cog's form."""
    return {
        "openapi": "3.0.2",
        "info": {"title": model.name, "version": "1"},
        "paths": {},
        "components": {
            "schemas": {
                "Input": {
                    "title": "Input",
                    "type": "object",
                    "required": ["prompt"] if model.prompt == "required" else [],
                    "properties": _in_order(_inputs(model)),
                },
                "Output": {"title": "Output", **_output(model, kind)},
            }
        },
    }


def _output(model: Model, kind: MediaKind | None) -> dict[str, Any]:
    one = {"type": "string"} if kind is MediaKind.TEXT else _URI
    return {"type": "array", "items": one} if is_list(model) else one


def _inputs(model: Model) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = {}
    if model.prompt != "none":
        properties["prompt"] = {"type": "string", "description": "What to generate."}
    for kind in (MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO):
        most = model.inputs.of(kind)
        if most == 1:
            properties[kind] = dict(_URI)
        elif most > 1:
            properties[f"{kind}s"] = {"type": "array", "items": _URI, "maxItems": most}
    count = counted_by(model)
    if count is not None:
        properties[count] = {"type": "integer", "minimum": 1, "maximum": model.outputs_max, "default": 1}
    return properties | {name: _setting(setting) for name, setting in model.settings.items()}


def _setting(setting: Setting) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": _TYPES[setting.kind], "default": _plain(setting.default)}
    if setting.values is not None:
        if setting.kind is not ValueKind.FLAG:
            shape["enum"] = [_plain(value) for value in setting.values]
    else:
        bounds = {"minimum": setting.minimum, "maximum": setting.maximum}
        shape |= {name: as_number(bound) for name, bound in bounds.items() if bound is not None}
        if setting.step == 1:
            shape["type"] = "integer"
    return shape


def _plain(value: SettingValue) -> Any:
    return value if isinstance(value, str | int) else as_number(value)


def _in_order(properties: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add what generated forms use: a title, and `x-order`."""
    return {
        name: {"title": name.replace("_", " ").capitalize(), "x-order": number, **shape}
        for number, (name, shape) in enumerate(properties.items())
    }
