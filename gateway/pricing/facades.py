"""The facade tables of a rate card: aliases of models, and how clients' parameters map to settings.

`[models.<id>.facade.openai]` (or, for all models of a tool, `[tools.<id>.facade.openai]`) maps a parameter of that
client: `seconds = "duration"` renames a setting, `""` accepts a parameter without effect, and
`size = { "1536x1024" = { aspect_ratio = "3:2" } }` maps each value to settings. Nothing here affects a price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from gateway.pricing.fields import SettingName, Value, as_tuple

FacadeName = Literal["openai", "replicate", "fal"]

OWNER = "farebox"
"""The owner of all models, for clients whose model names include one: `farebox/flux-dev`."""

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}(/[A-Za-z0-9._:-]{1,63}){0,9}", re.ASCII)


def _model_name(name: str) -> str:
    if not _MODEL_NAME.fullmatch(name):
        msg = "must be a model name as clients write it, such as gpt-image-1.5 or fal-ai/flux/dev"
        raise ValueError(msg)
    return name


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            msg = f'lists "{name}" twice'
            raise ValueError(msg)
        if name.startswith(f"{OWNER}/"):
            msg = f'lists "{name}": every model is called {OWNER}/<id> already'
            raise ValueError(msg)
    return names


Alias = Annotated[str, AfterValidator(_model_name)]
Aliases = Annotated[tuple[Alias, ...], AfterValidator(_distinct), BeforeValidator(as_tuple)]

Parameter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
ParameterSettings = Mapping[str, Mapping[SettingName, Value]]
"""A parameter's value, as text → the settings it maps to."""

Translation = Annotated[str, Field(strict=True)] | ParameterSettings
FacadeTable = Mapping[Parameter, Translation]
FacadeTables = Mapping[FacadeName, FacadeTable]
