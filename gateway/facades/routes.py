"""All facades' routes and error forms, mounted beside the gateway's own API."""

from __future__ import annotations

from dataclasses import replace

from gateway.api.http.error_forms import ErrorForms
from gateway.api.http.route import Route
from gateway.facades.calls import ends_its_call
from gateway.facades.fal.errors import fal_error
from gateway.facades.fal.routes import FAL_ROUTES
from gateway.facades.openai.errors import openai_error
from gateway.facades.openai.routes import OPENAI_ROUTES
from gateway.facades.replicate.errors import replicate_error
from gateway.facades.replicate.routes import REPLICATE_ROUTES

FACADE_ROUTES: tuple[Route, ...] = tuple(
    replace(route, handler=ends_its_call(route.handler)) if route.own_idempotency else route
    for route in (*OPENAI_ROUTES, *REPLICATE_ROUTES, *FAL_ROUTES)
)

ERROR_FORMS: ErrorForms = {"openai": openai_error, "replicate": replicate_error, "fal": fal_error}
