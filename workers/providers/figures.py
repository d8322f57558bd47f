"""What vendors report of a job's use (R29), by our units, as they say it: the worker judges the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from gateway.metering import MILLIONTHS, Unit

Figures = Mapping[Unit, object]

_SHARED_MAX = 1e12  # beyond, no job's figure: it is passed on whole
_USAGE = {
    Unit.INPUT_TOKENS: ("input_tokens", "prompt_tokens"),
    Unit.OUTPUT_TOKENS: ("output_tokens", "completion_tokens"),
    Unit.TOKENS: ("total_tokens",),
}


def figures_in(document: object, names: Mapping[Unit, Sequence[str]]) -> dict[Unit, object]:
    """For each unit, the first of its names that the document has."""
    if not isinstance(document, Mapping):
        return {}
    found = ((unit, next((each for each in of if document.get(each) is not None), None)) for unit, of in names.items())
    return {unit: document[name] for unit, name in found if name is not None}


def figures_by_unit(document: object) -> dict[Unit, object]:
    """Figures under our own names: the `reported` of an `http` server."""
    return figures_in(document, {unit: (unit,) for unit in Unit})


def usage_in(document: object) -> dict[Unit, object]:
    """The tokens of a `usage` object, as OpenAI and many others write it; without a total, the sum."""
    found = figures_in(document, _USAGE)
    parts = [found.get(unit) for unit in (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)]
    if Unit.TOKENS not in found and all(is_figure(part) for part in parts):
        found[Unit.TOKENS] = sum(part for part in parts if isinstance(part, int | float))
    return found


def cost_in(usage: object) -> object:
    """The cost in a `usage` object, which OpenAI itself does not have: OpenRouter and other servers of its API do."""
    return usage.get("cost") if isinstance(usage, Mapping) else None


def is_figure(value: object) -> bool:
    """Whether it is a number that can be shared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _SHARED_MAX


def number_in(text: str | None) -> object:
    """A number in a header; the text if it is none, None without the header."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def shared(figures: Figures, place: int, outputs: int) -> dict[Unit, object]:
    """The share of the output at `place` in what was reported of a job with so many: shares add up to the millionth.

    What is not an amount is passed on to each output.
    """
    return {unit: share_of(value, place, outputs) for unit, value in figures.items()}


def share_of(value: object, place: int, outputs: int) -> object:
    """The same of one figure."""
    if not is_figure(value):
        return value
    whole = round(Decimal(str(value)) * MILLIONTHS)
    return Decimal(whole * (place + 1) // outputs - whole * place // outputs) / MILLIONTHS
