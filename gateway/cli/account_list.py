"""`farebox account list`: the ledger's accounts by id, a page at a time."""

from __future__ import annotations

import asyncio
import heapq
import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from gateway.cli.embedded_redis import check_is_there
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.errors import LedgerUnavailable
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import scan
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings, load_settings

EXIT_FAILED = 1
_ACCOUNTS = "{fb??}:account:*"
_REST = 1.0


@click.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Number of accounts.")
@click.option("--after", metavar="ID", default="", help="Continue after this account.")
@click.option("--json", "as_json", is_flag=True, help="Print the page as JSON.")
def list_accounts(limit: int, after: str, *, as_json: bool) -> None:
    """List accounts by id, with plan, email and creation time.

    Reads the ledger directly, like `farebox audit` (FAREBOX_LEDGER_URL, or the embedded one in FAREBOX_DATA). Every
    page scans all keys once, in small steps.

    \b
    Examples:
      farebox account list
      farebox account list --after acme --limit 100 --json
    """
    try:
        page = asyncio.run(_page(load_settings(), after, limit))
    except LedgerUnavailable as error:
        say(f"Error: the ledger could not be read: {error}", error=True)
        sys.exit(EXIT_FAILED)
    if as_json:
        say_json(page)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("account", "plan", "made", "email"):
        table.add_column(column, no_wrap=True)
    for each in page["data"]:
        table.add_row(each["id"], each["plan"] or "free", each["created_at"], as_text(each["email"] or ""))
    Terminal().print_whole(table)
    if page["next"] is not None:
        say(f"more: --after {page['next']}")


async def _page(settings: Settings, after: str, limit: int) -> dict[str, Any]:
    check_is_there(settings)
    ledger = Ledger(connect_ledger(settings.ledger_address))
    try:
        first: set[str] = set()  # never more than a page and what one SCAN brings
        async for names in scan(Reader(ledger, _REST), _ACCOUNTS):
            found = {key.account for name in names if (key := read_key(name, ledger.partitions)) is not None}
            first = set(heapq.nsmallest(limit + 1, first | {one for one in found if one is not None and one > after}))
        ids = sorted(first)
        data = [await _account(ledger, one) for one in ids[:limit]]
        return {"data": data, "next": ids[limit - 1] if len(ids) > limit else None}
    finally:
        await ledger.close()


async def _account(ledger: Ledger, account: str) -> dict[str, Any]:
    fields = await ledger.command("HMGET", ledger.account_key(account), "plan", "email", "created_at")
    plan, email, made = (None if field is None else field.decode() for field in fields)
    at = None if made is None else datetime.fromtimestamp(int(made) / 1000, UTC).isoformat(timespec="seconds")
    return {"id": account, "plan": plan or None, "email": email or None, "created_at": at}
