"""URLs that a caller wants called: what can be seen to be wrong with one is said at once."""

from __future__ import annotations

from gateway.api.errors import InvalidRequest
from gateway.errors import FieldProblem
from gateway.outside.addresses import AddressGuard


def checked_url(guard: AddressGuard, url: str | None, path: str) -> str | None:
    """The URL, if it may be called as far as one can see; InvalidRequest about the member `path` if not."""
    problem = None if url is None else guard.problem(url)
    if problem is not None:
        raise InvalidRequest(f"`{path}` {problem}.", fields=[FieldProblem(path, problem)])
    return url
