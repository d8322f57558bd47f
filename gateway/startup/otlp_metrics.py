"""The metrics of a Prometheus page over OTLP; imports the SDK, so it is itself imported only when they are exported."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as otlp
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_INFINITE = "+Inf"


class MetricsExport:
    """Sends pages to the collector, cumulative since this process's start."""

    def __init__(self, resource: Resource, start_ns: int) -> None:
        self._exporter = OTLPMetricExporter()
        self._resource = resource
        self._scope = InstrumentationScope("farebox")
        self._start_ns = start_ns

    def export(self, page: str) -> None:
        """Send a page's metrics; a collector that is away is logged by the SDK, and gets the next page."""
        now_ns = time.time_ns()
        metrics = [
            otlp.Metric(family.name, family.documentation, None, self._points(family, now_ns))
            for family in text_string_to_metric_families(page)
            if family.samples
        ]
        scoped = otlp.ScopeMetrics(self._scope, metrics, "")
        self._exporter.export(otlp.MetricsData([otlp.ResourceMetrics(self._resource, [scoped], "")]))

    def close(self) -> None:
        """Stop."""
        self._exporter.shutdown()

    def _points(self, family: Metric, now_ns: int) -> otlp.Sum | otlp.Gauge | otlp.Histogram:
        if family.type == "histogram":
            points = list(_histograms(family.samples, self._start_ns, now_ns))
            return otlp.Histogram(points, AggregationTemporality.CUMULATIVE)
        numbers = [
            otlp.NumberDataPoint(sample.labels, self._start_ns, now_ns, sample.value) for sample in family.samples
        ]
        if family.type == "counter":
            return otlp.Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        return otlp.Gauge(numbers)


def _histograms(samples: Iterable[Sample], start_ns: int, now_ns: int) -> Iterator[otlp.HistogramDataPoint]:
    """A point for each set of labels. Prometheus counts up to each bound, OTLP between two."""
    grouped: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        grouped.setdefault(labels, {})[sample.labels.get("le", sample.name.rpartition("_")[2])] = sample.value
    for labels, values in grouped.items():
        bounds = sorted(float(bound) for bound in values if bound not in {"count", "sum", "created", _INFINITE})
        below = {float(bound): count for bound, count in values.items() if bound not in {"sum", "created", "count"}}
        counts = [int(below[bound]) for bound in (*bounds, float(_INFINITE))]
        between = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
        yield otlp.HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=start_ns,
            time_unix_nano=now_ns,
            count=counts[-1],
            sum=values["sum"],
            bucket_counts=between,
            explicit_bounds=bounds,
            min=0.0,
            max=0.0,
        )
