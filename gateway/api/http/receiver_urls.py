"""Webhook URLs given by callers: obvious problems are reported at once."""

from __future__ import annotations

from gateway.api.errors import InvalidRequest
from gateway.errors import FieldProblem
from gateway.outside.addresses import AddressGuard


def check_url(guard: AddressGuard, url: str, path: str) -> None:
    """InvalidRequest, for the member `path`, if the URL is obviously not allowed."""
    problem = guard.problem(url)
    if problem is not None:
        raise InvalidRequest(f"`{path}` {problem}.", fields=[FieldProblem(path, problem)])
