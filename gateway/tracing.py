"""Spans for OpenTelemetry, if an operator has asked for them. Off, nothing is imported, and each call is a comparison.

A trace begins with a client's request, by its `traceparent` header if it sends one. What orders a generation stores the
trace with it, so that the spans of workers join it, and providers get the header too. Spans name ids, tools, models and
providers: never a prompt, a header or a body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

HEADER = "traceparent"
TRACEPARENT: ContextVar[str | None] = ContextVar("TRACEPARENT", default=None)
"""The trace of what is being done, to be stored with what it orders; None: it is not traced."""
Attributes = Mapping[str, str | int]
Item = TypeVar("Item")

_NOTHING: AbstractContextManager[None] = nullcontext()
_NO_HEADERS: Mapping[str, str] = {}
_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on; None: none."""
    global _tracer  # noqa: PLW0603 - one for the process, chosen at its start
    _tracer = tracer


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str, attributes: Attributes | None = None, *, calls_out: bool = False
) -> AbstractContextManager[Span | None]:
    """A span of the current trace; nothing outside of one, so that background work makes no traces.

    `calls_out`: another service is called meanwhile.
    """
    if _tracer is None or not _in_a_trace():
        return _NOTHING
    return _open(_tracer, name, "client" if calls_out else "internal", attributes)


def first_span(
    name: str,
    traceparent: str | None,
    attributes: Attributes | None = None,
    *,
    serves: bool = False,
    start_ns: int | None = None,
) -> AbstractContextManager[Span | None]:
    """The first span of this process in a trace: that of `traceparent`, or a new one.

    `serves`: it answers a client's request. `start_ns`: since the epoch, if it has begun before.
    """
    if _tracer is None:
        return _NOTHING
    return _join(_open(_tracer, name, "server" if serves else "internal", attributes, start_ns), traceparent)


def record(name: str, traceparent: str | None, start_ns: int, end_ns: int) -> None:
    """A span that is over, of the trace of `traceparent`, or the current one if that is None."""
    if _tracer is None:
        return
    from opentelemetry.context import get_current  # noqa: PLC0415 - an extra

    context = get_current() if traceparent is None else _context_of(traceparent)
    _tracer.start_span(name, context=context, start_time=start_ns).end(end_ns)


def headers() -> Mapping[str, str]:
    """The headers by which a called service joins the current trace."""
    if _tracer is None:
        return _NO_HEADERS
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

    made: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(made)
    return made


def each_in_a_span(name: str, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """The same items; waiting for each of them is a span."""
    return items if _tracer is None else _each(name, items)


async def _each(name: str, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    while True:
        with span(name, calls_out=True):
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
        yield item


def _in_a_trace() -> bool:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - an extra

    return get_current_span().get_span_context().is_valid


@contextmanager
def _join(opened: AbstractContextManager[Span], traceparent: str | None) -> Iterator[Span]:
    from opentelemetry.context import attach, detach  # noqa: PLC0415 - an extra

    token = attach(_context_of(traceparent))
    try:
        with opened as made:
            known = TRACEPARENT.set(headers().get(HEADER))
            try:
                yield made
            finally:
                TRACEPARENT.reset(known)
    finally:
        detach(token)


@contextmanager
def _open(
    tracer: Tracer, name: str, kind: str, attributes: Attributes | None, start_ns: int | None = None
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - an extra

    with tracer.start_as_current_span(
        name,
        kind=SpanKind[kind.upper()],
        attributes=attributes,
        start_time=start_ns,
        # An exception's text may repeat what a client or a provider sent: only its type is told.
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except Exception as error:
            made.set_status(StatusCode.ERROR)
            made.set_attribute("error.type", type(error).__name__)
            raise


def _context_of(traceparent: str | None) -> Context:
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

    return TraceContextTextMapPropagator().extract({} if traceparent is None else {HEADER: traceparent}, Context())
