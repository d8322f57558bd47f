"""The metrics of all processes of one `farebox up`, or of several gateways on one port, on one page.

Each serves its own, and the gateway that is scraped shows all of them. They are served on Unix sockets in the data
folder, so there is no port to choose or protect. A client gets the metrics in Prometheus's text format, and a final
line. At each scrape, the gateway reads all of them and merges the samples, each with the label `process`. A response
without the final line is dropped: if the process was killed while writing, the last number may be cut off.

prometheus_client's multiprocess mode, a shared folder of mapped files, has no collectors (values read at scrape time),
no `process_*`, and leaves files to clean up after each process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer

import structlog
from prometheus_client import REGISTRY, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.settings import Settings

GATEWAY = "gateway"
CARETAKER = "caretaker"
ARCHIVIST = "archivist"

Answers = Mapping[str, list[Metric] | None]
"""By process name; None: it did not respond."""

_ANSWER_SECONDS = 1.0
_ANSWER_BYTES_MAX = 16 << 20
_END = b"# EOF\n"  # the end marker of OpenMetrics; a comment in Prometheus's text format

log = structlog.get_logger(__name__)


def gateway_process(number: int, count: int) -> str:
    """The name of a gateway process, one of `count` on a port, in logs and in metrics."""
    return GATEWAY if count == 1 else f"{GATEWAY}-{number}"


def worker_process(tool: str) -> str:
    """The name of a tool's worker process under `farebox up`, in its log and in metrics."""
    return f"worker-{tool}"


def serve(settings: Settings, process: str) -> None:
    """Serve a worker's or caretaker's metrics from a thread until it ends. A failure is logged, and it continues."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the gateway's page is without them too
    path = _socket_of(settings, process)
    try:
        path.unlink(missing_ok=True)  # left by the previous process
        server = _Server(str(path), _Exposition)
    except OSError as error:
        log.warning("METRICS_NOT_SERVED", socket=str(path), error=error.strerror)
        return
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


@contextlib.asynccontextmanager
async def served(settings: Settings, process: str, own: Callable[[], bytes]) -> AsyncIterator[None]:
    """Serve the metrics of one of several gateways from its event loop, for the one that is scraped."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                writer.write(own() + _END)
                await writer.drain()
        writer.close()

    path = _socket_of(settings, process)
    server = None
    try:
        path.unlink(missing_ok=True)  # left by the previous process
        server = await asyncio.start_unix_server(answer, path)
    except OSError as error:
        log.warning("METRICS_NOT_SERVED", socket=str(path), error=error.strerror)
    try:
        yield
    finally:
        if server is not None:
            server.close()


async def is_served(settings: Settings, process: str) -> bool:
    """Whether a process serves its metrics: it has started, and is ready for its work."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return bool(await _receive(_socket_of(settings, process)))
    except (OSError, TimeoutError, ValueError):
        return False


class ProcessMetrics:
    """Reads the metrics of the processes beside this gateway.

    `tools` are those that may have a worker under `farebox up`; None: no worker and no caretaker runs beside it.
    """

    def __init__(
        self, settings: Settings, tools: Callable[[], Iterable[str]] | None, *, number: int = 1, count: int = 1
    ) -> None:
        """For gateway `number` of `count` on this port."""
        self._settings = settings
        self._tools = tools
        self.own_name = gateway_process(number, count)
        self._gateways = {gateway_process(other, count) for other in range(1, count + 1)} - {self.own_name}
        self._answered: set[str] = set()
        self._silent: set[str] = set()

    async def read(self) -> Answers:
        """Each process's response, all requested concurrently."""
        expected = set(self._gateways)
        if self._tools is not None:
            expected |= {CARETAKER, *map(worker_process, self._tools())}
        # A worker whose tool was removed from the rate card ends once none of the tool's generations are open.
        names = sorted(expected | self._answered)
        answers = dict(zip(names, await asyncio.gather(*map(self._read_one, names)), strict=True))
        self._answered = {name for name, families in answers.items() if families is not None}
        self._tell(expected - self._answered)
        return {name: answers[name] for name in names if name in expected | self._answered}

    async def _read_one(self, name: str) -> list[Metric] | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                text = await _receive(_socket_of(self._settings, name))
            # In a thread: some thousand lines take longer than a request should wait for.
            return await asyncio.to_thread(lambda: list(text_string_to_metric_families(text)))
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("process_metrics_unreadable", of=name, error=repr(error))
            return None

    def _tell(self, silent: set[str]) -> None:
        for name in sorted(silent - self._silent):
            log.warning("PROCESS_METRICS_MISSING", of=name, until_then="the metrics page is without them")
        for name in sorted(self._silent - silent):
            log.info("process_metrics_recovered", of=name)
        self._silent = silent


def together(own: Iterable[Metric], others: Answers, own_name: str = GATEWAY) -> list[Metric]:
    """The gateway's own metrics and the others' merged: each metric once, each sample with its process's name."""
    up = GaugeMetricFamily(
        "farebox_process_up",
        "1 for each process whose metrics are on this page, 0 for one that did not respond.",
        labels=["process"],
    )
    found: dict[str, Metric] = {up.name: up}
    for process, families in {own_name: own, **others}.items():
        up.add_metric([process], int(families is not None))
        for family in families or ():
            into = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            into.samples += [sample._replace(labels={**sample.labels, "process": process}) for sample in family.samples]
    return list(found.values())


def _socket_of(settings: Settings, process: str) -> Path:
    return settings.socket(f"{process}.sock")


async def _receive(path: Path) -> str:
    """Read a socket to its end. OSError if nothing is listening, ValueError if it is too large or incomplete."""
    _check_it_is_ours(path)
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        received = bytearray()
        while chunk := await reader.read(1 << 16):
            received += chunk
            if len(received) > _ANSWER_BYTES_MAX:
                raise ValueError(f"more than {_ANSWER_BYTES_MAX} bytes")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not received.endswith(_END):
        raise ValueError("the answer was cut off")
    return received.decode()


def _check_it_is_ours(path: Path) -> None:
    """The socket's owner is checked because a path that is too long is moved to a folder where others may write."""
    if path.lstat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "the socket belongs to another user")


class _Exposition(StreamRequestHandler):
    timeout = _ANSWER_SECONDS  # a client that does not read must not block the next one for longer

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has hung up
            self.wfile.write(generate_latest(REGISTRY) + _END)


class _Server(UnixStreamServer):
    request_queue_size = 16
