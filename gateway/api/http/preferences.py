"""`Prefer: wait=30` (RFC 7240): how long a client wants a response to wait for a result."""

from __future__ import annotations

import re

from aiohttp import web

PREFER_HEADER = "Prefer"
WAIT_SECONDS_MAX = 60
_WAIT = re.compile(r"wait(?:\s*=\s*(\d{1,4}))?", re.ASCII)


def preferred_wait(request: web.Request) -> int:
    """How many seconds the client wants to wait, 60 at most and if it does not say; 0: not at all."""
    for preference in request.headers.get(PREFER_HEADER, "").split(","):
        wait = _WAIT.fullmatch(preference.strip())
        if wait is not None:
            return WAIT_SECONDS_MAX if wait[1] is None else min(int(wait[1]), WAIT_SECONDS_MAX)
    return 0
