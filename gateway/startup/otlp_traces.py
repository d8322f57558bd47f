"""Traces over OTLP; imports the SDK, so it is itself imported only when spans are exported."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def provider_of(resource: Resource) -> TracerProvider:
    """Makes spans and sends them in batches from a thread; OTEL_TRACES_SAMPLER and OTEL_BSP_… apply."""
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # the process's end is ours to order
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
