"""A ledger whose time stands still, for the scripts as `tests/invariants/patched.py` replaces them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.errors import LedgerBroken
from tests.invariants.patched import CLOCK
from tests.ledger.world import World, open_world


class StoppedWorld(World):
    """A world whose time stands still, as that of the scripts does here."""

    async def now(self) -> int:
        return int(await self.redis.get(CLOCK))


@asynccontextmanager
async def stopped(url: str) -> AsyncIterator[World]:
    """An empty one; it is not proved afterwards where a claim did not hold."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()
        await redis.set(CLOCK, time.time_ns() // 1_000_000)
    async with open_world(url) as world:
        try:
            yield StoppedWorld(world.ledger, world.policy)
        except (AssertionError, LedgerBroken):
            world.holds = False
            raise
