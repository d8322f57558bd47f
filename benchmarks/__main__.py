"""`make bench`: every figure beside a floor that was measured in the same run, in alternating rounds, medians of five.

On a durable Redis of its own (`appendfsync always`), with CLIENTS callers at once.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks import usage
from benchmarks.servers import durable_redis
from gateway.domain import (
    Bucket,
    GenerationRequest,
    generation_id,
    operation_id,
    partition_of_account,
)
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of, terms_of
from gateway.pricing.load import default_card_path, load_card

ROUNDS = 5
CALLS = 2000
CLIENTS = 32
ACCOUNTS = 100
MANY = 1_000_000_000_000

Call = Callable[[int], Awaitable[object]]


async def _seconds(call: Call) -> float:
    """How long CALLS calls take when CLIENTS callers share them."""

    async def caller(first: int) -> None:
        for number in range(first, CALLS, CLIENTS):
            await call(number)

    started = time.perf_counter()
    await asyncio.gather(*(caller(first) for first in range(CLIENTS)))
    return time.perf_counter() - started


async def _measure(socket: Path, console: Console) -> None:
    redis = Redis(unix_socket_path=str(socket))
    ledger = Ledger(redis)
    card = load_card(default_card_path())
    await ledger.start()
    await ledger.publish(policy_of(card))
    for number in range(ACCOUNTS):
        name = f"bench-{number}"
        await ledger.put_account(account=name)
        await ledger.grant(
            account=name, operation=name, bucket=Bucket.TOP_UP, millicredits=MANY, expires_at=None, reason="bench"
        )
    request = GenerationRequest(
        tool="image",
        model="flux-dev",
        provider="sandbox",
        prompt="bench",
        outputs=1,
        price_millicredits=5000,
        rate_card=card.version,
    )
    terms = terms_of(card, "image")

    async def reserve_and_cancel(number: int) -> object:
        account = f"bench-{number % ACCOUNTS}"
        generation = generation_id(partition_of_account(account, ledger.partitions))
        await ledger.reserve(
            account=account,
            generation=generation,
            operation=operation_id(),
            request=request,
            terms=terms,
            pro=False,
            keys_version=None,
        )
        return await ledger.cancel(generation=generation)

    async def two_sets(number: int) -> object:
        await redis.set(f"floor:{number}", secrets.token_hex(8))
        return await redis.delete(f"floor:{number}")

    floor, ours = [], []
    for _ in range(ROUNDS):
        floor.append(CALLS / await _seconds(two_sets))
        ours.append(CALLS / await _seconds(reserve_and_cancel))
    await ledger.close()
    table = Table("what", "per second", "floor: SET and DEL", "ratio", title=f"{CLIENTS} callers, medians of {ROUNDS}")
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, floor, strict=True))
    table.add_row(
        "reserve and cancel", f"{statistics.median(ours):,.0f}", f"{statistics.median(floor):,.0f}", f"{ratio:.2f}"
    )
    console.print(table)


def main() -> None:
    """Start Redis, measure, print, stop Redis."""
    with durable_redis() as socket:
        asyncio.run(_measure(socket, Console()))
    usage.main()


if __name__ == "__main__":
    main()
