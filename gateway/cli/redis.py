"""`farebox redis`: the embedded ledger in the foreground."""

from __future__ import annotations

import signal

import click

from gateway.cli.say import say
from gateway.local.embedded import run_redis
from gateway.settings import load_settings


@click.command()
def redis() -> None:
    """Run the embedded Redis in the foreground, durable, on a socket in the data folder (FAREBOX_DATA).

    For a single machine without another Redis. Everything acknowledged is on disk (append-only file, fsynced before
    every response), so it can be killed at any time.

    If FAREBOX_LEDGER_URL or FAREBOX_QUEUE_URL is set, nothing would use it: it says so and waits for SIGTERM.

    \b
    Example:
      farebox redis
    """
    settings = load_settings()
    if settings.embedded:
        run_redis(data=settings.data, socket=settings.redis_socket, memory_mib=settings.redis_memory_mib)
    else:
        _stand_by()


def _stand_by() -> None:
    """Stay until SIGTERM: tools that run a Procfile stop everything when one process ends."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    say("FAREBOX_LEDGER_URL or FAREBOX_QUEUE_URL is set, so no embedded Redis is started. Waiting for SIGTERM.")
    signal.sigwait(ends)
