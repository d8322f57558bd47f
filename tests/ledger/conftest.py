"""Every test runs on one Redis, and each script on a cluster too; what a test leaves behind is proved at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ledger.world import World, standing_world


@pytest.fixture
async def bare(ledger_url: str) -> AsyncIterator[World]:
    """A ledger with a rate card and nothing else; its time stands still. The invariants are checked after the test."""
    async with standing_world(ledger_url) as made:
        yield made


@pytest.fixture
async def world(bare: World) -> World:
    """A ledger with a rate card and the account `ann`, which has the free credits of a day."""
    await bare.account()
    return bare
