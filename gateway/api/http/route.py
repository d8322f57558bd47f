"""One row of the table of routes (`gateway.api.routes`), used by guards, API description and tests."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from gateway.domain import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROBES = frozenset({"/healthz", "/readyz"})  # always answered: no key, no limit, and beyond the connection limit


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `takes` is the shape of its body, or for a GET of its query; `gives` that of its response.

    `media` is the response's type if that is not JSON, `also_media` another one on request, `events` the data of a
    stream's events; `takes_media` is the body's type, `takes_bytes` the types of one that is a file. `created` is the
    status of something new. `errors` are its own codes, in addition to those implied by its scopes and its body.
    `polled`: it has an `ETag`, and waits on request (`Prefer: wait=30`); its key's rate limit is counted meanwhile.
    `own_idempotency`, `shown_once`, `looks_up_key` and `rate_wait` are for its guards.
    """

    method: str
    path: str
    handler: Handler
    scopes: frozenset[Scope]
    takes: type[BaseModel] | None
    gives: type[BaseModel] | None
    summary: str
    created: int = 200
    media: str = "application/json"
    also_media: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    takes_media: str = "application/json"
    takes_bytes: tuple[str, ...] = ()
    events: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    own_idempotency: bool = False
    shown_once: tuple[str, ...] = ()
    polled: bool = False
    opened_by_signature: Handler | None = None
    key_optional: bool = False
    looks_up_key: bool = False
    rate_wait: Callable[[web.Request], float] | None = None

    @property
    def named_path(self) -> str:
        """The path without the patterns of its parts: `{app:.+}` becomes `{app}`."""
        return re.sub(r":[^{}]+}", "}", self.path)
