"""Renders what models cost and leave, for operators at a terminal: part of `farebox pricing check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from rich import box
from rich.markup import escape
from rich.table import Table

from gateway.pricing.costs import CostRange, money
from gateway.pricing.values import show_facts

Ranges = Sequence[CostRange | tuple[str, str]]


def table_titled(title: str) -> Table:
    """An empty table in the style of all others."""
    return Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def costs_table(ranges: Ranges, worth: Fraction | None) -> Table:
    """The cost of one output at each provider, and what it leaves if it is paid by the cheapest credits sold."""
    paid = (
        "no credits are sold"
        if worth is None
        else f"margin at {_per_credit(worth)} a credit, the cheapest sold, after a plan's largest discount"
    )
    table = table_titled(f"Costs of one output, in the card's currency ({paid})")
    table.add_column("model", no_wrap=True)
    table.add_column("at", no_wrap=True)
    for heading in ("from", "to", "margin from", "to"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in ranges:
        if isinstance(one, CostRange):
            margins = ("", "") if worth is None else (_short(one.least.margin), _short(one.most.margin))
            costs = (_short(one.cheapest.cost), _short(one.dearest.cost))
            table.add_row(escape(one.model), escape(one.provider), *costs, *margins)
        else:
            table.add_row(escape(one[0]), escape(one[1]), "not compared")
    return table


def cost_warnings(ranges: Ranges, worth: Fraction | None) -> Iterator[str]:
    """Combinations that cost more than they earn, and models that were not compared."""
    for one in ranges:
        if not isinstance(one, CostRange):
            yield f"{one[0]} at {one[1]} has too many combinations to compare its costs with its prices."
            continue
        for compared in one.losing:
            facts = show_facts(compared.facts.items())
            yield (
                f"{one.model} at {one.provider} loses money{f' with {facts}' if facts else ''}: it costs "
                f"{_short(compared.cost)} and earns {_short(compared.revenue)}, with credits at "
                f"{_per_credit(worth or Fraction(0))} each."
            )
        if more := one.losses - len(one.losing):
            yield f"{one.model} at {one.provider} loses money with {more:,} more combinations."


def _per_credit(worth: Fraction) -> str:
    """Micro-units per millicredit as money per credit."""
    return _short(worth * 1000)


def _short(micro: Fraction) -> str:
    """Money without the zeros at its end, but with cents: `0.04`."""
    amount = Decimal(money(micro))
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount.normalize():f}"
