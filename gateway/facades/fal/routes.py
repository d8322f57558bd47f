"""The calls of the `fal_client` packages that Farebox serves."""

from __future__ import annotations

from gateway.api.http.route import Route
from gateway.domain import Scope
from gateway.facades.fal import creates, queue, webhooks

ACCOUNT = frozenset({Scope.ACCOUNT})
PUBLIC: frozenset[Scope] = frozenset()
CALL = "/fal/{app:.+}/requests/{generation}"

# fmt: off
FAL_ROUTES: tuple[Route, ...] = (
    Route("GET", "/fal/.well-known/jwks.json", webhooks.jwks, PUBLIC, None, None, "The key that verifies webhooks"),
    Route("POST", "/fal/{app:.+}", creates.create, ACCOUNT, None, None, "Submit, run or stream", own_idempotency=True),
    Route("GET", f"{CALL}/status", queue.status, ACCOUNT, None, None, "Where a call stands"),
    Route("GET", CALL, queue.result, ACCOUNT, None, None, "The result of a call"),
    Route("PUT", f"{CALL}/cancel", queue.cancel, ACCOUNT, None, None, "Cancel a call"),
)
# fmt: on
