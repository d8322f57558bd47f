"""One search box for support: the account behind an id or an email."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.services import LEDGER
from gateway.domain import is_account_id, is_generation_id
from gateway.ledger import outcomes
from gateway.ledger.key_records import KeyRecord
from gateway.ledger.ledger import Ledger
from gateway.schemas import search as search_schemas
from gateway.schemas.purchases import CHECKOUT_PATTERN

_KEY_PATTERN = r"^key_[0-9a-f]{32}$"


async def find(request: web.Request) -> web.Response:
    """`GET /v1/admin/search`: a read for each kind that the text may be; nothing is scanned."""
    text = read_query(request, search_schemas.SearchQuery).q.strip()
    ledger = request.app[LEDGER]
    found = await asyncio.gather(*(kind(ledger, text) for kind in _KINDS))
    return answer(search_schemas.SearchOut(data=[one for one in found if one is not None]))


async def _account(ledger: Ledger, text: str) -> search_schemas.Found | None:
    if not is_account_id(text) or not isinstance(await ledger.account(account=text), outcomes.Account):
        return None
    return search_schemas.Found(kind="account", id=text, account=text)


async def _email(ledger: Ledger, text: str) -> search_schemas.Found | None:
    known = await ledger.find_account(email=text) if "@" in text else outcomes.NotFound()
    return (
        search_schemas.Found(kind="email", id=text, account=known.id) if isinstance(known, outcomes.Account) else None
    )


async def _key(ledger: Ledger, text: str) -> search_schemas.Found | None:
    known = await ledger.find_key_by_id(key_id=text) if re.fullmatch(_KEY_PATTERN, text) else outcomes.NotFound()
    return search_schemas.Found(kind="key", id=text, account=known.account) if isinstance(known, KeyRecord) else None


async def _generation(ledger: Ledger, text: str) -> search_schemas.Found | None:
    known = await ledger.generation(generation=text) if is_generation_id(text) else outcomes.NotFound()
    if not isinstance(known, outcomes.Generation):
        return None
    return search_schemas.Found(kind="generation", id=text, account=known.account)


async def _checkout(ledger: Ledger, text: str) -> search_schemas.Found | None:
    owner = await ledger.owner_of_purchase(checkout=text) if re.fullmatch(CHECKOUT_PATTERN, text) else None
    return None if owner is None else search_schemas.Found(kind="checkout", id=text, account=owner)


_KINDS = (_account, _email, _key, _generation, _checkout)
