"""What the ledger costs in memory: by Redis's own count before and after, all keys counted, for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.accounts import Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.http_calls import an_output
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, ledger_at
from gateway.domain import operation_id
from gateway.ledger.accounts import key_id_of
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Ended, Reserved

ACCOUNTS = 50_000  # with two keys each they fill three quarters of Redis's table of keys, as is usual
ACCOUNTS_QUICK = 12_500
GENERATIONS = 20  # of each of these accounts
USERS = 256
USERS_QUICK = 32
PLAN = "creator"


async def measure(bench: Bench) -> Sequence[Result]:
    """Count idle accounts, then what is left of finished generations."""
    return [await _accounts(bench), await _generations(bench)]


async def _accounts(bench: Bench) -> Result:
    count = bench.size(ACCOUNTS, ACCOUNTS_QUICK)
    bench.say(f"{count:,} idle accounts")
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            await make(ledger, redis_socket, range(count, count + 2))  # what there is only once
            before = await _used(ledger)
            await make(ledger, redis_socket, range(count))
            after = await _used(ledger)
    return Result(what="memory: an idle account", figures=[(after - before) / count], unit="B", target=at_most(600))


async def _generations(bench: Bench) -> Result:
    users = bench.size(USERS, USERS_QUICK)
    bench.say(f"{users * GENERATIONS:,} finished generations")
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            accounts = await make(ledger, redis_socket, range(users), plan=PLAN)
            await asyncio.gather(*(finish_one(ledger, account) for account in accounts))
            before = await _used(ledger)
            for _ in range(GENERATIONS):
                await asyncio.gather(*(finish_one(ledger, account) for account in accounts))
            after = await _used(ledger)
    return Result(
        what="memory: a finished generation",
        figures=[(after - before) / (users * GENERATIONS)],
        unit="B",
        target=at_most(2500),
        note="with its journal entries, its idempotency record and its places in indexes; one image, succeeded",
    )


async def finish_one(ledger: Ledger, account: Account) -> None:
    """Order one generation with the account's key, and take it through its whole life, as a worker does."""
    reserved = await reserve(ledger, account, key=key_id_of(account.key))
    if not isinstance(reserved, Reserved):
        raise TypeError(f"not reserved: {reserved}")
    generation = reserved.generation.id
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    await ledger.note(generation=generation, attempt=1, ref="sbx_1795305600000_0123456789abcdef")
    await ledger.deliver(generation=generation, attempt=1, output=an_output(generation))
    ended = await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None)
    if not isinstance(ended, Ended):
        raise TypeError(f"not ended: {ended}")


async def _used(ledger: Ledger) -> int:
    """Bytes that Redis has in use, without what its clients and its append-only buffer have for the moment."""
    await asyncio.sleep(1)  # tables that grow are moved over in the background
    memory = await ledger.redis.info("memory")
    passing = memory["mem_clients_normal"] + memory["mem_aof_buffer"]
    return int(memory["used_memory"]) - int(passing)
