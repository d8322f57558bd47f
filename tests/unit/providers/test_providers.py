"""The kinds of provider that a rate card may name are those that workers have."""

from __future__ import annotations

from typing import get_args

from gateway.pricing.providers import ProviderKind
from workers.providers import KINDS


def test_workers_have_only_kinds_that_a_rate_card_may_name() -> None:
    assert set(KINDS) <= set(get_args(ProviderKind))
