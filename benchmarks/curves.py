"""How creates per second change with connections, and what `reserve` costs as accounts and open generations grow.

These have no targets: they are drawn (`benchmarks/plot.py`).
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from benchmarks.accounts import Account, make
from benchmarks.bench import Bench
from benchmarks.creates import loaded, stacks
from benchmarks.plot import Plot
from benchmarks.reserve_cost import cancel, reserve_and_cancel, timed_reserves
from benchmarks.result import Result
from benchmarks.servers import durable_redis, ledger_at
from gateway.ledger.ledger import Ledger

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128)
CONNECTIONS_QUICK = (1, 8, 32)
SECONDS = 1.5
SECONDS_QUICK = 0.6
ACCOUNTS = (1000, 10_000, 100_000, 1_000_000)
OPEN = (1000, 10_000, 100_000, 300_000)
QUICK = (1000, 10_000)
MEASURED = 500
TIMES = 3


async def by_connections(bench: Bench) -> Sequence[Result]:
    """Load each stack with few connections and with many."""
    numbers = CONNECTIONS_QUICK if bench.quick else CONNECTIONS
    seconds = SECONDS_QUICK if bench.quick else SECONDS
    lines: dict[str, list[float]] = {}
    async with stacks(bench) as (stack, posts, _):
        del stack["aiohttp echo"]  # its line would press the others flat
        for connections in numbers:
            bench.say(f"{connections} connections")
            for name, one in stack.items():
                measured = await loaded(one, posts, seconds, connections=connections)
                lines.setdefault(name, []).append(measured.per_second)
    bench.draw(Plot("creates a second", "connections", numbers, lines))
    return []


async def by_size(bench: Bench) -> Sequence[Result]:
    """Time `reserve` while accounts are added, and on another server while accounts with an open generation are."""
    for what, numbers, reserved in (("accounts", ACCOUNTS, False), ("open generations", OPEN, True)):
        sizes = QUICK if bench.quick else numbers
        bench.draw(Plot("reserve, µs", what, sizes, {"reserve": await _costs(bench, sizes, what, reserved)}))
    return []


async def _costs(bench: Bench, sizes: Sequence[int], what: str, reserved: bool) -> list[float]:  # noqa: FBT001 - a row
    costs = []
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            idle = await make(ledger, redis_socket, range(sizes[0]))
            first = sizes[0] if reserved else 0
            for size in sizes:
                bench.say(f"{size:,} {what}")
                if size > first:
                    added = await make(
                        ledger, redis_socket, range(first + sizes[0], size + sizes[0]), reserved=reserved
                    )
                    first, idle = size, idle if reserved else added
                costs.append(await _cost(ledger, idle))
    return costs


async def _cost(ledger: Ledger, accounts: Sequence[Account]) -> float:
    """The median of a few times, each for other accounts."""
    taken = []
    for number in range(TIMES):
        chosen = random.Random(number).sample(accounts, MEASURED)
        await reserve_and_cancel(ledger, chosen)
        made, microseconds = await timed_reserves(ledger, chosen)
        await cancel(ledger, made)
        taken.append(microseconds)
    return statistics.median(taken)
