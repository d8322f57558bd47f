"""What `reserve` costs the server: beside its own writes as plain commands, and with a million accounts around it.

Redis itself counts the time (`INFO commandstats`), so neither the network nor Python is in it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from benchmarks.accounts import Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.recorded import AppendOnlyFile, RawConnection, packed
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, ledger_at
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved

ACCOUNTS = 1000
MEASURED = 500  # of them, each round
MANY = 1_000_000
MANY_QUICK = 50_000
OPEN = 200_000
OPEN_QUICK = 10_000
AT_ONCE = 100


async def against_plain_commands(bench: Bench) -> Sequence[Result]:
    """Reserve for each account; then run the commands that these scripts wrote, each script's as one MULTI.

    The plain commands run on a second server, which first gets everything that the first one had before. The time of
    EXEC has that of its commands in it, as that of EVALSHA has.
    """
    script: list[float] = []
    plain: list[float] = []
    with durable_redis() as redis_socket, durable_redis() as plain_socket:
        async with ledger_at(redis_socket) as ledger:
            file, raw = AppendOnlyFile(redis_socket), await RawConnection.open(plain_socket)
            accounts = await make(ledger, redis_socket, range(ACCOUNTS))
            await reserve_and_cancel(ledger, accounts)
            await _replay(file, 0, raw)
            for _ in bench.rounds():
                position = file.end()
                made, microseconds = await timed_reserves(ledger, accounts)
                script.append(microseconds)
                plain.append(await _plain_microseconds(file, position, raw, plain_socket))
                position = file.end()
                await cancel(ledger, made)
                await _replay(file, position, raw)
            await raw.close()
    return [
        Result(
            what="reserve, server time",
            figures=script,
            floors=plain,
            floor="its writes as MULTI",
            unit="µs",
            target=at_most(3),
        )
    ]


async def among_a_million(bench: Bench) -> Sequence[Result]:
    """Reserve for some of a thousand accounts, and each round for as many others of a million.

    Every account has been through as many reserves and cancels as its counterpart.
    """
    many, open_generations = bench.size(MANY, MANY_QUICK), bench.size(OPEN, OPEN_QUICK)
    alone: list[float] = []
    among: list[float] = []
    with durable_redis() as small_socket, durable_redis() as large_socket:
        async with ledger_at(small_socket) as small, ledger_at(large_socket) as large:
            few = await make(small, small_socket, range(ACCOUNTS))
            bench.say(f"making {many:,} accounts, {open_generations:,} of them with an open generation")
            idle = await make(large, large_socket, range(many - open_generations))
            await make(large, large_socket, range(many - open_generations, many), reserved=True)
            dice = random.Random(5)
            alike = few[:MEASURED]
            await reserve_and_cancel(small, alike)
            for number in bench.rounds():
                chosen = dice.sample(idle, MEASURED)
                for _ in range(number + 1):
                    await reserve_and_cancel(large, chosen)
                for ledger, accounts, taken in ((small, alike, alone), (large, chosen, among)):
                    made, microseconds = await timed_reserves(ledger, accounts)
                    taken.append(microseconds)
                    await cancel(ledger, made)
    return [
        Result(
            what=f"reserve among {many:,} accounts, {open_generations:,} open",
            figures=among,
            floors=alone,
            floor=f"among {ACCOUNTS:,}",
            unit="µs",
            target=at_most(1.2),
        )
    ]


async def reserve_all(ledger: Ledger, accounts: Sequence[Account]) -> list[str]:
    """Reserve one generation for each account; the generations."""
    made = []
    for first in range(0, len(accounts), AT_ONCE):
        batch = await asyncio.gather(*(reserve(ledger, account) for account in accounts[first : first + AT_ONCE]))
        made += [_reserved(outcome) for outcome in batch]
    return made


async def cancel(ledger: Ledger, generations: Sequence[str]) -> None:
    """Cancel them all, so that the next round finds the same room."""
    for first in range(0, len(generations), AT_ONCE):
        await asyncio.gather(*(ledger.cancel(generation=one) for one in generations[first : first + AT_ONCE]))


async def reserve_and_cancel(ledger: Ledger, accounts: Sequence[Account]) -> None:
    """Let every account have been used once: today's reset is written, and its journal is there."""
    await cancel(ledger, await reserve_all(ledger, accounts))


async def timed_reserves(ledger: Ledger, accounts: Sequence[Account]) -> tuple[list[str], float]:
    """Reserve for each account; the generations, and how many microseconds each script took the server."""
    await ledger.redis.config_resetstat()
    made = await reserve_all(ledger, accounts)
    (statistics,) = await _microseconds(ledger.redis, "evalsha")
    return made, statistics


def _reserved(outcome: object) -> str:
    if not isinstance(outcome, Reserved):
        raise TypeError(f"not reserved: {outcome}")
    return outcome.generation.id


async def _replay(file: AppendOnlyFile, position: int, raw: RawConnection) -> None:
    """Bring the plain server to where the ledger is."""
    for group in file.since(position):
        await raw.send(packed(group), len(group))


async def _plain_microseconds(file: AppendOnlyFile, position: int, raw: RawConnection, redis_socket: Path) -> float:
    """Run what was written since as plain transactions; how many microseconds each took the server."""
    redis = Redis(unix_socket_path=str(redis_socket))
    await redis.config_resetstat()
    groups = [[[b"MULTI"], *group, [b"EXEC"]] for group in file.since(position)]
    for first in range(0, len(groups), AT_ONCE):
        batch = [command for group in groups[first : first + AT_ONCE] for command in group]
        await raw.send(packed(batch), len(batch))
    microseconds = sum(await _microseconds(redis, "multi", "exec"))
    await redis.aclose()
    return microseconds


async def _microseconds(redis: Redis | RedisCluster, *commands: str) -> list[float]:
    statistics = await redis.info("commandstats")
    return [statistics[f"cmdstat_{command}"]["usec_per_call"] for command in commands]
