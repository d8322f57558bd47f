"""The calls of the `openai` packages that Farebox serves."""

from __future__ import annotations

from gateway.api.http.route import Route
from gateway.domain import Scope
from gateway.facades.openai import images, models

ACCOUNT = frozenset({Scope.ACCOUNT})

# fmt: off
OPENAI_ROUTES: tuple[Route, ...] = (
    Route("POST", "/openai/v1/images/generations", images.generations, ACCOUNT, None, None, "Generate images",
          own_idempotency=True),
    Route("POST", "/openai/v1/images/edits", images.edits, ACCOUNT, None, None, "Edit images", own_idempotency=True,
          looks_up_key=True),
    Route("GET", "/openai/v1/models", models.listed, ACCOUNT, None, None, "List models", looks_up_key=True),
    Route("GET", "/openai/v1/models/{model}", models.get, ACCOUNT, None, None, "Get a model", looks_up_key=True),
)
# fmt: on
