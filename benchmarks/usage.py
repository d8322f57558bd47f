"""`python -m benchmarks.usage`: a year's usage costs about 365 small reads, however many generations it counts.

One account with GENERATIONS in DAYS days, one with a hundredth of them. Everything is measured in the same run, in
alternating rounds, medians of ROUNDS, one caller, on a durable Redis of its own.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.servers import durable_redis
from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of
from gateway.pricing.load import default_card_path, load_card

ROUNDS = 15
DAYS = 365
GENERATIONS = 100_000
MODELS = (("image", "flux-dev"), ("image", "nano-banana-2"), ("image", "gpt-image-1"), ("video", "wan-2.2"))
BATCH = 1000
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


async def measure(socket: Path, console: Console) -> None:
    """Write the counters, take the figures, print them."""
    redis = Redis(unix_socket_path=str(socket))
    ledger = Ledger(redis)
    await ledger.start()
    await ledger.publish(policy_of(load_card(default_card_path())))
    for account, generations in (("much", GENERATIONS), ("little", GENERATIONS // 100)):
        await ledger.put_account(account=account)
        await write_usage(ledger, account, generations)
    names = [keys.usage(partition_of_account("much", ledger.partitions), "much", day) for day in YEAR]

    async def reads(count: int) -> None:
        for first in range(0, count, BATCH):
            async with redis.pipeline(transaction=False) as pipeline:
                for number in range(first, min(first + BATCH, count)):
                    pipeline.hgetall(names[number % DAYS])
                await pipeline.execute()

    calls: dict[str, Call] = {
        "one HGETALL, one day": lambda: redis.hgetall(names[0]),  # type: ignore[dict-item,return-value]
        f"{DAYS} HGETALL in one pipeline": lambda: reads(DAYS),
        f"usage of {GENERATIONS:,} generations": lambda: ledger.usage(account="much", keys_version=None, days=YEAR),
        f"usage of {GENERATIONS // 100:,} generations": lambda: ledger.usage(
            account="little", keys_version=None, days=YEAR
        ),
    }
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for what, call in calls.items():
            taken[what].append(await milliseconds(call))
    figures = {what: statistics.median(each) for what, each in taken.items()}
    figures[f"{GENERATIONS:,} HGETALL in pipelines, once"] = await milliseconds(lambda: reads(GENERATIONS))
    await ledger.close()
    one, year_of_reads = list(figures.values())[:2]
    table = Table("what", "ms", "÷ one HGETALL", f"÷ {DAYS} of them")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,.2f}", f"{figure / one:,.1f}", f"{figure / year_of_reads:,.2f}")
    console.print(table)


def main() -> None:
    """Start Redis, measure, print, stop Redis."""
    with durable_redis() as socket:
        asyncio.run(measure(socket, Console()))


if __name__ == "__main__":
    main()
