"""The webhook that a call is about: the caller's own, an account's for an admin, or the operators'."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import CALLER, found
from gateway.api.errors import NotFound
from gateway.api.ownership.target_account import target_account
from gateway.api.services import LEDGER
from gateway.domain import is_webhook_id
from gateway.ledger.webhooks import DEFAULT, Webhook


async def own_webhook(request: web.Request, account: str | None = None) -> Webhook:
    """The webhook of the path, if it is the caller's, or of the account that an admin names."""
    owner = owner_of(request, account)
    webhook = named_webhook(request, owner)
    outcome = await request.app[LEDGER].webhook(webhook=webhook, account=owner)
    return found(outcome, f"webhook {webhook}")


def owner_of(request: web.Request, account: str | None) -> str | None:
    """The owner of the webhooks: the caller's account, the one an admin names, or None: the operators."""
    if account is None and request[CALLER].account is None:
        return None
    return target_account(request, account).account


def named_webhook(request: web.Request, owner: str | None) -> str:
    """The webhook of the path; NotFound if it cannot be the owner's."""
    webhook = request.match_info["webhook"]
    default = webhook == DEFAULT and owner is not None
    if not default and not is_webhook_id(webhook):
        raise NotFound(f"There is no webhook {webhook}.")
    return webhook
