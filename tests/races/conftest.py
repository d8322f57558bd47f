"""Races: several gateways at once, each with a connection of its own, against one ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.ledger.world import PARTITIONS, World, open_world

GATEWAYS = 5


@pytest.fixture
async def worlds(ledger_url: str) -> AsyncIterator[list[World]]:
    """The same ledger as seen by several gateways; the invariants are checked after the test."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_world(ledger_url))
        made = [first]
        for _ in range(GATEWAYS - 1):
            ledger = Ledger(connect_ledger(ledger_url), partitions=PARTITIONS)
            stack.push_async_callback(ledger.close)
            made.append(replace(first, ledger=ledger))
        yield made
