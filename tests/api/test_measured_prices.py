"""Prices by what is measured: an upload is charged by its own length, and a quote is for that upload only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.metering import Unit
from tests.api.visitor import CARD, SKETCH, Visitor, open_gateway
from tests.cases import cases
from tests.made_media import film, picture
from tests.until import until

MODELS = """
[models.restyle]
name = "Restyle"
tool = "video"
provider = "sandbox"
inputs = { video = 2, video_seconds = 3 }
[[models.restyle.rates]]
credits_per = { input_video_seconds = { credits = 2 } }

[models.upscale]
name = "Upscale"
tool = "image"
provider = "sandbox"
inputs = { image = 2, megapixels = 4 }
[[models.upscale.rates]]
credits_per = { input_megapixels = { credits = 10 } }
minimum_credits = 0.01

[models.poem]
name = "Poem"
tool = "image"
provider = "sandbox"
[[models.poem.rates]]
credits_per = { prompt_characters = { credits = 0.001 } }

[models.dream]
name = "Dream"
tool = "image"
provider = "sandbox"
outputs_max = 2
[[models.dream.rates]]
credits = 2
reported = { unit = "seconds", credits = 1.5, at_most = 10, if_unreported = 4 }

[models.cinema]
name = "Cinema"
tool = "video"
provider = "sandbox"
[models.cinema.settings]
resolution = { values = ["720p", "1080p"] }
duration = { values = [4, 8], default = 8 }
[[models.cinema.forbidden]]
when = { resolution = "1080p", duration = 4 }
[[models.cinema.rates]]
credits = 1
"""


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    (tmp_path / "pricing.toml").write_text(CARD.read_text() + MODELS)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


async def _uploaded(gateway: Visitor, key: str, data: bytes, content_type: str) -> str:
    reply = await gateway.call("POST", "/v1/uploads", key, headers={"Content-Type": content_type}, raw=data)
    assert reply.status == 201, reply.raw
    return str(reply.body["url"])


def _restyle(*urls: str) -> dict[str, object]:
    inputs = [{"kind": "video", "url": url} for url in urls]
    return {"tool": "video", "model": "restyle", "prompt": "as a sketch", "inputs": inputs}


async def test_an_upload_is_charged_by_its_length_and_an_address_by_the_most(gateway: Visitor, key: str) -> None:
    upload = await gateway.call("POST", "/v1/uploads", key, headers={"Content-Type": "video/mp4"}, raw=film(frames=24))
    assert upload.body["duration_seconds"] == 1
    measured = (await gateway.call("POST", "/v1/quotes", key, _restyle(upload.body["url"]))).body
    assert measured["credits"] == 2
    assert measured["lines"][0]["label"] == "Restyle · 1 s of input video"
    unknown = (await gateway.call("POST", "/v1/quotes", key, _restyle("https://example.com/a.mp4"))).body
    assert unknown["credits"] == 6
    assert unknown["lines"][0]["label"] == "Restyle · up to 3 s of input video"
    both = _restyle(upload.body["url"], "https://example.com/a.mp4")
    assert (await gateway.call("POST", "/v1/quotes", key, both)).body["credits"] == 6


async def test_422_a_quote_for_a_short_upload_does_not_lock_the_price_of_a_long_one(gateway: Visitor, key: str) -> None:
    short = await _uploaded(gateway, key, film(frames=12), "video/mp4")
    long = await _uploaded(gateway, key, film(frames=48), "video/mp4")
    quote = (await gateway.call("POST", "/v1/quotes", key, _restyle(short))).body["quote"]
    refused = await gateway.call("POST", "/v1/generations", key, _restyle(long) | {"quote": quote})
    assert (refused.status, refused.code) == (422, "quote_mismatch")
    assert [one["path"] for one in refused.body["error"]["fields"]] == ["inputs"]
    made = await gateway.call("POST", "/v1/generations", key, _restyle(short) | {"quote": quote})
    assert (made.status, made.body["price"]["credits"]) == (202, 1)


async def test_422_an_upload_that_is_longer_than_the_model_takes(gateway: Visitor, key: str) -> None:
    long = await _uploaded(gateway, key, film(frames=80), "video/mp4")
    refused = await gateway.call("POST", "/v1/generations", key, _restyle(long))
    assert (refused.status, refused.code) == (422, "invalid_settings")
    assert "accepts at most 3 seconds of input video" in refused.body["error"]["message"]


async def test_an_image_is_charged_by_its_pixels(gateway: Visitor, key: str) -> None:
    image = await _uploaded(gateway, key, picture(width=500, height=400), "image/png")
    asked = {"tool": "image", "model": "upscale", "prompt": "larger", "inputs": [{"kind": "image", "url": image}]}
    assert (await gateway.call("POST", "/v1/quotes", key, asked)).body["credits"] == 2


async def test_a_prompt_is_charged_by_its_characters_and_a_quote_without_one_by_the_most(gateway: Visitor) -> None:
    key = await gateway.account()
    asked = {"tool": "image", "model": "poem", "prompt": "ä" * 51}
    quote = (await gateway.call("POST", "/v1/quotes", key, asked)).body
    assert quote["credits"] == 0.051
    assert (await gateway.call("POST", "/v1/quotes", key, asked | {"prompt": ""})).body["credits"] == 10
    longer = await gateway.call("POST", "/v1/generations", key, asked | {"prompt": "ä" * 52, "quote": quote["quote"]})
    assert [one["path"] for one in longer.body["error"]["fields"]] == ["prompt"]


DREAM = {"tool": "image", "model": "dream", "prompt": "of sheep", "outputs": 2}


async def test_r29_a_price_with_reported_units_is_shown_as_a_ceiling_and_charged_as_reported(gateway: Visitor) -> None:
    key = await gateway.account()
    quote = (await gateway.call("POST", "/v1/quotes", key, DREAM)).body
    assert (quote["credits"], quote["at_most"]) == (34, True)
    assert quote["lines"] == [
        {"label": "Dream", "credits": 2, "count": 2, "total": 4},
        {"label": "up to 10 s", "credits": 1.5, "count": 20, "total": 30, "unit": "seconds"},
    ]
    refused = await gateway.call("POST", "/v1/generations", key, DREAM | {"max_credits": 33})
    assert (refused.code, refused.body["error"]["price"]) == ("price_above_ceiling", 34)
    made = (await gateway.call("POST", "/v1/generations", key, DREAM | {"max_credits": 34})).body
    assert (made["price"]["at_most"], made["price"]["lines"], made["credits"]["held"]) == (True, quote["lines"], 34)
    await gateway.begin(made["id"])
    await gateway.deliver(made["id"], reports={Unit.SECONDS: 3_000_000})
    path = f"/v1/generations/{made['id']}"
    line = (await gateway.call("GET", f"{path}/receipt", key)).body["lines"][1]
    assert (line["held_for"], line["reported"], line["charged"]) == (20, 3, None)
    await gateway.deliver(made["id"], 1, reports={Unit.SECONDS: None})
    await gateway.settle(made["id"])
    ended = (await gateway.call("GET", path, key)).body
    assert [output["reported"] for output in ended["outputs"]] == [{"seconds": 3}, {"seconds": None}]
    receipt = (await gateway.call("GET", f"{path}/receipt", key)).body
    assert receipt["at_most"] is True
    assert receipt["lines"] == [
        quote["lines"][0],
        quote["lines"][1] | {"held_for": 20, "reported": 3, "charged": 13},
    ]
    assert [receipt[name] for name in ("held", "committed", "refunded")] == [0, 4 + 1.5 * 13, 34 - 4 - 1.5 * 13]


async def test_r29_a_card_saved_in_between_changes_neither_a_quote_nor_what_is_charged(
    gateway: Visitor, key: str, tmp_path: Path
) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, DREAM)).body["quote"]
    first = (await gateway.call("POST", "/v1/generations", key, DREAM)).body["id"]
    card = tmp_path / "pricing.toml"
    dearer = card.read_text().replace("credits = 1.5, at_most = 10, if_unreported = 4", "credits = 3, at_most = 9")
    card.write_text(dearer)

    async def in_force() -> bool:
        return bool((await gateway.call("POST", "/v1/quotes", key, DREAM)).body["credits"] == 58)

    await until(in_force)
    second = (await gateway.call("POST", "/v1/generations", key, DREAM | {"quote": quote})).body
    assert second["price"]["credits"] == 34
    for generation in (first, second["id"]):
        await gateway.begin(generation)
        await gateway.deliver(generation, reports={Unit.SECONDS: 3_000_000})
        await gateway.deliver(generation, 1)
        await gateway.settle(generation)
        ended = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
        assert ended["credits"]["committed"] == 4 + 1.5 * (3 + 4)


async def test_r29_estimates_and_the_rate_card_say_that_it_is_a_ceiling(gateway: Visitor) -> None:
    items = [{"tool": "image", "model": model, "per_day": 1, "days": 1} for model in ("dream", "poem")]
    estimate = (await gateway.call("POST", "/v1/estimates", None, {"items": items})).body
    assert (estimate["at_most"], [item.get("at_most") for item in estimate["items"]]) == (True, [True, None])
    models = {one["id"]: one for one in (await gateway.call("GET", "/v1/rate-card")).body["models"]}
    assert models["dream"]["rates"][0]["reported"] == [
        {"unit": "seconds", "credits": 1.5, "at_most": 10, "if_unreported": 4}
    ]
    assert "reported" not in models["poem"]["rates"][0]


async def test_422_a_forbidden_combination_says_what_would_do(gateway: Visitor, key: str) -> None:
    asked = {"tool": "video", "model": "cinema", "prompt": "a", "settings": {"resolution": "1080p", "duration": 4}}
    for path in ("/v1/generations", "/v1/quotes"):
        refused = await gateway.call("POST", path, key, asked)
        assert (refused.status, refused.code) == (422, "invalid_settings")
        (problem,) = refused.body["error"]["fields"]
        assert problem["path"] == "settings.duration"
        assert problem["message"].endswith('Send duration = 8 or resolution = "720p".')


async def test_the_public_rate_card_says_what_is_forbidden_and_the_most_of_each_measure(gateway: Visitor) -> None:
    models = {one["id"]: one for one in (await gateway.call("GET", "/v1/rate-card")).body["models"]}
    assert models["cinema"]["forbidden"] == [{"when": {"resolution": ["1080p"], "duration": [4]}, "reason": None}]
    assert models["restyle"]["inputs"] == {
        "image": 0,
        "video": 2,
        "audio": 0,
        "megapixels": None,
        "video_seconds": 3,
        "audio_seconds": None,
    }


@cases("noisy", [73.5 * 3, 220.49999999999997, 220.50000000000003])
async def test_an_amount_with_float_noise_is_the_amount_that_was_meant(gateway: Visitor, noisy: float) -> None:
    key = await gateway.account()
    assert (await gateway.create(key, max_credits=noisy)).status == 202


async def test_noise_never_hides_a_fourth_decimal(gateway: Visitor, key: str) -> None:
    refused = await gateway.call("POST", "/v1/generations", key, SKETCH | {"prompt": "a", "max_credits": 220.499999})
    assert "at most three decimals" in refused.raw.decode()
