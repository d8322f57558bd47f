"""Outcomes as Prometheus sees them: made by a real ledger, counted by what follows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from gateway.domain import FailureCode, operation_id
from gateway.ledger.figures import Figures
from tests.ledger.world import World, open_world
from tests.payments.shop import buy, pay


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    async with open_world(redis_url) as made:
        yield made


async def test_waits_results_and_credits_are_counted_once(world: World) -> None:
    registry = CollectorRegistry()
    world.ledger.follow_up_by(Figures(registry).count)
    await world.account(top_up=50_000, plan="standard")
    bought = await buy(world)
    for _ in range(2):
        await pay(world, bought)
    generation = await world.spend(30_000)
    await world.ledger.begin(generation=generation, attempt=1, operation=operation_id())
    await world.ledger.settle(
        generation=generation, attempt=1, operation=operation_id(), failure=FailureCode.PROVIDER_REJECTED
    )
    await world.ledger.cancel(generation=generation)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("farebox_wait_seconds_count", tool="image") == 1
    assert value("farebox_result_seconds_count", tool="image", status="failed") == 1
    assert value("farebox_credits_refunded_total", tool="image") == 30
    assert value("farebox_credits_charged_total", tool="image") == 0
    assert value("farebox_credits_sold_total", kind="bundle") == 1_000
