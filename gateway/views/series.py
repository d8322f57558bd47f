"""Queues and holds over time, as shown to operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from gateway.queue.series import Past, Sample, ToolSample
from gateway.queue.wait_times import quantile
from gateway.schemas import ops as operations_schemas
from gateway.schemas.base import utc
from gateway.views.generations import credits_of

_MEDIAN = 50


_P95 = 95


def series_shape(past: Past, tools: Sequence[str]) -> operations_schemas.SeriesOut:
    """The samples as series, one per tool; None where no sample was taken."""
    samples = past.samples
    return operations_schemas.SeriesOut(
        first_at=utc(past.first_at),
        step_seconds=past.step_ms // 1000,
        tools=[_tool_shape(tool, samples) for tool in tools],
        open=[None if one is None else one.open for one in samples],
        overdue=[None if one is None else one.overdue for one in samples],
        held_credits=[None if one is None else credits_of(one.held_millicredits) for one in samples],
        outcomes=list(_outcomes(samples)),
    )


def _tool_shape(tool: str, samples: Sequence[Sample | None]) -> operations_schemas.ToolSeries:
    seen = [None if one is None else one.tools.get(tool) for one in samples]
    waits = [None if one is None or one.waits is None else one.waits.get(tool, {}) for one in samples]
    total: Counter[int] = Counter()
    for one in waits:
        total.update(one or {})
    return operations_schemas.ToolSeries(
        tool=tool,
        depth=_each(seen, lambda one: one.depth),
        waiting=_each(seen, lambda one: one.waiting),
        oldest_age_seconds=[None if one is None else _seconds(one.oldest_ms) for one in seen],
        running=_each(seen, lambda one: one.running),
        workers=_each(seen, lambda one: one.workers),
        succeeded=_ended(samples, tool, "succeeded"),
        failed=_ended(samples, tool, "failed"),
        cancelled=_ended(samples, tool, "cancelled"),
        wait_median_seconds=[_seconds(quantile(one or {}, _MEDIAN)) for one in waits],
        wait_p95_seconds=[_seconds(quantile(one or {}, _P95)) for one in waits],
        waits=operations_schemas.WaitsOut(
            begun=sum(total.values()),
            median_seconds=_seconds(quantile(total, _MEDIAN)),
            p95_seconds=_seconds(quantile(total, _P95)),
        ),
    )


def _each(seen: Iterable[ToolSample | None], read: Callable[[ToolSample], int]) -> list[int | None]:
    return [None if one is None else read(one) for one in seen]


def _ended(samples: Iterable[Sample | None], tool: str, state: str) -> list[int | None]:
    return [
        None
        if one is None or one.ended is None
        else sum(count for (of, _, how, _), count in one.ended.items() if (of, how) == (tool, state))
        for one in samples
    ]


def _outcomes(samples: Iterable[Sample | None]) -> Iterable[operations_schemas.OutcomeOut]:
    total: Counter[tuple[str, str, str, str]] = Counter()
    for one in samples:
        total.update({} if one is None else one.ended or {})
    for (tool, model, state, code), count in sorted(total.items()):
        yield operations_schemas.OutcomeOut(tool=tool, model=model, status=state, code=code or None, generations=count)


def _seconds(milliseconds: int | None) -> Decimal | None:
    return None if milliseconds is None else Decimal(milliseconds) / 1000
