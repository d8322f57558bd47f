"""Balance and journal: reading either first rolls the account forward (R19)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.http.parse import read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer
from gateway.api.ownership.target_account import account_of, target_account
from gateway.api.services import LEDGER
from gateway.schemas import credits as credit_schemas
from gateway.schemas.base import OfAccount
from gateway.views.accounts import balance_shape
from gateway.views.generations import entry_shape


async def balance(request: web.Request) -> web.Response:
    """`GET /v1/balance`."""
    return answer(
        balance_shape(await account_of(request, target_account(request, read_query(request, OfAccount).account)))
    )


async def journal(request: web.Request) -> web.Response:
    """`GET /v1/journal`: newest first."""
    query = read_query(request, credit_schemas.JournalQuery)
    target, (created_after, created_before) = target_account(request, query.account), period_of(query)
    page = found(
        await request.app[LEDGER].journal(
            account=target.account,
            keys_version=target.keys_version,
            limit=query.limit,
            before=query.before,
            created_after=created_after,
            created_before=created_before,
        ),
        target.missing,
    )
    return answer(credit_schemas.JournalOut(data=[entry_shape(entry) for entry in page.data], next=page.next))
