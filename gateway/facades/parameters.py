"""Parameters shared by several facades' clients: values without effect, counts, durations, the retry count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.errors import InvalidRequest
from gateway.api.http.parse import query_of
from gateway.domain import SettingValue
from gateway.errors import FieldProblem
from gateway.pricing.card import Model
from gateway.pricing.facade_settings import Sense

RETRY_COUNT_HEADER = "x-stainless-retry-count"

_RETRIES_MAX = 1_000


def nothing_but(*values: object) -> Sense:
    """A parameter that only accepts values without effect, unless the model has a setting of its name."""

    def sense(_: Model, value: object) -> Mapping[str, SettingValue] | None:
        return {} if value in values else None

    return sense


def of_duration(model: Model, value: object) -> Mapping[str, SettingValue] | None:
    """A number of whole seconds, if the model has such a duration."""
    duration, text = model.settings.get("duration"), str(value)
    if duration is None or not re.fullmatch(r"[0-9]{1,4}", text) or not duration.takes(int(text)):
        return None
    return {"duration": int(text)}


def whole(given: Mapping[str, Any], name: str, default: int, *, least: int = 0, most: int = 10_000) -> int:
    """A whole number, which is text in a form."""
    value = given.get(name, default)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(name, f"must be a whole number of at least {least}")
    return value


def refused(name: str, problem: str) -> InvalidRequest:
    """The error for one parameter."""
    return InvalidRequest(f"`{name[:80]}` {problem}.", fields=[FieldProblem(name, problem)])


def query_with(request: web.Request, *known: str) -> Mapping[str, str]:
    """The query of a call with these parameters; InvalidRequest for an unknown or repeated one."""
    query = query_of(request)
    for name, times in Counter(name for name, _ in query.items()).items():
        if name not in known:
            raise refused(name, "is not a parameter of this call")
        if times > 1:
            raise refused(name, "must be given only once")
    return query


def retries_of(request: web.Request) -> int | None:
    """The package's retry count; None if it does not count."""
    count = request.headers.get(RETRY_COUNT_HEADER, "")
    return min(int(count), _RETRIES_MAX) if re.fullmatch(r"[0-9]{1,6}", count) else None
