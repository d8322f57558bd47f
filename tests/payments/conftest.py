"""Purchases on the ledger, on one Redis and on a cluster, and by Stripe over HTTP; proved after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.payments.links import CheckoutLinks
from gateway.payments.stripe import StripePayments
from tests.api.visitor import Visitor, open_gateway
from tests.invariants.checks import check_invariants
from tests.ledger.world import World, standing_world
from tests.payments import stripe_shapes as shapes
from tests.payments.stripe_server import KEY, StripeServer, open_stripe


@pytest.fixture
async def world(ledger_url: str) -> AsyncIterator[World]:
    """A ledger with a rate card, whose time stands still; the invariants are checked after the test."""
    async with standing_world(ledger_url) as made:
        yield made


@pytest.fixture
async def stripe_server() -> AsyncIterator[StripeServer]:
    async with open_stripe() as server:
        yield server


@pytest.fixture
async def provider(stripe_server: StripeServer) -> AsyncIterator[StripePayments]:
    links = CheckoutLinks("secret", "http://gate")
    made = StripePayments(key=KEY, webhook_secret=shapes.SECRET, links=links, api_base=stripe_server.address)
    yield made
    await made.close()


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway in test mode: it takes local payments."""
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor
        await check_invariants(visitor.ledger.redis, visitor.ledger.partitions)


@pytest.fixture
async def selling(
    redis_url: str, tmp_path: Path, stripe_server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Visitor]:
    """A gateway that sells by Stripe, which is the server beside it."""
    secrets = {"key": KEY, "webhook_secret": shapes.SECRET, "api_base": stripe_server.address}
    monkeypatch.setattr("gateway.app.payments_of", lambda _, links: StripePayments(links=links, **secrets))
    async with open_gateway(redis_url, tmp_path, test_mode=False) as visitor:
        yield visitor
        await check_invariants(visitor.ledger.redis, visitor.ledger.partitions)
