"""A rate card as a person reads it in a terminal: `farebox pricing check`."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gateway.domain import Interval, format_credits
from gateway.pricing.card import INPUT_IMAGES, INPUT_VIDEOS, Model, Plan, RateCard, Setting
from gateway.pricing.check import ModelProof, Priced, Proof
from gateway.pricing.estimates import estimated_generations

_VALUES_SHOWN_MAX = 5


def render(card: RateCard, proof: Proof) -> Group:
    """Every model by tool with its price range, then the plans and bundles, then what was proved."""
    parts: list[RenderableType] = []
    for tool_id, tool in card.tools.items():
        models = {model_id: model for model_id, model in card.models.items() if model.tool == tool_id}
        parts.append(_models_table(f"{tool.name}: {len(models)} models, credits for one output", models, proof))
    parts.append(_plans_table(card))
    if card.bundles:
        parts.append(_bundles_table(card))
    combinations = sum(one.combinations for one in proof.values())
    rates = sum(len(model.rates) for model in card.models.values())
    summary = (
        f"{card.path} holds: {len(card.models)} models, {rates} rates, {combinations:,} combinations, "
        f"each with exactly one price."
    )
    parts.append(Text(summary, style="green"))
    parts.append(Text(f"version {card.version}", style="dim"))
    return Group(*parts)


def _table(title: str) -> Table:
    return Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _models_table(title: str, models: dict[str, Model], proof: Proof) -> Table:
    table = _table(title)
    table.add_column("model", no_wrap=True)
    table.add_column("pro", no_wrap=True)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    table.add_column("rates", justify="right")
    table.add_column("combinations", justify="right")
    table.add_column("settings", overflow="fold")
    for model_id, model in models.items():
        proved = proof[model_id]
        table.add_row(
            escape(model_id),
            "pro" if model.pro else "",
            format_credits(proved.cheapest.millicredits),
            _dearest(proved),
            str(len(model.rates)),
            f"{proved.combinations:,}",
            escape(_settings(model)),
        )
    return table


def _dearest(proved: ModelProof) -> str:
    same = proved.dearest.millicredits == proved.cheapest.millicredits
    return "" if same else format_credits(proved.dearest.millicredits)


def price_range(proved: ModelProof) -> str:
    """`49 (1K) to 98 (4K)`: the ends of a model's prices, and the combinations that cost them."""
    if proved.cheapest.millicredits == proved.dearest.millicredits:
        return format_credits(proved.cheapest.millicredits)
    return f"{_end(proved.cheapest)} to {_end(proved.dearest)}"


def _end(priced: Priced) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in priced.facts.items())
    return f"{format_credits(priced.millicredits)} ({facts})"


def _settings(model: Model) -> str:
    parts = [f"{name} {_values(setting)}" for name, setting in model.settings.items()]
    for name in (INPUT_IMAGES, INPUT_VIDEOS):
        if model.inputs_of(name):
            parts.append(f"{name} 0–{model.inputs_of(name)}")
    return " · ".join(parts)


def _values(setting: Setting) -> str:
    """`1K/2K/4K`, `3–12 s`; a long list is cut."""
    if setting.values is None:
        low, high = setting.minimum, setting.maximum
        return f"{low:f}–{high:f}{f' {setting.unit}' if setting.unit else ''}"
    shown = [setting.show(value) for value in setting.values[:_VALUES_SHOWN_MAX]]
    return "/".join(shown) + ("/…" if setting.count > _VALUES_SHOWN_MAX else "")


def _plans_table(card: RateCard) -> Table:
    table = _table("Plans")
    for heading in ("plan", "credits", "monthly", "quarterly", "yearly", "in work at once", "head start", "pays for"):
        table.add_column(heading, justify="right" if heading in {"credits", *Interval} else "left")
    free = f"{format_credits(card.free.daily_millicredits)} a day"
    pays_for = _pays_for(card, "free")
    table.add_row("free", free, "", "", "", _concurrency(card.free.concurrency.items()), "", f"{pays_for} a day")
    for plan_id, plan in card.plans.items():
        table.add_row(
            escape(plan_id),
            f"{format_credits(plan.monthly_millicredits)} a month",
            *(_price(plan, interval) for interval in Interval),
            _concurrency(plan.concurrency.items()),
            _minutes(plan.head_start_ms),
            f"{_pays_for(card, plan_id)} a month",
        )
    return table


def _price(plan: Plan, interval: Interval) -> str:
    price = plan.price.of(interval)
    return "" if price is None else f"{price:,.2f}"


def _concurrency(by_tool: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {tool}" for tool, count in by_tool)


def _minutes(duration_ms: int) -> str:
    return f"{duration_ms / 60_000:g} min" if duration_ms else ""


def _pays_for(card: RateCard, plan_id: str) -> str:
    estimates = estimated_generations(card, plan_id)
    return ", ".join(f"{one['generations']:,} {one['model']}" for one in estimates.values())


def _bundles_table(card: RateCard) -> Table:
    table = _table("Bundles")
    table.add_column("bundle")
    table.add_column("credits", justify="right")
    table.add_column("price", justify="right")
    for bundle_id, bundle in card.bundles.items():
        table.add_row(escape(bundle_id), format_credits(bundle.millicredits), f"{bundle.price:,.2f}")
    return table
