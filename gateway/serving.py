"""Serves the gateway until a signal: alone on its port, or as one of several processes that share it.

Several share it by SO_REUSEPORT: each has a listening socket of its own, among which Linux distributes connections.
When one closes, the connections that wait in its backlog would be reset, so a process that stops accepts those first.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial

import structlog
from aiohttp import web

from gateway.api import limits, services
from gateway.api.handlers.metrics_site import metrics_app, own_page, page_of
from gateway.api.middleware.server import Runner
from gateway.app import create_app, say_when_ready
from gateway.errors import SettingsError
from gateway.process_metrics import gateway_process, served
from gateway.settings import Settings
from gateway.startup.exposure import warnings
from gateway.startup.telemetry import Telemetry, start_telemetry

# Python's cyclic collector runs whenever 700 more objects were created than freed, and sometimes examines all objects.
# 64 requests in progress exceed that, without any garbage; and a full collection blocks every request for 40 to 120 ms.
_OBJECTS_BETWEEN_LOOKS = 20_000
_ON_THEIR_WAY_SECONDS = 0.1  # for the requests on connections that were accepted last

log = structlog.get_logger(__name__)


def run(settings: Settings, *, under_up: bool = False, number: int = 1) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress then have the grace period to finish.

    `number`: which of the `settings.gateway_count` processes on this port it is.
    """
    for event, members in warnings(settings) if number == 1 else ():
        log.warning(event, **members)
    telemetry = start_telemetry("gateway")
    app = create_app(settings, under_up=under_up, number=number)
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(_serve(app, settings, number, telemetry))
    finally:
        if telemetry is not None:
            telemetry.close()


async def _serve(app: web.Application, settings: Settings, number: int, telemetry: Telemetry | None) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    if not os.isatty(0):  # a terminal sends it when it is closed
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _refuse_to_be_replaced)
    runner = Runner(app, shutdown_timeout=settings.grace_seconds)
    figures = Runner(metrics_app(app), connections=limits.METRICS_CONNECTIONS_MAX)
    shared = settings.gateway_count > 1
    try:
        await runner.setup()
        if settings.metrics_port is not None and number == 1:  # it shows the metrics of all
            await _serve_figures(figures, settings.metrics_host, settings.metrics_port)
        async with contextlib.AsyncExitStack() as serving:
            if shared:
                process = gateway_process(number, settings.gateway_count)
                await serving.enter_async_context(_shared_site(runner, settings))
                # After it listens: the parent takes a process whose metrics are served for ready.
                await serving.enter_async_context(served(settings, process, lambda: own_page(app)))
            else:
                await web.TCPSite(runner, settings.host, settings.port).start()
            if telemetry is not None:
                page = partial(_page_to_export, app, whole=number == 1)
                telemetry.export_metrics(page, app[services.BACKGROUND])
            app[services.STARTUP].listens = True
            say_when_ready(app)
            _look_for_garbage_seldom()
            await stop.wait()
    finally:
        await figures.cleanup()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _shared_site(runner: Runner, settings: Settings) -> AsyncIterator[None]:
    """Listen on the port that others listen on too; at the end, accept what has reached our socket, and close it."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(runner.accepts, settings.host, settings.port, reuse_port=True)
    # The event loop's own sockets do not accept by hand.
    copies = [socket.socket(fileno=os.dup(one.fileno())) for one in listening.sockets]
    try:
        yield
    finally:
        listening.close()
        late = [connection for copy in copies for connection in _waiting_at(copy)]
        for connection in late:
            with contextlib.suppress(OSError):  # it has hung up
                await loop.connect_accepted_socket(runner.accepts, connection)
        if late:
            await asyncio.sleep(_ON_THEIR_WAY_SECONDS)
        await runner.see_clients_off()


def _waiting_at(listening: socket.socket) -> list[socket.socket]:
    """The connections in a socket's backlog, which is closed then."""
    found = []
    with listening:
        listening.setblocking(False)  # noqa: FBT003 - the standard library has it so
        with contextlib.suppress(OSError):
            while True:
                found.append(listening.accept()[0])
    for connection in found:
        connection.setblocking(False)  # noqa: FBT003 - as above
    return found


async def _page_to_export(app: web.Application, *, whole: bool) -> bytes:
    """The first gateway of a port exports the figures of the whole installation, as it shows them to Prometheus."""
    return await page_of(app) if whole else own_page(app)


def _refuse_to_be_replaced() -> None:
    """SIGHUP asks several gateways for a new version without a gap; one alone cannot give it."""
    log.warning("SIGHUP_IGNORED", because="a single gateway has nothing to serve meanwhile", fix="FAREBOX_GATEWAYS=2")


async def _serve_figures(runner: Runner, host: str, port: int) -> None:
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise SettingsError(
            f"FAREBOX_METRICS_HOST, FAREBOX_METRICS_PORT: cannot listen: {error.strerror or error}"
        ) from None


def _look_for_garbage_seldom() -> None:
    """Exclude all objects created at start from garbage collection, and collect the rest less often."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, *gc.get_threshold()[1:])


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
