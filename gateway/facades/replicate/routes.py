"""The calls of the `replicate` packages that Farebox serves."""

from __future__ import annotations

from dataclasses import replace

from gateway.api.http.route import Route
from gateway.domain import Scope
from gateway.facades.replicate import files, models, predictions, streams, webhooks
from gateway.views.predictions import ROOT

ACCOUNT = frozenset({Scope.ACCOUNT})
PREDICTION = f"{ROOT}/predictions/{{prediction}}"
MODEL = f"{ROOT}/models/{{owner}}/{{name}}"
DEPLOYMENT = f"{ROOT}/deployments/{{owner}}/{{name}}"
FILE = f"{ROOT}/files/{{file}}"

# fmt: off
_ROUTES: tuple[Route, ...] = (
    Route("POST", f"{ROOT}/predictions", predictions.create, ACCOUNT, None, None, "Create a prediction",
          own_idempotency=True, rate_wait=predictions.patience),
    Route("POST", f"{MODEL}/predictions", predictions.create_of_model, ACCOUNT, None, None,
          "Create a prediction of a model", own_idempotency=True, rate_wait=predictions.patience),
    Route("POST", f"{DEPLOYMENT}/predictions", predictions.create_of_model, ACCOUNT, None, None,
          "Create a prediction of a deployment", own_idempotency=True, rate_wait=predictions.patience),
    Route("GET", f"{ROOT}/predictions", predictions.listed, ACCOUNT, None, None, "List predictions"),
    Route("GET", PREDICTION, predictions.get, ACCOUNT, None, None, "Get a prediction"),
    Route("POST", f"{PREDICTION}/cancel", predictions.cancel, ACCOUNT, None, None, "Cancel a prediction"),
    Route("GET", f"{PREDICTION}/stream", streams.stream, ACCOUNT, None, None, "Stream a prediction's outputs",
          media="text/event-stream", opened_by_signature=streams.stream_signed),
    Route("GET", f"{ROOT}/models", models.listed, ACCOUNT, None, None, "List models", looks_up_key=True),
    Route("GET", MODEL, models.get, ACCOUNT, None, None, "Get a model", looks_up_key=True),
    Route("GET", f"{MODEL}/versions", models.versions, ACCOUNT, None, None, "List a model's versions",
          looks_up_key=True),
    Route("GET", f"{MODEL}/versions/{{version}}", models.version, ACCOUNT, None, None, "Get a model's version",
          looks_up_key=True),
    Route("GET", DEPLOYMENT, models.deployment, ACCOUNT, None, None, "Get a deployment", looks_up_key=True),
    Route("POST", f"{ROOT}/files", files.create, ACCOUNT, None, None, "Upload a file", own_idempotency=True,
          looks_up_key=True),
    Route("GET", FILE, files.get, ACCOUNT, None, None, "Get a file", looks_up_key=True),
    Route("DELETE", FILE, files.delete, ACCOUNT, None, None, "Delete a file", looks_up_key=True),
    Route("GET", f"{ROOT}/webhooks/default/secret", webhooks.secret, ACCOUNT, None, None,
          "Get the secret that webhooks are signed with", looks_up_key=True),
)
# fmt: on


def _again(route: Route) -> Route:
    """The same routes one level deeper: 1.x adds `/v1` to its base URL, 2.x does not; both use the same variable."""
    return replace(route, path=route.path.replace(ROOT, f"{ROOT}/v1", 1))


REPLICATE_ROUTES: tuple[Route, ...] = (*_ROUTES, *map(_again, _ROUTES))
