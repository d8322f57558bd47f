"""A server that speaks Stripe's wire format, and our provider set to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.payments.links import CheckoutLinks
from gateway.payments.stripe import StripePayments
from tests.payments.stripe_server import KEY, StripeServer, open_stripe
from tests.payments.stripe_shapes import SECRET


@pytest.fixture
async def stripe_server() -> AsyncIterator[StripeServer]:
    async with open_stripe() as server:
        yield server


@pytest.fixture
async def provider(stripe_server: StripeServer) -> AsyncIterator[StripePayments]:
    links = CheckoutLinks("secret", "http://gate.example")
    made = StripePayments(key=KEY, webhook_secret=SECRET, links=links, api_base=stripe_server.address)
    yield made
    await made.close()
