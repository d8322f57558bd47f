"""A gateway with a real ledger and queue, of which an assistant's tools are clients."""

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
