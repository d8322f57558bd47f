"""A ledger with an archive, and what tests ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.archive.archivist import Archivist
from gateway.archive.rows import entry_text
from gateway.domain import partition_of_account
from gateway.ledger import keys
from tests.ledger.ageing import age_journal
from tests.ledger.world import DAY, PARTITIONS, World


@dataclass(slots=True)
class Archived:
    """`copy` makes the archivist go round until nothing is left."""

    world: World
    archivist: Archivist
    connection: asyncpg.Connection

    async def copy(self) -> None:
        while (await self.archivist.round())[0]:
            pass

    async def entries(self, account: str = "ann") -> list[str]:
        """The archive's entries as the ledger writes them, oldest first."""
        rows = await self.connection.fetch("SELECT * FROM farebox.entries WHERE account = $1 ORDER BY id", account)
        return [entry_text(row) for row in rows]

    async def journal(self, account: str = "ann") -> list[str]:
        """The ledger's entries, oldest first."""
        key = keys.journal(partition_of_account(account, PARTITIONS), account)
        return [text.decode() for text in reversed(await self.world.redis.lrange(key, 0, -1))]

    async def row(self, statement: str, *values: Any) -> Any:
        return await self.connection.fetchrow(statement, *values)


async def old(world: World, days: int) -> list[str]:
    """Generations and entries of `ann` of long ago; the generations."""
    partition = partition_of_account("ann", PARTITIONS)
    made = [await world.spend(price) for price in (0, 1_000, 2_000)]
    for generation in made:
        await world.finish(generation)
        key = world.ledger.generation_key(generation)
        for name in ("created_at", "finished_at"):
            await world.redis.hincrby(key, name, -days * DAY)
        await world.redis.zincrby(keys.recent(partition, "ann"), -days * DAY, generation)
    await age_journal(world, days * DAY)
    return made
