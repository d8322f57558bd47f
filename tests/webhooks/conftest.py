from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.services import OUTPUTS
from tests.api.visitor import Visitor, open_gateway
from tests.webhooks.receiving import LOCAL, SIGNING_KEY, Receiver, open_sender, receiving
from workers.webhooks.sender import WebhookSender


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway that may call receivers on this machine."""
    async with open_gateway(redis_url, tmp_path, webhook_networks=LOCAL, signing_key=SIGNING_KEY) as visitor:
        yield visitor


@pytest.fixture
async def key(gateway: Visitor) -> str:
    """A key of the account acme."""
    return await gateway.account()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that answers 200 unless it is told otherwise."""
    async with receiving() as made:
        yield made


@pytest.fixture
async def sender(gateway: Visitor) -> AsyncIterator[WebhookSender]:
    """A webhook sender on the gateway's ledger."""
    async with open_sender(gateway.ledger, outputs=gateway.app[OUTPUTS]) as made:
        yield made
