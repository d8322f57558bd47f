"""The key's own view: what it may do, and what it has spent (R27)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, KeysStale
from gateway.api.http.respond import answer
from gateway.api.ownership.target_account import own_account
from gateway.api.services import RATE_CARDS, SETTINGS
from gateway.views.accounts import own_key_shape


async def get(request: web.Request) -> web.Response:
    """`GET /v1/key`."""
    account, key_id = await own_account(request), request[ACCOUNT_CALLER].key_id
    key = next((key for key in account.keys if key.id == key_id), None)
    if key is None:
        raise KeysStale
    timezone = request.app[RATE_CARDS].card.free.timezone
    return answer(own_key_shape(account, key, timezone, request.app[SETTINGS].requests_per_minute))
