"""fal's webhooks: the URL in a submit, and the published key that verifies their signatures."""

from __future__ import annotations

import json

from aiohttp import web

from gateway.api.http.parse import query_of
from gateway.api.http.respond import answer_json
from gateway.api.services import WEBHOOK_SECRETS
from gateway.domain import OwnWebhook, WebhookForm

PARAMETER = "fal_webhook"

_CACHED = {"Cache-Control": "public, max-age=3600"}  # so a change of the signing key takes this long to be seen


def webhook_of(request: web.Request) -> OwnWebhook | None:
    """The webhook in a submit's query; only for the end, because fal sends no other event."""
    url = query_of(request).get(PARAMETER)
    return None if url is None else OwnWebhook(url, WebhookForm.FAL, "end", PARAMETER)


async def jwks(request: web.Request) -> web.Response:
    """`GET /fal/.well-known/jwks.json`."""
    return answer_json(body=json.dumps(request.app[WEBHOOK_SECRETS].fal.jwks()).encode(), headers=_CACHED)
