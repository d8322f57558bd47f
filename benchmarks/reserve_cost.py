"""What `reserve` and a whole life cost the server: beside their own writes, and with a million accounts around.

Redis itself counts the time (`INFO commandstats`), so neither the network nor Python is in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
# Each command: how many words, then these.
_WRITES = """#!lua
local at = 1
while ARGV[at] do
  local last = at + ARGV[at]
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
"""
_WRITES_DIGEST = hashlib.sha1(_WRITES.encode(), usedforsecurity=False).hexdigest().encode()  # how Redis names scripts
Figures = dict[str, list[float]]


async def against_plain_commands(bench: Bench) -> Sequence[Result]:
    """Reserve for each account, and bring each generation to its end, beside the commands that these scripts wrote.

    The plain commands run on a second server, each script's as one MULTI, and on a third, each script's in a script
    that does nothing else. These first get everything that the first one had before. The time of EXEC has that of its
    commands in it, as that of EVALSHA has.
    """
    figures: Figures = defaultdict(list)
    with durable_redis() as redis_socket, durable_redis() as plain_socket, durable_redis() as scripted_socket:
        async with ledger_at(redis_socket) as ledger:
            file = AppendOnlyFile(redis_socket)
            plain, scripted = (
                await _Repeated.at(plain_socket, _as_multi),
                await _Repeated.at(scripted_socket, _as_script),
            )
            accounts = await make(ledger, redis_socket, range(bench.size(ACCOUNTS, ACCOUNTS_QUICK)))
            await live(ledger, await reserve_all(ledger, accounts))
            for repeated in (plain, scripted):
                await repeated.catch_up(file)
            for _ in bench.rounds():
                start = file.end()
                made, reserving = await timed_reserves(ledger, accounts)
                middle = file.end()
                await live(ledger, made)
                figures["reserve"].append(reserving)
                figures["life"] += await _microseconds(ledger.redis, len(made), "evalsha")
                for name, repeated in (("MULTI", plain), ("script", scripted)):
                    reserve_alone = await repeated.microseconds(file.since(start, middle), len(made))
                    rest = await repeated.microseconds(file.since(middle), len(made))
                    figures[f"reserve, {name}"].append(reserve_alone)
                    figures[f"life, {name}"].append(reserve_alone + rest)
            for repeated in (plain, scripted):
                await repeated.close()
    return list(_results(figures))


def _results(figures: Figures) -> Iterator[Result]:
    for what, of, target in (
        ("reserve, server time", "reserve", at_most(3)),
        ("reserve, begin, deliver, settle", "life", at_most(4)),
    ):
        beside: dict[str, Any] = {"floors": figures[f"{of}, MULTI"], "floor": "its writes as MULTI", "unit": "µs"}
        yield Result(what=what, figures=figures[of], target=target, **beside)
        least = figures[f"{of}, script"]
        yield Result(what="its floor: a script of these writes alone", figures=least, target=None, **beside)


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


def _as_multi(written: list[list[Command]]) -> list[list[Command]]:
    return [[[b"MULTI"], *group, [b"EXEC"]] for group in written]


def _as_script(written: list[list[Command]]) -> list[list[Command]]:
    words = ([word for command in group for word in (b"%d" % len(command), *command)] for group in written)
    return [[[b"EVALSHA", _WRITES_DIGEST, b"0", *some]] for some in words]


@dataclass(frozen=True, slots=True)
class _Repeated:
    """A server that repeats what the ledger's scripts wrote."""

    redis: Redis
    raw: RawConnection
    calls: Callable[[list[list[Command]]], list[list[Command]]]

    @classmethod
    async def at(cls, redis_socket: Path, calls: Callable[[list[list[Command]]], list[list[Command]]]) -> _Repeated:
        """Connect. `calls` makes the calls for what each script wrote."""
        redis = Redis(unix_socket_path=str(redis_socket))
        await redis.script_load(_WRITES)
        return cls(redis, await RawConnection.open(redis_socket), calls)

    async def catch_up(self, file: AppendOnlyFile) -> None:
        """Bring the server to where the ledger is."""
        for group in file.since(0):
            await self.raw.send(packed(group), len(group))

    async def microseconds(self, written: list[list[Command]], generations: int) -> float:
        """Run what was written; how many microseconds that took the server for each generation."""
        await self.redis.config_resetstat()
        groups = self.calls(written)
        for first in range(0, len(groups), AT_ONCE):
            batch = [command for group in groups[first : first + AT_ONCE] for command in group]
            await self.raw.send(packed(batch), len(batch))
        names = {command[0].decode().lower() for command in groups[0]} & {"multi", "exec", "evalsha"}
        return sum(await _microseconds(self.redis, generations, *names))

    async def close(self) -> None:
        """Close the connections."""
        await self.raw.close()
        await self.redis.aclose()


async def _microseconds(redis: Redis | RedisCluster, generations: int, *commands: str) -> list[float]:
    statistics = await redis.info("commandstats")
    return [statistics[f"cmdstat_{command}"]["usec"] / generations for command in commands]
