"""Queues and holds over the last hour, day or week, for operators."""

from __future__ import annotations

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.services import QUEUE, RATE_CARDS
from gateway.errors import FieldProblem
from gateway.queue.series import KEPT_MS, SLACK_MS, Series
from gateway.schemas import ops as operations_schemas
from gateway.schemas.base import to_milliseconds
from gateway.views.series import series_shape

_DEFAULT_MS = 3_600_000


async def series(request: web.Request) -> web.Response:
    """`GET /v1/ops/series`."""
    query = read_query(request, operations_schemas.SeriesQuery)
    queue = request.app[QUEUE]
    now = await queue.now()
    last = now if query.last is None else min(now, max(0, to_milliseconds(query.last)))
    first = max(0, last - _DEFAULT_MS if query.first is None else to_milliseconds(query.first))
    _check(first, last)
    past = await Series(queue).read(first, last, now)
    seen = {tool for sample in past.samples if sample is not None for tool in sample.tools}
    return answer(series_shape(past, sorted({*request.app[RATE_CARDS].card.tools, *seen})))


def _check(first: int, last: int) -> None:
    if first > last:
        text = "must not be after `to` or in the future"
    elif last - first > KEPT_MS + SLACK_MS:
        text = "must be at most seven days before `to`: older data is not kept"
    else:
        return
    raise InvalidRequest(f"Invalid time range: `from` {text}.", fields=[FieldProblem("from", text)])
