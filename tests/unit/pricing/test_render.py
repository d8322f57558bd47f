"""`farebox pricing check`: a table that a person can read."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from gateway.pricing.card import RateCard
from gateway.pricing.check import check
from gateway.pricing.render import render


def shown(card: RateCard, width: int = 120) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(render(card, check(card)))
    return [line.strip() for line in text.getvalue().splitlines() if line.strip()]


def row(lines: list[str], first: str) -> str:
    return next(" ".join(line.split()) for line in lines if line.startswith(f"{first} "))


def test_a_model_shows_its_price_range_its_rates_and_what_moves_the_price(default_card: RateCard) -> None:
    lines = shown(default_card)
    assert row(lines, "nano-banana-2") == "nano-banana-2 pro 49 99 3 6 resolution 1K/2K/4K · enhance_prompt"
    assert row(lines, "recraft-v4") == "recraft-v4 24 1 1"
    assert row(lines, "kling-3.0-4k") == "kling-3.0-4k pro 755 3,774.98 1 13 duration 3–15 s"


def test_plans_and_bundles_are_shown_with_their_prices(default_card: RateCard) -> None:
    lines = shown(default_card)
    assert row(lines, "standard") == "standard 8,000 30.00 76.50 252.00 10 min"
    assert row(lines, "free") == "free 100 a day"
    limits = lines[next(index for index, line in enumerate(lines) if "concurrent generations" in line) :]
    assert row(limits, "tool") == "tool free basic standard ultimate creator"
    assert row(limits, "image") == "image 2 4 8 12 16"
    assert row(limits, "wan-2.2") == "wan-2.2 3 100 266 533 3,333"
    assert row(lines, "small") == "small 1,000 5.00"


def test_how_long_outputs_are_kept_is_shown_if_a_plan_says_it(card_with: Callable[[str], RateCard]) -> None:
    card = """
    [[models.clip.rates]]
    credits = 1
    [free]
    output_days = 7
    [plans.studio]
    name = "Studio"
    monthly_credits = 8000
    price = { monthly = 30.00 }
    [plans.solo]
    name = "Solo"
    monthly_credits = 100
    price = { monthly = 3.00 }
    head_start = "10m"
    """
    lines = shown(card_with(card.replace("30.00 }", "30.00 }\n    output_days = 90")))
    plans = lines[next(index for index, line in enumerate(lines) if "price per interval" in line) :]
    assert row(plans, "plan").endswith("head start outputs kept")
    assert row(plans, "free") == "free 100 a day 7 days"
    assert row(plans, "studio") == "studio 8,000 30.00 90 days"
    assert row(plans, "solo") == "solo 100 3.00 10 min"
    assert not any("outputs kept" in line for line in shown(card_with(card.replace("output_days = 7", ""))))


def test_nothing_is_cut_off_in_a_terminal_of_80_columns(default_card: RateCard) -> None:
    assert not any("…" in line for line in shown(default_card, width=80))


def test_it_ends_with_what_was_proved_and_the_version(default_card: RateCard) -> None:
    lines = shown(default_card)
    assert "32 models, 59 rates, 794 combinations, each with exactly one price." in " ".join(lines[-3:])
    assert lines[-1] == f"version {default_card.version}"


def test_a_name_with_brackets_is_text_and_not_markup(card_of: Callable[[str], RateCard]) -> None:
    card = card_of("""
    [tools.video]
    name = "[bold]Video[/]"
    baseline_model = "clip"
    [models.clip]
    name = "Clip"
    tool = "video"
    provider = "sandbox"
    [models.clip.settings]
    size = { values = ["[red]", "b"] }
    [[models.clip.rates]]
    when = { size = "[red]" }
    credits = 1
    [[models.clip.rates]]
    when = { size = "b" }
    credits = 2
    """)
    lines = shown(card)
    assert lines[0].startswith("[bold]Video[/]: 1 model")
    assert row(lines, "clip").endswith("size [red]/b")


def test_what_costs_nothing_is_warned_of_with_the_combination(card_with: Callable[[str], RateCard]) -> None:
    free = """
        [models.clip.settings]
        resolution = { values = ["1K", "2K"] }
        [[models.clip.rates]]
        when = { resolution = "1K" }
        credits = 0
        [[models.clip.rates]]
        when = { resolution = "2K" }
        credits = 1
    """
    said = " ".join(shown(card_with(free)))
    assert 'Warning: clip costs nothing with resolution = "1K". If this is unintended, set `credits`.' in said
    assert "Warning" not in " ".join(shown(card_with(free.replace("credits = 0", "credits = 2"))))
