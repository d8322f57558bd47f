"""Balance and journal: reading either first rolls the account forward (R19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.http.csv_answers import VARY, Rows, safe_cell, stream_csv, wants_csv
from gateway.api.http.parse import read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer
from gateway.api.ownership.target_account import TargetAccount, account_of, target_account
from gateway.api.services import LEDGER
from gateway.domain import Bucket
from gateway.ledger import outcomes
from gateway.ledger.journal_records import BucketChange, Entry
from gateway.schemas import credits as credit_schemas
from gateway.schemas.base import PAGE_MAX, OfAccount, utc
from gateway.views.accounts import balance_shape
from gateway.views.generations import credits_of, entry_shape

_CSV_COLUMNS = (
    "id", "at", "kind", "credits", "held", *Bucket, "available_after", "held_after", "generation", "key", "member",
    "reason",
)  # fmt: skip


async def balance(request: web.Request) -> web.Response:
    """`GET /v1/balance`."""
    return answer(
        balance_shape(await account_of(request, target_account(request, read_query(request, OfAccount).account)))
    )


async def journal(request: web.Request) -> web.StreamResponse:
    """`GET /v1/journal`: newest first; as CSV, all pages in one file."""
    query = read_query(request, credit_schemas.JournalQuery)
    target = target_account(request, query.account)
    if wants_csv(request):
        return await stream_csv(request, _csv_pages(request, query, target), f"journal-{target.account}.csv")
    page = await _page(request, query, target, query.before)
    shape = credit_schemas.JournalOut(data=[entry_shape(entry) for entry in page.data], next=page.next)
    return answer(shape, headers=VARY)


async def _page(
    request: web.Request, query: credit_schemas.JournalQuery, target: TargetAccount, before: str | None
) -> outcomes.Page[Entry]:
    created_after, created_before = period_of(query)
    return found(
        await request.app[LEDGER].journal(
            account=target.account,
            keys_version=target.keys_version,
            limit=query.limit,
            before=before,
            created_after=created_after,
            created_before=created_before,
            kind=query.kind,
            generation=query.generation,
            key=query.key,
            member=target.whose(query.member),
        ),
        target.missing,
    )


async def _csv_pages(
    request: web.Request, query: credit_schemas.JournalQuery, target: TargetAccount
) -> AsyncIterator[Rows]:
    """The column names and the first page, then the other pages."""
    query = query.model_copy(update={"limit": PAGE_MAX})
    page = await _page(request, query, target, query.before)
    yield [_CSV_COLUMNS, *map(_csv_row, page.data)]
    # The response has begun: a change of the account's keys can no longer send the request back to authentication.
    target = replace(target, keys_version=None)
    while page.next is not None:
        page = await _page(request, query, target, page.next)
        yield [_csv_row(entry) for entry in page.data]


def _csv_row(entry: Entry) -> list[str]:
    changes = (entry.buckets.get(bucket, BucketChange(0, 0)).credits_millicredits for bucket in Bucket)
    amounts = (entry.credits_millicredits, entry.held_millicredits, *changes)
    after = (entry.available_after_millicredits, entry.held_after_millicredits)
    texts = (entry.generation, entry.key, entry.member, entry.reason)
    return [
        str(entry.id), utc(entry.at), entry.kind, *(f"{credits_of(amount):f}" for amount in (*amounts, *after)),
        *(safe_cell(text or "") for text in texts),
    ]  # fmt: skip
