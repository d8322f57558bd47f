"""The kinds of provider that a rate card may name are those that workers have."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

from gateway.pricing.providers import ProviderKind
from workers.providers import KINDS
from workers.providers.figures import cost_in, share_of


def test_workers_have_only_kinds_that_a_rate_card_may_name() -> None:
    assert set(KINDS) <= set(get_args(ProviderKind))


def test_r31_a_servers_cost_is_in_its_usage_if_it_says_any() -> None:
    """OpenRouter and others write it beside the tokens; OpenAI does not."""
    assert cost_in({"total_tokens": 7, "cost": 0.0123}) == 0.0123
    odd: list[object] = [{"total_tokens": 7}, None, "0.1", []]
    assert [cost_in(one) for one in odd] == [None] * 4
    shares = [share_of(0.1, place, 3) for place in range(3)]
    assert shares == [Decimal("0.033333"), Decimal("0.033333"), Decimal("0.033334")]
