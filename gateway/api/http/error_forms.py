"""The form of error responses: ours, or below a facade's path that of the API it implements.

Every error response is sent from here, including those raised before routing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from gateway.api.errors import ApiError
from gateway.api.http.respond import COMMON_HEADERS, REQUEST_ID_HEADER, answer_error

ErrorForm = Callable[[ApiError, str], web.Response]
"""Builds the response for an error and the request's id."""

ErrorForms = Mapping[str, ErrorForm]
"""The first part of a path (`openai`) → the form of all errors below it."""


def answer_in_form(forms: ErrorForms, path: str, error: ApiError, request_id: str) -> web.Response:
    """Send an error in the form that clients of this path read."""
    response = forms.get(path.split("/", 2)[1] if path.startswith("/") else "", answer_error)(error, request_id)
    for name, value in {**COMMON_HEADERS, REQUEST_ID_HEADER: request_id}.items():
        response.headers.setdefault(name, value)
    return response
