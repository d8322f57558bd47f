"""`farebox pricing import`: a rate card made of LiteLLM's public price list, as a start."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from gateway.cli.say import say
from gateway.errors import RateCardError
from gateway.pricing.litellm import card_of, read_list
from gateway.pricing.load import read_card

_SHOWN = 3


class _Rate(click.ParamType[Decimal]):
    """A positive number of credits."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Convert the text."""
        try:
            rate = Decimal(value)
        except InvalidOperation:
            rate = Decimal(0)
        if not (rate.is_finite() and rate > 0):
            self.fail(f"{value!r} is not a positive number, such as 1000", param, ctx)
        return rate


@click.command("import")
@click.argument("path", metavar="LIST", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--provider", metavar="NAME", help="Only this provider's models, by the list's name of it: fal_ai.")
@click.option("--credits-per-dollar", type=_Rate(), default="1000", show_default=True, help="What a dollar is worth.")
def import_prices(path: Path, provider: str | None, credits_per_dollar: Decimal) -> None:
    """Print a rate card with the image and video models of LiteLLM's price list, as a start for your own.

    LIST is the file model_prices_and_context_window.json that LiteLLM publishes. The prices are what the providers
    charge you: set a margin, plans and bundles, and for each model its provider. Every model runs on `sandbox` until
    then. What the list prices by tokens is left out, and named.

    \b
    Examples:
      farebox pricing import prices.json --provider fal_ai > pricing.toml
      farebox pricing check pricing.toml
    """
    prices = read_list(path.read_text(), provider)
    if not prices.models:
        whose = "" if provider is None else f" of {provider!r}"
        raise RateCardError([f"{path} has no image or video model{whose} with a price for an image or a second."])
    card = card_of(prices.models, credits_per_dollar=credits_per_dollar)
    read_card(card.encode())
    say(card)
    say(f"{len(prices.models)} {'model' if len(prices.models) == 1 else 'models'}.", error=True)
    for reason, rows in prices.left_out.items():
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        say(
            f"Left out {len(rows)} {'row' if len(rows) == 1 else 'rows'} ({reason}): {', '.join(rows[:_SHOWN])}{more}",
            error=True,
        )
