"""`farebox pricing`: look at the rate card before the gateway does."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from gateway.pricing.load import default_card_path, load_proved_card
from gateway.pricing.render import render
from gateway.settings import load_settings


@click.group()
def pricing() -> None:
    """Look at the rate card, pricing.toml."""


@pricing.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
def check(path: Path | None) -> None:
    """Prove that the rate card has exactly one price for everything that it allows, and print its prices.

    PATH is FAREBOX_RATE_CARD if left out, else pricing.toml. Every fault is told with its table and what to change;
    the exit code is 2 if there is one, so it can guard a deploy.

    \b
    Examples:
      farebox pricing check
      farebox pricing check next-month.toml
    """
    card, proof = load_proved_card(path or default_card_path(load_settings().rate_card))
    Console().print(render(card, proof))
