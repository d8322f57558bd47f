"""`farebox gateway`: the HTTP interface."""

from __future__ import annotations

import click

from gateway.app import run
from gateway.local import data_folder
from gateway.local.listening import free_port
from gateway.local.open_files import raise_limit
from gateway.logs import configure_logs
from gateway.settings import load_settings


@click.command()
@click.option("--under-up", is_flag=True, hidden=True)
def gateway(*, under_up: bool) -> None:
    """Serve the HTTP API on FAREBOX_HOST and FAREBOX_PORT (127.0.0.1:8080).

    Run as many as you like behind a load balancer: they share nothing but the ledger and the queue. On SIGTERM,
    requests in flight finish first.

    \b
    Examples:
      farebox gateway
      FAREBOX_LEDGER_URL=redis://ledger:6379 FAREBOX_HOST=0.0.0.0 farebox gateway
    """
    settings = load_settings()
    configure_logs(settings)
    raise_limit()
    free_port(settings.host, settings.port, "gateway")  # report it before anything is created
    data_folder.take(settings.data)
    try:
        run(settings, under_up=under_up)
    except OSError:
        free_port(settings.host, settings.port, "gateway")  # another program was faster
        raise
