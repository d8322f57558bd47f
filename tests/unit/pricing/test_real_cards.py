"""Real price lists, each as somebody published it (`cards/`): it holds, or the refusal says what would do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import RateCardError
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import PricedFor, discounts_of
from gateway.pricing.load import load_card, read_card
from gateway.pricing.quote import quote

CARDS = Path(__file__).parent / "cards"

HOLD = (
    "01-litellm-gpt-image-2.5-quality-x-size",
    "02-litellm-all-video-per-second",
    "02b-rounded",
    "06-gemini-3-pro-image",
    "07b-prompt-characters",
    "08-stability-2025-08",
    "10-seedance-tokens",
    "11b-volume-tiers-graduated",
    "12-ai-horde-sampler-steps",
    "13b-comfy-node-source-size-reported",
    "14-new-api-group-ratio",
    "15-gpt-image-tokens",
    "16-provider-prices",
)
VEO_FORBIDS = '[[models.veo.forbidden]]\nwhen = { resolution = ["1080p", "4k"], duration = [4, 6] }'
REFUSED = {
    "05-veo-1080p-only-8s": "or forbid it in [[models.veo.forbidden]]",
    "07-runway-input-length": "write `inputs = { video = 1, video_seconds = 30 }` on the model",
    "11-volume-tiers": "write `graduated = [{ over = 1000, credits = 4 }]`",
    "13-comfy-node-source-size": "write `inputs = { video = 1, video_seconds = 30 }` on the model",
}


def test_every_price_list_is_covered_here() -> None:
    assert {path.stem for path in CARDS.glob("*.toml")} == {*HOLD, *REFUSED}


@pytest.mark.parametrize("name", HOLD)
def test_the_list_holds(name: str) -> None:
    load_card(CARDS / f"{name}.toml")


@pytest.mark.parametrize(("name", "said"), REFUSED.items())
def test_the_list_is_refused_with_what_would_do(name: str, said: str) -> None:
    with pytest.raises(RateCardError) as error:
        load_card(CARDS / f"{name}.toml")
    assert any(said in message for message in error.value.messages)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "05-veo-1080p-only-8s",
            "[[models.veo.rates]]",
            f"{VEO_FORBIDS}\n[[models.veo.rates]]",
        ),
        ("07-runway-input-length", "inputs = { video = 1 }", "inputs = { video = 1, video_seconds = 30 }"),
    ],
)
def test_what_the_refusal_says_makes_the_card_hold(name: str, before: str, after: str) -> None:
    text = (CARDS / f"{name}.toml").read_text()
    read_card(text.replace(before, after, 1).encode())


def made_to_hold(name: str) -> RateCard:
    """The card, with what its refusal asks for."""
    text = (CARDS / f"{name}.toml").read_text().replace("{ video = 1 }", "{ video = 1, video_seconds = 30 }")
    return read_card(text.replace("[[models.veo.rates]]", f"{VEO_FORBIDS}\n[[models.veo.rates]]", 1).encode())


# As the lists say it: USD times the credits of one, or units times credits. Not what the cards say.
USD_1000, USD_200 = Decimal(1000), Decimal(200)
GEMINI, PUBLIC, VOLUME = "06-gemini-3-pro-image", "16-provider-prices", "11b-volume-tiers-graduated"
GPT = "01-litellm-gpt-image-2.5-quality-x-size"
PRICES: tuple[tuple[str, str, dict[str, Any], Decimal | str], ...] = (
    (GPT, "gpt-image-2.5-flare", {"quality": "low", "size": "1024-x-768"}, Decimal("0.00402") * USD_1000),
    (GPT, "gpt-image-2.5-flare", {"quality": "max", "size": "3840-x-2160"}, Decimal("0.40026") * USD_1000),
    (GPT, "gpt-image-2.5-flare", {"quality": "high", "size": "1024-x-1024", "outputs": 4}, 4 * Decimal("52.68")),
    ("05-veo-1080p-only-8s", "veo", {"resolution": "720p", "duration": 6}, 6 * Decimal("0.10") * USD_1000),
    ("05-veo-1080p-only-8s", "veo", {"resolution": "1080p"}, 8 * Decimal("0.12") * USD_1000),
    ("05-veo-1080p-only-8s", "veo", {"resolution": "4k"}, 8 * Decimal("0.30") * USD_1000),
    (GEMINI, "g", {}, Decimal("0.134") * USD_1000),
    (GEMINI, "g", {"service_tier": "batch"}, Decimal("0.134") / 2 * USD_1000),
    (GEMINI, "g", {"service_tier": "priority"}, Decimal("0.134") * Decimal("1.8") * USD_1000),
    (GEMINI, "g", {"search": "low", "input_images": 3}, Decimal(134) + 3 * Decimal("1.1") + 14),
    ("07-runway-input-length", "aleph", {"input_video_seconds": "12.5"}, Decimal("12.5") * Decimal("0.28") * USD_1000),
    ("07-runway-input-length", "aleph", {"input_videos": 1}, 30 * Decimal("0.28") * USD_1000),
    ("07b-prompt-characters", "tts", {"prompt_characters": 1000}, Decimal(1000) / 50),
    ("07b-prompt-characters", "tts", {"prompt_characters": 51}, Decimal(51) / 50),
    ("08-stability-2025-08", "creative", {}, "60"),
    ("08-stability-2025-08", "fast", {}, "2"),
    ("08-stability-2025-08", "conservative", {}, "40"),
    ("08-stability-2025-08", "inpaint", {}, "5"),
    ("08-stability-2025-08", "fast3d", {}, "10"),
    (VOLUME, "t", {"before": 999}, "5"),
    (VOLUME, "t", {"before": 1000}, "4"),
    (VOLUME, "t", {"before": 10_000}, "3.2"),
    (VOLUME, "t", {"before": 20_000}, "3.2"),
    ("12-ai-horde-sampler-steps", "sd", {"steps": 20}, 20 * Decimal("0.2")),
    ("12-ai-horde-sampler-steps", "sd", {"steps": 20, "sampler": "k_heun"}, 2 * 20 * Decimal("0.2")),
    ("12-ai-horde-sampler-steps", "sd", {"steps": 50, "sampler": "k_dpm_2", "size": "1024"}, 2 * 50 * Decimal("0.8")),
    ("13b-comfy-node-source-size-reported", "vcube", {"input_video_seconds": 10}, 10 * Decimal("4.923")),
    ("14-new-api-group-ratio", "m", {"plan": "vip"}, 10 * Decimal("0.8")),
    ("14-new-api-group-ratio", "m", {}, "10"),
    (
        "15-gpt-image-tokens",
        "gpt-image-1",
        {"quality": "high"},
        (Decimal(8000) / 1_000_000 * 10 + Decimal(6240) / 1_000_000 * 40) * USD_200,
    ),
    (PUBLIC, "kling-v3", {"resolution": "720p", "duration": 10}, 10 * Decimal("0.084") * USD_1000),
    (PUBLIC, "kling-v3", {"resolution": "1080p", "duration": 10}, 10 * Decimal("0.112") * USD_1000),
    (PUBLIC, "kling-v3", {"resolution": "4K", "duration": 10}, 10 * Decimal("0.42") * USD_1000),
    (PUBLIC, "kling-v3", {"resolution": "720p", "audio": True}, 5 * Decimal("0.126") * USD_1000),
    (PUBLIC, "kling-v3", {"resolution": "1080p", "audio": True}, 5 * Decimal("0.168") * USD_1000),
    (PUBLIC, "kling-v3", {"resolution": "4K", "audio": True}, 5 * Decimal("0.42") * USD_1000),
    (PUBLIC, "veo-3.1", {"resolution": "1080p"}, 4 * Decimal("0.20") * USD_1000),
    (PUBLIC, "veo-3.1", {"resolution": "4K"}, 4 * Decimal("0.40") * USD_1000),
    (PUBLIC, "veo-3.1", {"resolution": "720p", "audio": True, "duration": 8}, 8 * Decimal("0.40") * USD_1000),
    (PUBLIC, "veo-3.1", {"resolution": "4K", "audio": True, "duration": 8}, 8 * Decimal("0.60") * USD_1000),
    *(
        (PUBLIC, "pixverse-v6", {"resolution": size, "audio": audio}, 5 * Decimal(usd) * USD_1000)
        for audio, list_ in (
            (False, {"360p": "0.025", "540p": "0.035", "720p": "0.045", "1080p": "0.090"}),
            (True, {"360p": "0.035", "540p": "0.045", "720p": "0.060", "1080p": "0.115"}),
        )
        for size, usd in list_.items()
    ),
    (PUBLIC, "vidu-q2", {"duration": 1}, "15.825"),
    (PUBLIC, "vidu-q2", {"duration": 8}, Decimal("15.825") + 7 * Decimal("5.275")),
    (PUBLIC, "vidu-q2", {"duration": 1, "audio": True}, 2 * Decimal("15.825")),
    (PUBLIC, "luma-ray", {}, "63.30"),
    (PUBLIC, "luma-ray", {"duration": 10}, 3 * Decimal("63.30")),
    (PUBLIC, "luma-ray", {"duration": 9}, "189.90"),
    (PUBLIC, "minimax-h3", {"input_images": 5}, "100"),
    (PUBLIC, "minimax-h3", {"input_images": 8}, 100 + 3 * Decimal("12.07")),
    (PUBLIC, "flux-2-pro", {"megapixels": 4}, Decimal("6.33") + 3 * Decimal("3.17")),
    (PUBLIC, "dall-e-3", {"quality": "hd"}, "16.88"),
    (PUBLIC, "dall-e-3", {"quality": "hd", "size": "wide"}, "25.32"),
)
MEASURED = ("input_video_seconds", "prompt_characters")
BESIDE_SETTINGS = ("outputs", "input_images", "input_videos", "before")


def price(card: RateCard, model: str, asked: dict[str, Any]) -> Decimal:
    settings = dict(asked)
    measured = {name: Decimal(settings.pop(name)) for name in MEASURED if name in settings}
    beside = {name: settings.pop(name) for name in BESIDE_SETTINGS if name in settings}
    if "input_video_seconds" in measured:
        beside["input_videos"] = 1
    tool = card.models[model].tool
    discounts = discounts_of(card, PricedFor(settings.pop("plan", "free")), tool=tool, model=model)
    made = quote(card, tool=tool, model=model, settings=settings, measured=measured, discounts=discounts, **beside)
    return Decimal(made.price_millicredits) / 1000


@pytest.mark.parametrize("name", sorted({name for name, *_ in PRICES}))
def test_the_card_charges_what_the_list_says(name: str) -> None:
    card = made_to_hold(name)
    for of, model, asked, credits_listed in PRICES:
        if of == name:
            assert price(card, model, asked) == Decimal(credits_listed), (model, asked)


def test_a_price_by_tokens_is_what_its_formula_says() -> None:
    """Seedance: width × height × seconds × 24 ÷ 1024 tokens, at 0.014 USD a thousand."""
    card = load_card(CARDS / "10-seedance-tokens.toml")
    for resolution, width, height in (("480p", 854, 480), ("720p", 1280, 720), ("1080p", 1920, 1080)):
        for seconds in (4, 5, 15):
            tokens = Decimal(width * height * seconds * 24) / 1024
            exact = tokens / 1000 * Decimal("0.014") * USD_1000
            assert price(card, "s", {"resolution": resolution, "duration": seconds}) == exact
