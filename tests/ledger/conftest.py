"""Every test runs on one Redis, and each script on a cluster too; what a test leaves behind is proved at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.invariants.patched import CLOCK, replaced
from tests.ledger.webhook_deliveries import Clocked
from tests.ledger.world import World, open_world


@pytest.fixture
async def bare(ledger_url: str) -> AsyncIterator[World]:
    """A ledger with a rate card and nothing else; the invariants are checked after the test."""
    async with open_world(ledger_url) as made:
        yield made


@pytest.fixture
async def world(bare: World) -> World:
    """A ledger with a rate card and the account `ann`, which has the free credits of a day."""
    await bare.account()
    return bare


@pytest.fixture
async def clocked(redis_url: str) -> AsyncIterator[Clocked]:
    """As `world`, on one server with a clock that tests move: scores and fields go by it, lifetimes of keys do not."""
    with replaced():
        from gateway.redis_link.connections import connect_ledger  # noqa: PLC0415 - only to set the clock before the ledger starts

        client = connect_ledger(redis_url)
        await client.set(CLOCK, 1_800_000_000_000)
        await client.aclose()
        async with open_world(redis_url) as world:
            await world.account()
            yield Clocked(world)
