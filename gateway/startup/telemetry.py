"""OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT names a collector: traces and metrics over OTLP, by the official SDK.

The SDK reads its own variables (OTEL_…). Metrics are those of the Prometheus page, converted: each has one definition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from prometheus_client import disable_created_metrics

from gateway import tracing
from gateway.settings import telemetry_environment
from gateway.tasks import Tasks

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from gateway.startup.otlp_metrics import MetricsExport

Page = Callable[[], Awaitable[bytes]]
"""Returns a metrics page in Prometheus's text format."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_INTERVAL_MS = 60_000  # the specification's default

log = structlog.get_logger(__name__)


class Telemetry:
    """What this process exports, until `close`."""

    def __init__(self, traces: TracerProvider | None, metrics: MetricsExport | None, interval_seconds: float) -> None:
        """Use `start_telemetry`."""
        self._traces = traces
        self._metrics = metrics
        self._interval_seconds = interval_seconds

    def export_metrics(self, page: Page, tasks: Tasks) -> None:
        """Export the metrics of the page every OTEL_METRIC_EXPORT_INTERVAL, if they are exported."""
        if self._metrics is not None:
            tasks.keep("telemetry", partial(self._keep_exporting, self._metrics, page))

    async def _keep_exporting(self, metrics: MetricsExport, page: Page) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            text = await page()
            await asyncio.to_thread(metrics.export, text.decode())

    def close(self) -> None:
        """Export the spans that are left, and stop."""
        tracing.trace_with(None)
        if self._traces is not None:
            self._traces.shutdown()
        if self._metrics is not None:
            self._metrics.close()


def start_telemetry(component: str) -> Telemetry | None:
    """Start exporting; None if no collector is named, or `farebox[otel]` is not installed, which is logged.

    `component` is the name of this process's service: `farebox-` and it, unless OTEL_SERVICE_NAME says otherwise.
    """
    environment = telemetry_environment()
    traces, metrics = (_is_wanted(environment, signal) for signal in ("TRACES", "METRICS"))
    if not traces and not metrics:
        return None
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra

        from gateway.startup.otlp_metrics import MetricsExport  # noqa: PLC0415 - needs it too
        from gateway.startup.otlp_traces import provider_of  # noqa: PLC0415 - needs it too
    except ImportError as error:
        log.warning("TELEMETRY_OFF", because=f"{error.name} is not installed", fix="pip install 'farebox[otel]'")
        return None
    disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series per counter
    own = {"service.version": version("farebox")}
    if "OTEL_SERVICE_NAME" not in environment and "service.name=" not in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        own["service.name"] = f"farebox-{component}"
    resource = Resource.create(own)
    provider = provider_of(resource) if traces else None
    if provider is not None:
        tracing.trace_with(provider.get_tracer("farebox", version("farebox")))
    log.info("telemetry_exported", traces=traces, metrics=metrics, service=resource.attributes["service.name"])
    interval_ms = int(environment.get("OTEL_METRIC_EXPORT_INTERVAL", _INTERVAL_MS))
    return Telemetry(provider, MetricsExport(resource, time.time_ns()) if metrics else None, interval_ms / 1000)


def _is_wanted(environment: Mapping[str, str], signal: str) -> bool:
    """Whether a collector is named for a signal, and its exporter is not another or `none`."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    named = environment.get(_ENDPOINT) or environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return bool(named) and environment.get(f"OTEL_{signal}_EXPORTER", "otlp") == "otlp"
