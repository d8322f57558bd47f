"""fal's webhooks: the URL that a submit names, and the published key that verifies what is sent there."""

from __future__ import annotations

import json

from aiohttp import web

from gateway.api.http.parse import query_of
from gateway.api.http.respond import answer_json
from gateway.api.services import WEBHOOK_SECRETS
from gateway.domain import OwnWebhook, WebhookForm

PARAMETER = "fal_webhook"

_CACHED = {"Cache-Control": "public, max-age=3600"}  # after a change of the signing key, for so long


def webhook_of(request: web.Request) -> OwnWebhook | None:
    """The webhook that a submit's query names: for the end, because fal sends no other event."""
    url = query_of(request).get(PARAMETER)
    return None if url is None else OwnWebhook(url, WebhookForm.FAL, "end", PARAMETER)


async def jwks(request: web.Request) -> web.Response:
    """`GET /fal/.well-known/jwks.json`."""
    return answer_json(body=json.dumps(request.app[WEBHOOK_SECRETS].fal.jwks()).encode(), headers=_CACHED)
