"""Makes models of LiteLLM's public price list (`model_prices_and_context_window.json`): a start for a rate card.

A row is a model, or one of its prices: `low/1024-x-1536/gpt-image-2` is the model `gpt-image-2` with the quality `low`.
Prices are US dollars for an image or a second of video; what is priced in another way is left out, with the reason.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gateway.errors import RateCardError

TOOLS = {"image_generation": "image", "image_edit": "image", "video_generation": "video"}
_QUALITY = re.compile(r"low|medium|high|xhigh|max|hd|standard|auto")
_SIZE = re.compile(r"(\d{2,5})-x-(\d{2,5})")
_STEPS = re.compile(r"(?:\d+|max)-steps")
_DECIMALS = Decimal("1e-9")  # a card's rates have at most nine
_IMAGE, _SECOND = "output_cost_per_image", "output_cost_per_second"

Choice = tuple[tuple[str, str], ...]
"""The settings that select a price, by name."""


@dataclass(slots=True)
class ListedModel:
    """A model of the list: its prices in dollars by what selects them, for an image or a second."""

    name: str
    provider: str
    tool: str
    id: str = ""
    """Its id in a card: `fal-ai-flux-dev`."""
    takes: frozenset[str] = frozenset()
    per_input_image: Decimal = Decimal(0)
    prices: dict[Choice, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class PriceList:
    """What was made of a list. `left_out` has the rows' names by the reason."""

    models: list[ListedModel]
    left_out: dict[str, list[str]]


def read_list(text: str, provider: str | None = None) -> PriceList:
    """Read the image and video rows of a list, of one provider or all; RateCardError if it is not such a list."""
    try:
        rows = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise RateCardError([f"The price list is not JSON: {error}."]) from None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise RateCardError(["The price list must be an object with a row for each model, as LiteLLM publishes it."])
    models: dict[tuple[str, str, str], ListedModel] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for key, row in rows.items():
        tool, owner = TOOLS.get(row.get("mode", "")), str(row.get("litellm_provider", ""))
        if tool is None or (provider is not None and owner != provider):
            continue
        name, choice = _parts(key, owner)
        prices = dict(_prices(row, tool, dict(choice)))
        if not prices:
            left_out["priced by tokens, or without a price"].append(key)
            continue
        model = models.setdefault((owner, tool, name), ListedModel(name, owner, tool))
        model.takes |= frozenset(row.get("supported_modalities") or ()) | _edits(row)
        if tool == "video":
            model.per_input_image = _dollars(row, "input_cost_per_image")
        for more, price in prices.items():
            model.prices.setdefault(tuple(sorted({*choice, *more})), price)
    return PriceList(list(_settled(models.values(), left_out)), dict(left_out))


def _parts(key: str, owner: str) -> tuple[str, Choice]:
    """A row's model, and the settings in its name."""
    parts = key.split("/")
    if parts[0] == owner:
        parts.pop(0)
    chosen: dict[str, str] = {}
    while len(parts) > 1:
        found = next((name for name, form in _NAMED.items() if form.fullmatch(parts[0]) and name not in chosen), None)
        if found is None:
            break
        chosen[found] = parts.pop(0)
    return "/".join(part for part in parts if part != owner), tuple(chosen.items())


_NAMED = {"quality": _QUALITY, "size": _SIZE, "steps": _STEPS}


def _prices(row: Mapping[str, Any], tool: str, chosen: Mapping[str, str]) -> Iterator[tuple[Choice, Decimal]]:
    """Its prices, by what selects them besides its name."""
    base = _IMAGE if tool == "image" else _SECOND
    tiers = {name.removeprefix(f"{base}_"): _dollars(row, name) for name in row if name.startswith(f"{base}_")}
    tiers = {tier: price for tier, price in tiers.items() if re.fullmatch(r"[\d.]+[kKpP]", tier) and price > 0}
    plain = _dollars(row, base) or _dollars(row, "output_cost_per_video_per_second")
    if tool == "image" and not plain:
        plain = _dollars(row, "input_cost_per_image") or _of_pixels(row, chosen.get("size", ""))
    if plain and plain not in tiers.values():
        yield ((("resolution", "standard"),) if tiers else ()), plain
    # The default is what the list's plain price is for.
    for tier, price in sorted(tiers.items(), key=lambda tier: tier[1] != plain):
        yield (("resolution", tier.lower() if tool == "video" else tier),), price


def _of_pixels(row: Mapping[str, Any], size: str) -> Decimal:
    sides = _SIZE.fullmatch(size)
    per_pixel = _dollars(row, "input_cost_per_pixel") or _dollars(row, "output_cost_per_pixel")
    return per_pixel * int(sides[1]) * int(sides[2]) if sides else Decimal(0)


def _dollars(row: Mapping[str, Any], name: str) -> Decimal:
    """A price; 0 if there is none, or none that could be one."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return Decimal(0)
    price = Decimal(value)
    return price if price.is_finite() and price > 0 else Decimal(0)


def _edits(row: Mapping[str, Any]) -> frozenset[str]:
    edits = row.get("mode") == "image_edit" or "/v1/images/edits" in (row.get("supported_endpoints") or ())
    return frozenset({"image"}) if edits else frozenset()


def _settled(models: Any, left_out: dict[str, list[str]]) -> Iterator[ListedModel]:
    """Each model with prices that name the same settings, under an id of its own."""
    taken: set[str] = set()
    for model in models:
        most = max(len(choice) for choice in model.prices)
        settings = {name for choice in model.prices for name, _ in choice}
        # A row without settings, beside others with: the list's fallback for what it has no price for.
        model.prices = {choice: price for choice, price in model.prices.items() if len(choice) == most}
        if len(settings) != most:
            left_out["its prices depend on different settings"].append(model.name)
            continue
        names = (model.name, f"{model.provider}-{model.name}", f"{model.provider}-{model.tool}-{model.name}")
        model.id = next(each for each in map(_id, names) if each not in taken)
        taken.add(model.id)
        yield model


def _id(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")


def card_of(models: list[ListedModel], *, credits_per_dollar: Decimal) -> str:
    """A rate card with these models, as text."""
    tools = {tool: next(one for one in models if one.tool == tool) for tool in ("image", "video") if _has(models, tool)}
    parts = [_HEAD.format(rate=f"{credits_per_dollar:f}")]
    parts += [
        f'[tools.{tool}]\nname = "{tool.title()}"\nbaseline_model = {json.dumps(first.id)}\n'
        for tool, first in tools.items()
    ]
    parts += ["\n".join(_model(model, credits_per_dollar)) for model in models]
    return "\n".join(parts)


def _has(models: list[ListedModel], tool: str) -> bool:
    return any(model.tool == tool for model in models)


_HEAD = """\
# Made of LiteLLM's price list, at {rate} credits a dollar: what the models cost you, not yet what you charge.
# Set a margin, plans and bundles; and for each model its provider, and the settings that the provider really takes.

[free]
daily_credits = 0
"""


def _model(model: ListedModel, rate: Decimal) -> Iterator[str]:
    table = f"models.{json.dumps(model.id)}"
    yield f'[{table}]\nname = {json.dumps(model.name)}\ntool = "{model.tool}"'
    yield f'provider = "sandbox" # {model.provider} calls it {json.dumps(model.name)}'
    inputs = [name for name in ("image", "video") if name in model.takes]
    if inputs:
        yield f"inputs = {{ {', '.join(f'{name} = 1' for name in inputs)} }}"
    yield from _settings(model, table)
    for choice, price in model.prices.items():
        yield f"[[{table}.rates]]"
        if choice:
            yield f"when = {_inline(choice)}"
        amount = _credits(price * rate)
        yield (
            f"credits = {amount}"
            if model.tool == "image"
            else f"credits_per = {{ duration = {{ credits = {amount} }} }}"
        )
    if model.per_input_image:
        yield f'[[{table}.add_ons]]\nname = "Input images"\nper = "request"'
        yield f"credits_per = {{ input_images = {{ credits = {_credits(model.per_input_image * rate)} }} }}"
    yield ""


def _settings(model: ListedModel, table: str) -> Iterator[str]:
    values: dict[str, dict[str, None]] = defaultdict(dict)  # in order of first use: the first is the default
    for name, value in itertools.chain.from_iterable(model.prices):
        values[name][value] = None
    if values or model.tool == "video":
        yield f"[{table}.settings]"
    for name, found in values.items():
        yield f"{name} = {{ values = {json.dumps(list(found))} }}"
    if model.tool == "video":
        yield 'duration = { min = 1, max = 15, default = 5, unit = "s" } # the list does not say which lengths it takes'
    offered = itertools.product(*([(name, value) for value in found] for name, found in values.items()))
    for choice in offered:
        if tuple(sorted(choice)) not in model.prices:
            yield f'[[{table}.forbidden]]\nwhen = {_inline(choice)}\nreason = "The price list has no price for it."'


def _inline(choice: Choice) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in choice) + " }"


def _credits(amount: Decimal) -> str:
    return f"{amount.quantize(_DECIMALS, rounding=ROUND_CEILING).normalize():f}"
