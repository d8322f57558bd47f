"""The command lines of the processes beside the gateway: `farebox worker TOOL`, `caretaker`, `archivist`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click
import structlog
from prometheus_client import REGISTRY, generate_latest, start_http_server

from gateway.archive.archivist import Archivist
from gateway.archive.connection import check_url
from gateway.archive.figures import ArchivistFigures
from gateway.archive.switching_off import SwitchedOff
from gateway.archive.switching_off import switch_off as switch_archive_off
from gateway.cli.say import say
from gateway.client.calls import GatewayClient
from gateway.client.settings import load_worker_client_settings
from gateway.clock import CLOCK
from gateway.errors import ArchiveInUse, ArchiveUnavailable, LedgerUnavailable, SettingsError
from gateway.ledger.traced import ledger_class
from gateway.local import data_folder
from gateway.local.open_files import raise_limit
from gateway.logs import configure_logs
from gateway.pricing.load import default_card_path, load_card
from gateway.process_metrics import ARCHIVIST, CARETAKER, serve, worker_process
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings
from gateway.startup.misspelt import misspelt
from gateway.startup.telemetry import Telemetry, start_telemetry
from gateway.tasks import Tasks
from workers.arq_worker import RemoteToolWorker, ToolWorker
from workers.context import WorkerContext
from workers.exporting.exporter import Exporter, ExportFigures
from workers.exporting.sinks import open_sink
from workers.metrics import TRANSITION_SECONDS, ProcessFigures
from workers.retry import retry_until_answered
from workers.settings import caretaking, make_worker, open_context, open_remote_context

_metrics_port = click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Serve this process's Prometheus metrics on this port of FAREBOX_METRICS_HOST (default: 127.0.0.1).",
)
EXIT_FAILED = 2
_under_up = click.option("--under-up", is_flag=True, hidden=True)  # the gateway of `up` serves our metrics

log = structlog.get_logger(__name__)


@click.command()
@click.argument("tool")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Concurrent generations. Default: FAREBOX_WORKER_JOBS, 150.",
)
@click.option(
    "--via",
    metavar="URL",
    help="Work through the gateway at this address, with the key in FAREBOX_WORKER_KEY, without Redis and store.",
)
@_metrics_port
@_under_up
def worker(tool: str, jobs: int | None, via: str | None, metrics_port: int | None, *, under_up: bool) -> None:
    """Make the generations of one TOOL of the rate card, such as image or video.

    Run as many as you need, on as many machines as you like; each takes the next job from the tool's queue. A worker
    mostly waits for providers, so one process handles many generations at once.

    SIGTERM (or Ctrl-C) lets running generations finish for FAREBOX_GRACE_SECONDS and hands the rest back, so that
    another worker continues them and nobody pays twice. A second signal hands everything back at once.

    With --via it needs neither Redis nor a store, only HTTPS to a gateway: set FAREBOX_WORKER_KEY to a key made with
    `farebox operator key worker`. It needs the same rate card and the providers' keys.

    \b
    Examples:
      farebox worker image
      farebox worker video --jobs 50 --metrics-port 9101
      farebox worker video --via https://farebox.example.com
    """
    settings = _start(metrics_port, lambda settings: _check_tool(settings, tool))
    if under_up:
        serve(settings, worker_process(tool))
    jobs_max = jobs or settings.worker_jobs
    if via is not None:
        client = _gateway_at(via)
        _run(worker_process(tool), lambda: _work_remotely(settings, client, tool, jobs_max))
        return
    _run(worker_process(tool), lambda: _work(settings, tool, jobs_max))


@click.command()
@_metrics_port
@_under_up
def caretaker(metrics_port: int | None, *, under_up: bool) -> None:
    """Pick up what was left undone: lost dispatches, dead workers, overdue holds, expired outputs.

    It checks all overdue deadlines once a second and delivers webhooks. Every ten seconds one caretaker records the
    state of the queues for the console's Operations page, and once a day one audits the ledger, like `farebox audit`.

    Run at least one. Several can run side by side: each rescue still happens once, and any of them can fail.

    \b
    Example:
      farebox caretaker
    """
    settings = _start(metrics_port, lambda _: None)
    if under_up:
        serve(settings, CARETAKER)
    _run(CARETAKER, lambda: _take_care(settings))


@click.command()
@_metrics_port
@_under_up
@click.option("--switch-off", is_flag=True, help="Copy what is left, then let the ledger do without an archive again.")
def archivist(metrics_port: int | None, *, under_up: bool, switch_off: bool) -> None:
    """Copy the ledger's history to PostgreSQL (FAREBOX_ARCHIVE_URL), in order and each entry once.

    It makes the tables at its first start. From then on the ledger removes nothing that is not in the archive; while
    PostgreSQL is away, everything else goes on, and the copy catches up later. Several can run: one copies, the others
    stand by.

    With --switch-off, once all archivists are stopped, the ledger goes back to its own retention; the archive stays
    as it is, and gateways go on reading it while FAREBOX_ARCHIVE_URL is set for them.

    \b
    Examples:
      FAREBOX_ARCHIVE_URL=postgresql://db/farebox farebox archivist
      FAREBOX_ARCHIVE_URL=postgresql://db/farebox farebox archivist --switch-off
    """
    settings = _start(metrics_port, _check_archive)
    if switch_off:
        _switch_off(settings)
        return
    if under_up:
        serve(settings, ARCHIVIST)
    _run(ARCHIVIST, lambda: _archive(settings))


def _switch_off(settings: Settings) -> None:
    try:
        done = asyncio.run(_without_archive(settings))
    except (ArchiveInUse, ArchiveUnavailable, LedgerUnavailable) as error:
        say(f"Error: {error}", error=True)
        sys.exit(EXIT_FAILED)
    say(
        f"The archive is switched off: {done.generations:,} generations and {done.usage:,} days of usage expire by "
        "themselves now."
    )


async def _without_archive(settings: Settings) -> SwitchedOff:
    ledger = ledger_class()(connect_ledger(settings.ledger_address), wait_replicas=settings.wait_replicas)
    archivist = Archivist(ledger, settings.archive_url or "", ArchivistFigures())
    try:
        await ledger.start()
        return await switch_archive_off(ledger, archivist)
    finally:
        await archivist.writer.close()
        await ledger.close()


async def _archive(settings: Settings) -> None:
    ledger = ledger_class()(connect_ledger(settings.ledger_address), wait_replicas=settings.wait_replicas)
    ledger.seconds = TRANSITION_SECONDS
    tasks = Tasks()
    try:
        await retry_until_answered("start", ledger.start, lease_seconds=settings.lease_seconds)
        copying = tasks.keep("archivist", Archivist(ledger, settings.archive_url or "", ArchivistFigures()).run)
        tasks.keep("clock", lambda: CLOCK.keep_measuring(ledger.time))
        if settings.events_url is not None:
            tasks.keep("export", _exporter(settings, settings.events_url).run)
        _on_stop(lambda: _stop(copying))
        await asyncio.wait([copying])
    finally:
        await tasks.close()
        await ledger.close()
    log.info("archivist_stopped")


async def _work(settings: Settings, tool: str, jobs_max: int) -> None:
    async with open_context(settings) as context:
        await _run_worker(context, make_worker(settings, context, tool=tool, jobs_max=jobs_max), tool)


async def _work_remotely(settings: Settings, client: GatewayClient, tool: str, jobs_max: int) -> None:
    async with client, open_remote_context(settings, client) as context:
        made = make_worker(settings, context, tool=tool, jobs_max=jobs_max, kind=RemoteToolWorker)
        await _run_worker(context, made, tool)


async def _run_worker(context: WorkerContext, tool_worker: ToolWorker, tool: str) -> None:
    """Run it until it is told to stop."""
    _on_stop(tool_worker.stop)
    log.info("worker_ready", tool=tool, jobs=tool_worker.max_jobs, worker=tool_worker.name)
    context.tasks.keep("check requests", context.watch_for_check_requests)
    REGISTRY.register(
        ProcessFigures(context.tasks, context.queue, lambda: context.providers.card_problem, context.storing.watch)
    )
    await tool_worker.async_run()
    log.info("worker_stopped", tool=tool, worker=tool_worker.name)


async def _take_care(settings: Settings) -> None:
    stopping = asyncio.Event()
    async with open_context(settings) as context:
        _on_stop(stopping.set)
        REGISTRY.register(
            ProcessFigures(context.tasks, context.queue, lambda: context.providers.card_problem, context.storing.watch)
        )
        async with caretaking(settings, context):
            log.info("caretaker_ready")
            await stopping.wait()
    log.info("caretaker_stopped")


def _start(metrics_port: int | None, check: Callable[[Settings], None]) -> Settings:
    """Read the settings and set up logs and metrics: everything that may fail with a message, before any work."""
    settings = load_settings()
    check(settings)
    configure_logs(settings)
    for variable, meant in misspelt().items():
        log.warning("SETTING_UNKNOWN", variable=variable, did_you_mean=meant)
    raise_limit()
    data_folder.take(settings.data)
    # arq logs each job at INFO; our own lines say more, with ids to search for.
    logging.getLogger("arq").setLevel(logging.WARNING)
    if metrics_port is not None:
        try:
            start_http_server(metrics_port, addr=settings.metrics_host)
        except OSError as error:
            raise SettingsError(
                f"--metrics-port {metrics_port}: cannot listen: {error.strerror or error}. Choose another port."
            ) from None
    return settings


def _exporter(settings: Settings, events_url: str) -> Exporter:
    token = None if settings.events_token is None else settings.events_token.get_secret_value()
    sink = open_sink(events_url, token)
    return Exporter(settings.archive_url or "", settings.public_address, sink, ExportFigures())


def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()


def _check_archive(settings: Settings) -> None:
    if settings.archive_url is None:
        raise SettingsError("FAREBOX_ARCHIVE_URL is not set: archivists need postgresql://user@host/database")
    check_url(settings.archive_url)
    if settings.events_url is not None:
        open_sink(settings.events_url, None)  # says what is missing before any work


def _gateway_at(url: str) -> GatewayClient:
    """The client of `--via`. SettingsError names what is missing or wrong."""
    settings = load_worker_client_settings(url)
    if settings.worker_key is None:
        raise SettingsError("FAREBOX_WORKER_KEY: set it to a key made with `farebox operator key worker`")
    return GatewayClient(settings.url, settings.worker_key.get_secret_value())


def _check_tool(settings: Settings, tool: str) -> None:
    card = load_card(default_card_path(settings.rate_card))
    if tool not in card.tools:
        raise click.BadParameter(
            f"the rate card has no tool {tool!r}; it has {', '.join(sorted(card.tools))}", param_hint="TOOL"
        )


def _on_stop(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _run(component: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    telemetry = start_telemetry(component)
    try:
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(main() if telemetry is None else _exporting(telemetry, main))
    finally:
        if telemetry is not None:
            telemetry.close()


async def _exporting(telemetry: Telemetry, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def page() -> bytes:
        return generate_latest(REGISTRY)

    tasks = Tasks()
    telemetry.export_metrics(page, tasks)
    try:
        await main()
    finally:
        await tasks.close()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
