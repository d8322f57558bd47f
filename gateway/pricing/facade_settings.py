"""Maps a client's parameters to a model's settings: by the rate card's tables, else by name, else by facade rules.

Pure. A parameter that none of these can map is refused, under the client's own name for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from gateway.domain import SettingValue
from gateway.errors import FieldProblem, InvalidSettings
from gateway.pricing.card import Model, RateCard
from gateway.pricing.facades import FacadeName, Translation
from gateway.pricing.setting import Setting
from gateway.pricing.values import ValueKind, canonical, one_of, show

Sense = Callable[[Model, object], Mapping[str, SettingValue] | None]
"""A facade's own mapping of a parameter that the card does not map: settings ({}: no effect), or None."""

_SIZE = re.compile(r"(\d{2,5})\s*[x*]\s*(\d{2,5})", re.ASCII)
_RATIO = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*[:/]\s*(\d{1,5}(?:\.\d+)?)", re.ASCII)
_RATIO_TOLERANCE = 0.01  # accepts 1366×768 as 16:9, but not 1792×1024 (1.75)
_MEGAPIXEL = 1_000_000
_SIDE_MAX = 99_999  # five digits, as in sizes given as text; JSON numbers can have thousands
_PROBLEMS_MAX = 20  # a body may have thousands of unknown members


def settings_of(
    card: RateCard, model_id: str, facade: FacadeName, given: Mapping[str, object], senses: Mapping[str, Sense]
) -> dict[str, SettingValue]:
    """The settings that a client's parameters map to; InvalidSettings names those that cannot be mapped."""
    model = card.models[model_id]
    tables = (model.facade.get(facade, {}), card.tools[model.tool].facade.get(facade, {}))
    settings: dict[str, SettingValue] = {}
    problems: list[FieldProblem] = []
    for name, value in given.items():
        translation = next((table[name] for table in tables if name in table), None)
        try:
            settings |= _mapped(model, name, value, translation, senses.get(name))
        except ValueError as error:
            problems.append(FieldProblem(name[:80], str(error)))
            if len(problems) == _PROBLEMS_MAX:
                break
    if problems:
        raise InvalidSettings(" ".join(f"{problem.path}: {problem.message}" for problem in problems), problems)
    return settings


def _mapped(
    model: Model, name: str, value: object, translation: Translation | None, sense: Sense | None
) -> Mapping[str, SettingValue]:
    """The settings that one parameter maps to; ValueError explains why there are none."""
    if isinstance(translation, str):
        if not translation:
            return {}
        if translation in model.settings:
            return {translation: _taken(model.settings[translation], value)}
    elif translation is not None and _word(value) in translation:
        listed = translation[_word(value)]
        if all(key in model.settings and model.settings[key].takes(each) for key, each in listed.items()):
            return listed
    made = None if sense is None else sense(model, value)
    if name in model.settings and (made is None or model.settings[name].takes(_word(value))):
        return {name: _taken(model.settings[name], value)}
    if made is not None:
        return made
    if sense is not None or (translation is not None and not isinstance(translation, str)):
        others = "" if isinstance(translation, str | None) else f" It must be {_listed(model, translation)}."
        raise ValueError(f"{_shown(value)} is not accepted by {model.name}.{others}")
    takes = f" It has {one_of(model.settings)}." if model.settings else ""
    raise ValueError(f"{model.name} has no such parameter.{takes}")


def _listed(model: Model, translation: Mapping[str, Mapping[str, SettingValue]]) -> str:
    return one_of(
        show(value)
        for value, settings in translation.items()
        if all(name in model.settings and model.settings[name].takes(each) for name, each in settings.items())
    )


def _taken(setting: Setting, value: object) -> SettingValue:
    """The value in the setting's own type: forms and some clients send numbers and flags as text."""
    try:
        read = canonical(_as_kind(setting.kind, value))
    except ValueError as error:
        raise ValueError(f"{error}. It must be {setting.describe()}.") from None
    if not setting.takes(read):
        raise ValueError(f"{_shown(value)} is not accepted. It must be {setting.describe()}.")
    return read


def _as_kind(kind: ValueKind, value: object) -> object:
    if kind is ValueKind.TEXT and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _word(value)
    if isinstance(value, str):
        if kind is ValueKind.FLAG and value in {"true", "false"}:
            return value == "true"
        if kind is ValueKind.NUMBER:
            try:
                return Decimal(value.strip())
            except InvalidOperation:
                return value
    return value


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal):
        return f"{canonical(value):f}" if isinstance(canonical(value), Decimal) else str(canonical(value))
    return str(value)


def _shown(value: object) -> str:
    """A value for a message; one that could not be a setting's is not repeated."""
    if isinstance(value, str):
        return show(value[:80])
    return show(canonical(value)) if isinstance(value, bool | int | float | Decimal) else "This"


def of_size(model: Model, value: object) -> dict[str, SettingValue] | None:
    """The settings for a size such as `1024x1536`: `size`, or `aspect_ratio` with `resolution` or `megapixels`.

    "auto" is the model's default. None if the model does not offer this size.
    """
    if value == "auto":
        return {}
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return of_pixels(model, int(match[1]), int(match[2]))


def of_pixels(model: Model, width: int, height: int) -> dict[str, SettingValue] | None:
    """The settings for this width and height; None if the model does not offer it."""
    for text in (f"{width}x{height}", f"{width}*{height}"):
        for name in ("size", "resolution"):
            if name in model.settings and model.settings[name].takes(text):
                return {name: text}
    if "aspect_ratio" not in model.settings or not all(1 <= side <= _SIDE_MAX for side in (width, height)):
        return None
    ratio = _nearest_ratio(model.settings["aspect_ratio"], width / height)
    if ratio is None:
        return None
    made: dict[str, SettingValue] = {"aspect_ratio": ratio}
    if "resolution" in model.settings:
        resolution = next((one for one in _resolutions(width, height) if model.settings["resolution"].takes(one)), None)
        return None if resolution is None else made | {"resolution": resolution}
    if "megapixels" in model.settings:
        megapixels = max(1, round(width * height / _MEGAPIXEL))
        return made | {"megapixels": megapixels} if model.settings["megapixels"].takes(megapixels) else None
    return made


def _nearest_ratio(setting: Setting, wanted: float) -> str | None:
    matches = ((value, _RATIO.fullmatch(value)) for value in setting.values or () if isinstance(value, str))
    ratios = [
        (abs(math.log(float(match[1]) / float(match[2]) / wanted)), value)
        for value, match in matches
        if match is not None and float(match[1]) and float(match[2])
    ]
    distance, ratio = min(ratios, default=(math.inf, ""))
    return ratio if distance <= _RATIO_TOLERANCE else None


def _resolutions(width: int, height: int) -> list[str]:
    """Rate cards' names for such a size: `720p` is the shorter side, `2K` the longer."""
    short, long = sorted((width, height))
    words = [f"{short}p"]
    if not long % 1024:
        words += [f"{long // 1024}K", f"{long // 1024}k"]
    return words
