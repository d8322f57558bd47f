"""The card that Farebox comes with: the published numbers, and every shape that a price can have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import Interval
from gateway.kinds import MediaKind
from gateway.pricing.card import RateCard
from gateway.pricing.estimates import estimated_generations
from gateway.pricing.gating import gating
from gateway.pricing.measures import PROMPT_CHARACTERS
from gateway.pricing.quote import quote

IMAGES = {
    "nano-banana-2": "49",
    "nano-banana-pro": "80",
    "imagineart-2.0": "25",
    "imagineart-1.5-pro": "25",
    "imagineart-1.5": "15",
    "gpt-image-1.5": "35",
    "gpt-image-1": "45",
    "recraft-v4": "24",
    "recraft-v4-pro": "150",
    "seedream-v5-lite": "20",
    "seedream-v4.5": "24",
    "grok-imagine": "12",
    "flux-2-max": "50",
    "flux-2-pro": "28",
    "flux-1.1-ultra": "36",
    "flux-dev": "5",
    "z-image-turbo": "5",
    "nano-banana": "24",
    "imagen-4": "24",
    "dreamina-3.1": "18",
    "ideogram-v3": "25",
}
VIDEOS = {
    "wan-2.2": "30",
    "seedance-pro-fast": "150",
    "ltx-2.3": "215",
    "kling-3.0-pro": "300",
    "kling-3.0-4k": "755",
    "veo-3.1-fast": "350",
    "sora-2-pro": "720",
    "veo-3.1": "900",
}


def price(card: RateCard, model: str, images: int = 0, outputs: int = 1, **settings: Any) -> Decimal:
    tool = card.models[model].tool
    made = quote(card, tool=tool, model=model, settings=settings, outputs=outputs, input_images=images)
    assert sum(line.total for line in made.lines) * 1000 == made.price_millicredits
    return Decimal(made.price_millicredits) / 1000


def test_it_has_the_21_image_and_8_video_models(default_card: RateCard) -> None:
    assert {key for key, model in default_card.models.items() if model.tool == "image"} == IMAGES.keys()
    assert {key for key, model in default_card.models.items() if model.tool == "video"} == VIDEOS.keys()
    assert (len(IMAGES), len(VIDEOS)) == (21, 8)


@pytest.mark.parametrize(("model", "credits_listed"), [*IMAGES.items(), *VIDEOS.items()])
def test_default_settings_cost_the_published_base_price(
    default_card: RateCard, model: str, credits_listed: str
) -> None:
    assert price(default_card, model) == Decimal(credits_listed)
    assert default_card.models[model].pro is (Decimal(credits_listed) >= 49)


@pytest.mark.parametrize("model", VIDEOS)
def test_a_video_is_its_shortest_by_default(default_card: RateCard, model: str) -> None:
    duration = default_card.models[model].settings["duration"]
    assert duration.default == min(int(value) for value in duration.each() if not isinstance(value, str))


@pytest.mark.parametrize(
    ("model", "settings", "credits_expected"),
    [
        ("nano-banana-2", {"resolution": "2K"}, "73.5"),
        ("nano-banana-2", {"resolution": "4K"}, "98"),
        ("nano-banana-pro", {"resolution": "2K"}, "80"),
        ("nano-banana-pro", {"resolution": "4K"}, "160"),
        ("flux-2-pro", {"megapixels": 3}, "56.044"),  # extra megapixels: 28 + 2 × 14.022
        ("ideogram-v3", {"quality": "quality", "resolution": "2K"}, "75"),  # quality × size
        ("sora-2-pro", {"quality": "high", "resolution": "1080p"}, "1800"),  # quality × size, of a video
        ("sora-2-pro", {"duration": 8}, "1512"),  # a table by duration that is not linear: more than 2 × 720
        ("sora-2-pro", {"duration": 12}, "2376"),
        ("seedance-pro-fast", {"duration": 6, "resolution": "720p"}, "210"),  # the seed's video, per second
        ("seedance-pro-fast", {"duration": 5, "resolution": "480p"}, "150"),  # 125, were it not for the minimum
        ("seedance-pro-fast", {"duration": 6, "resolution": "720p", "audio": True}, "420"),  # audio as a factor
        ("veo-3.1", {"resolution": "2160p", "duration": 8, "audio": True}, "5400"),  # per second by resolution × audio
        ("veo-3.1", {"resolution": "1080p", "duration": 8}, "1800"),
        ("veo-3.1-fast", {"resolution": "2160p", "duration": 8, "audio": True}, "1820"),  # audio as a difference
        ("veo-3.1-fast", {"resolution": "720p", "duration": 8, "audio": True}, "980"),
        ("ltx-2.3", {"audio": True}, "230.825"),  # audio as a flat sum
        ("ltx-2.3", {"audio": True, "duration": 10}, "374.125"),
        ("ltx-2.3", {"duration": 9}, "358.3"),  # base plus per second, 9 s billed as 10 s
        ("ltx-2.3", {"duration": 10}, "358.3"),
        ("kling-3.0-4k", {"audio": True}, "755"),  # audio without effect
        ("kling-3.0-4k", {"duration": 15}, "3774.98"),  # fractional: 755 + 12 × 251.665
        ("kling-3.0-pro", {"duration": 10, "audio": True}, "1500"),
        ("kling-3.0-pro", {"preview_frames": True}, "302.5"),
    ],
)
def test_every_shape_of_a_price_comes_out(
    default_card: RateCard, model: str, settings: dict[str, Any], credits_expected: str
) -> None:
    assert price(default_card, model, **settings) == Decimal(credits_expected)


def test_references_beyond_five_cost_more(default_card: RateCard) -> None:
    assert price(default_card, "kling-3.0-pro", images=5) == 300
    assert price(default_card, "kling-3.0-pro", images=8) == Decimal("336.21")


def test_an_enhancer_of_a_request_counts_once_for_two_clips(default_card: RateCard) -> None:
    assert price(default_card, "wan-2.2", outputs=2, enhance_prompt=True) == 61


def test_the_seeds_estimate_has_its_prices(default_card: RateCard) -> None:
    image = price(default_card, "nano-banana")
    video = price(default_card, "seedance-pro-fast", duration=6, resolution="720p")
    assert 30 * image * 22 == 15_840
    assert 10 * video * 22 == 46_200


def test_a_days_free_credits_pay_for_a_video_and_an_image_without_a_subscription(default_card: RateCard) -> None:
    assert price(default_card, "wan-2.2") + price(default_card, "flux-dev") <= 100
    for model_id in ("wan-2.2", "flux-dev"):
        model = default_card.models[model_id]
        defaults = quote(default_card, tool=model.tool, model=model_id, settings={}).settings
        assert gating(default_card, plan="free", model=model, settings=defaults) is None


def test_every_model_has_a_shape_that_the_sandbox_renders_and_says_that_it_is_the_sandbox(
    default_card: RateCard,
) -> None:
    for model in default_card.models.values():
        assert model.provider == "sandbox"
        assert "sandbox" in (model.description or "")
        if model.tool in {"image", "video"}:
            assert "aspect_ratio" in model.settings
            assert model.settings.keys() & {"resolution", "megapixels"}
            assert ("duration" in model.settings) is (model.tool == "video")


def test_r35_audio_is_priced_by_its_length_or_its_text_and_text_by_its_characters(default_card: RateCard) -> None:
    assert price(default_card, "sound-effects", duration=7) == 14
    spoken = quote(
        default_card,
        tool="audio",
        model="gpt-4o-mini-tts",
        settings={},
        measured={PROMPT_CHARACTERS: Decimal(120)},
    )
    assert spoken.price_millicredits == 2_400
    assert default_card.kind_of(default_card.models["prompt-enhancer"]) is MediaKind.TEXT
    enhanced = quote(default_card, tool="text", model="prompt-enhancer", settings={})
    assert (enhanced.price_millicredits, enhanced.metering is not None) == (4_000, True)


@pytest.mark.parametrize(
    ("plan", "credits_monthly", "monthly", "at_once"),
    [
        ("basic", 3_000, "13", (4, 2)),
        ("standard", 8_000, "30", (8, 3)),
        ("ultimate", 16_000, "50", (12, 4)),
        ("creator", 100_000, "250", (16, 5)),
    ],
)
def test_plans_are_as_published(
    default_card: RateCard, plan: str, credits_monthly: int, monthly: str, at_once: tuple[int, int]
) -> None:
    found = default_card.plans[plan]
    assert found.monthly_millicredits == credits_monthly * 1000
    assert (found.concurrency["image"], found.concurrency["video"]) == at_once
    assert found.price.of(Interval.MONTHLY) == Decimal(monthly)
    assert found.price.of(Interval.QUARTERLY) == Decimal(monthly) * 3 * Decimal("0.85")
    assert found.price.of(Interval.YEARLY) == Decimal(monthly) * 12 * Decimal("0.70")
    assert found.head_start_ms == (0 if plan == "basic" else 600_000)


@pytest.mark.parametrize(
    ("plan", "images", "videos"),
    [
        ("free", 20, 3),
        ("basic", 600, 100),
        ("standard", 1_600, 266),
        ("ultimate", 3_200, 533),
        ("creator", 20_000, 3_333),
    ],
)
def test_estimated_generations_say_which_model_they_are_of(
    default_card: RateCard, plan: str, images: int, videos: int
) -> None:
    assert estimated_generations(default_card, plan) == {
        "image": {"model": "flux-dev", "generations": images},
        "video": {"model": "wan-2.2", "generations": videos},
        "audio": {"model": "sound-effects", "generations": images // 2},
        "text": {"model": "prompt-enhancer", "generations": images * 5 // 4},
    }
