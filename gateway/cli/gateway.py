"""`farebox gateway`: the HTTP interface."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from gateway.cli.several_gateways import OWN_COMMAND, serve
from gateway.local import data_folder
from gateway.local.listening import free_port
from gateway.local.open_files import raise_limit
from gateway.logs import configure_logs
from gateway.serving import run
from gateway.settings import PROCESSES_MAX, Settings, load_settings


class _Processes(click.ParamType[Any]):
    """A number of processes, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Convert the text."""
        if value == "auto":
            return "auto"
        if not str(value).isdecimal() or not 1 <= int(value) <= PROCESSES_MAX:
            self.fail(f"{value!r} is neither a number from 1 to {PROCESSES_MAX} nor auto", param, ctx)
        return int(value)


@click.command()
@click.option(
    "--processes", type=_Processes(), help="Processes on this port (FAREBOX_GATEWAYS, else 1); auto: one per core."
)
@click.option("--number", type=int, hidden=True)
@click.option("--under-up", is_flag=True, hidden=True)
def gateway(processes: int | str | None, number: int | None, *, under_up: bool) -> None:
    """Serve the HTTP API on FAREBOX_HOST and FAREBOX_PORT (127.0.0.1:8080).

    Run as many as you like behind a load balancer: they share nothing but the ledger and the queue. On one machine,
    --processes runs several on one port, with a parent that restarts them. On SIGTERM, requests in flight finish
    first, in one process after the other.

    \b
    Examples:
      farebox gateway
      farebox gateway --processes auto
      FAREBOX_LEDGER_URL=redis://ledger:6379 FAREBOX_HOST=0.0.0.0 farebox gateway
    """
    settings = load_settings()
    if processes is not None:
        settings = settings.model_copy(update={"gateways": processes})
    configure_logs(settings)
    if number is not None:
        raise_limit()
        data_folder.take(settings.data)
        run(settings, under_up=under_up, number=number)
        return
    port = free_port(settings.host, settings.port, "gateway")  # report it before anything is created
    data_folder.take(settings.data)
    if settings.gateway_count > 1:
        asyncio.run(serve(settings.model_copy(update={"port": port}), OWN_COMMAND))
        return
    raise_limit()
    _run_alone(settings, under_up=under_up)


def _run_alone(settings: Settings, *, under_up: bool) -> None:
    try:
        run(settings, under_up=under_up)
    except OSError:
        free_port(settings.host, settings.port, "gateway")  # another program was faster
        raise
