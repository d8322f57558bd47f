"""The time range of a list request, in milliseconds."""

from __future__ import annotations

from gateway.api.errors import InvalidRequest
from gateway.errors import FieldProblem
from gateway.schemas.base import Period

_EMPTY = "must be after `created_after`; the end of the period is exclusive"


def period_of(query: Period) -> tuple[int | None, int | None]:
    """The first millisecond of the period and the first after it; InvalidRequest if it is empty."""
    first, end = query.created_after, query.created_before
    if first is not None and end is not None and end <= first:
        raise InvalidRequest(
            f"Invalid period: `created_before` {_EMPTY}.", fields=[FieldProblem("created_before", _EMPTY)]
        )
    return query.first_ms, query.end_ms
