"""Models made of LiteLLM's price list: rows of its form, and what a row can be that is not a price."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import farebox
from gateway.errors import InvalidSettings, RateCardError
from gateway.pricing.card import RateCard
from gateway.pricing.litellm import PriceList, card_of, read_list
from gateway.pricing.load import read_card
from gateway.pricing.quote import quote


def row(mode: Any = "image_generation", provider: Any = "fal_ai", **fields: Any) -> dict[str, Any]:
    return {"mode": mode, "litellm_provider": provider, **fields}


IMAGE = "output_cost_per_image"
SECOND = "output_cost_per_second"
ROWS: dict[str, Any] = {
    "sample_spec": {"mode": "one of: chat, embedding"},
    "gpt-5": row("chat", output_cost_per_token=1e-06),
    "fal_ai/fal-ai/flux/dev": row(**{IMAGE: 0.025}),
    "fal_ai/openai/gpt-image-2": row(**{IMAGE: 0.145}),  # for what the rows below have no price for
    "fal_ai/low/1024-x-768/openai/gpt-image-2": row(**{IMAGE: 0.00402}),
    "fal_ai/high/1024-x-768/openai/gpt-image-2": row(**{IMAGE: 0.178}),
    "fal_ai/high/3840-x-2160/openai/gpt-image-2": row(**{IMAGE: 0.4}, supported_endpoints=["/v1/images/edits"]),
    "fal_ai/fal-ai/nano-banana-2": row(
        **{IMAGE: 0.08, f"{IMAGE}_0.5K": 0.06, f"{IMAGE}_1K": 0.08, f"{IMAGE}_4K": 0.16, f"{IMAGE}_token": 0.00012}
    ),
    "dashscope/happyhorse": row(
        "video_generation",
        "dashscope",
        **{SECOND: 0.165026, f"{SECOND}_480p": 0.0618845, f"{SECOND}_1080p": 0.165026},
    ),
    "xai/grok-imagine": row(
        "video_generation",
        "xai",
        **{SECOND: 0.4, f"{SECOND}_4k": 0.6},
        input_cost_per_image=0.01,
        supported_modalities=["text", "image"],
    ),
    "openai/sora-2": row("video_generation", "openai", output_cost_per_video_per_second=0.1),
    "low/1024-x-1024/gpt-image-1": row(provider="openai", input_cost_per_image=0.011, output_cost_per_pixel=0.0),
    "azure/hd/1024-x-1024/dall-e-3": row(provider="azure", input_cost_per_pixel=8.39233e-08, output_cost_per_token=0.0),
    "gpt-image-2": row(provider="openai", output_cost_per_image_token=4e-05),
    "stability/upscale": row("image_edit", "stability", **{IMAGE: 0.06}),
}


def read(rows: dict[str, Any] | None = None, provider: str | None = None) -> tuple[PriceList, RateCard]:
    prices = read_list(json.dumps(ROWS if rows is None else rows), provider)
    return prices, read_card(card_of(prices.models, credits_per_dollar=Decimal(1000)).encode())


def price(card: RateCard, model: str, images: int = 0, **settings: Any) -> int:
    tool = card.models[model].tool
    return quote(card, tool=tool, model=model, settings=settings, input_images=images).price_millicredits


def test_each_way_to_state_a_price_is_read() -> None:
    prices, card = read()
    assert price(card, "fal-ai-flux-dev") == 25_000
    assert price(card, "openai-gpt-image-2") == 4_020  # the first of its prices
    assert price(card, "openai-gpt-image-2", images=1, quality="high", size="3840-x-2160") == 400_000
    with pytest.raises(InvalidSettings, match="no price for it"):
        price(card, "openai-gpt-image-2", quality="low", size="3840-x-2160")
    assert price(card, "fal-ai-nano-banana-2") == 80_000
    assert price(card, "fal-ai-nano-banana-2", resolution="0.5K") == 60_000
    assert price(card, "happyhorse", duration=2) == 330_052
    assert price(card, "happyhorse", duration=1, resolution="480p") == 61_885  # 61.8845, rounded up once
    assert price(card, "grok-imagine", images=1, duration=3) == 1_210_000
    assert price(card, "grok-imagine", duration=3, resolution="4k") == 1_800_000
    assert price(card, "sora-2", duration=4) == 400_000
    assert price(card, "gpt-image-1") == 11_000
    assert price(card, "dall-e-3") == 88_000  # 8.39233e-08 × 1024 × 1024 dollars are 0.08800…
    assert price(card, "upscale", images=1) == 60_000
    assert prices.left_out == {"priced by tokens, or without a price": ["gpt-image-2"]}


def test_models_of_the_same_name_have_ids_of_their_own() -> None:
    flux = {IMAGE: 0.1}
    rows = {
        "a/flux": row(provider="a", **flux),
        "b/flux": row(provider="b", **flux),
        "A.FLUX!": row(provider="c", **flux),
    }
    assert list(read(rows)[1].models) == ["flux", "b-flux", "a.flux"]
    assert list(read(rows, "b")[1].models) == ["flux"]


@pytest.mark.parametrize("odd", ["0.1", None, True, -1, 0, [], {"low": 0.1}, 1e-12])
def test_what_is_no_price_is_left_out_or_rounded_up(odd: object) -> None:
    prices, card = read({"odd": row(**{IMAGE: odd}), "good": row(**{IMAGE: 1})})
    assert ("odd" in card.models) == (odd == 1e-12)
    assert bool(prices.left_out) != ("odd" in card.models)


@pytest.mark.parametrize("text", ["", "[]", '{"model": 3}', "{"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(RateCardError):
        read_list(text)


def test_the_command_prints_a_card_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(json.dumps(ROWS))
    done = CliRunner().invoke(
        farebox, ["pricing", "import", str(tmp_path / "prices.json"), "--credits-per-dollar", "100"]
    )
    assert done.exit_code == 0, done.output
    assert price(read_card(done.stdout.encode()), "fal-ai-flux-dev") == 2_500
    assert done.stderr == "9 models.\nLeft out 1 row (priced by tokens, or without a price): gpt-image-2\n"
    wrong = CliRunner().invoke(
        farebox, ["pricing", "import", str(tmp_path / "prices.json"), "--credits-per-dollar", "0"]
    )
    assert (wrong.exit_code, "is not a positive number" in wrong.stderr) == (2, True)
