"""An account's person (R38): everything about it as JSON lines, and its erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic_core import to_json

from gateway.api.access.auth import found
from gateway.api.errors import LedgerDown
from gateway.api.http.headers import JSON_LINES
from gateway.api.http.respond import answer
from gateway.api.ownership.own_generations import shapes
from gateway.api.ownership.own_usage import days_until, today
from gateway.api.ownership.persons import Erasure
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.ledger import outcomes
from gateway.ledger.sums import Used
from gateway.ledger.webhooks import DEFAULT
from gateway.schemas.base import Answer, as_number
from gateway.schemas.persons import ErasureOut
from gateway.views.accounts import account_shape
from gateway.views.generations import credits_of, entry_shape
from gateway.views.purchases import purchase_shape
from gateway.views.webhooks import delivery_shape, webhook_shape

_PAGE = 100
_USAGE_DAYS = 400

Lines = list[tuple[str, Any]]
Page = Callable[..., Awaitable[Any]]


async def erase(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/person`: call again until it is done."""
    account = request.match_info["account"]
    await _check_archive(request)
    erased = await Erasure(request, account).run()
    return answer(ErasureOut(object="erasure", account=account, done=erased.done, open=erased.open))


async def export(request: web.Request) -> web.StreamResponse:
    """`GET /v1/admin/accounts/{account}/export`: a line per thing; without the line `end` it was cut off."""
    account = request.match_info["account"]
    known = found(await request.app[LEDGER].account(account=account), f"account {account}")
    await _check_archive(request)
    response = web.StreamResponse(
        headers={
            "Content-Type": JSON_LINES,
            "Content-Disposition": f'attachment; filename="{account}.jsonl"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":  # a body would be parsed as the next response
        return response
    count = 0
    async for lines in _everything(request, known):
        count += len(lines)
        await response.write(b"".join(_line(kind, data) for kind, data in lines))
    await response.write(_line("end", {"lines": count}))
    await response.write_eof()
    return response


async def _check_archive(request: web.Request) -> None:
    """Do nothing by halves: what only the archive has would be neither erased nor exported. LedgerDown."""
    if request.app[SETTINGS].archive_url is None and await request.app[LEDGER].has_archive():
        raise LedgerDown(
            "This ledger has an archive, and this gateway does not know it: set FAREBOX_ARCHIVE_URL. Nothing was done."
        )


def _line(kind: str, data: Any) -> bytes:
    shown = data.json_text().encode() if isinstance(data, Answer) else to_json(data)
    return b'{"type":"%s","data":%s}\n' % (kind.encode(), shown)


async def _everything(request: web.Request, account: outcomes.Account) -> AsyncIterator[Lines]:
    """Page by page, so that no account is too large."""
    ledger = request.app[LEDGER]
    yield [("account", account_shape(account))]
    for webhook in await ledger.webhooks(account=account.id):
        yield [("webhook", webhook_shape(webhook))]
    for name in [*(webhook.id for webhook in await ledger.webhooks(account=account.id)), DEFAULT]:
        async for page in _pages(partial(ledger.deliveries, webhook=name, account=account.id)):
            yield [("delivery", delivery_shape(one)) for one in page]
    async for page in _pages(partial(ledger.generations, keys_version=None, account=account.id)):
        yield [("generation", one) for one in await shapes(request, page)]
    async for page in _pages(partial(ledger.journal, keys_version=None, account=account.id)):
        yield [("journal_entry", entry_shape(one)) for one in page]
    async for page in _pages(partial(ledger.purchases, account=account.id)):
        yield [("purchase", purchase_shape(one)) for one in page]
    days = days_until(today(account, ZoneInfo(request.app[RATE_CARDS].card.free.timezone)), _USAGE_DAYS)
    used = found(await ledger.usage(keys_version=None, days=days, account=account.id), f"account {account.id}")
    yield [("usage", _usage_row(one)) for one in used]


def _usage_row(used: Used) -> dict[str, Any]:
    counts = used.counts
    return {
        "day": used.day,
        "tool": used.tool,
        "model": used.model,
        "generations": counts.generations,
        "outputs": counts.outputs,
        "credits": as_number(credits_of(counts.credits_millicredits)),
        "failed": counts.failed,
        "refunded": as_number(credits_of(counts.refunded_millicredits)),
    }


async def _pages(read: Page) -> AsyncIterator[Sequence[Any]]:
    """All pages of a list; one that was deleted meanwhile ends it."""
    before: str | None = None
    while True:
        page = await read(limit=_PAGE, before=before)
        if not isinstance(page, outcomes.Page):
            return
        yield page.data
        if page.next is None:
            return
        before = page.next
