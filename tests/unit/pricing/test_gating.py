"""What a plan lets an account ask for (R6)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.pricing.card import RateCard
from gateway.pricing.estimates import estimated_generations
from gateway.pricing.gating import gating

ReadCard = Callable[[str], RateCard]

CARD = """
    [free]
    allow = { video = { resolution = "480p" } }
    [plans.basic]
    name = "Basic"
    monthly_credits = 100
    price = { monthly = 1 }
    allow = { video = { resolution = ["480p", "720p"], audio = false } }
    [tools.video]
    name = "Video"
    baseline_model = "clip"
    [models.clip]
    name = "Clip"
    tool = "video"
    provider = "sandbox"
    [models.clip.settings]
    resolution = { values = ["480p", "720p", "1080p"] }
    audio = { values = [false, true] }
    [[models.clip.rates]]
    credits = 0
    [models.fine]
    name = "Fine"
    tool = "video"
    provider = "sandbox"
    pro = true
    [[models.fine.rates]]
    credits = 1
"""


def reason(card: RateCard, plan: str, model: str, **settings: str | bool) -> tuple[str, str] | None:
    gate = gating(card, plan=plan, model=card.models[model], settings=settings)
    return None if gate is None else (gate.code, gate.message)


def test_a_pro_model_needs_a_subscription_whatever_the_balance(card_of: ReadCard) -> None:
    card = card_of(CARD)
    assert reason(card, "free", "fine") == ("subscription_required", "Fine needs an active subscription.")
    assert reason(card, "basic", "fine") is None


def test_a_plan_limits_settings_and_says_what_it_allows(card_of: ReadCard) -> None:
    card = card_of(CARD)
    assert reason(card, "basic", "clip", resolution="720p", audio=False) is None
    assert reason(card, "basic", "clip", resolution="1080p", audio=False) == (
        "plan_limit",
        'On the plan Basic, resolution must be "480p" or "720p", not "1080p".',
    )
    assert reason(card, "basic", "clip", resolution="720p", audio=True) == (
        "plan_limit",
        "On the plan Basic, audio must be false, not true.",
    )
    assert reason(card, "free", "clip", resolution="720p", audio=True) == (
        "plan_limit",
        'Without a subscription, resolution must be "480p", not "720p".',
    )


def test_a_limit_on_a_setting_that_a_model_does_not_have_leaves_it_alone(card_of: ReadCard) -> None:
    assert reason(card_of(CARD), "basic", "fine") is None


def test_a_plan_that_is_withdrawn_from_the_card_is_still_a_subscription(card_of: ReadCard) -> None:
    assert reason(card_of(CARD), "gold", "fine") is None


def test_a_baseline_model_that_costs_nothing_gives_no_estimate(card_of: ReadCard) -> None:
    assert estimated_generations(card_of(CARD), "basic") == {}
