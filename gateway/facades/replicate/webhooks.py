"""Webhooks of predictions: those in a create call, and the secret that signs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, OWN_ACCOUNT, found
from gateway.api.errors import InvalidRequest
from gateway.api.http.respond import answer_json
from gateway.api.services import LEDGER, WEBHOOK_SECRETS
from gateway.clock import now_ms
from gateway.domain import OwnWebhook, WebhookForm
from gateway.facades.parameters import refused
from gateway.ledger.webhooks import DEFAULT

URL, FILTER, COMPLETED_URL = "webhook", "webhook_events_filter", "webhook_completed"
MEMBERS = frozenset({URL, FILTER, COMPLETED_URL})

_START = "start"
_EVENTS = (_START, "output", "logs", "completed")
"""Outputs and logs have no webhook calls of their own: both are in the prediction sent when it has completed."""


def webhook_of(call: Mapping[str, Any]) -> OwnWebhook | None:
    """The webhook in a create call; InvalidRequest says what is wrong with it."""
    only = _only(call.get(FILTER))
    if COMPLETED_URL not in call:
        return _at(call, URL, only) if URL in call else None
    if call.keys() & {URL, FILTER}:
        raise refused(COMPLETED_URL, f"cannot be used together with `{URL}` or `{FILTER}`")
    return _at(call, COMPLETED_URL, "end")


def _at(call: Mapping[str, Any], member: str, only: Literal["start", "end"] | None) -> OwnWebhook:
    if not isinstance(call[member], str):
        raise refused(member, "must be a URL")
    return OwnWebhook(call[member], WebhookForm.REPLICATE, only, member)


def _only(events: object) -> Literal["start", "end"] | None:
    if events is None:
        return None
    if not isinstance(events, list) or not all(one in _EVENTS for one in events):
        raise refused(FILTER, f"must be a list of {', '.join(_EVENTS)}")
    if not events:
        raise refused(FILTER, "must name an event")
    if set(events) == {_START}:
        return "start"
    return None if _START in events else "end"


async def secret(request: web.Request) -> web.Response:
    """`GET /replicate/v1/webhooks/default/secret`: that of the account's `default` webhook."""
    account, secrets = request[ACCOUNT_CALLER].account, request.app[WEBHOOK_SECRETS]
    outcome = await request.app[LEDGER].webhook(webhook=DEFAULT, account=account)
    in_force = secrets.in_force(found(outcome, OWN_ACCOUNT), now_ms())
    if not in_force:
        raise InvalidRequest(
            "The webhook secret belongs to another signing key. Rotate it: POST /v1/webhooks/default/rotate."
        )
    return answer_json(body=json.dumps({"key": in_force[0]}).encode())
