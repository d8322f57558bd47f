"""The period that a list is asked for, in milliseconds."""

from __future__ import annotations

from gateway.api.errors import InvalidRequest
from gateway.errors import FieldProblem
from gateway.schemas.base import Period

_EMPTY = "must be later than `created_after`: the time itself is not in the period any more"


def period_of(query: Period) -> tuple[int | None, int | None]:
    """The first millisecond of the period and the first after it; InvalidRequest for one that has none."""
    first, end = query.created_after, query.created_before
    if first is not None and end is not None and end <= first:
        raise InvalidRequest(
            f"This period cannot be listed: `created_before` {_EMPTY}.", fields=[FieldProblem("created_before", _EMPTY)]
        )
    return query.first_ms, query.end_ms
