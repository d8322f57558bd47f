"""Prints text, with control characters from outside escaped. Ruff forbids `click.echo` elsewhere."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.outside.visible import visible_json, visible_lines


def say(text: str, *, error: bool = False) -> None:
    """Print a text."""
    click.echo(visible_lines(text), err=error)


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=False)))
