"""An account's purchases, from the start of their checkout."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.http.parse import read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer
from gateway.api.ownership.target_account import target_account
from gateway.api.services import LEDGER
from gateway.schemas import purchases as purchase_schemas
from gateway.schemas.base import OfAccount
from gateway.views.purchases import purchase_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/purchases`: newest first."""
    query = read_query(request, purchase_schemas.PurchasesQuery)
    target, (created_after, created_before) = target_account(request, query.account), period_of(query)
    page = found(
        await request.app[LEDGER].purchases(
            account=target.account,
            keys_version=target.keys_version,
            limit=query.limit,
            before=query.before,
            created_after=created_after,
            created_before=created_before,
        ),
        f"purchase {query.before} in this account's list" if query.before else target.missing,
    )
    return answer(
        purchase_schemas.PurchasesOut(data=[purchase_shape(purchase) for purchase in page.data], next=page.next)
    )


async def get(request: web.Request) -> web.Response:
    """`GET /v1/checkouts/{checkout}`: one purchase."""
    target = target_account(request, read_query(request, OfAccount).account)
    checkout = request.match_info["checkout"]
    purchase = await request.app[LEDGER].purchase(
        account=target.account, keys_version=target.keys_version, checkout=checkout
    )
    return answer(purchase_shape(found(purchase, f"checkout {checkout}")))
