"""Real price lists, each as somebody published it (`cards/`): it holds, or the refusal says what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import RateCardError
from gateway.pricing.load import load_card, read_card

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
