"""The price of every combination of a model's settings, calculated by the gateway: `POST /v1/estimates`.

An item of an estimate has the price of the next request. One call takes a hundred of them, and also returns what the
account's plan allows. Settings that no rate names, such as a seed, stay at their defaults: with all their values
the example card would have billions of prices instead of 241.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from gateway.client.calls import GatewayClient
from gateway.mcp.refusals import ToolRefused
from gateway.pricing.measures import INPUT_COUNTS, MEASURES, factors
from gateway.schemas.base import as_number, exact_decimal
from gateway.schemas.estimates import ITEMS_MAX

COMBINATIONS_MAX = 1000
"""Combinations in one list; the list says if some were left out."""
COMBINATIONS_PER_MODEL = 100
"""Combinations per model, unless it is the only one."""
_TRIES = 3
_SHOWN = ("id", "name", "tool", "description", "pro", "outputs_max", "prompt", "inputs")
_BESIDE_SETTINGS = frozenset({*INPUT_COUNTS, *MEASURES})

Settings = dict[str, Any]


async def price_list(client: GatewayClient, tool: str | None, model: str | None) -> dict[str, Any]:
    """The models of a tool, or one model, or all, each with its prices."""
    for _ in range(_TRIES):
        card = await client.call("GET", "/v1/rate-card")
        models = [one for one in card["models"] if tool in {None, one["tool"]} and model in {None, one["id"]}]
        if not models:
            known = ", ".join(one["id"] for one in card["models"] if tool in {None, one["tool"]})
            raise ToolRefused("unknown_model", f"No such model or tool. On sale: {known or 'nothing'}.")
        lists = _combinations(models)
        priced, version = await _priced(client, lists)
        if version == card["version"]:
            return {"rate_card": version, "models": [_shown(*one) for one in zip(lists, priced, strict=True)]}
    raise ToolRefused("rate_card_changed", "The prices changed while they were read. Call list_models again.")


@dataclass(frozen=True, slots=True)
class _Combinations:
    """As many combinations of a model's settings as fit, its defaults first."""

    model: Mapping[str, Any]
    chosen: list[Settings]
    some_left_out: bool


def _combinations(models: Sequence[Mapping[str, Any]]) -> list[_Combinations]:
    lists, room = [], COMBINATIONS_MAX
    for model in models:
        most = room if len(models) == 1 else max(1, min(COMBINATIONS_PER_MODEL, room))
        some = list(islice(_walk(model), most + 1))
        lists.append(_Combinations(model, some[:most], len(some) > most))
        room -= len(some[:most])
    return lists


def _walk(model: Mapping[str, Any]) -> Iterator[Settings]:
    """Every allowed combination of the settings named by a rate, or bound to one of these by a rule."""
    named = _names_in_rates(model)
    bound = [rule["when"].keys() for rule in model["forbidden"] if rule["when"].keys() & named]
    varied = {name: of for name, of in model["settings"].items() if name in named.union(*bound)}
    defaults = {name: setting["default"] for name, setting in model["settings"].items()}
    first = {name: defaults[name] for name in varied}
    yield first
    for values in product(*(list(_values(setting)) for setting in varied.values())):
        settings = dict(zip(varied, values, strict=True))
        if settings != first and not any(_matches(rule["when"], defaults | settings) for rule in model["forbidden"]):
            yield settings


def _matches(when: Mapping[str, Sequence[Any]], settings: Settings) -> bool:
    return all(name in settings and settings[name] in values for name, values in when.items())


def _values(setting: Mapping[str, Any]) -> Iterator[Any]:
    """Every value of a setting; of a long range as many as fit."""
    if setting.get("values"):
        yield from setting["values"]
        return
    low, high, step = (exact_decimal(setting[name]) for name in ("min", "max", "step"))
    for index in range(min(int((high - low) // step) + 1, COMBINATIONS_MAX + 1)):
        yield as_number(low + index * step)


async def _priced(client: GatewayClient, lists: Sequence[_Combinations]) -> tuple[list[list[dict[str, Any]]], str]:
    """The estimate's item for each combination, and the rate card's version; "" if that changed meanwhile."""
    items = [
        {"tool": one.model["tool"], "model": one.model["id"], "settings": settings, "per_day": 1, "days": 1}
        for one in lists
        for settings in one.chosen
    ]
    found: list[dict[str, Any]] = []
    versions = set()
    for start in range(0, len(items), ITEMS_MAX):
        estimate = await client.call("POST", "/v1/estimates", {"items": items[start : start + ITEMS_MAX]})
        versions.add(estimate["rate_card"])
        found += estimate["items"]
    rest = iter(found)
    return [list(islice(rest, len(one.chosen))) for one in lists], versions.pop() if len(versions) == 1 else ""


def _shown(combinations: _Combinations, priced: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    model = combinations.model
    gates = [{} if item["allowed"] else {"allowed": False, "reason": item["reason"]} for item in priced]
    shown = {name: model[name] for name in _SHOWN}
    shown["settings"] = model["settings"]
    if all(gate == gates[0] for gate in gates):
        shown |= gates[0]
        gates = [{} for _ in gates]
    shown["prices"] = [
        {"settings": settings, "credits": item["unit_credits"], **_beside(item), **gate}
        for settings, item, gate in zip(combinations.chosen, priced, gates, strict=True)
    ]
    ordered = [item["ordered_this_month"] for item in priced if "ordered_this_month" in item]
    if ordered:
        shown["ordered_this_month"] = ordered[0]
        shown["graduated"] = [_graduated(rate) for rate in model["rates"] if rate.get("graduated")]
    if beside := sorted(_names_in_rates(model) & _BESIDE_SETTINGS):
        shown["price_also_depends_on"] = beside
    if "paused" in model:
        shown["paused"] = model["paused"]
    if combinations.some_left_out:
        shown["combinations_left_out"] = True
    return shown


def _beside(item: Mapping[str, Any]) -> dict[str, Any]:
    """That the price is a ceiling, and what it is without discounts."""
    beside = {"at_most": True} if "at_most" in item else {}
    return beside | ({"list_credits": item["list_unit_credits"]} if "list_unit_credits" in item else {})


def _graduated(rate: Mapping[str, Any]) -> dict[str, Any]:
    """The list prices of a rate by how many were ordered this month."""
    return {"when": rate["when"], "credits": rate["credits"], "graduated": rate["graduated"]}


def _names_in_rates(model: Mapping[str, Any]) -> set[str]:
    """What the price depends on: settings, numbers of inputs, and measures of them and the prompt."""
    names: set[str] = set()
    for line in (*model["rates"], *model["add_ons"]):
        names |= line["when"].keys()
        names |= {factor for name in line["credits_per"] or () for factor in factors(name)}
    return names
