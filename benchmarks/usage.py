"""A year's usage costs about 365 small reads, however many generations it counts.

One account with GENERATIONS in DAYS days, one with a hundredth of them; one caller.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta

from benchmarks.bench import Bench
from benchmarks.result import Result
from benchmarks.servers import durable_redis, ledger_at
from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger

CALLS = 5  # a round
DAYS = 365
GENERATIONS = 100_000
MODELS = (("image", "flux-dev"), ("image", "nano-banana-2"), ("image", "gpt-image-1"), ("video", "wan-2.2"))
YEAR = [(date(2026, 1, 1) + timedelta(days=number)).isoformat() for number in range(DAYS)]

Call = Callable[[], Awaitable[object]]


async def write_usage(ledger: Ledger, account: str, generations: int) -> None:
    """Count so many generations over the year, in the keys and fields that an ending writes."""
    dice = random.Random(account)
    days: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for number in range(generations):
        tool, model = dice.choice(MODELS)
        name = f"{tool}|{model}|"
        counted = {"generations": 1, "outputs": 1, "credits": dice.randrange(5_000, 210_000)}
        if dice.random() < 0.05:  # noqa: PLR2004 - one in twenty fails
            counted = {"generations": 1, "failed": 1, "refunded": counted["credits"]}
        days[YEAR[number % DAYS]].update({name + counter: amount for counter, amount in counted.items()})
    partition = partition_of_account(account, ledger.partitions)
    async with ledger.redis.pipeline(transaction=False) as pipeline:
        for day, counters in days.items():
            pipeline.hset(keys.usage(partition, account, day), mapping=dict(counters))
        await pipeline.execute()


async def milliseconds(call: Call) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1000


async def measure(bench: Bench) -> Sequence[Result]:
    """Write the counters; read the year of either account, and so many small reads, in turn."""
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket) as ledger:
            for account, generations in (("much", GENERATIONS), ("little", GENERATIONS // 100)):
                await ledger.put_account(account=account)
                await write_usage(ledger, account, generations)
            names = [keys.usage(partition_of_account("much", ledger.partitions), "much", day) for day in YEAR]

            async def small_reads() -> None:
                async with ledger.redis.pipeline(transaction=False) as pipeline:
                    for name in names:
                        pipeline.hgetall(name)
                    await pipeline.execute()

            async def usage(account: str) -> object:
                return await ledger.usage(account=account, keys_version=None, days=YEAR)

            calls: dict[str, Call] = {
                "reads": small_reads,
                "much": lambda: usage("much"),
                "little": lambda: usage("little"),
            }
            taken: defaultdict[str, list[float]] = defaultdict(list)
            for _ in bench.rounds():
                for what, call in calls.items():
                    each = [await milliseconds(call) for _ in range(CALLS)]
                    taken[what].append(statistics.median(each))
    return [
        Result(
            what=f"a year's usage, {GENERATIONS:,} generations",
            figures=taken["much"],
            floors=taken["reads"],
            floor=f"{DAYS} HGETALL in a pipeline",
            unit="ms",
            target=None,
        ),
        Result(
            what="the same",
            figures=taken["much"],
            floors=taken["little"],
            floor=f"{GENERATIONS // 100:,} generations",
            unit="ms",
            target=None,
        ),
    ]
