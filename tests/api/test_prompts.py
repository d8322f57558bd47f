"""Models that need no prompt, or take none: an upscaler works from files alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import FailureCode
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.cases import cases
from tests.made_media import picture
from tests.mcp.assistant import in_process

MODELS = """
[models.upscale]
name = "Upscale"
tool = "image"
provider = "sandbox"
prompt = "none"
inputs = { image = 1 }
[[models.upscale.rates]]
credits = 1

[models.restyle]
name = "Restyle"
tool = "image"
provider = "sandbox"
prompt = "optional"
inputs = { image = 1 }
[[models.restyle.rates]]
credits = 2
"""
FILE = f"data:image/png;base64,{base64.b64encode(picture(width=8, height=8)).decode()}"
INPUTS = [{"kind": "image", "url": FILE}]


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    (tmp_path / "pricing.toml").write_text(CARD.read_text() + MODELS)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"tool": "image", "model": model, "inputs": INPUTS, **more}


async def test_the_rate_card_says_who_needs_a_prompt(gateway: Visitor) -> None:
    models = (await gateway.call("GET", "/v1/rate-card")).body["models"]
    said = {one["id"]: one["prompt"] for one in models}
    assert (said["sketch"], said["restyle"], said["upscale"]) == ("required", "optional", "none")


@cases("model", ["upscale", "restyle"])
@cases("more", [{}, {"prompt": ""}])
async def test_what_needs_no_prompt_is_made_without_one(gateway: Visitor, model: str, more: dict[str, str]) -> None:
    key = await gateway.account(f"{model}-{len(more)}")
    made = await gateway.call("POST", "/v1/generations", key, asked(model, **more))
    assert (made.status, made.body["prompt"]) == (202, ""), made.raw


async def test_an_optional_prompt_is_kept(gateway: Visitor, key: str) -> None:
    made = await gateway.call("POST", "/v1/generations", key, asked("restyle", prompt="in oil"))
    assert (made.status, made.body["prompt"]) == (202, "in oil")


async def test_422_a_prompt_too_many_or_too_few_is_named_and_nothing_is_held(gateway: Visitor, key: str) -> None:
    for body, said in ((asked("upscale", prompt="x"), "Upscale: leave it out"), (asked("sketch"), "by Sketch")):
        refused = await gateway.call("POST", "/v1/generations", key, body)
        assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["prompt"])
        assert said in refused.message
    assert (await gateway.call("POST", "/v1/quotes", key, asked("upscale", prompt="x"))).fields == ["prompt"]
    assert (await gateway.call("POST", "/v1/quotes", key, asked("sketch"))).status == 200, "a quote may leave it out"
    assert (await gateway.call("GET", "/v1/balance", key)).body["held"] == 0


def _facade_calls(model: str, prompt: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    files = {"image": FILE, **prompt}
    return [
        ("/replicate/v1/predictions", {"version": f"farebox/{model}", "input": files}),
        (f"/fal/queue/farebox/{model}", {"image_url": FILE, **prompt}),
    ]


async def test_the_facades_ask_for_a_prompt_as_the_model_does(gateway: Visitor, key: str) -> None:
    for path, body in _facade_calls("upscale", {}):
        made = await gateway.call("POST", path, key, body)
        assert made.status in {200, 201}, made.raw
    for path, body in [*_facade_calls("sketch", {}), *_facade_calls("upscale", {"prompt": "x"})]:
        refused = await gateway.call("POST", path, key, body)
        assert refused.status == 422, refused.raw
        assert b"prompt" in refused.raw
    page = (await gateway.call("GET", "/v1/generations", key)).body["data"]
    assert [(one["model"], one["prompt"]) for one in page] == [("upscale", "")] * 2


async def test_replicates_schema_has_the_prompt_that_the_model_has(gateway: Visitor, key: str) -> None:
    said = {}
    for model in ("sketch", "restyle", "upscale"):
        found = (await gateway.call("GET", f"/replicate/v1/models/farebox/{model}", key)).body
        schema = found["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]
        said[model] = ("prompt" in schema["properties"], schema["required"])
    assert said == {"sketch": (True, ["prompt"]), "restyle": (True, []), "upscale": (False, [])}


async def test_an_assistant_makes_one_without_a_prompt(gateway: Visitor, key: str) -> None:
    async with in_process(gateway.address, key) as assistant:
        (shown,) = (await assistant.get("list_models", model="upscale"))["models"]
        assert shown["prompt"] == "none"
        made = await assistant.get("generate", **asked("upscale"), confirm_credits=1)
        assert (made["model"], made["prompt"]) == ("upscale", "")
        again = await assistant.get("generate", **asked("upscale"), confirm_credits=1)
        assert again["already_made"] is True
        assert (await assistant.fail("generate", **asked("sketch"), confirm_credits=5))["code"] == "invalid_request"


async def test_a_failed_one_is_retried_and_after_an_erasure_not(gateway: Visitor, key: str) -> None:
    """Whether a generation was erased was told by its empty prompt."""
    generations = [(await gateway.call("POST", "/v1/generations", key, asked("upscale"))).body["id"] for _ in range(2)]
    for generation in generations:
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.PROVIDER_REJECTED)
    first, second = (f"/v1/admin/generations/{generation}/retry" for generation in generations)
    again = await gateway.call("POST", first, gateway.admin, {"reason": "the provider is back"})
    assert (again.status, again.body["prompt"]) == (201, ""), again.raw
    await gateway.call("POST", f"/v1/generations/{again.body['id']}/cancel", key)
    erased = await gateway.call("DELETE", "/v1/admin/accounts/acme/person", gateway.admin)
    assert erased.body["done"] is True
    refused = await gateway.call("POST", second, gateway.admin, {"reason": "the provider is back"})
    assert refused.status == 422, refused.raw
    assert "erased" in refused.message
