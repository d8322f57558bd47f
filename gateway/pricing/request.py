"""Validates a request against the rate card: its settings with defaults filled in, or all of its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice

from gateway.domain import SettingValue
from gateway.errors import FieldProblem, InvalidSettings, UnknownModel
from gateway.pricing.card import Model, RateCard
from gateway.pricing.conditions import forbidding, refusal
from gateway.pricing.measures import (
    COUNTED_KINDS,
    INPUT_AUDIO_SECONDS,
    INPUT_AUDIOS,
    INPUT_COUNTS,
    INPUT_MEGAPIXELS,
    INPUT_VIDEO_SECONDS,
    INPUTS_MAX,
    Measured,
    counted,
)
from gateway.pricing.setting import Setting
from gateway.pricing.values import ValueKind, canonical, did_you_mean, kind_of, one_of, show

_UNKNOWN_MAX = 5  # unknown settings that get a suggestion, since each is compared with all known ones


def checked_request(
    card: RateCard,
    *,
    tool: str,
    model: str,
    settings: Mapping[str, object],
    outputs: int,
    counts: Mapping[str, int],
    measured: Measured,
) -> tuple[Model, dict[str, SettingValue]]:
    """The model, and all of its settings in canonical form. UnknownModel or InvalidSettings lists all problems.

    `counts` has the number of inputs for each of `INPUT_COUNTS`.
    """
    found = _found_model(card, tool, model)
    given, problems = _settings_of(found, settings)
    problems.extend(_output_problems(found, outputs))
    problems.extend(_input_problems(found, counts))
    problems.extend(_measure_problems(found, measured))
    if not problems:
        problems.extend(_forbidden(found, {**given, **counts}, settings))
    if problems:
        raise InvalidSettings(" ".join(f"{problem.path}: {problem.message}" for problem in problems), problems)
    return found, given


def _found_model(card: RateCard, tool: str, model: str) -> Model:
    if tool not in card.tools:
        hint = did_you_mean(tool, card.tools)
        text = f"There is no tool {show(tool[:80])}{hint or '.'} It must be {one_of(map(show, card.tools))}."
        raise UnknownModel(text, [FieldProblem("tool", text)])
    found = card.models.get(model)
    if found is not None and found.tool == tool:
        return found
    if found is not None:
        right = show(found.tool)
        text = f'{found.name} is a model of the tool {right}, not {show(tool)}: send "tool": {right}.'
    else:
        own = [model_id for model_id, other in card.models.items() if other.tool == tool]
        hint = did_you_mean(model, own)
        text = f"There is no {tool} model {show(model[:80])}{hint or '.'} It must be {one_of(map(show, own))}."
    raise UnknownModel(text, [FieldProblem("model", text)])


def _settings_of(model: Model, settings: Mapping[str, object]) -> tuple[dict[str, SettingValue], list[FieldProblem]]:
    unknown = (name for name in settings if name not in model.settings)
    problems = [
        FieldProblem(f"settings.{name[:80]}", _unknown_setting(model, name)) for name in islice(unknown, _UNKNOWN_MAX)
    ]
    given: dict[str, SettingValue] = {}
    for name, setting in model.settings.items():
        if name not in settings:
            given[name] = setting.default
            continue
        try:
            value = canonical(settings[name])
        except ValueError as error:
            problems.append(FieldProblem(f"settings.{name}", f"{error}. It must be {setting.describe()}."))
            continue
        if setting.takes(value):
            given[name] = value
        else:
            problems.append(FieldProblem(f"settings.{name}", _not_taken(setting, value)))
    return given, problems


def _unknown_setting(model: Model, name: str) -> str:
    hint = did_you_mean(name, model.settings)
    if not model.settings:
        return f"{model.name} has no settings."
    return f"{model.name} has no such setting{hint or '.'} It has {' and '.join(_joined(model.settings))}."


def _joined(names: Mapping[str, object]) -> list[str]:
    """`["a, b", "c"]`, to be joined by "and"."""
    listed = list(names)
    return [part for part in (", ".join(listed[:-1]), listed[-1]) if part]


def _not_taken(setting: Setting, value: SettingValue) -> str:
    shown = show(value[:80] if isinstance(value, str) else value)
    kind = kind_of(value)
    if kind is setting.kind:
        hint = ""
        if isinstance(value, str):
            hint = did_you_mean(value, [str(known) for known in setting.values or ()])
        return f"{shown} is not accepted{hint or '.'} It must be {setting.describe()}."
    how = {
        ValueKind.TEXT: "text in quotes",
        ValueKind.NUMBER: "a number, without quotes",
        ValueKind.FLAG: "true or false, without quotes",
    }
    is_a = {ValueKind.TEXT: "text", ValueKind.NUMBER: "a number", ValueKind.FLAG: "a flag"}
    return f"{shown} is {is_a[kind]}; send {how[setting.kind]}. It must be {setting.describe()}."


def _output_problems(model: Model, outputs: int) -> Iterator[FieldProblem]:
    if isinstance(outputs, bool) or not 1 <= outputs <= model.outputs_max:
        most = model.outputs_max
        allowed = "1" if most == 1 else f"a whole number from 1 to {most}"
        yield FieldProblem("outputs", f"{outputs} is not accepted. {model.name} makes {allowed} in one request.")


def _input_problems(model: Model, counts: Mapping[str, int]) -> Iterator[FieldProblem]:
    for name, count in counts.items():
        most = model.inputs_of(name)
        if not 0 <= count <= most:
            none = f"no input {COUNTED_KINDS[name]}" + ("" if name == INPUT_AUDIOS else "s")
            takes = f"at most {counted(name, most)}" if most else none
            yield FieldProblem("inputs", f"{model.name} accepts {takes}; the request has {count}.")
    if sum(counts.values()) > INPUTS_MAX:
        total = sum(counts.values())
        yield FieldProblem("inputs", f"A request has at most {INPUTS_MAX} inputs; this one has {total}.")


def _measure_problems(model: Model, measured: Measured) -> Iterator[FieldProblem]:
    """Limits on measured inputs. The prompt's length is not checked here: its limit is the same for every model."""
    units = {
        INPUT_MEGAPIXELS: "megapixels of input images",
        INPUT_VIDEO_SECONDS: "seconds of input video",
        INPUT_AUDIO_SECONDS: "seconds of input audio",
    }
    for name, unit in units.items():
        amount, most = measured.get(name, Decimal(0)), model.most_of(name)
        if most is not None and amount > most:
            yield FieldProblem("inputs", f"{model.name} accepts at most {most:f} {unit}; the request has {amount:f}.")


def _forbidden(
    model: Model, facts: Mapping[str, SettingValue], settings: Mapping[str, object]
) -> Iterator[FieldProblem]:
    """A forbidden combination. The field reported is the last one of it that the request itself sets."""
    rule = forbidding(model, facts)
    if rule is not None:
        asked = [name for name in rule.when if name in settings or name in INPUT_COUNTS] or list(rule.when)
        path = "inputs" if asked[-1] in INPUT_COUNTS else f"settings.{asked[-1]}"
        yield FieldProblem(path, refusal(model, rule, facts))
