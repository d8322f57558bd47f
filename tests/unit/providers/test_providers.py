"""The providers that a rate card may name are those that workers have."""

from __future__ import annotations

from gateway import domain
from workers.providers import PROVIDERS


def test_the_gateway_knows_just_the_providers_that_workers_have() -> None:
    assert set(PROVIDERS) == domain.PROVIDERS
