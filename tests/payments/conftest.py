"""Purchases at the level of the ledger: on one Redis and on a cluster, proved at the end of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ledger.world import World, open_world


@pytest.fixture
async def world(ledger_url: str) -> AsyncIterator[World]:
    """A ledger with a rate card; the invariants are checked after the test."""
    async with open_world(ledger_url) as made:
        yield made
