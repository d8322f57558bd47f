"""A gateway on a real port, with a real ledger and queue; each test has an empty Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.visitor import Visitor, open_gateway


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway in test mode."""
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


@pytest.fixture
async def key(gateway: Visitor) -> str:
    """A key of the account acme, whose gateway the module may have made by itself."""
    return await gateway.account()


@pytest.fixture
async def owner(gateway: Visitor) -> str:
    """The key of acme's owner, who makes every call of accounts."""
    return await gateway.owner()
