"""Renders a rate card for the terminal: `farebox pricing check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gateway.domain import Interval, format_credits
from gateway.pricing.card import CONCURRENCY_DEFAULT, FREE_PLAN, Concurrency, Model, Plan, RateCard
from gateway.pricing.check import ModelProof, Proof, proof_at
from gateway.pricing.costs import cheapest_worth, cost_ranges
from gateway.pricing.estimates import estimated_generations
from gateway.pricing.measures import MEASURES
from gateway.pricing.render_costs import cost_warnings, costs_table, table_titled
from gateway.pricing.setting import Setting
from gateway.pricing.values import ValueKind, show, show_facts

_VALUES_SHOWN_MAX = 5


def render(card: RateCard, proof: Proof, time_ms: int = 0) -> Group:
    """Every model by tool with its price range at a time, what changes later, plans, bundles, and what was checked."""
    lists = sum(len(model.prices) for model in card.models.values())
    card, proof = card.at(time_ms), proof_at(card, proof, time_ms)
    parts: list[RenderableType] = []
    for tool_id, tool in card.tools.items():
        models = {model_id: model for model_id, model in card.models.items() if model.tool == tool_id}
        count = "1 model" if len(models) == 1 else f"{len(models)} models"
        parts.append(_models_table(f"{tool.name}: {count}, credits per output", models, proof))
    if card.price_changes:
        parts.append(_changes_table(card, proof))
    if card.has_discounts:
        parts.append(_discounts_table(card))
    parts.extend((_plans_table(card), _concurrency_table(card), _coverage_table(card)))
    if card.bundles:
        parts.append(_bundles_table(card))
    costs = list(cost_ranges(card, cheapest_worth(card)))
    if costs:
        parts.append(costs_table(costs, cheapest_worth(card)))
    warnings = (*_warnings(proof), *cost_warnings(costs, cheapest_worth(card)))
    parts.extend(Text(f"Warning: {warning}", style="yellow") for warning in warnings)
    combinations = sum(one.combinations for one in proof.values())
    rates = sum(len(model.rates) for model in card.models.values())
    summary = (
        f"{card.path}: {len(card.models)} models, {rates} rates, {combinations:,} combinations, "
        f"each with exactly one price" + (f", and so in {lists} price lists that begin at a date." if lists else ".")
    )
    parts.append(Text(summary, style="green"))
    parts.append(Text(f"version {card.version}", style="dim"))
    return Group(*parts)


def _warnings(proof: Proof) -> Iterator[str]:
    """What may be intended, but is more often a mistake."""
    for model_id, proved in proof.items():
        if proved.cheapest.millicredits == 0:
            facts = show_facts(proved.cheapest.facts.items())
            yield f"{model_id} costs nothing{f' with {facts}' if facts else ''}. If this is unintended, set `credits`."


def _models_table(title: str, models: dict[str, Model], proof: Proof) -> Table:
    table = table_titled(title)
    table.add_column("model", no_wrap=True)
    table.add_column("pro", no_wrap=True)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    table.add_column("rates", justify="right", no_wrap=True)
    table.add_column("combinations", justify="right", no_wrap=True)
    table.add_column("price depends on", overflow="fold")
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


def _changes_table(card: RateCard, proof: Proof) -> Table:
    """When the prices of which model change, from what to what, soonest first."""
    table = table_titled(f"Prices that change (time zone {card.free.timezone}), credits per output")
    table.add_column("from", no_wrap=True)
    table.add_column("model", overflow="fold")
    for heading in ("before", "after"):
        table.add_column(heading, justify="right")
    changes = [
        (one.begins_at(card.free.timezone), model_id, before, after)
        for model_id, model in card.models.items()
        for one, before, after in zip(
            model.prices, (proof[model_id], *proof[model_id].later), proof[model_id].later, strict=False
        )
    ]
    for begins_at, model_id, before, after in sorted(changes, key=lambda change: change[0]):
        table.add_row(_local(begins_at, card), escape(model_id), _range(before), _range(after))
    return table


def _local(time_ms: int, card: RateCard) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, ZoneInfo(card.free.timezone)):%Y-%m-%d %H:%M}"


def _range(proved: ModelProof) -> str:
    return "–".join(part for part in (format_credits(proved.cheapest.millicredits), _dearest(proved)) if part)


def _discounts_table(card: RateCard) -> Table:
    """What each plan pays of the prices."""
    table = table_titled("Plans: what is paid of the prices")
    plans = {FREE_PLAN: card.free.discounts} | {plan_id: plan.discounts for plan_id, plan in card.plans.items()}
    _add_plan_columns(table, "of", plans)
    for name in dict.fromkeys(name for discounts in plans.values() for name in discounts):
        factors = (discounts.get(name) for discounts in plans.values())
        table.add_row(escape(name), *("" if factor is None else f"× {factor:f}" for factor in factors))
    return table


def _dearest(proved: ModelProof) -> str:
    same = proved.dearest.millicredits == proved.cheapest.millicredits
    return "" if same else format_credits(proved.dearest.millicredits)


def _settings(model: Model) -> str:
    """The settings that affect the price, with their values, and what is reported, at its ceiling.

    Others do not belong on a price list.
    """
    named = [f"{name} {_values_of(model, name)}".strip() for name in model.priced_by]
    reported = dict.fromkeys(f"{one.unit} ≤ {one.at_most:f}" for rate in model.rates for one in rate.reported)
    overs = dict.fromkeys(f"over {one.over:,}" for rate in model.rates for one in rate.graduated)
    monthly = [f"this month {', '.join(overs)}"] if overs else []
    return " · ".join([*named, *(f"reported {unit}" for unit in reported), *monthly])


def _values_of(model: Model, name: str) -> str:
    if name in model.settings:
        return _values(model.settings[name])
    return f"0–{(model.most_of(name) or 0) if name in MEASURES else model.inputs_of(name)}"


def _values(setting: Setting) -> str:
    """`1K/2K/4K`, `3–12 s`, and nothing for a flag; a long list is cut."""
    if setting.kind is ValueKind.FLAG:
        return ""
    if setting.values is None:
        shown = f"{setting.minimum:f}–{setting.maximum:f}"
    else:
        words = [value if isinstance(value, str) else show(value) for value in setting.values[:_VALUES_SHOWN_MAX]]
        shown = "/".join(words) + ("/…" if setting.count > _VALUES_SHOWN_MAX else "")
    return f"{shown} {setting.unit}".strip()


def _plans_table(card: RateCard) -> Table:
    table = table_titled("Plans: credits per month, and the price per interval")
    table.add_column("plan", no_wrap=True)
    kept = {plan_id: plan.output_days for plan_id, plan in card.plans.items()} | {FREE_PLAN: card.free.output_days}
    for heading in ("credits", *Interval, "head start", *(["outputs kept"] if any(kept.values()) else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    nothing = ("",) * (len(Interval) + 1)
    table.add_row(FREE_PLAN, f"{format_credits(card.free.daily_millicredits)} a day", *nothing, *_days(kept, FREE_PLAN))
    for plan_id, plan in card.plans.items():
        table.add_row(
            escape(plan_id),
            format_credits(plan.monthly_millicredits),
            *(_price(plan, interval) for interval in Interval),
            _minutes(plan.head_start_ms),
            *_days(kept, plan_id),
        )
    return table


def _concurrency_table(card: RateCard) -> Table:
    """How many generations of each tool may be in work at once, by plan."""
    table = table_titled("Plans: concurrent generations")
    rows = {plan_id: plan.concurrency for plan_id, plan in card.plans.items()}
    limits: dict[str, Concurrency] = {FREE_PLAN: card.free.concurrency, **rows}
    _add_plan_columns(table, "tool", limits)
    for tool_id in card.tools:
        table.add_row(escape(tool_id), *(str(limit.get(tool_id, CONCURRENCY_DEFAULT)) for limit in limits.values()))
    return table


def _coverage_table(card: RateCard) -> Table:
    """How many outputs of each tool's baseline model a plan's credits pay for."""
    table = table_titled("Plans: how many outputs the credits pay for")
    covered = {plan_id: estimated_generations(card, plan_id) for plan_id in (FREE_PLAN, *card.plans)}
    _add_plan_columns(table, "of", covered)
    for tool_id, tool in card.tools.items():
        found = (one[tool_id]["generations"] if tool_id in one else None for one in covered.values())
        table.add_row(escape(tool.baseline_model), *("" if count is None else f"{count:,}" for count in found))
    return table


def _add_plan_columns(table: Table, first: str, plans: Iterable[str]) -> None:
    table.add_column(first, overflow="fold")
    for plan_id in plans:
        table.add_column(escape(plan_id), justify="right", overflow="fold")


def _price(plan: Plan, interval: Interval) -> str:
    price = plan.price.of(interval)
    return "" if price is None else f"{price:,.2f}"


def _minutes(duration_ms: int) -> str:
    return f"{duration_ms / 60_000:g} min" if duration_ms else ""


def _days(kept: Mapping[str, int | None], plan_id: str) -> Iterator[str]:
    """A plan's cell in the column for it, if there is one."""
    if any(kept.values()):
        days = kept[plan_id]
        yield "" if days is None else f"{days} days"


def _bundles_table(card: RateCard) -> Table:
    table = table_titled("Bundles")
    table.add_column("bundle")
    table.add_column("credits", justify="right")
    table.add_column("price", justify="right")
    for bundle_id, bundle in card.bundles.items():
        table.add_row(escape(bundle_id), format_credits(bundle.millicredits), f"{bundle.price:,.2f}")
    return table
