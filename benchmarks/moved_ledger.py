"""A ledger on a clock of ours that is sent lives by the thousand (`traffic.py`), and says how long its scripts take."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.accounts import Account
from benchmarks.moved_clock import MovedRedis, moved_redis
from benchmarks.recorded import RawConnection, packed
from benchmarks.servers import ledger_at
from benchmarks.traffic import PLAN_EACH, Traffic
from gateway.domain import partition_of_account
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.ledger import Ledger
from gateway.ledger.scripts import SCRIPTS

_BATCH = 250
_SIZED_EACH = 16  # keys, of which one is asked for its size
_SCRIPTS = ("reserve", "begin", "deliver", "settle", "outputs_deleted")


@asynccontextmanager
async def opened(folder: Path, at_seconds: float, traffic: Traffic) -> AsyncIterator[MovedLedger]:
    """The ledger whose files are in `folder`, with its clock at `at_seconds`."""
    async with moved_redis(folder, at_seconds) as server, ledger_at(server.socket) as ledger:
        raw = await RawConnection.open(server.socket)
        for name in _SCRIPTS:
            await raw.send(packed([[b"SCRIPT", b"LOAD", SCRIPTS.load(name).source.encode()]]), 1)
        yield MovedLedger(server, ledger, raw, traffic, at=at_seconds)
        await raw.close()


def kinds_of_lives(dice: Random, number: int) -> list[int]:
    """So many kinds, as they fall."""
    return [dice.randrange(10) for _ in range(number)]


@dataclass(slots=True)
class MovedLedger:
    """One ledger with its clock and what sends it lives."""

    server: MovedRedis
    ledger: Ledger
    raw: RawConnection
    traffic: Traffic
    first: int = 0
    """The first account that is used these days."""
    at: float = 0.0

    def turn(self, at_seconds: float) -> None:
        """Move the clock, never back."""
        self.at = max(self.at, at_seconds)
        self.server.set(self.at)

    async def set(self, name: str, value: str) -> None:
        """Change a setting of the server."""
        await self.raw.send(packed([[b"CONFIG", b"SET", name.encode(), value.encode()]]), 1)

    async def live(self, dice: Random, active: int, lives: int) -> None:
        """So many lives of accounts in use, none of which has two at once."""
        while lives > 0:
            some = min(lives, _BATCH, active)
            await self.traffic.live(
                self.raw, self._accounts(dice.sample(range(active), some)), kinds_of_lives(dice, some)
            )
            lives -= some

    async def timed(self, offsets: Sequence[int], kinds: Sequence[int]) -> dict[str, dict[str, float]]:
        """One life for each of these accounts; of each script the median and the mean, in microseconds."""
        found: dict[str, dict[str, float]] = {}

        async def read(script: str) -> None:
            commands = await self.ledger.redis.info("commandstats")
            latencies = await self.ledger.redis.info("latencystats")
            found[script] = {
                **latencies["latency_percentiles_usec_evalsha"],
                "mean": commands["cmdstat_evalsha"]["usec_per_call"],
            }
            await self.ledger.redis.config_resetstat()

        await self.ledger.redis.config_resetstat()
        await self.traffic.live(self.raw, self._accounts(offsets), kinds, after=read)
        return found

    async def use(self, offsets: Sequence[int], kinds: Sequence[int]) -> None:
        """One life for each of these accounts."""
        await self.traffic.live(self.raw, self._accounts(offsets), kinds)

    async def delete_outputs(self) -> None:
        """What the caretaker does, once a day."""

        async def claimed(partition: int) -> list[str]:
            ended: list[str] = []
            while some := await self.ledger.claim_outputs(partition=partition, limit=100, claim_ms=60_000):
                ended += some
            return ended

        for ended in await asyncio.gather(*map(claimed, range(self.ledger.partitions))):
            await self.traffic.outputs_deleted(self.raw, ended)

    async def keys(self) -> dict[str, dict[str, int]]:
        """All keys by kind, and about how many bytes they have. Reading them also removes what has expired."""
        found: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"keys": 0, "bytes": 0})
        cursor = 0
        while True:
            cursor, names = await self.ledger.redis.scan(cursor, count=2000)
            kinds = []
            for name in names:
                key = read_key(name.decode(), self.ledger.partitions)
                kinds.append(key.kind.name if key is not None and key.kind is not None else name.decode().split(":")[1])
                found[kinds[-1]]["keys"] += 1
            async with self.ledger.redis.pipeline(transaction=False) as pipeline:
                for name in names[::_SIZED_EACH]:
                    pipeline.memory_usage(name)
                sizes = await pipeline.execute()
            for kind, size in zip(kinds[::_SIZED_EACH], sizes, strict=True):
                found[kind]["bytes"] += (size or 0) * _SIZED_EACH
            if cursor == 0:
                return dict(found)

    def with_a_plan(self, active: int) -> list[Account]:
        """Those accounts in use that have a plan."""
        return [Account.number(number) for number in range(self.first, self.first + active) if number % PLAN_EACH == 0]

    def _accounts(self, offsets: Iterable[int]) -> list[tuple[Account, int]]:
        accounts = [Account.number(self.first + offset) for offset in offsets]
        return [(one, partition_of_account(one.name, self.ledger.partitions)) for one in accounts]
