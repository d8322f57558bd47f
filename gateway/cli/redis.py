"""`farebox redis`: the embedded ledger in the foreground."""

from __future__ import annotations

import click

from gateway.embedded import run_redis
from gateway.settings import load_settings


@click.command()
def redis() -> None:
    """Run the embedded Redis in the foreground, durable, on a socket in the data folder (FAREBOX_DATA).

    For one machine without a Redis of its own. Everything acknowledged is on disk (append-only file, synced before
    every answer), so it may be killed at any time.

    \b
    Example:
      farebox redis
    """
    run_redis(load_settings())
