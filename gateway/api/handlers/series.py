"""What operators watched: the queues and the holds over the last hour, day or week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.services import QUEUE, RATE_CARDS
from gateway.errors import FieldProblem
from gateway.queue.series import KEPT_MS, SLACK_MS, Past, Sample, Series, ToolSample
from gateway.queue.wait_times import quantile
from gateway.schemas import ops as s
from gateway.schemas.base import to_milliseconds, utc
from gateway.views.generations import credits_of

_DEFAULT_MS = 3_600_000
_MEDIAN = 50
_P95 = 95


async def series(request: web.Request) -> web.Response:
    """`GET /v1/ops/series`."""
    query = read_query(request, s.SeriesQuery)
    queue = request.app[QUEUE]
    now = await queue.now()
    last = now if query.last is None else min(now, max(0, to_milliseconds(query.last)))
    first = max(0, last - _DEFAULT_MS if query.first is None else to_milliseconds(query.first))
    _check(first, last)
    past = await Series(queue).read(first, last, now)
    seen = {tool for sample in past.samples if sample is not None for tool in sample.tools}
    return answer(_shape(past, sorted({*request.app[RATE_CARDS].card.tools, *seen})))


def _check(first: int, last: int) -> None:
    if first > last:
        text = "must not be after `to` or in the future"
    elif last - first > KEPT_MS + SLACK_MS:
        text = "must be at most seven days before `to`: older data is not kept"
    else:
        return
    raise InvalidRequest(f"Invalid time range: `from` {text}.", fields=[FieldProblem("from", text)])


def _shape(past: Past, tools: Sequence[str]) -> s.SeriesOut:
    samples = past.samples
    return s.SeriesOut(
        first_at=utc(past.first_at),
        step_seconds=past.step_ms // 1000,
        tools=[_tool_shape(tool, samples) for tool in tools],
        open=[None if one is None else one.open for one in samples],
        overdue=[None if one is None else one.overdue for one in samples],
        held_credits=[None if one is None else credits_of(one.held_millicredits) for one in samples],
        outcomes=list(_outcomes(samples)),
    )


def _tool_shape(tool: str, samples: Sequence[Sample | None]) -> s.ToolSeries:
    seen = [None if one is None else one.tools.get(tool) for one in samples]
    waits = [None if one is None or one.waits is None else one.waits.get(tool, {}) for one in samples]
    total: Counter[int] = Counter()
    for one in waits:
        total.update(one or {})
    return s.ToolSeries(
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
        waits=s.WaitsOut(
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


def _outcomes(samples: Iterable[Sample | None]) -> Iterable[s.OutcomeOut]:
    total: Counter[tuple[str, str, str, str]] = Counter()
    for one in samples:
        total.update({} if one is None else one.ended or {})
    for (tool, model, state, code), count in sorted(total.items()):
        yield s.OutcomeOut(tool=tool, model=model, status=state, code=code or None, generations=count)


def _seconds(milliseconds: int | None) -> Decimal | None:
    return None if milliseconds is None else Decimal(milliseconds) / 1000
