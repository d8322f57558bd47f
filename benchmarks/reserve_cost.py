"""What `reserve` and a whole life cost the server: beside their own writes, and with a million accounts around.

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
from benchmarks.http_calls import an_output
from benchmarks.recorded import AppendOnlyFile, Command, RawConnection, packed
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, ledger_at
from gateway.domain import operation_id
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved

ACCOUNTS = 1000
ACCOUNTS_QUICK = 300
MEASURED = 500  # of them, each round
MANY = 1_000_000
MANY_QUICK = 50_000
OPEN = 200_000
OPEN_QUICK = 10_000
AT_ONCE = 100


async def against_plain_commands(bench: Bench) -> Sequence[Result]:
    """Reserve for each account, and bring each generation to its end, beside the commands that these scripts wrote.

    The plain commands run on a second server, each script's as one MULTI. It first gets everything that the first one
    had before. The time of EXEC has that of its commands in it, as that of EVALSHA has.
    """
    reserved, reserved_plain, lived, lived_plain = [], [], [], []
    with durable_redis() as redis_socket, durable_redis() as plain_socket:
        async with ledger_at(redis_socket) as ledger:
            file, raw = AppendOnlyFile(redis_socket), await RawConnection.open(plain_socket)
            accounts = await make(ledger, redis_socket, range(bench.size(ACCOUNTS, ACCOUNTS_QUICK)))
            await live(ledger, await reserve_all(ledger, accounts))
            await _replay(file, 0, raw)
            for _ in bench.rounds():
                start = file.end()
                made, reserving = await timed_reserves(ledger, accounts)
                middle = file.end()
                await live(ledger, made)
                (everything,) = await _microseconds(ledger.redis, len(made), "evalsha")
                plain = await _plain_microseconds(file.since(start, middle), len(made), raw, plain_socket)
                rest = await _plain_microseconds(file.since(middle), len(made), raw, plain_socket)
                reserved.append(reserving)
                reserved_plain.append(plain)
                lived.append(everything)
                lived_plain.append(plain + rest)
            await raw.close()
    floor, unit = "its writes as MULTI", "µs"
    return [
        Result(
            what="reserve, server time",
            figures=reserved,
            floors=reserved_plain,
            floor=floor,
            unit=unit,
            target=at_most(3),
        ),
        Result(
            what="reserve, begin, deliver, settle",
            figures=lived,
            floors=lived_plain,
            floor=floor,
            unit=unit,
            target=at_most(4),
        ),
    ]


async def live(ledger: Ledger, generations: Sequence[str]) -> None:
    """Begin each, deliver its one output, settle it: three scripts."""

    async def one(generation: str) -> None:
        await ledger.begin(generation=generation, attempt=1, operation=operation_id())
        await ledger.deliver(generation=generation, attempt=1, output=an_output(generation))
        await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None)

    for first in range(0, len(generations), AT_ONCE):
        await asyncio.gather(*map(one, generations[first : first + AT_ONCE]))


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
    (microseconds,) = await _microseconds(ledger.redis, len(made), "evalsha")
    return made, microseconds


def _reserved(outcome: object) -> str:
    if not isinstance(outcome, Reserved):
        raise TypeError(f"not reserved: {outcome}")
    return outcome.generation.id


async def _replay(file: AppendOnlyFile, position: int, raw: RawConnection) -> None:
    """Bring the plain server to where the ledger is."""
    for group in file.since(position):
        await raw.send(packed(group), len(group))


async def _plain_microseconds(
    written: list[list[Command]], generations: int, raw: RawConnection, redis_socket: Path
) -> float:
    """Run what was written as plain transactions; how many microseconds that took the server for each generation."""
    redis = Redis(unix_socket_path=str(redis_socket))
    await redis.config_resetstat()
    groups = [[[b"MULTI"], *group, [b"EXEC"]] for group in written]
    for first in range(0, len(groups), AT_ONCE):
        batch = [command for group in groups[first : first + AT_ONCE] for command in group]
        await raw.send(packed(batch), len(batch))
    microseconds = sum(await _microseconds(redis, generations, "multi", "exec"))
    await redis.aclose()
    return microseconds


async def _microseconds(redis: Redis | RedisCluster, generations: int, *commands: str) -> list[float]:
    statistics = await redis.info("commandstats")
    return [statistics[f"cmdstat_{command}"]["usec"] / generations for command in commands]
